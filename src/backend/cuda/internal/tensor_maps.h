// The tensor maps of a product on Hopper: where its tiles lie (kernels/tma.cuh).
// Used by product.cpp for the kernels of gemm_hopper.
#pragma once

#include "backend/cuda/internal/products.h"
#include "backend/cuda/kernels/product_args.h"

namespace lora::cuda {

// `args` is complete, for the shape and tile. Errors  kDevice when the driver refuses.
[[nodiscard]] HopperProductArgs with_tensor_maps(const ProductArgs& args,
                                                 const ProductShape& shape,
                                                 const ProductConfig& config);

// The same for the gradient of a whole weight: kernels/wgrad_hopper.cu.
[[nodiscard]] HopperGradientArgs with_tensor_maps(const WeightGradientArgs& args,
                                                  const ProductShape& shape);

}  // namespace lora::cuda
