#include "ir/op.h"

#include <array>

#include "base/check.h"

namespace lora::ir {
namespace {

using Family = OpFamily;
constexpr size_t kNumOps = static_cast<size_t>(OpKind::kCount_);

// clang-format off
constexpr std::array<OpInfo, kNumOps> kOps = {{
    // kind                         name                       family                in optional  out view  inplace mutated
    {OpKind::kReshape,              "reshape",                  Family::kMovement,    1, 0,        1, true,  -1, 0},
    {OpKind::kImageToTokens,        "image_to_tokens",          Family::kMovement,    1, 0,        1, true,  -1, 0},
    {OpKind::kTokensToImage,        "tokens_to_image",          Family::kMovement,    1, 0,        1, true,  -1, 0},
    {OpKind::kReorder,              "reorder",                  Family::kMovement,    1, 0,        1, false, -1, 0},
    {OpKind::kCast,                 "cast",                     Family::kMovement,    1, 0,        1, false, -1, 0},
    {OpKind::kConcat,               "concat",                   Family::kMovement,    2, 0,        1, false, -1, 0},
    {OpKind::kSlice,                "slice",                    Family::kMovement,    1, 0,        1, false, -1, 0},
    {OpKind::kPad,                  "pad",                      Family::kMovement,    1, 0,        1, false, -1, 0},
    {OpKind::kSwapAxes,             "swap_axes",                Family::kMovement,    1, 0,        1, false, -1, 0},
    {OpKind::kUpsample2x,           "upsample2x",               Family::kMovement,    1, 0,        1, false, -1, 0},
    {OpKind::kUpsample2xBackward,   "upsample2x_backward",      Family::kMovement,    1, 0,        1, false, -1, 0},
    {OpKind::kLinear,               "linear",                   Family::kProduct,     6, 0b111100, 1, false,  3, 0},
    {OpKind::kLinearBackwardWeight, "linear_backward_weight",   Family::kProduct,     2, 0,        1, false, -1, 0},
    {OpKind::kConv2d,               "conv2d",                   Family::kProduct,     4, 0b1100,   1, false,  3, 0},
    {OpKind::kConv2dBackwardInput,  "conv2d_backward_input",    Family::kProduct,     3, 0b100,    1, false,  2, 0},
    {OpKind::kConv2dBackwardWeight, "conv2d_backward_weight",   Family::kProduct,     2, 0,        1, false, -1, 0},
    {OpKind::kHadamard,             "hadamard",                 Family::kHadamard,    5, 0b10000,  1, false, -1, 0},
    {OpKind::kHadamardBackward,     "hadamard_backward",        Family::kHadamard,    4, 0,        1, false, -1, 0},
    {OpKind::kGroupNorm,            "group_norm",               Family::kNorm,        3, 0,        2, false,  0, 0},
    {OpKind::kGroupNormBackward,    "group_norm_backward",      Family::kNorm,        6, 0b100000, 1, false,  5, 0},
    {OpKind::kLayerNorm,            "layer_norm",               Family::kNorm,        3, 0,        2, false,  0, 0},
    {OpKind::kLayerNormBackward,    "layer_norm_backward",      Family::kNorm,        5, 0b10000,  1, false,  4, 0},
    {OpKind::kDoraScale,            "dora_scale",               Family::kNorm,        2, 0,        2, false, -1, 0},
    {OpKind::kDoraScaleBackward,    "dora_scale_backward",      Family::kNorm,        4, 0,        2, false,  1, 0},
    {OpKind::kAttention,            "attention",                Family::kAttention,   3, 0,        2, false, -1, 0},
    {OpKind::kAttentionBackward,    "attention_backward",       Family::kAttention,   6, 0,        3, false, -1, 0},
    {OpKind::kActivation,           "activation",               Family::kElementwise, 1, 0,        1, false,  0, 0},
    {OpKind::kActivationBackward,   "activation_backward",      Family::kElementwise, 2, 0,        1, false,  0, 0},
    {OpKind::kGeglu,                "geglu",                    Family::kElementwise, 1, 0,        1, false, -1, 0},
    {OpKind::kGegluBackward,        "geglu_backward",           Family::kElementwise, 2, 0,        1, false, -1, 0},
    {OpKind::kAdd,                  "add",                      Family::kElementwise, 2, 0,        1, false,  0, 0},
    {OpKind::kMultiply,             "multiply",                 Family::kElementwise, 2, 0,        1, false,  0, 0},
    {OpKind::kScale,                "scale",                    Family::kElementwise, 1, 0,        1, false,  0, 0},
    {OpKind::kAddChannel,           "add_channel",              Family::kElementwise, 2, 0,        1, false,  0, 0},
    {OpKind::kSumSpatial,           "sum_spatial",              Family::kElementwise, 1, 0,        1, false, -1, 0},
    {OpKind::kMixRows,              "mix_rows",                 Family::kElementwise, 4, 0,        1, false,  0, 0},
    {OpKind::kDropout,              "dropout",                  Family::kElementwise, 2, 0,        1, false,  0, 0},
    {OpKind::kEmbedding,            "embedding",                Family::kSource,      2, 0,        1, false, -1, 0},
    {OpKind::kTimestepEmbedding,    "timestep_embedding",       Family::kSource,      1, 0,        1, false, -1, 0},
    {OpKind::kDequantize,           "dequantize",               Family::kSource,      2, 0,        1, false, -1, 0},
    {OpKind::kWeightedLoss,         "weighted_loss",            Family::kLoss,        5, 0b11000,  2, false, -1, 0},
    {OpKind::kWeightedLossBackward, "weighted_loss_backward",   Family::kLoss,        5, 0b11000,  1, false,  0, 0},
    {OpKind::kSumSquares,           "sum_squares",              Family::kUpdate,      2, 0b10,     1, false, -1, 0},
    {OpKind::kClipCoefficient,      "clip_coefficient",         Family::kUpdate,      1, 0,        2, false, -1, 0},
    {OpKind::kUpdateGlobals,        "update_globals",           Family::kUpdate,      5, 0b11100,  1, false, -1, 0b1},
    {OpKind::kUpdateSums,           "update_sums",              Family::kUpdate,     11, 0b1111000, 1, false, -1, 0b1111101},
    {OpKind::kUpdateStep,           "update_step",              Family::kUpdate,     11, 0b10001111000, 0, false, -1, 0b1111101},
    {OpKind::kUpdateStep8bit,       "update_step_8bit",         Family::kUpdate,     10, 0b110000, 0, false, -1, 0b111101},
    {OpKind::kUpdateFactored,       "update_factored",          Family::kUpdate,     10, 0b1110000, 0, false, -1, 0b1111101},
    {OpKind::kLimitNorm,            "limit_norm",               Family::kUpdate,      8, 0b111110, 0, false, -1, 0b10111111},
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

std::string_view loss_name(LossKind loss) {
    switch (loss) {
        case LossKind::kL2: return "l2";
        case LossKind::kL1: return "l1";
        case LossKind::kHuber: return "huber";
        case LossKind::kSmoothL1: return "smooth_l1";
    }
    return "?";
}

namespace {

struct RuleInfo {
    std::string_view name;
    int num_states;
    bool has_sums;
    UpdateRule rule;
};
// clang-format off
constexpr RuleInfo kRules[] = {
    {"adamw",                2, false, UpdateRule::kAdamW},
    {"lion",                 1, false, UpdateRule::kLion},
    {"sgd_nesterov",         1, false, UpdateRule::kSgdNesterov},
    {"schedule_free_adamw",  2, false, UpdateRule::kScheduleFreeAdamW},
    {"dadapt_adam",          3, true,  UpdateRule::kDAdaptAdam},
    {"dadapt_lion",          2, true,  UpdateRule::kDAdaptLion},
    {"dadapt_sgd",           2, true,  UpdateRule::kDAdaptSgd},
    {"dadapt_adan",          5, true,  UpdateRule::kDAdaptAdan},
    {"prodigy",              4, true,  UpdateRule::kProdigy},
    {"adafactor",            0, false, UpdateRule::kAdafactor},
    {"came",                 0, false, UpdateRule::kCame},
};
// clang-format on

const RuleInfo& rule_info(UpdateRule rule) {
    for (const RuleInfo& row : kRules) {
        if (row.rule == rule) return row;
    }
    LORA_CHECK(false, "an update rule without a row");
    return kRules[0];
}

}  // namespace

std::string_view update_rule_name(UpdateRule rule) { return rule_info(rule).name; }
int num_update_states(UpdateRule rule) { return rule_info(rule).num_states; }
bool has_update_sums(UpdateRule rule) { return rule_info(rule).has_sums; }

}  // namespace lora::ir
