#include "io/tensor_stream.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "io/torch_checkpoint.h"

namespace lora::io {
namespace {

std::string temporary(const std::string& name) {
    return from_path(std::filesystem::temp_directory_path() / ("lora_tensor_stream_" + name));
}

struct Tensors {
    std::vector<Tensor> values;
    std::vector<NamedTensor> named;
    std::vector<PlannedTensor> planned;

    Tensors() {
        const std::vector<float> numbers{1, -2, 3, 0.5F, 0.25F, 7};
        for (const DType dtype : {DType::kF16, DType::kF32, DType::kF16, DType::kI64}) {
            values.push_back(to_dtype(Tensor::from_floats(Shape{2, 3}, numbers).view(), dtype));
        }
        values.emplace_back(DType::kF32, Shape{0, 4});
        const char* names[] = {"b", "c", "a", "ids", "none"};
        for (size_t i = 0; i < values.size(); ++i) {
            named.push_back({names[i], values[i].view()});
            planned.push_back({names[i], values[i].dtype(), values[i].shape()});
        }
    }
};

// One tensor at a time gives the same file, byte by byte.
TEST(TensorStream, WritesWhatTheWholeListWrites) {
    const Tensors t;
    const Metadata metadata{{"ss_network_dim", "4"}};
    for (const std::string extension : {".safetensors", ".ckpt"}) {
        const std::string whole = temporary("whole" + extension);
        const std::string stream = temporary("stream" + extension);
        if (extension == ".ckpt") {
            write_checkpoint(whole, t.named);
        } else {
            write_safetensors(whole, t.named, metadata);
        }
        Tensor only;  // what the maker gave before is gone
        write_tensors(stream, t.planned, metadata, [&](size_t i) {
            only = Tensor::copy_of(t.values[i].view());
            return std::span<const std::byte>(only.bytes());
        });
        EXPECT_EQ(read_binary_file(whole), read_binary_file(stream)) << extension;
        const SafetensorsFile file = SafetensorsFile::open(stream);
        EXPECT_EQ(to_floats(file.at("b")), to_floats(t.values[0].view()));
        EXPECT_EQ(file.at("none").shape, (Shape{0, 4}));
        remove_file_if_exists(whole);
        remove_file_if_exists(stream);
    }
}

TEST(TensorStream, AFailureLeavesNoFile) {
    const Tensors t;
    for (const std::string extension : {".safetensors", ".pt"}) {
        const std::string path = temporary("failed" + extension);
        EXPECT_THROW(write_tensors(path,
                                   t.planned,
                                   {},
                                   [](size_t) -> std::span<const std::byte> {
                                       throw Error(ErrorCode::kFormat, "no more");
                                   }),
                     Error);
        EXPECT_FALSE(path_exists(path));
    }
}

}  // namespace
}  // namespace lora::io
