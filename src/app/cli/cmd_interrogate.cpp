// `lora interrogate`: the tokens that a LoRA moves most.
#include <algorithm>

#include <fmt/format.h>

#include "app/cli/command.h"
#include "app/cli/counter.h"
#include "app/cli/precision.h"
#include "app/cli/report.h"
#include "app/cli/terminal.h"
#include "app/cli/tool_options.h"
#include "app/tag_movement.h"
#include "app/token_states.h"
#include "base/error.h"
#include "base/json.h"
#include "tools/interrogate.h"

namespace lora::app {
namespace {

int run_movement(const Context& context,
                 const config::Settings& settings,
                 const std::vector<std::string>& tags) {
    MovementOptions options;
    options.prompts = tags;
    options.num_steps = settings.integer("steps");
    options.num_seeds = settings.integer("images");
    if (settings.has("size")) options.side_px = settings.integer("size") / 8 * 8;
    if (settings.has("clip_skip")) options.clip_skip = settings.integer("clip_skip");
    const auto backend = open_backend(context, settings);
    const std::string precision = choose_precision(settings.text("mixed_precision"), *backend);
    PictureMaker maker(*backend, {.path = settings.text("sd_model")}, precision_dtype(precision));
    std::vector<TagMovement> rows = [&] {
        Counter counter(context.language == config::Language::kChinese ? "圖片" : "pictures");
        options.on_progress = counter.function();
        return measure_movement(maker, settings.text("model"), options);
    }();
    std::stable_sort(rows.begin(), rows.end(), [](const TagMovement& a, const TagMovement& b) {
        return a.moved > b.moved;
    });
    OrderedJson out = OrderedJson::array();
    for (const TagMovement& row : rows) {
        if (settings.flag("json")) {
            out.push_back({{"tag", row.prompt}, {"moved", row.moved}});
        } else {
            print_out(fmt::format("{:.4f}  {}\n", row.moved, printable(row.prompt)));
        }
    }
    if (settings.flag("json")) print_json({{"tags", out}});
    return 0;
}

}  // namespace

int run_interrogate(const Context& context, const config::Loaded& loaded) {
    const config::Settings& settings = loaded.settings;
    Diagnostics findings;
    require_option(settings, "sd_model", "name the base model", findings);
    require_option(settings, "model", "name the LoRA file", findings);
    raise_errors(findings);
    if (settings.given("tags")) {
        const std::vector<std::string> tags = tag_list(settings, "tags");
        if (tags.empty()) {
            throw Error(ErrorCode::kConfig, "there is no tag to draw")
                .with_hint("--tags \"1girl, solo\"");
        }
        return run_movement(context, settings, tags);
    }
    const auto backend = open_backend(context, settings);
    const std::string precision = choose_precision(settings.text("mixed_precision"), *backend);
    std::optional<int64_t> clip_skip;
    if (settings.has("clip_skip")) clip_skip = settings.integer("clip_skip");
    TokenEncoder encoder(*backend,
                         settings.text("sd_model"),
                         settings.text("model"),
                         precision_dtype(precision),
                         clip_skip);
    tools::InterrogateOptions options;
    options.batch_size = settings.integer("batch_size");
    options.top = static_cast<size_t>(settings.integer("top"));
    const std::vector<tools::TokenChange> changes = [&] {
        Counter counter(context.language == config::Language::kChinese ? "token" : "tokens");
        options.on_progress = counter.function();
        return tools::interrogate(
            [&](std::span<const int32_t> ids) { return encoder.states(ids, false); },
            [&](std::span<const int32_t> ids) { return encoder.states(ids, true); },
            options);
    }();
    OrderedJson tokens = OrderedJson::array();
    int64_t place = 0;
    for (const tools::TokenChange& change : changes) {
        const std::string text = printable(change.text);  // many tokens are parts of characters
        if (settings.flag("json")) {
            tokens.push_back({{"id", change.id}, {"token", text}, {"score", change.score}});
        } else {
            print_out(fmt::format(
                "[{:3}]: {:5} {:<20}: {:.5f}\n", ++place, change.id, text, change.score));
        }
    }
    if (settings.flag("json")) print_json({{"tokens", tokens}});
    return 0;
}

}  // namespace lora::app
