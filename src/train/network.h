// The trainable network of a run: which modules, how their factors lie in one flat fp32 buffer, and
// how they start. Not the file format (lora_file.h), not the graph (nn/lora).
// Order    text encoder, then UNet; modules in network order; factors as in models/lora_module.h.
//          Every factor starts at a multiple of kAlignment elements; the gaps stay zero.
// Shapes   as in the file.
// Threads  plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nn/lora.h"
#include "tensor/shape.h"

namespace lora::train {

enum class NetworkPart : uint8_t { kTextEncoder, kUNet };

// Parts whose training has ended.
struct FrozenParts {
    bool text_encoder = false;
    bool unet = false;
    [[nodiscard]] bool has(NetworkPart part) const {
        return part == NetworkPart::kTextEncoder ? text_encoder : unet;
    }
    bool operator==(const FrozenParts&) const = default;
};

struct LoraModule {
    std::string name;  // "lora_unet_mid_block_attentions_0_proj_in"
    Shape weight;      // of the frozen layer: [out, in] or [out, in, kh, kw]
    NetworkPart part = NetworkPart::kUNet;
    int64_t rank = 4;
    double alpha = 1;
    nn::LoraKind kind = nn::LoraKind::kLora;
    std::vector<nn::LoraFactor> factors = {};  // empty: LoRA's down and up
    bool on_input = false;                     // ia3
};

struct ParameterEntry {
    std::string key;  // "<module>.lora_down.weight"
    Shape shape;      // as in the file
    NetworkPart part = NetworkPart::kUNet;
    int64_t offset = 0;  // elements into the flat buffer
    int64_t count = 0;
};

class Network {
public:
    static constexpr int64_t kAlignment = 16;

    Network() = default;
    explicit Network(std::vector<LoraModule> modules);

    [[nodiscard]] const std::vector<LoraModule>& modules() const { return modules_; }
    // The factors of every module, in order.
    [[nodiscard]] const std::vector<ParameterEntry>& entries() const { return entries_; }
    // nullptr when there is none.
    [[nodiscard]] const ParameterEntry* find(std::string_view key) const;
    // Elements of the flat buffer, gaps included.
    [[nodiscard]] int64_t num_elements() const { return num_elements_; }
    // Trainable numbers, without gaps.
    [[nodiscard]] int64_t num_parameters() const;
    [[nodiscard]] bool has_part(NetworkPart part) const;

private:
    std::vector<LoraModule> modules_;
    std::vector<ParameterEntry> entries_;
    int64_t num_elements_ = 0;
};

// Fresh factors, whose change of the weight is zero: Kaiming uniform (+-1/sqrt(fan_in)) or normal
// ones, and one zero. As networks.lora and LyCORIS 3.x do (training-semantics 6.2, 6.7). The
// numbers of a factor depend on the seed and its name only.
[[nodiscard]] std::vector<float> initial_values(const Network& network, uint64_t seed);

}  // namespace lora::train
