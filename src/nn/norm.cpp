#include "nn/norm.h"

namespace lora::nn {
namespace {

ir::NormArgs scale_and_shift(const NetContext& net, const std::string& name, int64_t size) {
    ir::NormArgs args;
    args.gamma = weight(net, name + ".weight", Shape{size});
    args.beta = weight(net, name + ".bias", Shape{size});
    return args;
}

}  // namespace

ValueId group_norm(const NetContext& net,
                   const std::string& name,
                   ValueId x,
                   const GroupNormOptions& options) {
    ir::NormArgs args = scale_and_shift(net, name, net.builder->shape(x)[1]);
    args.groups = options.groups;
    args.eps = options.eps;
    args.activation = options.silu ? ir::Activation::kSilu : ir::Activation::kNone;
    return net.builder->group_norm(x, args);
}

ValueId layer_norm(const NetContext& net, const std::string& name, ValueId x) {
    return net.builder->layer_norm(x, scale_and_shift(net, name, net.builder->shape(x)[-1]));
}

}  // namespace lora::nn
