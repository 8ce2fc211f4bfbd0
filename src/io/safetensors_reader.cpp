#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "io/safetensors.h"
#include "io/torch_checkpoint.h"

namespace lora::io {
namespace {

constexpr size_t kLengthBytes = 8;
constexpr size_t kMaxHeaderBytes = 100'000'000;

[[noreturn]] void fail(std::string text) { throw Error(ErrorCode::kFormat, std::move(text)); }

// Names go into messages: broken UTF-8 and endless names must not.
std::string in_quotes(std::string_view name) {
    constexpr size_t kMaxBytes = 200;
    const std::string shown = utf32_to_utf8(utf8_to_utf32(name.substr(0, kMaxBytes)));
    return fmt::format("\"{}{}\"", shown, name.size() > kMaxBytes ? "..." : "");
}

std::string_view as_text(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// What people pass by mistake, told by its first bytes; empty when unknown.
std::string other_kind_hint(std::string_view start) {
    if (start.starts_with("version https://git-lfs")) {
        return "this is a Git LFS pointer, not the file itself; download the real file";
    }
    if (start.starts_with("<!") || start.starts_with("<html")) {
        return "this is a web page saved under the file's name; download the file again";
    }
    if (start.starts_with("GGUF")) return "this is a GGUF file; a .safetensors file is needed";
    return "";
}

[[noreturn]] void fail_as_other_kind(std::string text, std::string_view start) {
    std::string hint = other_kind_hint(start);
    if (hint.empty()) hint = "the file is damaged or not a safetensors file";
    throw Error(ErrorCode::kFormat, std::move(text)).with_hint(std::move(hint));
}

// The header's JSON text; checks the length in front of it.
std::string_view header_text(std::span<const std::byte> bytes) {
    const std::string_view all = as_text(bytes);
    if (bytes.size() < kLengthBytes) {
        fail_as_other_kind(
            fmt::format("the file has {} bytes, less than a safetensors header needs",
                        bytes.size()),
            all);
    }
    uint64_t length = 0;
    for (size_t i = 0; i < kLengthBytes; ++i)
        length |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
    if (length > kMaxHeaderBytes) {
        fail_as_other_kind(
            fmt::format("not a safetensors file: its first 8 bytes claim a header of {} "
                        "bytes, the limit is {}",
                        length,
                        kMaxHeaderBytes),
            all);
    }
    if (length > bytes.size() - kLengthBytes) {
        throw Error(
            ErrorCode::kFormat,
            fmt::format("the header claims {} bytes of a {}-byte file", length, bytes.size()))
            .with_hint("the file is cut short; copy it again");
    }
    const std::string_view text = all.substr(kLengthBytes, length);
    if (!text.starts_with('{')) fail_as_other_kind("the header does not start with '{'", all);
    return text;
}

DType parse_dtype(std::string_view name, const Json& value) {
    if (!value.is_string()) fail(fmt::format("tensor {}: dtype is not a string", in_quotes(name)));
    const auto& text = value.get_ref<const std::string&>();
    if (const auto dtype = dtype_from_name(text)) return *dtype;
    constexpr std::array<std::string_view, 12> kKnown = {"I8",
                                                         "I16",
                                                         "U16",
                                                         "U32",
                                                         "U64",
                                                         "C64",
                                                         "F4",
                                                         "F8_E5M2",
                                                         "F8_E4M3",
                                                         "F8_E8M0",
                                                         "F6_E2M3",
                                                         "F6_E3M2"};
    if (std::find(kKnown.begin(), kKnown.end(), text) != kKnown.end()) {
        throw Error(ErrorCode::kFormat,
                    fmt::format("tensor {} has element type {}, which lora.cpp does not read",
                                in_quotes(name),
                                text))
            .with_hint("convert the file to F16, BF16 or F32 first");
    }
    fail(fmt::format("tensor {} has an unknown element type {}", in_quotes(name), in_quotes(text)));
}

Shape parse_shape(std::string_view name, const Json& value) {
    constexpr size_t kMaxAxes = 16;
    if (!value.is_array() || value.size() > kMaxAxes) {
        fail(fmt::format(
            "tensor {}: shape is not a list of at most {} sizes", in_quotes(name), kMaxAxes));
    }
    std::vector<int64_t> sizes;
    for (const Json& item : value) {
        const bool fits =
            item.is_number_unsigned() &&
            item.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
        if (!fits) {
            fail(fmt::format("tensor {}: its shape holds {}, which is not a size",
                             in_quotes(name),
                             item.is_number() ? item.dump() : "something"));
        }
        sizes.push_back(item.get<int64_t>());
    }
    return Shape(std::move(sizes));
}

// Elements times element size; the product must stay far from overflow.
size_t checked_bytes(std::string_view name, const Shape& shape, DType dtype) {
    constexpr uint64_t kMax = uint64_t{1} << 62;
    uint64_t bytes = dtype_bytes(dtype);
    // A size of zero makes the product zero whatever the others are, yet their product must fit
    // too, since code elsewhere multiplies parts of a shape.
    for (const int64_t size : shape.sizes()) {
        const uint64_t factor = std::max<uint64_t>(static_cast<uint64_t>(size), 1);
        if (factor > kMax / bytes) {
            fail(fmt::format(
                "tensor {}: shape {} is too large", in_quotes(name), shape.to_string()));
        }
        bytes *= factor;
    }
    return static_cast<size_t>(shape.num_elements()) * dtype_bytes(dtype);
}

struct Layout {
    size_t data_start = 0;  // in the file
    size_t file_bytes = 0;
};

void check_range(const TensorInfo& info, uint64_t begin, uint64_t end, const Layout& layout) {
    const uint64_t data_bytes = layout.file_bytes - layout.data_start;
    if (begin > end) {
        fail(fmt::format(
            "tensor {}: data_offsets {}..{} run backwards", in_quotes(info.name), begin, end));
    }
    if (end > data_bytes) {
        // Offsets near 2^64 would wrap when the header is added; they are shown as they stand.
        const bool wraps = end > std::numeric_limits<uint64_t>::max() - layout.data_start;
        const uint64_t shift = wraps ? 0 : layout.data_start;
        throw Error(ErrorCode::kFormat,
                    fmt::format("tensor {} claims bytes {}..{} of a {}-byte file",
                                in_quotes(info.name),
                                begin + shift,
                                end + shift,
                                layout.file_bytes))
            .with_hint("the file is cut short; copy it again");
    }
    if (end - begin != info.bytes) {
        fail(fmt::format("tensor {} has {} bytes of data, its shape {} of {} needs {}",
                         in_quotes(info.name),
                         end - begin,
                         info.shape.to_string(),
                         dtype_name(info.dtype),
                         info.bytes));
    }
}

TensorInfo parse_tensor(const std::string& name, const Json& value, const Layout& layout) {
    if (!value.is_object())
        fail(fmt::format("tensor {} is not described by an object", in_quotes(name)));
    for (const char* key : {"dtype", "shape", "data_offsets"}) {
        if (!value.contains(key)) fail(fmt::format("tensor {} lacks \"{}\"", in_quotes(name), key));
    }
    TensorInfo info;
    info.name = name;
    info.dtype = parse_dtype(name, value["dtype"]);
    info.shape = parse_shape(name, value["shape"]);
    info.bytes = checked_bytes(name, info.shape, info.dtype);
    const Json& offsets = value["data_offsets"];
    const bool is_pair = offsets.is_array() && offsets.size() == 2 &&
                         offsets[0].is_number_unsigned() && offsets[1].is_number_unsigned();
    if (!is_pair)
        fail(fmt::format("tensor {}: data_offsets is not a pair of positions", in_quotes(name)));
    const uint64_t begin = offsets[0].get<uint64_t>();
    check_range(info, begin, offsets[1].get<uint64_t>(), layout);
    info.offset = static_cast<size_t>(begin);
    return info;
}

Metadata parse_metadata(const Json& value) {
    if (!value.is_object()) fail("__metadata__ is not an object");
    Metadata metadata;
    for (const auto& [key, text] : value.items()) {
        if (!text.is_string()) fail(fmt::format("metadata {} is not a string", in_quotes(key)));
        metadata.emplace(key, text.get<std::string>());
    }
    return metadata;
}

// The data section belongs to the tensors without overlap, hole or rest.
void check_coverage(const std::vector<TensorInfo>& tensors, size_t data_bytes) {
    size_t covered = 0;
    const TensorInfo* previous = nullptr;
    for (const TensorInfo& info : tensors) {
        if (info.offset < covered) {
            fail(fmt::format(
                "tensors {} and {} overlap", in_quotes(previous->name), in_quotes(info.name)));
        }
        if (info.offset > covered) {
            fail(fmt::format("{} bytes before tensor {} belong to no tensor",
                             info.offset - covered,
                             in_quotes(info.name)));
        }
        covered += info.bytes;
        previous = &info;
    }
    if (covered != data_bytes) {
        fail(fmt::format("{} bytes at the end of the file belong to no tensor",
                         data_bytes - covered));
    }
}

}  // namespace

SafetensorsFile::SafetensorsFile(std::optional<MappedFile> file,
                                 std::span<const std::byte> bytes,
                                 std::string name)
    : file_(std::move(file)), name_(std::move(name)) {
    if (looks_like_checkpoint(bytes)) {
        data_ = bytes;
        tensors_ = read_checkpoint(bytes);
    } else {
        read_header(bytes);
    }
    std::sort(tensors_.begin(), tensors_.end(), [](const TensorInfo& a, const TensorInfo& b) {
        if (a.offset != b.offset) return a.offset < b.offset;
        // An empty tensor stands before the one that starts at the same place.
        if (a.bytes != b.bytes) return a.bytes < b.bytes;
        return a.name < b.name;
    });
    // Storages of a PyTorch file may be shared, and other things lie between them.
    if (!looks_like_checkpoint(bytes)) check_coverage(tensors_, data_.size());
    for (size_t i = 0; i < tensors_.size(); ++i) index_.emplace(tensors_[i].name, i);
}

void SafetensorsFile::read_header(std::span<const std::byte> bytes) {
    const std::string_view text = header_text(bytes);
    const Json header = parse_json_with_unique_keys(text, "the header");
    if (!header.is_object()) fail("the header is not a JSON object");
    const Layout layout{kLengthBytes + text.size(), bytes.size()};
    data_ = bytes.subspan(layout.data_start);
    for (const auto& [key, value] : header.items()) {
        if (key == "__metadata__") {
            metadata_ = parse_metadata(value);
        } else {
            tensors_.push_back(parse_tensor(key, value, layout));
        }
    }
}

SafetensorsFile SafetensorsFile::open(const std::string& path) {
    return with_context(fmt::format("while reading model file {}", path), [&] {
        MappedFile file(path);
        const std::span<const std::byte> bytes = file.bytes();
        return SafetensorsFile(std::move(file), bytes, path);
    });
}

SafetensorsFile SafetensorsFile::from_bytes(std::span<const std::byte> bytes, std::string what) {
    return with_context(fmt::format("while reading model file {}", what),
                        [&] { return SafetensorsFile(std::nullopt, bytes, what); });
}

std::optional<TensorView> SafetensorsFile::find(std::string_view name) const {
    const auto found = index_.find(std::string(name));
    if (found == index_.end()) return std::nullopt;
    return view(tensors_[found->second]);
}

TensorView SafetensorsFile::at(std::string_view name) const {
    if (auto found = find(name)) return *found;
    Error error(ErrorCode::kFormat, fmt::format("the file has no tensor {}", in_quotes(name)));
    error.add_context(fmt::format("while reading model file {}", name_));
    throw error;
}

TensorView SafetensorsFile::view(const TensorInfo& info) const {
    LORA_CHECK(info.offset <= data_.size() && info.bytes <= data_.size() - info.offset);
    return {info.dtype, info.shape, data_.subspan(info.offset, info.bytes)};
}

void SafetensorsFile::release_pages(const TensorInfo& info) const {
    if (!file_.has_value()) return;
    const size_t data_start = file_->bytes().size() - data_.size();
    file_->release_pages(data_start + info.offset, info.bytes);
}

}  // namespace lora::io
