#include "ir/op.h"

#include <array>

#include "base/check.h"

namespace lora::ir {
namespace {

constexpr size_t kNumOps = static_cast<size_t>(OpKind::kCount_);

// clang-format off
constexpr std::array<OpInfo, kNumOps> kOps = {{
    // kind                         name                       in optional  out view  inplace mutated
    {OpKind::kReshape,              "reshape",                  1, 0,        1, true,  -1, 0},
    {OpKind::kImageToTokens,        "image_to_tokens",          1, 0,        1, true,  -1, 0},
    {OpKind::kTokensToImage,        "tokens_to_image",          1, 0,        1, true,  -1, 0},
    {OpKind::kReorder,              "reorder",                  1, 0,        1, false, -1, 0},
    {OpKind::kCast,                 "cast",                     1, 0,        1, false, -1, 0},
    {OpKind::kConcat,               "concat",                   2, 0,        1, false, -1, 0},
    {OpKind::kSlice,                "slice",                    1, 0,        1, false, -1, 0},
    {OpKind::kPad,                  "pad",                      1, 0,        1, false, -1, 0},
    {OpKind::kUpsample2x,           "upsample2x",               1, 0,        1, false, -1, 0},
    {OpKind::kUpsample2xBackward,   "upsample2x_backward",      1, 0,        1, false, -1, 0},
    {OpKind::kLinear,               "linear",                   6, 0b111100, 1, false,  3, 0},
    {OpKind::kLinearBackwardWeight, "linear_backward_weight",   2, 0,        1, false, -1, 0},
    {OpKind::kConv2d,               "conv2d",                   4, 0b1100,   1, false,  3, 0},
    {OpKind::kConv2dBackwardInput,  "conv2d_backward_input",    3, 0b100,    1, false,  2, 0},
    {OpKind::kConv2dBackwardWeight, "conv2d_backward_weight",   2, 0,        1, false, -1, 0},
    {OpKind::kGroupNorm,            "group_norm",               3, 0,        2, false,  0, 0},
    {OpKind::kGroupNormBackward,    "group_norm_backward",      6, 0b100000, 1, false,  5, 0},
    {OpKind::kLayerNorm,            "layer_norm",               3, 0,        2, false,  0, 0},
    {OpKind::kLayerNormBackward,    "layer_norm_backward",      5, 0b10000,  1, false,  4, 0},
    {OpKind::kAttention,            "attention",                3, 0,        2, false, -1, 0},
    {OpKind::kAttentionBackward,    "attention_backward",       6, 0,        3, false, -1, 0},
    {OpKind::kActivation,           "activation",               1, 0,        1, false,  0, 0},
    {OpKind::kActivationBackward,   "activation_backward",      2, 0,        1, false,  0, 0},
    {OpKind::kGeglu,                "geglu",                    1, 0,        1, false, -1, 0},
    {OpKind::kGegluBackward,        "geglu_backward",           2, 0,        1, false, -1, 0},
    {OpKind::kAdd,                  "add",                      2, 0,        1, false,  0, 0},
    {OpKind::kScale,                "scale",                    1, 0,        1, false,  0, 0},
    {OpKind::kAddChannel,           "add_channel",              2, 0,        1, false,  0, 0},
    {OpKind::kSumSpatial,           "sum_spatial",              1, 0,        1, false, -1, 0},
    {OpKind::kMixRows,              "mix_rows",                 4, 0,        1, false,  0, 0},
    {OpKind::kEmbedding,            "embedding",                2, 0,        1, false, -1, 0},
    {OpKind::kTimestepEmbedding,    "timestep_embedding",       1, 0,        1, false, -1, 0},
    {OpKind::kWeightedMse,          "weighted_mse",             3, 0,        2, false, -1, 0},
    {OpKind::kWeightedMseBackward,  "weighted_mse_backward",    3, 0,        1, false,  0, 0},
    {OpKind::kSumSquares,           "sum_squares",              2, 0b10,     1, false, -1, 0},
    {OpKind::kClipCoefficient,      "clip_coefficient",         1, 0,        2, false, -1, 0},
    {OpKind::kAdamW,                "adamw",                    6, 0,        0, false, -1, 0b1101},
}};
// clang-format on

constexpr bool rows_in_order() {
    for (size_t i = 0; i < kNumOps; ++i) {
        if (static_cast<size_t>(kOps[i].kind) != i) return false;
    }
    return true;
}
static_assert(rows_in_order(), "the table follows the order of OpKind");

}  // namespace

const OpInfo& op_info(OpKind kind) {
    LORA_CHECK(static_cast<size_t>(kind) < kNumOps);
    return kOps[static_cast<size_t>(kind)];
}

std::string_view activation_name(Activation activation) {
    switch (activation) {
        case Activation::kNone: return "none";
        case Activation::kSilu: return "silu";
        case Activation::kGelu: return "gelu";
        case Activation::kQuickGelu: return "quick_gelu";
    }
    return "?";
}

}  // namespace lora::ir
