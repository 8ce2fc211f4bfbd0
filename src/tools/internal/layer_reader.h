// One layer's tensors, checked against each other.
#pragma once

#include <map>
#include <string>

#include "tools/lora_layers.h"

namespace lora::tools::internal {

// `what` names the file in errors. Errors  kFormat, as in lora_layers.h.
[[nodiscard]] LoraLayer read_layer(const std::string& name,
                                   std::map<std::string, TensorView, std::less<>> tensors,
                                   const std::string& what);

}  // namespace lora::tools::internal
