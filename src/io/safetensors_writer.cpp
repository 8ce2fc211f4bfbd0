#include <algorithm>
#include <array>
#include <cstdint>
#include <set>

#include <fmt/format.h>

#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/words.h"
#include "io/safetensors.h"
#include "io/tensor_stream.h"

namespace lora::io {
namespace {

// Widest first, as the safetensors library sorts them.
int dtype_order(DType dtype) {
    switch (dtype) {
        case DType::kI64: return 0;
        case DType::kF64: return 1;
        case DType::kF32: return 2;
        case DType::kI32: return 3;
        case DType::kBF16: return 4;
        case DType::kF16: return 5;
        case DType::kU8: return 6;
        case DType::kBool: return 7;
    }
    return 8;
}

// A tensor as the header describes it, and its place in the caller's list.
struct Entry {
    std::string_view name;
    DType dtype = DType::kF32;
    const Shape* shape = nullptr;
    size_t bytes = 0;
    size_t index = 0;
};

std::vector<Entry> in_file_order(std::vector<Entry> entries) {
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
        const int order_a = dtype_order(a.dtype);
        const int order_b = dtype_order(b.dtype);
        return order_a != order_b ? order_a < order_b : a.name < b.name;
    });
    return entries;
}

std::vector<Entry> in_file_order(const std::vector<NamedTensor>& tensors) {
    std::vector<Entry> entries;
    entries.reserve(tensors.size());
    for (const NamedTensor& item : tensors) {
        const TensorView& view = item.tensor;
        LORA_CHECK(view.bytes.size() ==
                       narrow<size_t>(view.shape.num_elements()) * dtype_bytes(view.dtype),
                   "tensor " + item.name + " has a wrong byte count");
        entries.push_back({item.name, view.dtype, &view.shape, view.bytes.size(), entries.size()});
    }
    return in_file_order(std::move(entries));
}

std::vector<Entry> in_file_order(const std::vector<PlannedTensor>& tensors) {
    std::vector<Entry> entries;
    entries.reserve(tensors.size());
    for (const PlannedTensor& item : tensors) {
        entries.push_back({item.name, item.dtype, &item.shape, item.num_bytes(), entries.size()});
    }
    return in_file_order(std::move(entries));
}

// Length, JSON and padding: all bytes before the data section, a multiple of 8.
std::string header_bytes(const std::vector<Entry>& order, const Metadata& metadata) {
    OrderedJson header = OrderedJson::object();
    if (!metadata.empty()) header["__metadata__"] = metadata;
    size_t offset = 0;
    std::set<std::string_view> names;
    for (const Entry& item : order) {
        LORA_CHECK(item.name != "__metadata__" && names.insert(item.name).second,
                   fmt::format("tensor name {} is taken", item.name));
        OrderedJson& entry = header[std::string(item.name)];
        entry["dtype"] = std::string(dtype_name(item.dtype));
        entry["shape"] = item.shape->sizes();
        entry["data_offsets"] = {offset, offset + item.bytes};
        offset += item.bytes;
    }
    std::string json = header.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
    json.append((8 - json.size() % 8) % 8, ' ');
    std::string text;
    for (size_t i = 0; i < 8; ++i) text += static_cast<char>((json.size() >> (8 * i)) & 0xFFU);
    return text + json;
}

// The bytes that `maker` gives for one tensor.
std::span<const std::byte> make(const TensorMaker& maker, const Entry& item) {
    const std::span<const std::byte> bytes = maker(item.index);
    LORA_CHECK(bytes.size() == item.bytes,
               fmt::format("tensor {} was made with a wrong byte count", item.name));
    return bytes;
}

}  // namespace

size_t PlannedTensor::num_bytes() const {
    return narrow<size_t>(shape.num_elements()) * dtype_bytes(dtype);
}

void write_safetensors(const std::string& path,
                       const std::vector<PlannedTensor>& tensors,
                       const Metadata& metadata,
                       const TensorMaker& maker) {
    const std::vector<Entry> order = in_file_order(tensors);
    const std::string header = header_bytes(order, metadata);
    AtomicFile file(path);
    file.write(header);
    for (const Entry& item : order) file.write(make(maker, item));
    file.commit();
}

void write_safetensors(const std::string& path,
                       const std::vector<NamedTensor>& tensors,
                       const Metadata& metadata) {
    const std::vector<Entry> order = in_file_order(tensors);
    const std::string header = header_bytes(order, metadata);
    AtomicFile file(path);
    file.write(header);
    for (const Entry& item : order) file.write(tensors[item.index].tensor.bytes);
    file.commit();
}

uint64_t safetensors_bytes(const std::vector<PlannedTensor>& tensors, const Metadata& metadata) {
    uint64_t bytes = header_bytes(in_file_order(tensors), metadata).size();
    for (const PlannedTensor& item : tensors) bytes += item.num_bytes();
    return bytes;
}

void write_tensors(const std::string& path,
                   const std::vector<PlannedTensor>& tensors,
                   const Metadata& metadata,
                   const TensorMaker& maker) {
    if (lower_ascii(extension(path)) == ".safetensors") {
        write_safetensors(path, tensors, metadata, maker);
    } else {
        write_checkpoint(path, tensors, maker);
    }
}

std::string sshs_model_hash(const std::vector<NamedTensor>& tensors) {
    Sha256 hash;
    for (const Entry& item : in_file_order(tensors)) {
        hash.update(tensors[item.index].tensor.bytes);
    }
    return hash.hex_digest();
}

std::string sshs_legacy_hash(const std::vector<NamedTensor>& tensors, const Metadata& metadata) {
    constexpr size_t kBegin = 0x100000;
    constexpr size_t kEnd = 0x110000;
    constexpr size_t kDigits = 8;
    Metadata kept;
    for (const auto& [key, value] : metadata) {
        if (key.starts_with("ss_")) kept.emplace(key, value);
    }
    const std::vector<Entry> order = in_file_order(tensors);
    const std::string header = header_bytes(order, kept);
    Sha256 hash;
    size_t position = 0;
    const auto add = [&](std::span<const std::byte> bytes) {
        const size_t from = std::clamp(kBegin, position, position + bytes.size()) - position;
        const size_t to = std::clamp(kEnd, position, position + bytes.size()) - position;
        hash.update(bytes.subspan(from, to - from));
        position += bytes.size();
    };
    add(std::as_bytes(std::span(header.data(), header.size())));
    for (const Entry& item : order) add(tensors[item.index].tensor.bytes);
    return hash.hex_digest().substr(0, kDigits);
}

}  // namespace lora::io
