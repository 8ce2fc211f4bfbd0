// `lora data reg`: prompts for regularisation pictures.
#include <fmt/format.h>

#include "app/cli/data_actions.h"
#include "app/cli/terminal.h"
#include "app/cli/tool_options.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "config/validate.h"
#include "tools/reg_prompts.h"

namespace lora::app {
namespace {

tools::RegPromptOptions options_of(const config::Settings& settings,
                                   const std::vector<std::string>& inputs) {
    tools::RegPromptOptions options;
    options.inputs = inputs;
    options.caption_extension = settings.text("caption_extension");
    options.with_trigger = !settings.flag("without_trigger");
    options.class_name = settings.text("class");
    options.per_picture = settings.integer("per_picture");
    options.backgrounds = tag_list(settings, "backgrounds");
    options.seed = static_cast<uint64_t>(settings.integer("first_seed"));
    const std::string resolution = settings.text("resolution");
    const auto fits = [](int64_t side) { return side >= 64 && side <= 4096 && side % 8 == 0; };
    const auto size = config::parse_resolution(resolution);
    if (!size || !fits(size->width_px) || !fits(size->height_px)) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("resolution \"{}\" is no size to draw", resolution))
            .with_hint("multiples of 8 from 64 to 4096: 512, or width,height");
    }
    options.width_px = size->width_px;
    options.height_px = size->height_px;
    return options;
}

}  // namespace

int run_data_reg(const config::Settings& settings, const std::vector<std::string>& inputs) {
    const tools::RegPromptOptions options = options_of(settings, inputs);
    const auto prompts = tools::make_reg_prompts(options, tools::TagClasses());
    const std::string to = settings.text("write");
    if (!to.empty()) {
        if (path_exists(to)) {
            throw Error(ErrorCode::kIo, fmt::format("{} exists already", to))
                .with_hint("choose another name, or move it away");
        }
        write_file_atomically(to, tools::prompt_file(prompts, options));
    }
    if (settings.flag("json")) {
        OrderedJson rows = OrderedJson::array();
        for (const tools::RegPrompt& row : prompts) {
            rows.push_back({{"prompt", row.prompt},
                            {"negative_prompt", row.negative_prompt},
                            {"class", row.class_name},
                            {"seed", row.seed}});
        }
        print_json({{"prompts", rows}}, 1);
        return 0;
    }
    if (to.empty()) {
        print_out(tools::prompt_file(prompts, options));
        return 0;
    }
    const std::string class_name = prompts.empty() ? "" : prompts.front().class_name;
    print_out(
        fmt::format("{} prompts; draw them with\n"
                    "lora sample --model MODEL{} --from_file {} --out \"REG/1_{}/reg.png\"\n",
                    prompts.size(),
                    options.with_trigger ? " --lora LORA" : "",
                    printable(to),
                    class_name.empty() ? "CLASS" : printable(class_name)));
    return 0;
}

}  // namespace lora::app
