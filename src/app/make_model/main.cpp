// lora_make_model: a model file without any download, by the hash rule of models/hash_model.h: of
// full size, or small for tests. For tests and benchmarks; it makes no pictures anybody would want.
#include <exception>

#include <fmt/format.h>

#include "app/cli/terminal.h"
#include "base/error.h"
#include "base/json.h"
#include "base/thread_pool.h"
#include "io/safetensors.h"
#include "models/hash_model.h"
#include "models/tensor_list.h"

namespace {

using lora::DType;
using lora::Error;
using lora::ErrorCode;

constexpr const char* kUsage =
    "usage: lora_make_model [--family sd15|sd21|sd21-base|sd21-mini] [--dtype fp16|bf16|fp32]\n"
    "                       OUT.safetensors\n"
    "Writes a model whose weights are computed from the tensors' names.\n";

struct Arguments {
    std::string family = "sd15";
    DType dtype = DType::kF16;
    std::string out;
    bool help = false;
};

DType parse_dtype(const std::string& name) {
    if (name == "fp16") return DType::kF16;
    if (name == "bf16") return DType::kBF16;
    if (name == "fp32") return DType::kF32;
    throw Error(ErrorCode::kConfig, fmt::format("--dtype \"{}\": fp16, bf16 or fp32", name));
}

void set_option(Arguments& arguments, const std::string& name, const std::string& value) {
    if (name == "--dtype") {
        arguments.dtype = parse_dtype(value);
    } else if (name == "--family") {
        arguments.family = value;
    } else {
        throw Error(ErrorCode::kConfig, fmt::format("unknown option {}", name)).with_hint(kUsage);
    }
}

Arguments parse(const std::vector<std::string>& words) {
    Arguments arguments;
    for (size_t i = 0; i < words.size(); ++i) {
        const std::string& word = words[i];
        if (word == "--help") {
            arguments.help = true;
            return arguments;
        }
        if (!word.starts_with("--")) {
            if (!arguments.out.empty()) {
                throw Error(ErrorCode::kConfig, "one output file, please").with_hint(kUsage);
            }
            arguments.out = word;
            continue;
        }
        const size_t equals = word.find('=');
        if (equals == std::string::npos && i + 1 >= words.size()) {
            throw Error(ErrorCode::kConfig, word + " needs a value").with_hint(kUsage);
        }
        const std::string value =
            equals == std::string::npos ? words[++i] : word.substr(equals + 1);
        set_option(arguments, word.substr(0, equals), value);
    }
    if (arguments.out.empty()) {
        throw Error(ErrorCode::kConfig, "no output file is named").with_hint(kUsage);
    }
    return arguments;
}

struct ModelPlan {
    std::vector<lora::models::TensorSpec> tensors;
    lora::io::Metadata metadata{{"format", "pt"}};
};

// The file of an SD 2.x model holds more than is read: the last layer of the text encoder and the
// projection to pictures.
ModelPlan plan_sd2(const lora::models::ModelInfo& info) {
    ModelPlan plan;
    plan.tensors = lora::models::unet_tensors(info.unet);
    lora::models::ClipTextConfig text = info.text;
    ++text.layers;
    for (auto part : {lora::models::vae_tensors(info.vae), lora::models::clip_text_tensors(text)}) {
        plan.tensors.insert(plan.tensors.end(), part.begin(), part.end());
    }
    plan.tensors.push_back({text.prefix + "text_projection", {text.width, text.width}});
    plan.tensors.push_back({text.prefix + "logit_scale", {}});
    lora::OrderedJson own{{"prediction", info.v_prediction ? "v_prediction" : "epsilon"}};
    if (info.native_resolution_px < 512) own["native_resolution_px"] = info.native_resolution_px;
    plan.metadata["lora_cpp.model"] = own.dump();
    return plan;
}

ModelPlan plan_model(const std::string& family) {
    if (family == "sd15") return {.tensors = model_tensors(lora::models::sd15_info())};
    if (family == "sd21") return plan_sd2(lora::models::sd21_info());
    if (family == "sd21-mini") return plan_sd2(lora::models::sd21_mini_info());
    if (family != "sd21-base") {
        throw Error(ErrorCode::kConfig, fmt::format("--family \"{}\" is not known", family))
            .with_hint(kUsage);
    }
    lora::models::ModelInfo base = lora::models::sd21_info();
    base.v_prediction = false;
    return plan_sd2(base);
}

void write_model(const Arguments& arguments) {
    const ModelPlan plan = plan_model(arguments.family);
    const std::vector<lora::models::TensorSpec>& specs = plan.tensors;
    std::vector<lora::Tensor> weights(specs.size());
    lora::ThreadPool pool;
    pool.parallel_for(static_cast<int64_t>(specs.size()), [&](int64_t index) {
        const auto i = static_cast<size_t>(index);
        weights[i] = lora::models::hash_weight(specs[i].name, specs[i].shape);
        if (arguments.dtype != DType::kF16) {
            weights[i] = lora::to_dtype(weights[i].view(), arguments.dtype);
        }
    });
    std::vector<lora::io::NamedTensor> tensors;
    for (size_t i = 0; i < specs.size(); ++i) {
        tensors.push_back({specs[i].name, weights[i].view()});
    }
    lora::io::write_safetensors(arguments.out, tensors, plan.metadata);
    lora::app::print_out(fmt::format(
        "{}: {} tensors, {:.2f} GiB\n",
        arguments.out,
        tensors.size(),
        static_cast<double>(lora::file_size_bytes(arguments.out)) / static_cast<double>(1 << 30)));
}

int run(const std::vector<std::string>& words) {
    const Arguments arguments = parse(words);
    if (arguments.help) {
        lora::app::print_out(kUsage);
        return 0;
    }
    write_model(arguments);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        lora::app::prepare_console();
        return run(lora::app::utf8_arguments(argc, argv));
    } catch (const Error& error) {
        lora::app::print_err(error.report());
        return lora::exit_code(error.code());
    } catch (const std::exception& error) {
        lora::app::print_err(fmt::format("error: {}\n", error.what()));
        return lora::exit_code(ErrorCode::kInternal);
    }
}
