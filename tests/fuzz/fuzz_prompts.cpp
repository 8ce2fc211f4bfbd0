// Fuzz target: lines of a file of sample prompts, and weights inside prompts.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/utf8.h"
#include "config/option_table.h"
#include "config/sample_prompts.h"
#include "fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    lora::fuzz::run([&] {
        const std::string text = lora::decode_text(lora::fuzz::as_text(data, size)).utf8;
        lora::Diagnostics findings;
        for (const std::string_view line : lora::config::split_words(text, '\n')) {
            const auto prompt = lora::config::parse_prompt_line(line, "fuzz", findings);
            if (prompt.width_px < 0 || prompt.height_px < 0 || prompt.num_steps < 0) std::abort();
        }
    });
    return 0;
}
