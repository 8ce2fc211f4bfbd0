#include "io/torch_checkpoint.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "base/error.h"
#include "io/internal/pickle.h"
#include "io/zip.h"

namespace lora::io {
namespace {

using internal::PickleCall;
using internal::PickleDict;
using internal::PickleGlobal;
using internal::PickleList;
using internal::PickleRef;
using internal::PickleStorage;
using internal::Unpickled;

constexpr uint64_t kLegacyMagic = 0xa86a20f9469cfc6c;  // the last 64 bits of 0x1950a86a20f9469cfc6c
constexpr int64_t kLegacyProtocol = 1001;
constexpr size_t kMaxAxes = 16;

[[noreturn]] void fail(std::string text) { throw Error(ErrorCode::kFormat, std::move(text)); }

bool starts_with(std::span<const std::byte> bytes, std::string_view text) {
    if (bytes.size() < text.size()) return false;
    return std::string_view(reinterpret_cast<const char*>(bytes.data()), text.size()) == text;
}

template <typename T>
const T* as(PickleRef value) {
    return value == nullptr ? nullptr : std::get_if<T>(&value->data);
}

std::optional<DType> storage_dtype(std::string_view name) {
    struct Row {
        std::string_view name;
        DType dtype;
    };
    constexpr Row kRows[] = {{"DoubleStorage", DType::kF64},
                             {"FloatStorage", DType::kF32},
                             {"HalfStorage", DType::kF16},
                             {"BFloat16Storage", DType::kBF16},
                             {"LongStorage", DType::kI64},
                             {"IntStorage", DType::kI32},
                             {"ByteStorage", DType::kU8},
                             {"BoolStorage", DType::kBool}};
    for (const Row& row : kRows) {
        if (name.ends_with(row.name)) return row.dtype;
    }
    return std::nullopt;
}

struct StorageId {
    std::optional<DType> dtype;
    std::string key;
    int64_t count = 0;
};

// ("storage", type, key, location, number of elements, ...).
std::optional<StorageId> storage_id(PickleRef value) {
    const auto* storage = as<PickleStorage>(value);
    const auto* id = storage == nullptr ? nullptr : as<PickleList>(storage->id);
    if (id == nullptr || id->items.size() < 5) return std::nullopt;
    const auto* type = as<PickleGlobal>(id->items[1]);
    const auto* key = as<std::string>(id->items[2]);
    const auto* count = as<int64_t>(id->items[4]);
    if (type == nullptr || key == nullptr || count == nullptr || *count < 0) return std::nullopt;
    return StorageId{storage_dtype(type->name), *key, *count};
}

enum class Are : uint8_t { kSizes, kStrides };
std::optional<std::vector<int64_t>> integers(PickleRef value, Are are) {
    const auto* list = as<PickleList>(value);
    if (list == nullptr || list->items.size() > kMaxAxes) return std::nullopt;
    std::vector<int64_t> out;
    int64_t product = 1;
    for (const PickleRef item : list->items) {
        const auto* number = as<int64_t>(item);
        if (number == nullptr || *number < 0) return std::nullopt;
        if (are == Are::kSizes) {
            if (*number > (int64_t{1} << 60) / product) return std::nullopt;
            product *= std::max<int64_t>(*number, 1);
        }
        out.push_back(*number);
    }
    return out;
}

// A tensor before it is known where its storage lies.
struct Found {
    std::string name;
    StorageId storage;
    int64_t offset = 0;  // elements
    std::vector<int64_t> sizes;
};

bool is_contiguous(const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) {
    int64_t expected = 1;
    for (size_t i = sizes.size(); i > 0; --i) {
        if (sizes[i - 1] == 0) return true;
        if (sizes[i - 1] != 1 && strides[i - 1] != expected) return false;
        expected *= sizes[i - 1];
    }
    return true;
}

// torch._utils._rebuild_tensor_v2(storage, offset, sizes, strides, ...), or a parameter around it.
std::optional<Found> tensor_of(PickleRef value, const std::string& name) {
    const auto* call = as<PickleCall>(value);
    for (int depth = 0; call != nullptr && depth < 4; ++depth) {
        const auto* args = as<PickleList>(call->args);
        if (args == nullptr || args->items.empty()) return std::nullopt;
        if (call->name == "torch._utils._rebuild_parameter" ||
            call->name == "torch._tensor._rebuild_from_type_v2") {
            const size_t at = call->name.ends_with("_v2") ? 2 : 0;
            if (args->items.size() <= at) return std::nullopt;
            const PickleRef inner = args->items[at];
            call = as<PickleCall>(inner);
            continue;
        }
        if (!call->name.starts_with("torch._utils._rebuild_tensor") || args->items.size() < 4) {
            return std::nullopt;
        }
        const auto storage = storage_id(args->items[0]);
        const auto* offset = as<int64_t>(args->items[1]);
        const auto sizes = integers(args->items[2], Are::kSizes);
        const auto strides = integers(args->items[3], Are::kStrides);
        if (!storage || offset == nullptr || *offset < 0 || !sizes || !strides ||
            sizes->size() != strides->size()) {
            fail(fmt::format("the tensor \"{}\" is damaged", name));
        }
        if (!is_contiguous(*sizes, *strides)) {
            throw Error(ErrorCode::kFormat,
                        fmt::format("the tensor \"{}\" does not lie in one piece", name))
                .with_hint("save the model as .safetensors, which stores tensors whole");
        }
        return Found{name, *storage, *offset, *sizes};
    }
    return std::nullopt;
}

const PickleDict* dictionary(PickleRef value) {
    if (const auto* dict = as<PickleDict>(value)) return dict;
    const auto* call = as<PickleCall>(value);
    const bool ordered = call != nullptr && call->name == "collections.OrderedDict";
    return ordered ? &call->items : nullptr;
}

std::vector<Found> tensors_of(PickleRef root) {
    const PickleDict* dict = dictionary(root);
    if (dict == nullptr) fail("the file holds no dictionary of tensors");
    for (const auto& [key, value] : dict->items) {
        const auto* name = as<std::string>(key);
        if (name != nullptr && *name == "state_dict" && dictionary(value) != nullptr) {
            dict = dictionary(value);
            break;
        }
    }
    std::vector<Found> found;
    std::set<std::string> names;
    for (const auto& [key, value] : dict->items) {
        const auto* name = as<std::string>(key);
        if (name == nullptr || name->starts_with("model_ema.")) continue;
        auto tensor = tensor_of(value, *name);
        if (!tensor || !tensor->storage.dtype) continue;
        if (!names.insert(*name).second) fail(fmt::format("two tensors are called \"{}\"", *name));
        found.push_back(std::move(*tensor));
    }
    if (found.empty()) fail("the file holds no tensors");
    return found;
}

// Bytes of the file that a storage takes.
struct Range {
    size_t begin = 0;
    size_t size = 0;
};

TensorInfo place(const Found& found, const std::map<std::string, Range>& storages) {
    const auto range = storages.find(found.storage.key);
    if (range == storages.end()) {
        fail(fmt::format("the numbers of the tensor \"{}\" are not in the file", found.name));
    }
    TensorInfo info;
    info.name = found.name;
    info.dtype = *found.storage.dtype;
    info.shape = Shape(found.sizes);
    const size_t unit = dtype_bytes(info.dtype);
    const auto count = static_cast<size_t>(info.shape.num_elements());
    const size_t whole = range->second.size / unit;
    const auto offset = static_cast<size_t>(found.offset);
    if (offset > whole || count > whole - offset) {
        fail(fmt::format("the tensor \"{}\" reaches beyond its storage", found.name));
    }
    info.offset = range->second.begin + offset * unit;
    info.bytes = count * unit;
    return info;
}

std::vector<TensorInfo> read_zip(std::span<const std::byte> bytes) {
    constexpr size_t kMaxCrcBytes = 1 << 24;
    const std::vector<ZipEntry> entries = list_zip(bytes, "the PyTorch file", kMaxCrcBytes);
    const ZipEntry* pickle = nullptr;
    for (const ZipEntry& entry : entries) {
        if (entry.name == "data.pkl" || entry.name.ends_with("/data.pkl")) pickle = &entry;
        if (entry.name.ends_with("byteorder") && starts_with(entry.bytes, "big")) {
            fail("the numbers in the file are in big-endian order");
        }
    }
    if (pickle == nullptr) fail("the zip archive is no PyTorch file: it has no data.pkl");
    const std::string folder =
        pickle->name.substr(0, pickle->name.size() - std::string_view("data.pkl").size()) + "data/";
    std::map<std::string, Range> storages;
    for (const ZipEntry& entry : entries) {
        if (!entry.name.starts_with(folder)) continue;
        const auto begin = static_cast<size_t>(entry.bytes.data() - bytes.data());
        storages[entry.name.substr(folder.size())] = {begin, entry.bytes.size()};
    }
    const Unpickled data = internal::unpickle(pickle->bytes);
    std::vector<TensorInfo> infos;
    for (const Found& found : tensors_of(data.value)) infos.push_back(place(found, storages));
    return infos;
}

// Five pickles (magic number, protocol, system, object, storage keys), then the storages: the
// number of elements as 64 bits, the numbers.
std::vector<TensorInfo> read_legacy(std::span<const std::byte> bytes) {
    size_t at = 0;
    const auto next = [&] {
        Unpickled part = internal::unpickle(bytes.subspan(at));
        at += part.bytes_read;
        return part;
    };
    const Unpickled magic = next();
    const auto* number = as<int64_t>(magic.value);
    const Unpickled protocol = next();
    const auto* version = as<int64_t>(protocol.value);
    if (number == nullptr || version == nullptr || *version != kLegacyProtocol ||
        static_cast<uint64_t>(*number) != kLegacyMagic) {
        fail("the file is a pickle, but none that PyTorch wrote");
    }
    (void)next();  // the system that wrote it
    const Unpickled object = next();
    const Unpickled keys = next();
    const std::vector<Found> tensors = tensors_of(object.value);
    std::map<std::string, DType> types;
    for (const Found& found : tensors) types.emplace(found.storage.key, *found.storage.dtype);
    const auto* list = as<PickleList>(keys.value);
    if (list == nullptr) fail("the list of storages is damaged");
    std::map<std::string, Range> storages;
    for (const PickleRef item : list->items) {
        const auto* key = as<std::string>(item);
        if (key == nullptr || bytes.size() - at < 8) fail("the storages are damaged");
        uint64_t count = 0;
        for (size_t i = 8; i > 0; --i) {
            count = count << 8U | std::to_integer<uint64_t>(bytes[at + i - 1]);
        }
        at += 8;
        const auto type = types.find(*key);
        // A storage of another type belongs to nothing that is read; its size is not known.
        if (type == types.end()) fail("a storage has a type that is not read here");
        const size_t unit = dtype_bytes(type->second);
        if (count > (bytes.size() - at) / unit) fail("a storage reaches beyond the end");
        storages[*key] = {at, count * unit};
        at += count * unit;
    }
    std::vector<TensorInfo> infos;
    infos.reserve(tensors.size());
    for (const Found& found : tensors) infos.push_back(place(found, storages));
    return infos;
}

}  // namespace

bool looks_like_checkpoint(std::span<const std::byte> bytes) {
    // A safetensors header of 640 bytes has the length 80 02 00 ... in front of its brace.
    constexpr size_t kHigh = 4;  // of the length's eight bytes, zero in every real header
    constexpr size_t kBrace = 8;
    const bool is_safetensors = bytes.size() > kBrace && bytes[kBrace] == std::byte{'{'} &&
                                std::all_of(bytes.begin() + kHigh,
                                            bytes.begin() + kBrace,
                                            [](std::byte b) { return b == std::byte{0}; });
    if (is_safetensors) return false;
    return starts_with(bytes, "PK\x03\x04") || starts_with(bytes, "\x80\x02");
}

std::vector<TensorInfo> read_checkpoint(std::span<const std::byte> bytes) {
    return starts_with(bytes, "PK") ? read_zip(bytes) : read_legacy(bytes);
}

}  // namespace lora::io
