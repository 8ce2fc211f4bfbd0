#include "data/internal/npy.h"

#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "base/error.h"

namespace lora::data::internal {

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kAlign = 64;

struct TypeName {
    std::string_view descr;
    DType dtype;
};
constexpr std::array<TypeName, 7> kTypes = {{{"<f8", DType::kF64},
                                             {"<f4", DType::kF32},
                                             {"<f2", DType::kF16},
                                             {"<i8", DType::kI64},
                                             {"<i4", DType::kI32},
                                             {"|u1", DType::kU8},
                                             {"|b1", DType::kBool}}};

[[noreturn]] void fail(const std::string& what, std::string_view why) {
    throw Error(ErrorCode::kFormat, fmt::format("{} is not a readable .npy array: {}", what, why));
}

// The text after `'key':`, spaces skipped.
std::string_view value_of(std::string_view header, std::string_view key, const std::string& what) {
    const std::string quoted = fmt::format("'{}':", key);
    const size_t at = header.find(quoted);
    if (at == std::string_view::npos) fail(what, fmt::format("no {}", key));
    std::string_view value = header.substr(at + quoted.size());
    while (value.starts_with(' ')) value.remove_prefix(1);
    return value;
}

DType parse_type(std::string_view value, const std::string& what) {
    for (const TypeName& type : kTypes) {
        if (value.starts_with(fmt::format("'{}'", type.descr))) return type.dtype;
    }
    fail(what, "unsupported element type");
}

Shape parse_shape(std::string_view value, const std::string& what) {
    constexpr int64_t kMaxElements = int64_t{1} << 40;
    if (!value.starts_with('(')) fail(what, "bad shape");
    value.remove_prefix(1);
    std::vector<int64_t> sizes;
    int64_t elements = 1;
    while (!value.starts_with(')')) {
        int64_t size = 0;
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), size);
        if (error != std::errc{} || size < 0 || sizes.size() == 8) fail(what, "bad shape");
        if (size > 0 && elements > kMaxElements / size) fail(what, "shape too large");
        elements *= size;
        sizes.push_back(size);
        value.remove_prefix(static_cast<size_t>(end - value.data()));
        while (value.starts_with(',') || value.starts_with(' ')) value.remove_prefix(1);
    }
    return Shape(std::move(sizes));
}

}  // namespace

Tensor parse_npy(std::span<const std::byte> bytes, const std::string& what) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (text.size() < 12 || !text.starts_with(kMagic)) fail(what, "no NumPy signature");
    const auto byte = [&](size_t i) {
        return static_cast<size_t>(static_cast<unsigned char>(text[i]));
    };
    const size_t version = byte(6);
    if (version < 1 || version > 3) fail(what, "unknown version");
    const size_t start = version == 1 ? 10 : 12;
    size_t length = byte(8) | byte(9) << 8U;
    if (version > 1) length |= byte(10) << 16U | byte(11) << 24U;
    if (length > text.size() - start) fail(what, "header beyond the end");
    const std::string_view header = text.substr(start, length);

    const DType dtype = parse_type(value_of(header, "descr", what), what);
    if (!value_of(header, "fortran_order", what).starts_with("False")) fail(what, "Fortran order");
    const Shape shape = parse_shape(value_of(header, "shape", what), what);
    const size_t size = dtype_bytes(dtype) * static_cast<size_t>(shape.num_elements());
    if (size != text.size() - start - length) fail(what, "data do not match the shape");
    return Tensor::copy_of({dtype, shape, bytes.subspan(start + length)});
}

std::string make_npy(const TensorView& tensor) {
    std::string_view descr;
    for (const TypeName& type : kTypes) {
        if (type.dtype == tensor.dtype) descr = type.descr;
    }
    if (descr.empty()) {
        throw Error(ErrorCode::kInternal,
                    fmt::format("{} has no NumPy type", dtype_name(tensor.dtype)));
    }
    std::string sizes;
    for (const int64_t size : tensor.shape.sizes()) sizes += fmt::format("{}, ", size);
    if (tensor.shape.num_axes() > 1) sizes.resize(sizes.size() - 2);
    if (tensor.shape.num_axes() == 1) sizes.resize(sizes.size() - 1);
    std::string header =
        fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, sizes);
    const size_t unpadded = kMagic.size() + 4 + header.size() + 1;
    header.append((kAlign - unpadded % kAlign) % kAlign, ' ');
    header += '\n';

    std::string out(kMagic);
    out += '\x01';
    out += '\0';
    out += static_cast<char>(header.size() & 0xFFU);
    out += static_cast<char>(header.size() >> 8U);
    out += header;
    out.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
    return out;
}

}  // namespace lora::data::internal
