#include "models/family.h"

namespace lora::models {

std::string_view family_name(Family family) { return family == Family::kSD1 ? "sd1" : "sd2"; }

ModelInfo sd15_info() { return {}; }

}  // namespace lora::models
