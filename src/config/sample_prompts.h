// The file of sample prompts: .txt with kohya's flags, .json, .toml.
//   a cat on a sofa --n lowres --w 512 --h 768 --d 1 --l 7.5 --s 28 --ss euler_a
// Blank lines and lines that start with # are left out.
// Errors  kIo; kFormat naming line or entry. An unknown flag or sampler is a Diagnostic.
// Source  training-semantics 10.2.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "train/train_options.h"

namespace lora::config {

[[nodiscard]] std::vector<train::SamplePrompt> load_sample_prompts(const std::string& path,
                                                                   Diagnostics& findings);
// One line of a .txt file; `place` names it in findings.
[[nodiscard]] train::SamplePrompt parse_prompt_line(std::string_view line,
                                                    const std::string& place,
                                                    Diagnostics& findings);

}  // namespace lora::config
