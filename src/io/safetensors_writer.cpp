#include <algorithm>
#include <array>
#include <cstdint>
#include <set>

#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "io/safetensors.h"

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

std::vector<const NamedTensor*> in_file_order(const std::vector<NamedTensor>& tensors) {
    std::vector<const NamedTensor*> order;
    order.reserve(tensors.size());
    for (const NamedTensor& item : tensors) order.push_back(&item);
    std::sort(order.begin(), order.end(), [](const NamedTensor* a, const NamedTensor* b) {
        const int order_a = dtype_order(a->tensor.dtype);
        const int order_b = dtype_order(b->tensor.dtype);
        return order_a != order_b ? order_a < order_b : a->name < b->name;
    });
    return order;
}

// Length, JSON and padding: all bytes before the data section, a multiple of 8.
std::string header_bytes(const std::vector<const NamedTensor*>& order, const Metadata& metadata) {
    OrderedJson header = OrderedJson::object();
    if (!metadata.empty()) header["__metadata__"] = metadata;
    size_t offset = 0;
    std::set<std::string_view> names;
    for (const NamedTensor* item : order) {
        const TensorView& tensor = item->tensor;
        const size_t bytes =
            narrow<size_t>(tensor.shape.num_elements()) * dtype_bytes(tensor.dtype);
        LORA_CHECK(tensor.bytes.size() == bytes,
                   "tensor " + item->name + " has a wrong byte count");
        LORA_CHECK(item->name != "__metadata__" && names.insert(item->name).second,
                   "tensor name " + item->name + " is taken");
        OrderedJson& entry = header[item->name];
        entry["dtype"] = std::string(dtype_name(tensor.dtype));
        entry["shape"] = tensor.shape.sizes();
        entry["data_offsets"] = {offset, offset + bytes};
        offset += bytes;
    }
    std::string json = header.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
    json.append((8 - json.size() % 8) % 8, ' ');
    std::string text;
    for (size_t i = 0; i < 8; ++i) text += static_cast<char>((json.size() >> (8 * i)) & 0xFFU);
    return text + json;
}

}  // namespace

void write_safetensors(const std::string& path,
                       const std::vector<NamedTensor>& tensors,
                       const Metadata& metadata) {
    const std::vector<const NamedTensor*> order = in_file_order(tensors);
    const std::string header = header_bytes(order, metadata);
    AtomicFile file(path);
    file.write(header);
    for (const NamedTensor* item : order) file.write(item->tensor.bytes);
    file.commit();
}

std::string sshs_model_hash(const std::vector<NamedTensor>& tensors) {
    Sha256 hash;
    for (const NamedTensor* item : in_file_order(tensors)) hash.update(item->tensor.bytes);
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
    const std::vector<const NamedTensor*> order = in_file_order(tensors);
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
    for (const NamedTensor* item : order) add(item->tensor.bytes);
    return hash.hex_digest().substr(0, kDigits);
}

}  // namespace lora::io
