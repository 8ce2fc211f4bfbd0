// Python's pickle, protocols 0 to 5, as data: nothing is imported and nothing is called. A callable
// is kept as its name, a call as the name and its arguments. Not for what the objects mean
// (torch_checkpoint.cpp). Source   Python's pickletools (the meaning of every opcode).
#pragma once

#include <cstddef>
#include <deque>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace lora::io::internal {

struct PickleValue;
using PickleRef = PickleValue*;  // values refer to each other freely, also in circles

struct PickleNone {};
struct PickleList {  // list, tuple, set, frozenset
    std::vector<PickleRef> items;
};
struct PickleDict {
    std::vector<std::pair<PickleRef, PickleRef>> items;  // in the order of insertion
};
struct PickleGlobal {
    std::string name;  // "torch.FloatStorage"
};
struct PickleCall {  // REDUCE, NEWOBJ, INST, OBJ
    std::string name;
    PickleRef args;    // a PickleList
    PickleDict items;  // set into the object later (OrderedDict)
};
struct PickleStorage {  // a persistent id
    PickleRef id;
};

struct PickleValue {
    std::variant<PickleNone,
                 bool,
                 int64_t,
                 double,
                 std::string,
                 PickleList,
                 PickleDict,
                 PickleGlobal,
                 PickleCall,
                 PickleStorage>
        data;
};

struct Unpickled {
    std::deque<PickleValue> values;  // all of them
    PickleRef value = nullptr;
    size_t bytes_read = 0;  // up to and with the STOP opcode
};

// Errors  kFormat: an opcode that is unknown or that would need code, a damaged stream, more than a
//         fixed number of values.
[[nodiscard]] Unpickled unpickle(std::span<const std::byte> bytes);

}  // namespace lora::io::internal
