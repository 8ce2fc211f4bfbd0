// Values as Python would print them: the `ss_*` metadata of a LoRA file are Python text forms.
// Threads  pure. Source: training-semantics 9.4.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"

namespace lora {

// repr(float): shortest digits that read back the same, "1.0", "2e-05", "inf", "nan".
[[nodiscard]] std::string python_float(double value);
// "True" or "False".
[[nodiscard]] std::string python_bool(bool value);
// The number, or "None".
[[nodiscard]] std::string python_optional(std::optional<double> value);
// json.dumps(value): ", " and ": " between, everything outside ASCII escaped.
[[nodiscard]] std::string python_json(const OrderedJson& value);

}  // namespace lora
