#include "autodiff/rule.h"

namespace lora::autodiff {

Rule gradient_rule(ir::OpKind op) {
    switch (op) {
        case ir::OpKind::kReshape: return rules::reshape;
        case ir::OpKind::kImageToTokens: return rules::image_to_tokens;
        case ir::OpKind::kTokensToImage: return rules::tokens_to_image;
        case ir::OpKind::kReorder: return rules::reorder;
        case ir::OpKind::kCast: return rules::cast;
        case ir::OpKind::kConcat: return rules::concat;
        case ir::OpKind::kSlice: return rules::slice;
        case ir::OpKind::kPad: return rules::pad;
        case ir::OpKind::kSwapAxes: return rules::swap_axes;
        case ir::OpKind::kUpsample2x: return rules::upsample2x;
        case ir::OpKind::kLinear: return rules::linear;
        case ir::OpKind::kConv2d: return rules::conv2d;
        case ir::OpKind::kHadamard: return rules::hadamard;
        case ir::OpKind::kGroupNorm: return rules::group_norm;
        case ir::OpKind::kLayerNorm: return rules::layer_norm;
        case ir::OpKind::kAttention: return rules::attention;
        case ir::OpKind::kActivation: return rules::activation;
        case ir::OpKind::kGeglu: return rules::geglu;
        case ir::OpKind::kAdd: return rules::add;
        case ir::OpKind::kMultiply: return rules::multiply;
        case ir::OpKind::kScale: return rules::scale;
        case ir::OpKind::kAddChannel: return rules::add_channel;
        case ir::OpKind::kDropout: return rules::dropout;
        case ir::OpKind::kDoraScale: return rules::dora_scale;
        case ir::OpKind::kWeightedLoss: return rules::weighted_loss;
        default: return nullptr;
    }
}

bool is_differentiable(ir::OpKind op) { return gradient_rule(op) != nullptr; }

}  // namespace lora::autodiff
