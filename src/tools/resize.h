// Makes a LoRA smaller: the best approximation of each layer by a given rank, or by the rank that
// keeps a share of it.
// Errors   kConfig for a method without its parameter or one out of range, kFormat, kIo.
// Source   training-semantics 12.2 (sd-scripts resize_lora).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/lora_layers.h"
#include "tools/lora_result.h"

namespace lora::tools {

enum class DynamicMethod {
    kNone,          // the same rank everywhere
    kSvRatio,       // singular values down to the largest one / param
    kSvFro,         // share of the Frobenius norm
    kSvCumulative,  // share of the sum of singular values
};

// The rank that a method keeps of singular values s (largest first), 1 to max_rank. Source
// sd-scripts' rules, their one rank more included.
[[nodiscard]] int64_t choose_rank(std::span<const double> s,
                                  DynamicMethod method,
                                  double param,
                                  int64_t max_rank);
// Errors   kConfig with the range that makes sense.
void check_dynamic_param(DynamicMethod method, double param);

struct ResizeOptions {
    std::string model = {};
    std::string save_to = {};
    int64_t new_rank = 4;                       // with a method: the most
    std::optional<int64_t> new_conv_rank = {};  // of layers with four axes; absent: new_rank
    DynamicMethod method = DynamicMethod::kNone;
    double param = 0;
    DType save_precision = DType::kF32;
    int threads = 0;
};

struct ResizedLayer {
    std::string name;
    int64_t old_rank = 0;
    int64_t rank = 0;
    double alpha = 0;
    double sum_retained = 1;  // share of the sum of singular values
    double fro_retained = 1;  // share of the Frobenius norm
    double max_ratio = 1;     // largest singular value / smallest kept one
};

struct ResizeReport {
    std::vector<ResizedLayer> layers;  // by name
    int64_t old_rank = 0;              // the largest
    double mean_fro_retained = 1;
    double std_fro_retained = 0;
    uint64_t old_bytes = 0;
    uint64_t bytes = 0;
};

ResizeReport resize_lora(const ResizeOptions& options);

// The size that the file will have after resizing to one rank (ranks that are lower stay).
[[nodiscard]] uint64_t resized_bytes(const LoraFile& file, int64_t rank, DType dtype);

}  // namespace lora::tools
