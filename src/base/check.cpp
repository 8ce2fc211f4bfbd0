#include "base/check.h"

namespace lora::detail {

void check_failed(const char* expression, const std::string& message, SourceLocation where) {
    std::string text = std::string("check failed: ") + expression;
    if (!message.empty()) text += " (" + message + ")";
    throw Error(ErrorCode::kInternal, text, where);
}

}  // namespace lora::detail
