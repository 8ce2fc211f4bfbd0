// The one exception type of the program, its codes, and the exit code each code becomes.
// Not for many findings at once: judging user input in bulk returns Diagnostics
// (base/diagnostic.h). Used everywhere; caught only in main(), the HTTP handler, job threads and
// the thread pool.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/source_location.h"

namespace lora {

enum class ErrorCode {
    kConfig,       // an option, a value or a combination of them
    kData,         // pictures, captions, folders
    kFormat,       // a file of the wrong kind, or malformed
    kIo,           // missing file, permission, disk full
    kDevice,       // no such device, or it failed
    kOutOfMemory,  // does not fit the device or the machine
    kNumeric,      // a value that is not finite
    kInternal,     // a bug of ours
    kCancelled,    // stopped by the user
};

// Process exit code of an error code: 2, 3, 4, 5, 6, 6, 7, 70, 130 in the order above.
[[nodiscard]] int exit_code(ErrorCode code);

// What happened, where in the user's world (context lines), why, and what to do (hint).
class Error : public std::exception {
public:
    Error(ErrorCode code, std::string message, SourceLocation where = SourceLocation::current());

    // Adds one line like `while reading model file cat.safetensors`; innermost first.
    void add_context(std::string line);
    // Returns the error itself so that `throw Error(...).with_hint("...")` reads well.
    Error with_hint(std::string hint) &&;

    [[nodiscard]] ErrorCode code() const { return code_; }
    [[nodiscard]] const std::string& message() const { return message_; }
    [[nodiscard]] const std::vector<std::string>& context() const { return context_; }
    [[nodiscard]] const std::string& hint() const { return hint_; }
    [[nodiscard]] const SourceLocation& where() const { return where_; }
    // The bare message.
    [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }
    // `error: ...`, context lines, `hint: ...`, each on its line, newline at the end.
    [[nodiscard]] std::string report() const;

private:
    ErrorCode code_;
    std::string message_;
    std::vector<std::string> context_;
    std::string hint_;
    SourceLocation where_;
};

// Runs fn; an Error that leaves it carries `line` as one more context line.
template <typename Fn>
decltype(auto) with_context(std::string_view line, Fn&& fn) {
    try {
        return std::forward<Fn>(fn)();
    } catch (Error& error) {
        error.add_context(std::string(line));
        throw;
    }
}

}  // namespace lora
