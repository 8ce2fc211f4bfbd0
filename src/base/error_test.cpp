#include "base/error.h"

#include <gtest/gtest.h>

#include "base/check.h"
#include "base/json.h"
#include "base/log.h"

namespace lora {
namespace {

TEST(Error, ReportsMessageContextAndHint) {
    try {
        with_context("while resuming run \"cat-v2\"", [] {
            with_context("while reading model file cat.safetensors", [] {
                throw Error(ErrorCode::kFormat, "it is short").with_hint("copy it again");
            });
        });
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.report(),
                  "error: it is short\n"
                  "  while reading model file cat.safetensors\n"
                  "  while resuming run \"cat-v2\"\n"
                  "hint: copy it again\n");
        EXPECT_EQ(exit_code(error.code()), 4);
    }
    EXPECT_EQ(with_context("unused", [] { return 3; }), 3);
}

TEST(Error, ExitCodesAreTheDocumentedOnes) {
    EXPECT_EQ(exit_code(ErrorCode::kConfig), 2);
    EXPECT_EQ(exit_code(ErrorCode::kData), 3);
    EXPECT_EQ(exit_code(ErrorCode::kIo), 5);
    EXPECT_EQ(exit_code(ErrorCode::kDevice), 6);
    EXPECT_EQ(exit_code(ErrorCode::kOutOfMemory), 6);
    EXPECT_EQ(exit_code(ErrorCode::kNumeric), 7);
    EXPECT_EQ(exit_code(ErrorCode::kInternal), 70);
    EXPECT_EQ(exit_code(ErrorCode::kCancelled), 130);
}

TEST(Check, ThrowsInternalErrors) {
    try {
        LORA_CHECK(1 == 2, "numbers");
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kInternal);
        EXPECT_NE(error.report().find("1 == 2 (numbers)"), std::string::npos);
    }
    EXPECT_EQ(narrow<int32_t>(int64_t{5}), 5);
    EXPECT_THROW(static_cast<void>(narrow<int32_t>(int64_t{1} << 40)), Error);
    EXPECT_THROW(static_cast<void>(narrow<size_t>(int64_t{-1})), Error);
}

ErrorCode code_of(std::string_view json, bool unique) {
    try {
        static_cast<void>(unique ? parse_json_with_unique_keys(json, "it")
                                 : parse_json(json, "it"));
    } catch (const Error& error) {
        EXPECT_LT(error.message().size(), 1000U);
        return error.code();
    }
    return ErrorCode::kCancelled;  // stands for: no error
}

TEST(Json, RefusesWhatIsBrokenDeepOrDouble) {
    EXPECT_EQ(parse_json("{\"a\": [1, 2]}", "it")["a"][1], 2);
    EXPECT_EQ(code_of("{\"a\": ", false), ErrorCode::kFormat);
    EXPECT_EQ(code_of("\"\xFF" + std::string(100000, 'x') + "\"", false), ErrorCode::kFormat);
    EXPECT_EQ(code_of(std::string(1000, '['), false), ErrorCode::kFormat);
    EXPECT_EQ(code_of("{\"a\": 1, \"a\": 2}", false), ErrorCode::kCancelled);
    EXPECT_EQ(code_of("{\"a\": 1, \"a\": 2}", true), ErrorCode::kFormat);
    EXPECT_EQ(code_of("{\"b\": {\"a\": 1, \"c\": {}, \"a\": 2}}", true), ErrorCode::kFormat);
    EXPECT_EQ(code_of("[{\"a\": 1}, {\"a\": 2}, {\"b\": {\"a\": 1}}]", true),
              ErrorCode::kCancelled);
}

TEST(Log, DropsWhatIsBelowTheLevel) {
    std::string seen;
    log::set_sink([&seen](log::Level, std::string_view line) { seen += std::string(line) + ";"; });
    const log::Level before = log::level();
    log::set_level(log::Level::kWarning);
    log::info("quiet");
    log::warning("{} loud", 1);
    log::set_level(before);
    log::set_sink({});
    EXPECT_NE(seen.find("1 loud"), std::string::npos);
    EXPECT_EQ(seen.find("quiet"), std::string::npos);
}

}  // namespace
}  // namespace lora
