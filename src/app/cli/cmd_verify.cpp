// `lora verify FILE`: exit 0 when the programs load it, 1 when one does not.
#include <fmt/format.h>

#include "app/cli/command.h"
#include "app/cli/terminal.h"
#include "base/error.h"
#include "base/json.h"
#include "base/words.h"
#include "tools/verify_lora.h"

namespace lora::app {
namespace {

constexpr tools::Program kPrograms[] = {
    tools::Program::kAutomatic1111, tools::Program::kComfyUI, tools::Program::kDiffusers};

std::vector<tools::Program> programs_of(const std::vector<std::string>& words) {
    if (words.empty()) return {std::begin(kPrograms), std::end(kPrograms)};
    std::vector<tools::Program> programs;
    for (const std::string& word : words) {
        const size_t before = programs.size();
        for (const tools::Program program : kPrograms) {
            const std::string name = lower_ascii(tools::program_name(program));
            const bool short_name =
                program == tools::Program::kAutomatic1111 && lower_ascii(word) == "a1111";
            if (lower_ascii(word) == name || short_name) programs.push_back(program);
        }
        if (programs.size() == before) {
            throw Error(ErrorCode::kConfig,
                        fmt::format("--programs: \"{}\" is not a program that is known here", word))
                .with_hint("automatic1111, comfyui, diffusers");
        }
    }
    return programs;
}

OrderedJson to_json(const tools::VerifyReport& report) {
    OrderedJson programs = OrderedJson::array();
    for (const tools::ProgramVerdict& verdict : report.programs) {
        programs.push_back({{"program", tools::program_name(verdict.program)},
                            {"loads", report.errors.empty() && verdict.problems.empty()},
                            {"layers_found", verdict.layers_found},
                            {"problems", verdict.problems}});
    }
    return {{"ok", report.ok()},
            {"layers", report.layers},
            {"errors", report.errors},
            {"warnings", report.warnings},
            {"programs", programs}};
}

void print_people(const tools::VerifyReport& report, bool zh) {
    for (const std::string& error : report.errors) {
        print_out(fmt::format("{}: {}\n", zh ? "錯誤" : "error", error));
    }
    for (const std::string& warning : report.warnings) {
        print_out(fmt::format("{}: {}\n", zh ? "警告" : "warning", warning));
    }
    for (const tools::ProgramVerdict& verdict : report.programs) {
        const bool loads = report.errors.empty() && verdict.problems.empty();
        print_out(fmt::format("{}: {} ({}/{} {})\n",
                              tools::program_name(verdict.program),
                              loads ? (zh ? "可載入" : "yes") : (zh ? "無法載入" : "no"),
                              verdict.layers_found,
                              report.layers,
                              zh ? "層" : "layers"));
        for (const std::string& problem : verdict.problems) {
            print_out(fmt::format("  {}\n", problem));
        }
    }
}

}  // namespace

int run_verify(const Context& context, const config::Loaded& loaded) {
    if (loaded.positionals.empty()) {
        throw Error(ErrorCode::kConfig, "the LoRA file to verify is missing")
            .with_hint("lora verify FILE.safetensors");
    }
    const auto programs = programs_of(loaded.settings.list("programs"));
    const tools::VerifyReport report = tools::verify_lora(loaded.positionals.front(), programs);
    if (loaded.settings.flag("json")) {
        print_json(to_json(report));
    } else {
        print_people(report, context.language == config::Language::kChinese);
    }
    return report.ok() ? 0 : 1;
}

}  // namespace lora::app
