#include "nn/timestep_embedding.h"

#include "nn/linear.h"

namespace lora::nn {

ValueId timestep_embedding(const NetContext& net,
                           const std::string& name,
                           ValueId t,
                           const TimestepEmbeddingSizes& sizes) {
    ir::Builder& b = *net.builder;
    const ValueId waves = b.timestep_embedding(t, sizes.channels, net.dtype);
    const ValueId hidden =
        b.activation(linear(net, name + ".0", waves, sizes.out), ir::Activation::kSilu);
    return linear(net, name + ".2", hidden, sizes.out);
}

}  // namespace lora::nn
