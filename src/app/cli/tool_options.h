// What the commands around finished files read alike from their settings.
#pragma once

#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "config/settings.h"
#include "tensor/dtype.h"

namespace lora::app {

// Adds an error when the option is empty.
void require_option(const config::Settings& settings,
                    const char* option,
                    const char* hint,
                    Diagnostics& findings);
// save_to must be there and end as a file of tensors does.
void check_save_to(const config::Settings& settings, Diagnostics& findings);

// Words and commas both part the tags of a list.
[[nodiscard]] std::vector<std::string> tag_list(const config::Settings& settings, const char* name);

// The type behind float, fp16, bf16; `otherwise` when the option is not set.
[[nodiscard]] DType precision_of(const config::Settings& settings,
                                 const char* option,
                                 DType otherwise = DType::kF32);

}  // namespace lora::app
