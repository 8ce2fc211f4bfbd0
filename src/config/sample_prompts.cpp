#include "config/internal/toml.h"
// The line above stays first.
#include <algorithm>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "base/words.h"
#include "config/sample_prompts.h"
#include "config/settings.h"

namespace lora::config {
namespace {

using train::SamplePrompt;

// kohya's flags in .txt, by the names of .json and .toml.
struct FlagName {
    std::string_view flag;
    std::string_view name;
};
constexpr FlagName kFlags[] = {{"n", "negative_prompt"},
                               {"w", "width"},
                               {"h", "height"},
                               {"s", "sample_steps"},
                               {"d", "seed"},
                               {"l", "scale"},
                               {"ss", "sample_sampler"}};

class PromptFields {
public:
    PromptFields(SamplePrompt& prompt, std::string place, Diagnostics& findings)
        : prompt_(prompt), place_(std::move(place)), findings_(findings) {}

    void whole(std::string_view name, std::string_view text, int64_t& field, int64_t most) {
        const std::optional<int64_t> value = parse_int(text);
        if (!value || *value < 1) return warn(name, text);
        field = std::min(*value, most);
    }
    void seed(std::string_view text) {
        const std::optional<int64_t> value = parse_int(text);
        if (!value || *value < 0) return warn("seed", text);
        prompt_.seed = static_cast<uint64_t>(*value);
    }
    void scale(std::string_view text) {
        const std::optional<double> value = parse_float(text);
        if (!value || !(*value >= 0)) return warn("scale", text);
        prompt_.cfg_scale = *value;
    }
    void sampler(std::string_view text) {
        prompt_.sampler = diffusion::sampler_from_name(text);
        if (!prompt_.sampler) warn("sampler", text);
    }
    void warn(std::string_view name, std::string_view text) {
        findings_.push_back({Severity::kWarning,
                             place_,
                             fmt::format("{} \"{}\" is not understood and left out", name, text),
                             "samplers: those of --sample_sampler"});
    }

    // The names of .json and .toml.
    void named(std::string_view name, std::string_view text) {
        if (name == "prompt") {
            prompt_.prompt = text;
        } else if (name == "negative_prompt") {
            prompt_.negative_prompt = text;
        } else if (name == "width") {
            whole(name, text, prompt_.width_px, kMaxSide);
        } else if (name == "height") {
            whole(name, text, prompt_.height_px, kMaxSide);
        } else if (name == "sample_steps") {
            whole(name, text, prompt_.num_steps, kMaxSteps);
        } else if (name == "scale") {
            scale(text);
        } else if (name == "seed") {
            seed(text);
        } else if (name == "sample_sampler") {
            sampler(text);
        } else {
            warn("setting", name);
        }
    }
    // The flags of .txt; false when the piece is none.
    bool flag(std::string_view piece) {
        const size_t space = piece.find(' ');
        if (space == std::string_view::npos) return false;
        const std::string flag = lower_ascii(piece.substr(0, space));
        if (flag == "g") return true;  // of other models
        for (const FlagName& row : kFlags) {
            if (row.flag != flag) continue;
            // The negative prompt is taken as it stands; behind a value people write commas.
            const std::string_view text = piece.substr(space + 1);
            named(row.name, flag == "n" ? text : trimmed(text, " \t\r\n,"));
            return true;
        }
        return false;
    }

private:
    static constexpr int64_t kMaxSide = 4096;
    static constexpr int64_t kMaxSteps = 1000;
    SamplePrompt& prompt_;
    std::string place_;
    Diagnostics& findings_;
};

std::vector<SamplePrompt> read_lines(const std::string& path,
                                     const std::string& text,
                                     Diagnostics& findings) {
    std::vector<SamplePrompt> prompts;
    size_t at = 0;
    for (int64_t number = 1; at < text.size(); ++number) {
        const size_t end = std::min(text.find('\n', at), text.size());
        const std::string_view line = std::string_view(text).substr(at, end - at);
        at = end + 1;
        if (trimmed(line).empty() || line.front() == '#') continue;
        prompts.push_back(
            parse_prompt_line(trimmed(line), fmt::format("{}:{}", path, number), findings));
    }
    return prompts;
}

std::string text_of(const Json& value) {
    return value.is_string() ? value.get<std::string>() : value.dump();
}

std::vector<SamplePrompt> read_json(const std::string& path,
                                    const std::string& text,
                                    Diagnostics& findings) {
    const Json list = parse_json_with_unique_keys(text, path);
    if (!list.is_array()) {
        throw Error(ErrorCode::kFormat, fmt::format("{} is no list of prompts", path))
            .with_hint("a list of texts, or of objects with prompt, width, height, ...");
    }
    std::vector<SamplePrompt> prompts;
    for (const Json& item : list) {
        const std::string place = fmt::format("{}, prompt {}", path, prompts.size() + 1);
        if (item.is_string()) {
            prompts.push_back(parse_prompt_line(item.get<std::string>(), place, findings));
            continue;
        }
        if (!item.is_object()) throw Error(ErrorCode::kFormat, place + " is no text and no object");
        SamplePrompt& prompt = prompts.emplace_back();
        PromptFields fields(prompt, place, findings);
        for (const auto& [name, value] : item.items()) fields.named(name, text_of(value));
    }
    return prompts;
}

std::string text_of(const toml::node& node) {
    if (const auto* text = node.as_string()) return text->get();
    if (const auto* number = node.as_integer()) return fmt::format("{}", number->get());
    if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
    return "";
}

void apply(const toml::table& table, PromptFields& fields) {
    for (const auto& [key, node] : table) {
        if (!node.is_array() && !node.is_table()) fields.named(key.str(), text_of(node));
    }
}

// [prompt] holds what all share, each [[prompt.subset]] one prompt.
std::vector<SamplePrompt> read_toml(const std::string& path,
                                    const std::string& text,
                                    Diagnostics& findings) {
    const toml::table whole = parse_toml(text, path);
    const toml::table* common = whole["prompt"].as_table();
    const toml::array* subsets = common == nullptr ? nullptr : (*common)["subset"].as_array();
    if (subsets == nullptr) {
        throw Error(ErrorCode::kFormat, fmt::format("{} holds no [[prompt.subset]]", path));
    }
    std::vector<SamplePrompt> prompts;
    for (const toml::node& node : *subsets) {
        const std::string place = fmt::format("{}, prompt {}", path, prompts.size() + 1);
        SamplePrompt& prompt = prompts.emplace_back();
        PromptFields fields(prompt, place, findings);
        apply(*common, fields);
        if (const toml::table* table = node.as_table()) apply(*table, fields);
    }
    return prompts;
}

}  // namespace

SamplePrompt parse_prompt_line(std::string_view line,
                               const std::string& place,
                               Diagnostics& findings) {
    SamplePrompt prompt;
    PromptFields fields(prompt, place, findings);
    constexpr std::string_view kMark = " --";
    size_t end = std::min(line.find(kMark), line.size());
    prompt.prompt = line.substr(0, end);
    while (end < line.size()) {
        const size_t begin = end + kMark.size();
        end = std::min(line.find(kMark, begin), line.size());
        const std::string_view piece = line.substr(begin, end - begin);
        if (!fields.flag(piece)) fields.warn("flag", fmt::format("--{}", piece));
    }
    return prompt;
}

std::vector<SamplePrompt> load_sample_prompts(const std::string& path, Diagnostics& findings) {
    const std::string text = decode_text(read_text_file(path)).utf8;
    if (path.ends_with(".json")) return read_json(path, text, findings);
    if (path.ends_with(".toml")) return read_toml(path, text, findings);
    return read_lines(path, text, findings);
}

}  // namespace lora::config
