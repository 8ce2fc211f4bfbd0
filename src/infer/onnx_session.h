// A network in an ONNX file, run on the processor by ONNX Runtime, which is opened at run time: the
// program starts without it. Not here: pictures and what outputs mean (tools/tagger.h,
// tools/segmenter_model.h).
// Shapes   outermost first; -1 is a size that the caller chooses.
// Errors   kDevice: no library, or one that does not serve; kFormat: a file that the library cannot
//          use, with its own words; kIo: no such file.
// Threads  run() from one thread at a time; the library brings its own threads.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace lora::infer {

struct TensorSlot {
    std::string name;
    std::vector<int64_t> dims;
    bool is_float = false;  // tensors of 32-bit floats
};

struct FloatTensor {
    std::vector<int64_t> dims;
    std::vector<float> values;
};

// "[any, 3, 448, 448]"
[[nodiscard]] std::string shape_text(const std::vector<int64_t>& dims);

struct OnnxOptions {
    // A file that the user named, or empty: lib/ beside the program, the program's folder, then
    // where the system looks.
    std::string library = {};
    int threads = 0;  // 0: as the library likes
};

class OnnxSession {
public:
    OnnxSession(const std::string& model_path, const OnnxOptions& options);
    ~OnnxSession();
    OnnxSession(const OnnxSession&) = delete;
    OnnxSession& operator=(const OnnxSession&) = delete;

    [[nodiscard]] const std::vector<TensorSlot>& inputs() const;
    [[nodiscard]] const std::vector<TensorSlot>& outputs() const;
    // The first output for the only input. `values` hold the product of `dims`.
    // Errors  kFormat when the output is no tensor of floats, kDevice when the library fails.
    [[nodiscard]] FloatTensor run(std::span<const float> values, std::span<const int64_t> dims);

    [[nodiscard]] const std::string& library_version() const;
    [[nodiscard]] const std::string& library_path() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace lora::infer
