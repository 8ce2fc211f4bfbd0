#include "tools/convert.h"

#include <cmath>
#include <memory>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/words.h"
#include "io/tensor_stream.h"
#include "tools/lora_layers.h"

namespace lora::tools {
namespace {

bool becomes_safetensors(const std::string& path) {
    return lower_ascii(extension(path)) == ".safetensors";
}

void note_lost_metadata(const io::Metadata& metadata, const std::string& path, ConvertReport& out) {
    if (metadata.empty() || becomes_safetensors(path)) return;
    out.notes.push_back(fmt::format(
        "{} metadata entries are lost: a PyTorch file has no place for them", metadata.size()));
}

// Every tensor under its name, one after another.
ConvertReport copy_file(const ConvertOptions& options) {
    const auto file = io::SafetensorsFile::open(options.path);
    ConvertReport report;
    std::vector<io::PlannedTensor> planned;
    bool changes = false;
    for (const io::TensorInfo& info : file.tensors()) {
        const DType dtype =
            is_float(info.dtype) ? options.save_precision.value_or(info.dtype) : info.dtype;
        changes = changes || dtype != info.dtype;
        planned.push_back({info.name, dtype, info.shape});
    }
    io::Metadata metadata = file.metadata();
    note_lost_metadata(metadata, options.save_to, report);
    // They would be those of other numbers.
    if (changes) {
        for (const char* key : {"sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256"}) {
            metadata.erase(key);
        }
    }
    Tensor made;
    int64_t overflowed = 0;
    io::write_tensors(options.save_to, planned, metadata, [&](size_t i) {
        const io::TensorInfo& info = file.tensors()[i];
        const TensorView view = file.view(info);
        if (planned[i].dtype == info.dtype) return view.bytes;
        made = to_dtype(view, planned[i].dtype);
        const std::vector<float> before = to_floats(view);
        const std::vector<float> after = to_floats(made.view());
        for (size_t k = 0; k < before.size(); ++k) {
            if (std::isfinite(before[k]) && !std::isfinite(after[k])) ++overflowed;
        }
        file.release_pages(info);
        return std::span<const std::byte>(made.bytes());
    });
    if (overflowed > 0) {
        report.notes.push_back(
            fmt::format("{} numbers are too large for this precision and became infinite; bf16 or "
                        "float holds them",
                        overflowed));
    }
    report.tensors = static_cast<int64_t>(planned.size());
    return report;
}

ConvertReport rename_layers(const ConvertOptions& options) {
    const LoraFile file = open_lora(options.path);
    ConvertReport report;
    std::vector<ResultLayer> layers;
    for (const LoraLayer& layer : file.layers) {
        if (layer.kind != nn::LoraKind::kLora) {
            throw Error(ErrorCode::kConfig,
                        fmt::format("layer {} is no LoRA of two matrices, for which alone both "
                                    "styles have names",
                                    layer.name))
                .with_hint("lora merge --models FILE --ratios 1 --new_rank N makes a LoRA of it");
        }
        FactorPair pair = factor_pair(layer);
        layers.push_back({layer.name,
                          layer.weight_shape,
                          std::move(pair.up),
                          std::move(pair.down),
                          layer.alpha});
    }
    const DType own = file.layers.front().factors.begin()->second.dtype;
    SaveOptions save{.path = options.save_to,
                     .dtype = options.save_precision.value_or(own),
                     .metadata = file.file->metadata(),
                     .style = *options.key_style};
    note_lost_metadata(save.metadata, options.save_to, report);
    save.metadata.erase("lora_adapter_metadata");  // alphas are in the tensors now
    if (save.style == KeyStyle::kKohya) {
        for (const auto& [key, value] : network_metadata(layers, save.metadata)) {
            save.metadata.emplace(key, value);
        }
    }
    for (const std::string& name : file.others) {
        save.extra.push_back({name, file.file->at(name)});
    }
    if (!file.others.empty()) {
        report.notes.push_back(
            fmt::format("{} tensors belong to no layer and keep their names", file.others.size()));
    }
    save_lora(layers, save);
    const int64_t each = save.style == KeyStyle::kKohya ? 3 : 2;
    report.tensors =
        each * static_cast<int64_t>(layers.size()) + static_cast<int64_t>(file.others.size());
    return report;
}

}  // namespace

ConvertReport convert_file(const ConvertOptions& options) {
    const std::string ending = lower_ascii(extension(options.save_to));
    if (ending != ".safetensors" && ending != ".ckpt" && ending != ".pt" && ending != ".pth" &&
        ending != ".bin") {
        throw Error(ErrorCode::kConfig,
                    fmt::format("the ending of \"{}\" names no format", options.save_to))
            .with_hint("one of .safetensors, .ckpt, .pt");
    }
    const std::string folder = parent_path(options.save_to);
    if (!folder.empty()) make_directories(folder);
    return options.key_style ? rename_layers(options) : copy_file(options);
}

}  // namespace lora::tools
