// The backends this program was built with; the one place that names them all.
#pragma once

#include "backend/registry.h"

namespace lora::app {

[[nodiscard]] const backend::Registry& all_backends();

}  // namespace lora::app
