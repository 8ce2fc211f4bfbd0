// The zip that torch.save writes: a pickle of an ordered dictionary whose tensors refer to entries
// data/0, data/1, ... Protocol 2, as PyTorch's own.
#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"
#include "base/file.h"
#include "io/tensor_stream.h"
#include "io/torch_checkpoint.h"
#include "io/zip.h"

namespace lora::io {
namespace {

std::string_view storage_name(DType dtype) {
    switch (dtype) {
        case DType::kF64: return "DoubleStorage";
        case DType::kF32: return "FloatStorage";
        case DType::kF16: return "HalfStorage";
        case DType::kBF16: return "BFloat16Storage";
        case DType::kI64: return "LongStorage";
        case DType::kI32: return "IntStorage";
        case DType::kU8: return "ByteStorage";
        case DType::kBool: return "BoolStorage";
    }
    return "";
}

class PickleText {
public:
    std::string run(const std::vector<PlannedTensor>& tensors) {
        out_ = "\x80\x02";
        global("collections", "OrderedDict");
        out_ += ")R(";
        for (size_t i = 0; i < tensors.size(); ++i) {
            text(tensors[i].name);
            tensor(tensors[i], i);
        }
        out_ += "u.";
        return std::move(out_);
    }

private:
    void little(uint64_t value, int size) {
        for (int i = 0; i < size; ++i) {
            out_ += static_cast<char>(value & 0xFFU);
            value >>= 8U;
        }
    }
    void text(std::string_view value) {
        out_ += 'X';
        little(value.size(), 4);
        out_ += value;
    }
    void integer(int64_t value) {
        if (value >= 0 && value <= 0x7FFFFFFF) {
            out_ += 'J';
            little(static_cast<uint64_t>(value), 4);
        } else {
            out_ += "\x8a\x08";
            little(static_cast<uint64_t>(value), 8);
        }
    }
    void global(std::string_view module, std::string_view name) {
        out_ += fmt::format("c{}\n{}\n", module, name);
    }
    void tuple(const std::vector<int64_t>& values) {
        out_ += '(';
        for (const int64_t value : values) integer(value);
        out_ += 't';
    }
    void tensor(const PlannedTensor& view, size_t index) {
        const std::vector<int64_t> sizes = view.shape.sizes();
        std::vector<int64_t> strides(sizes.size(), 1);
        for (size_t i = sizes.size(); i > 1; --i) strides[i - 2] = strides[i - 1] * sizes[i - 1];
        global("torch._utils", "_rebuild_tensor_v2");
        out_ += "((";
        text("storage");
        global("torch", storage_name(view.dtype));
        text(fmt::format("{}", index));
        text("cpu");
        integer(view.shape.num_elements());
        out_ += "tQ";
        integer(0);
        tuple(sizes);
        tuple(strides);
        out_ += '\x89';
        global("collections", "OrderedDict");
        out_ += ")RtR";
    }

    std::string out_;
};

}  // namespace

void write_checkpoint(const std::string& path,
                      const std::vector<PlannedTensor>& tensors,
                      const TensorMaker& maker) {
    size_t total = 0;
    for (const PlannedTensor& item : tensors) total += item.num_bytes() + 512;
    if (total > 0xF0000000U) {
        throw Error(ErrorCode::kFormat, fmt::format("{} would be larger than 4 GiB", path))
            .with_hint("save as .safetensors, or in fp16");
    }
    AtomicFile file(path);
    ZipWriter zip;
    zip.add("archive/data.pkl", PickleText().run(tensors));
    zip.add("archive/byteorder", "little");
    for (size_t i = 0; i < tensors.size(); ++i) {
        const std::span<const std::byte> bytes = maker(i);
        LORA_CHECK(bytes.size() == tensors[i].num_bytes(),
                   fmt::format("tensor {} was made with a wrong byte count", tensors[i].name));
        zip.add(fmt::format("archive/data/{}", i),
                {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
        file.write(std::string_view(zip.take()));
    }
    zip.add("archive/version", "3\n");
    file.write(std::string_view(zip.finish()));
    file.commit();
}

void write_checkpoint(const std::string& path, const std::vector<NamedTensor>& tensors) {
    std::vector<PlannedTensor> planned;
    planned.reserve(tensors.size());
    for (const NamedTensor& item : tensors) {
        planned.push_back({item.name, item.tensor.dtype, item.tensor.shape});
    }
    write_checkpoint(path, planned, [&](size_t i) { return tensors[i].tensor.bytes; });
}

}  // namespace lora::io
