// Hopper's bulk copies of tensor tiles into shared memory, and the barriers that they complete on
// (sm_90a). A tile's place comes from a TensorMap that the host made; what lies outside the tensor
// arrives as zeros.
// Source  PTX ISA, "cp.async.bulk.tensor" and "mbarrier".
#pragma once

#include "backend/cuda/kernels/common.cuh"
#include "backend/cuda/kernels/product_args.h"

namespace lora::cuda {

__device__ __forceinline__ void barrier_init(uint32_t barrier, uint32_t arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals)
                 : "memory");
}
// After all barrier_init, by the thread that did them, before others use the barriers.
__device__ __forceinline__ void barriers_ready() {
    asm volatile("fence.mbarrier_init.release.cluster;\nfence.proxy.async.shared::cta;" ::
                     : "memory");
}
__device__ __forceinline__ void barrier_arrive(uint32_t barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
// Arrives, and has the barrier wait for so many bytes of copies.
__device__ __forceinline__ void barrier_expect(uint32_t barrier, uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
                 : "memory");
}
__device__ __forceinline__ void barrier_wait(uint32_t barrier, uint32_t parity) {
    asm volatile(
        "{\n.reg .pred done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
        "@!done bra again;\n}" ::"r"(barrier),
        "r"(parity)
        : "memory");
}

__device__ __forceinline__ void copy_tile_2d(
    uint32_t dst, const TensorMap& map, uint32_t barrier, int x, int y) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
        " [%0], [%1, {%3, %4}], [%2];" ::"r"(dst),
        "l"(&map),
        "r"(barrier),
        "r"(x),
        "r"(y)
        : "memory");
}
__device__ __forceinline__ void copy_tile_3d(
    uint32_t dst, const TensorMap& map, uint32_t barrier, int x, int y, int z) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes"
        " [%0], [%1, {%3, %4, %5}], [%2];" ::"r"(dst),
        "l"(&map),
        "r"(barrier),
        "r"(x),
        "r"(y),
        "r"(z)
        : "memory");
}
// Pixels of an image [N, H, W, C], in the order of the window positions that the map describes,
// from the window whose first tap is (y, x) of image n; each looked at through tap (tap_y, tap_x).
struct WindowPlace {
    int n;
    int y;
    int x;
};
__device__ __forceinline__ void copy_window_tile(uint32_t dst,
                                                 const TensorMap& map,
                                                 uint32_t barrier,
                                                 const WindowPlace& first,
                                                 int channel,
                                                 int tap_y,
                                                 int tap_x) {
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes"
        " [%0], [%1, {%3, %4, %5, %6}], [%2], {%7, %8};" ::"r"(dst),
        "l"(&map),
        "r"(barrier),
        "r"(channel),
        "r"(first.x),
        "r"(first.y),
        "r"(first.n),
        "h"(static_cast<uint16_t>(tap_x)),
        "h"(static_cast<uint16_t>(tap_y))
        : "memory");
}

}  // namespace lora::cuda
