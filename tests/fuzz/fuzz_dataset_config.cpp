// Fuzz target: the description of a data set, TOML or JSON. Only lora::Error may come out, and what
// was found right must be usable: sizes and counts above 0.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "config/dataset_config.h"
#include "fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    lora::fuzz::run([&] {
        lora::Diagnostics findings;
        const auto plans = lora::config::parse_dataset_config(
            lora::fuzz::as_text(data, size), "fuzz", {}, findings);
        if (lora::has_errors(findings)) return;
        for (const lora::data::DatasetPlan& plan : plans) {
            if (plan.batch_size < 1 || plan.subsets.empty()) std::abort();
            (void)lora::data::list_buckets(plan.bucket);
            for (const lora::data::SubsetPlan& subset : plan.subsets) {
                if (subset.image_dir.empty() || subset.num_repeats < 1) std::abort();
            }
        }
    });
    return 0;
}
