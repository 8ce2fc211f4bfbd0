#include "base/error.h"

namespace lora {

int exit_code(ErrorCode code) {
    switch (code) {
        case ErrorCode::kConfig: return 2;
        case ErrorCode::kData: return 3;
        case ErrorCode::kFormat: return 4;
        case ErrorCode::kIo: return 5;
        case ErrorCode::kDevice:
        case ErrorCode::kOutOfMemory: return 6;
        case ErrorCode::kNumeric: return 7;
        case ErrorCode::kInternal: return 70;
        case ErrorCode::kCancelled: return 130;
    }
    return 70;
}

Error::Error(ErrorCode code, std::string message, SourceLocation where)
    : code_(code), message_(std::move(message)), where_(where) {}

void Error::add_context(std::string line) { context_.push_back(std::move(line)); }

Error Error::with_hint(std::string hint) && {
    hint_ = std::move(hint);
    return std::move(*this);
}

std::string Error::report() const {
    std::string text = "error: ";
    text.append(message_).append("\n");
    for (const std::string& line : context_) text.append("  ").append(line).append("\n");
    if (code_ == ErrorCode::kInternal) {
        text.append("  at ").append(where_.file).append(":");
        text.append(std::to_string(where_.line)).append("\n");
        text += "hint: this is a bug in lora.cpp; please report it with the lines above\n";
    }
    if (!hint_.empty()) text.append("hint: ").append(hint_).append("\n");
    return text;
}

}  // namespace lora
