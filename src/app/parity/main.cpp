// lora_parity: computes golden cases and compares every tensor with the stored one.
#include <cstdlib>
#include <exception>
#include <optional>

#include <fmt/format.h>

#include "app/backends.h"
#include "app/cli/terminal.h"
#include "app/parity/parity.h"
#include "base/error.h"

namespace {

using lora::DType;
using lora::Error;
using lora::ErrorCode;

constexpr const char* kUsage =
    "usage: lora_parity [--backend reference|cpu|cuda] [--dtype fp32|bf16|fp16] [--model FILE]\n"
    "                   [--threads N] [--gradient_floor F] [--dump OUT.safetensors] CASE...\n"
    "Computes golden cases and prints one line a tensor: case tensor error bound ok|OFF.\n"
    "A gradient smaller than F times the whole gradient (bf16, fp16: 1e-3) is judged on that "
    "scale.\n"
    "The model is assets/mini/mini-sd.safetensors unless named here or in the case. Exit code 1 if "
    "any tensor is OFF.\n";

struct Arguments {
    std::string backend;
    std::string dtype = "fp32";
    std::string model;
    std::string dump;
    int num_threads = 0;
    std::optional<double> gradient_floor;
    bool help = false;
    std::vector<std::string> cases;
};

int parse_threads(const std::string& text) {
    int value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9' || value > 4096) {
            throw Error(ErrorCode::kConfig, fmt::format("--threads \"{}\" is not a number", text));
        }
        value = value * 10 + (c - '0');
    }
    return value;
}

double parse_share(const std::string& text) {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != 0 || !(value >= 0 && value <= 1)) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("--gradient_floor \"{}\" is not a number from 0 to 1", text));
    }
    return value;
}

// `--name value` and `--name=value`.
Arguments parse(const std::vector<std::string>& words) {
    Arguments arguments;
    for (size_t i = 0; i < words.size(); ++i) {
        const std::string& word = words[i];
        if (!word.starts_with("--")) {
            arguments.cases.push_back(word);
            continue;
        }
        if (word == "--help") {
            arguments.help = true;
            continue;
        }
        const size_t equals = word.find('=');
        const std::string name = word.substr(0, equals);
        if (equals == std::string::npos && i + 1 >= words.size()) {
            throw Error(ErrorCode::kConfig, fmt::format("{} needs a value", name))
                .with_hint(kUsage);
        }
        const std::string value =
            equals == std::string::npos ? words[++i] : word.substr(equals + 1);
        if (name == "--backend") {
            arguments.backend = value;
        } else if (name == "--dtype") {
            arguments.dtype = value;
        } else if (name == "--model") {
            arguments.model = value;
        } else if (name == "--dump") {
            arguments.dump = value;
        } else if (name == "--threads") {
            arguments.num_threads = parse_threads(value);
        } else if (name == "--gradient_floor") {
            arguments.gradient_floor = parse_share(value);
        } else {
            throw Error(ErrorCode::kConfig, fmt::format("unknown option {}", name))
                .with_hint(kUsage);
        }
    }
    return arguments;
}

DType parse_dtype(const std::string& name) {
    if (name == "fp32") return DType::kF32;
    if (name == "bf16") return DType::kBF16;
    if (name == "fp16") return DType::kF16;
    throw Error(ErrorCode::kConfig, fmt::format("--dtype \"{}\": fp32, bf16 or fp16", name));
}

// Looked for in the working directory, then upwards from the program's folder.
std::string default_model() {
    std::string relative = "assets/mini/mini-sd.safetensors";
    if (lora::path_exists(relative)) return relative;
    std::string folder = lora::program_folder();
    for (int level = 0; level < 5 && !folder.empty(); ++level) {
        std::string path = lora::join_path(folder, relative);
        if (lora::path_exists(path)) return path;
        folder = lora::parent_path(folder);
    }
    return relative;
}

void run_case(lora::parity::Bench& bench, const std::string& path, lora::parity::Report& report) {
    using namespace lora::parity;
    const CaseFile golden = CaseFile::open(path);
    const std::string kind = golden.kind();
    bench.choose_model(golden);
    if (kind == "clip_text") {
        run_clip_text(bench, golden, report);
    } else if (kind == "vae") {
        run_vae(bench, golden, report);
    } else if (kind == "unet") {
        run_unet(bench, golden, report);
    } else if (kind == "train_steps") {
        run_train_steps(bench, golden, report);
    } else if (kind == "network") {
        run_network(bench, golden, report);
    } else if (kind == "sample") {
        run_sample(bench, golden, report);
    } else if (kind == "full_unet") {
        run_full_unet(bench, golden, report);
    } else {
        throw Error(ErrorCode::kFormat,
                    fmt::format("golden case {}: kind \"{}\" is not known", golden.name, kind));
    }
}

int run(const std::vector<std::string>& words) {
    const Arguments arguments = parse(words);
    if (arguments.help) {
        lora::app::print_out(kUsage);
        return 0;
    }
    if (arguments.cases.empty()) {
        throw Error(ErrorCode::kConfig, "no golden case is given").with_hint(kUsage);
    }
    const DType dtype = parse_dtype(arguments.dtype);
    // Without tuning a call takes the same kernels as the one before; that all of them agree is
    // shown by tests/property and the backend's own tests.
    const auto backend = lora::app::all_backends().open(
        arguments.backend, lora::app::backend_options(arguments.num_threads, false));
    if (!backend->supports(dtype)) {
        throw Error(
            ErrorCode::kDevice,
            fmt::format("backend {} does not compute in {}", backend->name(), arguments.dtype));
    }
    lora::parity::Bounds bounds = lora::parity::bounds_for(dtype);
    bounds.gradient_floor = arguments.gradient_floor.value_or(bounds.gradient_floor);
    lora::parity::Report report(bounds, !arguments.dump.empty());
    lora::parity::Bench bench(*backend,
                              dtype,
                              arguments.model.empty() ? default_model() : arguments.model,
                              !arguments.model.empty());
    for (const std::string& path : arguments.cases) {
        lora::with_context(fmt::format("while computing golden case {}", path),
                           [&] { run_case(bench, path, report); });
    }
    if (!arguments.dump.empty()) report.write_dump(arguments.dump);
    return report.all_ok() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    lora::app::prepare_backends(argv);
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
