#include "base/json.h"

#include <fmt/format.h>

#include "base/error.h"

namespace lora {

Json parse_json(std::string_view text, std::string_view what) {
    constexpr int kMaxDepth = 64;
    const auto limit_depth = [](int depth, Json::parse_event_t, Json&) {
        if (depth > kMaxDepth) throw Error(ErrorCode::kFormat, "JSON is nested too deeply");
        return true;
    };
    try {
        return Json::parse(text, limit_depth);
    } catch (const Json::exception& error) {
        throw Error(ErrorCode::kFormat, fmt::format("{} is not valid JSON: {}", what, error.what()));
    }
}

}  // namespace lora
