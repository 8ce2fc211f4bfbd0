// `lora convert`: another format, precision or style of names.
#include <fmt/format.h>

#include "app/cli/command.h"
#include "app/cli/progress.h"
#include "app/cli/report.h"
#include "app/cli/terminal.h"
#include "app/cli/tool_options.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "tools/convert.h"

namespace lora::app {

int run_convert(const Context& context, const config::Loaded& loaded) {
    const config::Settings& settings = loaded.settings;
    if (loaded.positionals.empty()) {
        throw Error(ErrorCode::kConfig, "the file to convert is missing")
            .with_hint("lora convert FILE --save_to FILE.safetensors");
    }
    Diagnostics findings;
    check_save_to(settings, findings);
    raise_errors(findings);
    tools::ConvertOptions options;
    options.path = loaded.positionals.front();
    options.save_to = settings.text("save_to");
    options.save_precision = tools::precision_from_word(settings.text("save_precision"));
    if (settings.has("key_style")) {
        options.key_style = settings.text("key_style") == "diffusers" ? tools::KeyStyle::kDiffusers
                                                                      : tools::KeyStyle::kKohya;
    }
    const tools::ConvertReport report = tools::convert_file(options);
    for (const std::string& note : report.notes) log::warning("{}", note);
    const uint64_t bytes = file_size_bytes(options.save_to);
    if (settings.flag("json")) {
        const OrderedJson json = {{"file", options.save_to},
                                  {"bytes", bytes},
                                  {"tensors", report.tensors},
                                  {"notes", report.notes}};
        print_json(json);
        return 0;
    }
    const bool zh = context.language == config::Language::kChinese;
    print_out(fmt::format("{} ({} {}, {})\n",
                          options.save_to,
                          report.tensors,
                          zh ? "個張量" : "tensors",
                          bytes_text(bytes)));
    return 0;
}

}  // namespace lora::app
