#include "base/json.h"

#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/error.h"
#include "base/utf8.h"

namespace lora {
namespace {

constexpr int kMaxDepth = 64;

// The parser quotes the token it stumbled over, whole; a line of it is enough.
std::string shortened(std::string_view text) {
    constexpr size_t kMaxCharacters = 160;
    std::u32string points = utf8_to_utf32(text.substr(0, 4 * kMaxCharacters));
    if (points.size() > kMaxCharacters) {
        points.resize(kMaxCharacters);
        points += U"...";
    }
    return utf32_to_utf8(points);
}

Json parse(std::string_view text, std::string_view what, const Json::parser_callback_t& callback) {
    try {
        return Json::parse(text, callback);
    } catch (const Json::exception& error) {
        throw Error(ErrorCode::kFormat,
                    fmt::format("{} is not valid JSON: {}", what, shortened(error.what())));
    }
}

void check_depth(int depth, std::string_view what) {
    if (depth > kMaxDepth) {
        throw Error(ErrorCode::kFormat, fmt::format("{}: JSON is nested too deeply", what));
    }
}

}  // namespace

Json parse_json(std::string_view text, std::string_view what) {
    return parse(text, what, [what](int depth, Json::parse_event_t, const Json&) {
        check_depth(depth, what);
        return true;
    });
}

Json parse_json_with_unique_keys(std::string_view text, std::string_view what) {
    std::vector<std::set<std::string>> keys;  // of the objects that are open, outermost first
    return parse(text, what, [&](int depth, Json::parse_event_t event, const Json& parsed) {
        check_depth(depth, what);
        const auto level = static_cast<size_t>(depth);
        if (event == Json::parse_event_t::object_start) {
            keys.resize(level);
            keys.emplace_back();
        }
        if (event == Json::parse_event_t::key) {
            const auto& key = parsed.get_ref<const std::string&>();
            if (!keys[level - 1].insert(key).second) {
                throw Error(ErrorCode::kFormat,
                            fmt::format("{} names \"{}\" twice", what, shortened(key)));
            }
        }
        return true;
    });
}

}  // namespace lora
