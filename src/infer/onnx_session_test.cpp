#include "infer/onnx_session.h"

#include <numeric>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"

namespace lora::infer {
namespace {

const char* const kLibrary = LORA_SOURCE_DIR "/.deps/onnxruntime/libonnxruntime.so";
const char* const kModel = LORA_SOURCE_DIR "/tests/data/tagger/plain/model.onnx";

ErrorCode code_of(const std::string& model, const std::string& library) {
    try {
        const OnnxSession session(model, {.library = library});
    } catch (const Error& error) {
        return error.code();
    }
    return ErrorCode::kInternal;
}

// Every entry of the table that internal/ort_api.h declares is called on the way.
TEST(OnnxSession, RunsAModel) {
    if (!path_exists(kLibrary)) GTEST_SKIP() << "./dev setup installs ONNX Runtime";
    OnnxSession session(kModel, {.library = kLibrary, .threads = 1});
    ASSERT_EQ(session.inputs().size(), 1U);
    EXPECT_EQ(session.inputs()[0].name, "input");
    EXPECT_EQ(session.inputs()[0].dims, (std::vector<int64_t>{1, 3, 64, 64}));
    EXPECT_TRUE(session.inputs()[0].is_float);
    ASSERT_EQ(session.outputs().size(), 1U);
    EXPECT_EQ(session.outputs()[0].name, "output");
    EXPECT_EQ(session.outputs()[0].dims.at(1), 48);
    EXPECT_TRUE(session.library_version().starts_with("1.")) << session.library_version();

    const std::vector<float> white(size_t{3} * 64 * 64, 255.0F);
    const std::vector<int64_t> dims = {1, 3, 64, 64};
    const FloatTensor out = session.run(white, dims);
    EXPECT_EQ(out.dims, (std::vector<int64_t>{1, 48}));
    ASSERT_EQ(out.values.size(), 48U);
    EXPECT_GT(std::accumulate(out.values.begin(), out.values.end(), 0.0F), 0.0F);
    EXPECT_EQ(out.values, session.run(white, dims).values);
    // The library's own words arrive: this model has a batch of one.
    const std::vector<float> two(size_t{2} * 3 * 64 * 64, 0.0F);
    EXPECT_THROW(static_cast<void>(session.run(two, std::vector<int64_t>{2, 3, 64, 64})), Error);
}

TEST(OnnxSession, SaysWhatIsWrong) {
    EXPECT_EQ(code_of("no-such.onnx", ""), ErrorCode::kIo);
    EXPECT_EQ(code_of(kModel, "no-such-library.so"), ErrorCode::kIo);
    EXPECT_EQ(code_of(kModel, kModel), ErrorCode::kDevice);  // no library
    if (!path_exists(kLibrary)) GTEST_SKIP() << "./dev setup installs ONNX Runtime";
    const std::string broken = testing::TempDir() + "broken.onnx";
    write_file_atomically(broken, std::string_view("this is no model"));
    EXPECT_EQ(code_of(broken, kLibrary), ErrorCode::kFormat);
    const std::string whole = read_text_file(kModel);
    write_file_atomically(broken, std::string_view(whole).substr(0, whole.size() / 2));
    EXPECT_EQ(code_of(broken, kLibrary), ErrorCode::kFormat);
}

}  // namespace
}  // namespace lora::infer
