// lora_bench op|step|sample|io: see bench/README.md.
#include <cstdio>
#include <exception>

#include <fmt/format.h>

#include "backend/cpu/cpu_backend.h"
#include "base/error.h"
#include "base/words.h"
#include "bench.h"

namespace {

constexpr const char* kUsage =
    "usage: lora_bench op [PART OF A NAME]      operators at the sizes of SD 1.5\n"
    "       lora_bench op --vendor [--batch N]  the UNet's products beside cuBLASLt and cuDNN\n"
    "       lora_bench step --model FILE        a training step, beside its products' floor\n"
    "       lora_bench sample --model FILE      one UNet evaluation, a VAE decode and encode\n"
    "       lora_bench io [FILE...]             reading model files and pictures; data_check for "
    "a\n"
    "                                           folder of 50,000 files\n"
    "options: --backend cpu|reference --dtype fp32|bf16 --batch 1,4 --resolution 512 --rank 32\n"
    "         --network_args algo=loha,conv_dim=4 (step: of lycoris.kohya)\n"
    "         --base_quant none|int8 (step: frozen weights in 8 bits)\n"
    "         --chunks 3 --threads N --repeats N --nodes --no_floor --json (always on)\n";

int64_t to_number(const std::string& name, const std::string& text) {
    int64_t value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9' || value > 1'000'000) {
            throw lora::Error(lora::ErrorCode::kConfig,
                              fmt::format("{} \"{}\" is not a number", name, text));
        }
        value = value * 10 + (c - '0');
    }
    if (text.empty() || value == 0) {
        throw lora::Error(lora::ErrorCode::kConfig, fmt::format("{} needs a number above 0", name));
    }
    return value;
}

std::vector<int64_t> to_numbers(const std::string& name, const std::string& text) {
    std::vector<int64_t> values;
    for (const std::string_view number : lora::split(text, ',')) {
        values.push_back(to_number(name, std::string(number)));
    }
    return values;
}

// "a=1,b=2"
std::vector<std::pair<std::string, std::string>> to_pairs(const std::string& text) {
    std::vector<std::pair<std::string, std::string>> pairs;
    for (const std::string_view pair : lora::split(text, ',')) {
        const size_t equals = std::min(pair.find('='), pair.size());
        pairs.emplace_back(pair.substr(0, equals), pair.substr(std::min(equals + 1, pair.size())));
    }
    return pairs;
}

void set_option(lora::bench::Options& o, const std::string& name, const std::string& value) {
    if (name == "--model") {
        o.model = value;
    } else if (name == "--backend") {
        o.backend = value;
    } else if (name == "--dtype") {
        if (value != "fp32" && value != "bf16") {
            throw lora::Error(lora::ErrorCode::kConfig, "--dtype is fp32 or bf16");
        }
        o.dtype = value;
    } else if (name == "--batch") {
        o.batches = to_numbers(name, value);
    } else if (name == "--resolution") {
        o.resolution_px = to_number(name, value);
    } else if (name == "--rank") {
        o.rank = to_number(name, value);
    } else if (name == "--network_args") {
        o.network_args = to_pairs(value);
    } else if (name == "--base_quant") {
        if (value != "none" && value != "int8") {
            throw lora::Error(lora::ErrorCode::kConfig, "--base_quant is none or int8");
        }
        o.quantize_base = value == "int8";
    } else if (name == "--chunks") {
        o.num_chunks = to_number(name, value);
    } else if (name == "--threads") {
        o.num_threads = static_cast<int>(to_number(name, value));
    } else if (name == "--repeats") {
        o.repeats = static_cast<int>(to_number(name, value));
    } else {
        throw lora::Error(lora::ErrorCode::kConfig, "unknown option " + name).with_hint(kUsage);
    }
}

int run(const std::vector<std::string>& words) {
    const lora::bench::Options options = lora::bench::parse_options(words);
    if (options.command == "op" && options.vendor) {
#ifdef LORA_HAVE_CUDA_BACKEND
        lora::bench::run_vendor(options);
#else
        throw lora::Error(lora::ErrorCode::kDevice, "this program was built without cuda");
#endif
    } else if (options.command == "op") {
        lora::bench::run_op(options);
    } else if (options.command == "step") {
        lora::bench::run_step(options);
    } else if (options.command == "sample") {
        lora::bench::run_sample(options);
    } else {
        lora::bench::run_io(options);
    }
    return 0;
}

}  // namespace

lora::bench::Options lora::bench::parse_options(const std::vector<std::string>& words) {
    Options o;
    o.command = words.empty() ? "op" : words[0];
    if (o.command != "op" && o.command != "step" && o.command != "sample" && o.command != "io") {
        throw Error(ErrorCode::kConfig, "unknown command " + o.command).with_hint(kUsage);
    }
    for (size_t i = 1; i < words.size(); ++i) {
        const std::string& word = words[i];
        if (word == "--json") continue;
        if (word == "--nodes") {
            o.nodes = true;
        } else if (word == "--vendor") {
            o.vendor = true;
        } else if (word == "--no_floor") {
            o.floor = false;
        } else if (word.rfind("--", 0) != 0) {
            o.filter = word;
        } else {
            const size_t equals = word.find('=');
            if (equals == std::string::npos && i + 1 == words.size()) {
                throw Error(ErrorCode::kConfig, word + " needs a value").with_hint(kUsage);
            }
            const std::string value =
                equals == std::string::npos ? words[++i] : word.substr(equals + 1);
            set_option(o, word.substr(0, equals), value);
        }
    }
    if ((o.command == "step" || o.command == "sample") && o.model.empty()) {
        throw Error(ErrorCode::kConfig, o.command + " needs --model FILE")
            .with_hint("lora_make_model writes one of the full size");
    }
    return o;
}

int main(int argc, char** argv) {
    lora::cpu::let_idle_threads_sleep(argv);
    try {
        return run({argv + 1, argv + argc});
    } catch (const lora::Error& error) {
        fmt::print(stderr, "{}", error.report());
        return lora::exit_code(error.code());
    } catch (const std::exception& error) {
        fmt::print(stderr, "error: {}\n", error.what());
        return 70;
    }
}
