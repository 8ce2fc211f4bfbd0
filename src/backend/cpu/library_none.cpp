// A program built without oneDNN.
#include "backend/cpu/internal/floor_products.h"
#include "backend/cpu/internal/library.h"

namespace lora::cpu {

std::shared_ptr<Library> open_library() { return nullptr; }

bool can_time_products() { return false; }
std::string MatrixProduct::key() const { return {}; }
std::string ConvProduct::key() const { return {}; }
double time_product(const MatrixProduct&) { return 0; }
double time_product(const ConvProduct&) { return 0; }

}  // namespace lora::cpu
