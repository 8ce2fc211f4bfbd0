#include "support/seed.h"

#include <cstdlib>

namespace lora::support {

uint64_t test_seed() {
    constexpr uint64_t kDefaultSeed = 20240501;
    const char* text = std::getenv("LORA_TEST_SEED");
    return text == nullptr ? kDefaultSeed : std::strtoull(text, nullptr, 10);
}

std::string seed_note(uint64_t seed) { return "LORA_TEST_SEED=" + std::to_string(seed); }

}  // namespace lora::support
