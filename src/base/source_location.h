// Where in our source a call stands; std::source_location for compilers whose library lacks it
// (clang 14). Used as a default argument by Error and LORA_CHECK.
#pragma once

namespace lora {

struct SourceLocation {
    const char* file = "";
    const char* function = "";
    int line = 0;

    // As a default argument, the place of the caller.
    static constexpr SourceLocation current(const char* file = __builtin_FILE(),
                                            const char* function = __builtin_FUNCTION(),
                                            int line = __builtin_LINE()) {
        return {file, function, line};
    }
};

}  // namespace lora
