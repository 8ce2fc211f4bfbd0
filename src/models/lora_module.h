// One adapted layer of a network: its kind, rank, alpha and the factors that its file holds.
// Not the numbers. Used by training, sampling and the tools.
// Source   training-semantics 6.2 and 6.7; sd-scripts networks.lora; LyCORIS 3.x.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/keymap/kohya.h"
#include "nn/lora.h"

namespace lora::models {

struct LoraModule {
    LoraTarget target;
    int64_t rank = 4;
    double alpha = 4;
    nn::LoraKind kind = nn::LoraKind::kLora;
    std::vector<nn::LoraFactor> factors;
    bool on_input = false;         // ia3
    nn::LoraDropout dropout = {};  // while it is trained

    // alpha / rank; 1 for ia3.
    [[nodiscard]] double scale() const;
    // "<lora_name>.<suffix>"
    [[nodiscard]] std::string key(const std::string& suffix) const;
};

struct LoraModuleOptions {
    nn::LoraKind kind = nn::LoraKind::kLora;
    bool tucker = false;          // convolutions larger than 1x1 get a core of their own
    int64_t factor = -1;          // lokr: wished size of w1; -1: as square as possible
    bool decompose_both = false;  // lokr: w1 in two factors as well
    bool on_input = false;        // ia3
    bool magnitude = false;       // DoRA: a dora_scale [out, 1(, 1, 1)]; not ia3
};

// A module with the factors that its kind and rank ask for. A lokr module whose factors are both
// whole has alpha = rank, a scale of 1, as LyCORIS does.
[[nodiscard]] LoraModule make_lora_module(LoraTarget target,
                                          int64_t rank,
                                          double alpha,
                                          const LoraModuleOptions& options = {});

// How a lokr module is cut: w1 [a, c] and what is left of the layer for w2, each whole or in two.
struct LokrForm {
    int64_t a = 1;
    int64_t c = 1;
    bool splits_w1 = false;
    bool splits_w2 = false;
    bool tucker = false;  // of a split w2
};
// a and c divide the layer's outputs and inputs.
[[nodiscard]] LoraModule make_lokr_module(LoraTarget target,
                                          int64_t rank,
                                          double alpha,
                                          const LokrForm& form);

// size = m * n with m <= n: m = factor when it divides, else the largest divisor of size that is at
// most its root and, for a positive factor, at most the factor.
struct Factorization {
    int64_t m = 1;
    int64_t n = 1;
};
[[nodiscard]] Factorization factorize(int64_t size, int64_t factor);

// The suffix of DoRA's magnitudes, which stand behind the other factors.
// For a layer with this weight.
void add_magnitude(LoraModule& module, const Shape& weight);

// Every suffix of a kind's factors, in the order of the network.
[[nodiscard]] const std::vector<std::string>& factor_suffixes(nn::LoraKind kind);

}  // namespace lora::models
