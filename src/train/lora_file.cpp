#include "train/lora_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "base/error.h"
#include "io/torch_checkpoint.h"
#include "models/tensor_list.h"

namespace lora::train {
namespace {

constexpr std::string_view kAlpha = ".alpha";

double scalar(const TensorView& view, const std::string& name) {
    if (view.shape.num_elements() != 1) {
        throw Error(
            ErrorCode::kFormat,
            fmt::format(
                "tensor {} has shape {}, a scalar was expected", name, view.shape.to_string()));
    }
    return to_floats(view)[0];
}

void read_entry(const TensorView& view, const ParameterEntry& entry, std::span<float> values) {
    // Linear and 1x1 convolution differ in trailing ones only; files mix them.
    if (!models::same_shape(view.shape, entry.shape)) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("tensor {} has shape {} in the file, {} here",
                                entry.key,
                                view.shape.to_string(),
                                entry.shape.to_string()))
            .with_hint("use the file's rank: --dim_from_weights, or the same --network_dim");
    }
    const std::vector<float> numbers = to_floats(view);
    std::copy(numbers.begin(), numbers.end(), values.begin() + entry.offset);
}

void check_alphas(const io::SafetensorsFile& file, const Network& network) {
    for (const LoraModule& module : network.modules()) {
        const std::string name = module.name + std::string(kAlpha);
        const auto view = file.find(name);
        if (!view) continue;
        const double stored = scalar(*view, name);
        if (std::abs(stored - module.alpha) > 1e-3 * std::max(1.0, std::abs(module.alpha))) {
            throw Error(
                ErrorCode::kConfig,
                fmt::format(
                    "{} is {} in the file, network_alpha gives {}", name, stored, module.alpha))
                .with_hint(fmt::format("use --network_alpha {} or --dim_from_weights", stored));
        }
    }
}

}  // namespace

DType save_dtype(const std::string& save_precision) {
    if (save_precision == "fp16") return DType::kF16;
    if (save_precision == "bf16") return DType::kBF16;
    if (save_precision.empty() || save_precision == "float") return DType::kF32;
    throw Error(ErrorCode::kConfig,
                fmt::format("save_precision \"{}\" is not known", save_precision))
        .with_hint("one of: fp16, bf16, float");
}

size_t lora_file_bytes(const Network& network, DType dtype) {
    size_t bytes = 0;
    for (const ParameterEntry& entry : network.entries()) {
        bytes += static_cast<size_t>(entry.count) * dtype_bytes(dtype);
    }
    for (const LoraModule& module : network.modules()) {
        bytes += dtype_bytes(module.kind == nn::LoraKind::kIa3 ? DType::kI64 : dtype);
    }
    return bytes;
}

void save_lora(const std::string& path,
               const Network& network,
               std::span<const float> values,
               DType dtype,
               io::Metadata metadata) {
    std::vector<Tensor> storage;  // single precision is written from `values` itself
    std::vector<io::NamedTensor> tensors;
    for (const ParameterEntry& entry : network.entries()) {
        const auto numbers =
            values.subspan(static_cast<size_t>(entry.offset), static_cast<size_t>(entry.count));
        TensorView view{DType::kF32, entry.shape, std::as_bytes(numbers)};
        if (dtype != DType::kF32) {
            storage.push_back(to_dtype(view, dtype));
            view = storage.back().view();
        }
        tensors.push_back({entry.key, view});
    }
    for (const LoraModule& module : network.modules()) {
        if (module.kind == nn::LoraKind::kIa3) {
            const int64_t on_input = module.on_input ? 1 : 0;
            Tensor flag(DType::kI64, Shape{});
            std::memcpy(flag.bytes().data(), &on_input, sizeof on_input);
            storage.push_back(std::move(flag));
            tensors.push_back({module.name + ".on_input", storage.back().view()});
            continue;
        }
        const auto alpha = static_cast<float>(module.alpha);
        storage.push_back(to_dtype(Tensor::from_floats(Shape{}, {&alpha, 1}).view(), dtype));
        tensors.push_back({module.name + std::string(kAlpha), storage.back().view()});
    }
    if (!path.ends_with(".safetensors")) return io::write_checkpoint(path, tensors);
    // The legacy hash covers the ss_ keys alone, so the order of these two does not matter.
    metadata["sshs_legacy_hash"] = io::sshs_legacy_hash(tensors, metadata);
    metadata["sshs_model_hash"] = io::sshs_model_hash(tensors);
    io::write_safetensors(path, tensors, metadata);
}

LoadReport load_lora(const std::string& path, const Network& network, std::span<float> values) {
    return with_context(fmt::format("while loading network weights {}", path), [&] {
        const io::SafetensorsFile file = io::SafetensorsFile::open(path);
        LoadReport report;
        std::set<std::string> known;
        check_alphas(file, network);
        for (const LoraModule& module : network.modules()) {
            known.insert(module.name + std::string(kAlpha));
            known.insert(module.name + ".on_input");
        }
        for (const ParameterEntry& entry : network.entries()) {
            known.insert(entry.key);
            const auto view = file.find(entry.key);
            if (view) {
                read_entry(*view, entry, values);
            } else {
                report.missing.push_back(entry.key);
            }
        }
        for (const io::TensorInfo& info : file.tensors()) {
            if (!known.contains(info.name)) report.unexpected.push_back(info.name);
        }
        if (report.missing.size() == network.entries().size()) {
            throw Error(ErrorCode::kFormat, "holds no matrix of this network")
                .with_hint("is it a LoRA for this kind of model?");
        }
        return report;
    });
}

}  // namespace lora::train
