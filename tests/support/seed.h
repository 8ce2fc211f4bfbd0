// The seed of random tests: fixed, unless LORA_TEST_SEED gives another. Tests print it when they
// fail, so that a failure can be replayed.
#pragma once

#include <cstdint>
#include <string>

namespace lora::support {

[[nodiscard]] uint64_t test_seed();
// "LORA_TEST_SEED=12", for SCOPED_TRACE.
[[nodiscard]] std::string seed_note(uint64_t seed);

}  // namespace lora::support
