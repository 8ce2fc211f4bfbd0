// Fuzz target: settings of other programs. Only lora::Error may come out; every value has a word.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "config/foreign.h"
#include "fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    lora::fuzz::run([&] {
        const lora::config::ForeignSettings found =
            lora::config::read_foreign(lora::fuzz::as_text(data, size), "fuzz");
        for (const lora::config::FileValue& value : found.values) {
            if (value.words.empty()) std::abort();
        }
    });
    return 0;
}
