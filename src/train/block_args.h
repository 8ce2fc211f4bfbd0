// What --network_args says of single blocks and of LoRA+: ranks, alphas and rates. Not the kind of
// network (network_args.h).
// Source   training-semantics 6.5 and 7.1.
// Threads  pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "train/parameter_groups.h"

namespace lora::train {

struct BlockArgs {
    GroupOptions groups;  // rates of blocks and of lora_up
    // By UNet block; a dim of 0: the block has no modules.
    std::optional<std::array<int64_t, kNumBlocks>> block_dims;
    std::optional<std::array<double, kNumBlocks>> block_alphas;
    std::optional<std::array<int64_t, kNumBlocks>> conv_block_dims;
    std::optional<std::array<double, kNumBlocks>> conv_block_alphas;

    // A UNet block whose modules are left out because its rate would be 0.
    [[nodiscard]] bool is_removed(std::string_view lora_name) const;
};

[[nodiscard]] std::vector<std::string_view> block_arg_names();
// Reads the pairs that are of these names and leaves the others alone.
// Errors  kConfig naming the argument.
[[nodiscard]] BlockArgs read_block_args(
    const std::vector<std::pair<std::string, std::string>>& args);

}  // namespace lora::train
