#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>

#include "backend/cpu/internal/floor_products.h"
#include "backend/cpu/internal/onednn.h"

namespace lora::cpu {
namespace {

using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;
using Type = dnnl::memory::data_type;
using Desc = dnnl::memory::desc;
using ir::OpKind;

constexpr double kNever = std::numeric_limits<double>::infinity();

struct Timer {
    dnnl::engine engine{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream{engine};

    [[nodiscard]] dnnl::memory make(const Desc& desc) const {
        dnnl::memory memory(desc, engine);
        // Small values everywhere: no denormals, no infinities, whatever the layout.
        const size_t bytes = desc.get_size();
        auto* p = static_cast<unsigned char*>(memory.get_data_handle());
        if (desc.data_type() == Type::f32) {
            const float value = 0.01F;
            for (size_t i = 0; i + 4 <= bytes; i += 4) std::memcpy(p + i, &value, 4);
        } else {
            for (size_t i = 0; i + 2 <= bytes; i += 2) {
                p[i] = 0x23;
                p[i + 1] = 0x3C;  // bf16 0.01
            }
        }
        return memory;
    }

    double median_ms(const dnnl::primitive& primitive,
                     const std::unordered_map<int, dnnl::memory>& args) {
        using Clock = std::chrono::steady_clock;
        std::vector<double> times;
        double total = 0;
        primitive.execute(stream, args);
        stream.wait();
        while (times.size() < 3 || (total < 60 && times.size() < 25)) {
            const auto start = Clock::now();
            primitive.execute(stream, args);
            stream.wait();
            times.push_back(
                std::chrono::duration<double, std::milli>(Clock::now() - start).count());
            total += times.back();
        }
        std::nth_element(
            times.begin(), times.begin() + static_cast<int64_t>(times.size() / 2), times.end());
        return times[times.size() / 2];
    }
};

Type type_of(DType dtype) {
    static const bool kHasBf16 = dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core_bf16;
    return dtype == DType::kBF16 && kHasBf16 ? Type::bf16 : Type::f32;
}

double time_matmul(Timer& timer, const MatrixProduct& p, Tag a_tag, Tag b_tag) {
    const Type type = type_of(p.dtype);
    const Desc src({p.batch, p.rows, p.depth}, type, a_tag);
    const Desc weights({p.batch, p.depth, p.cols}, type, b_tag);
    const Desc dst({p.batch, p.rows, p.cols}, type_of(p.dst_dtype), Tag::abc);
    const dnnl::matmul::primitive_desc pd(
        dnnl::matmul::desc(src, weights, dst), dnnl::primitive_attr(), timer.engine, true);
    if (!pd) return kNever;
    return timer.median_ms(dnnl::matmul(pd),
                           {{DNNL_ARG_SRC, timer.make(pd.src_desc())},
                            {DNNL_ARG_WEIGHTS, timer.make(pd.weights_desc())},
                            {DNNL_ARG_DST, timer.make(pd.dst_desc())}});
}

struct ConvDescs {
    Desc x;
    Desc w;
    Desc y;
    Dims strides;
    Dims begin;
    Dims end;
};

double time_conv(Timer& timer, OpKind op, const ConvDescs& d) {
    const auto algorithm = dnnl::algorithm::convolution_direct;
    const dnnl::convolution_forward::desc forward_desc(
        dnnl::prop_kind::forward_training, algorithm, d.x, d.w, d.y, d.strides, d.begin, d.end);
    dnnl::convolution_forward::primitive_desc forward(
        forward_desc, dnnl::primitive_attr(), timer.engine, true);
    if (!leave_overreading(forward)) return kNever;
    if (op == OpKind::kConv2d) {
        return timer.median_ms(dnnl::convolution_forward(forward),
                               {{DNNL_ARG_SRC, timer.make(forward.src_desc())},
                                {DNNL_ARG_WEIGHTS, timer.make(forward.weights_desc())},
                                {DNNL_ARG_DST, timer.make(forward.dst_desc())}});
    }
    if (op == OpKind::kConv2dBackwardInput) {
        const dnnl::convolution_backward_data::desc desc(
            algorithm, d.x, d.w, d.y, d.strides, d.begin, d.end);
        dnnl::convolution_backward_data::primitive_desc pd(
            desc, dnnl::primitive_attr(), timer.engine, forward, true);
        if (!leave_overreading(pd)) return kNever;
        return timer.median_ms(dnnl::convolution_backward_data(pd),
                               {{DNNL_ARG_DIFF_SRC, timer.make(pd.diff_src_desc())},
                                {DNNL_ARG_WEIGHTS, timer.make(pd.weights_desc())},
                                {DNNL_ARG_DIFF_DST, timer.make(pd.diff_dst_desc())}});
    }
    const dnnl::convolution_backward_weights::primitive_desc pd(
        dnnl::convolution_backward_weights::desc(
            algorithm, d.x, d.w, d.y, d.strides, d.begin, d.end),
        dnnl::primitive_attr(),
        timer.engine,
        forward,
        true);
    if (!pd) return kNever;
    return timer.median_ms(dnnl::convolution_backward_weights(pd),
                           {{DNNL_ARG_SRC, timer.make(pd.src_desc())},
                            {DNNL_ARG_DIFF_WEIGHTS, timer.make(pd.diff_weights_desc())},
                            {DNNL_ARG_DIFF_DST, timer.make(pd.diff_dst_desc())}});
}

ConvDescs conv_descs(
    const ConvProduct& p, const Shape& x, const Shape& w, const Shape& y, Tag tag) {
    const Type type = type_of(p.dtype);
    ConvDescs d;
    d.x = Desc(x.sizes(), type, tag);
    d.w = Desc(w.sizes(), type, Tag::any);
    d.y = Desc(y.sizes(), type, tag);
    d.strides = {p.stride, p.stride};
    d.begin = {p.pad[0], p.pad[1]};
    d.end = {(y[2] - 1) * p.stride + w[2] - x[2] - p.pad[0],
             (y[3] - 1) * p.stride + w[3] - x[3] - p.pad[1]};
    return d;
}

}  // namespace

bool can_time_products() { return true; }

std::string MatrixProduct::key() const {
    return fmt::format("matmul {} {} {} {} {} {}",
                       batch,
                       rows,
                       depth,
                       cols,
                       dtype_name(dtype),
                       dtype_name(dst_dtype));
}

std::string ConvProduct::key() const {
    return fmt::format("conv {} {} {} {} {} {} {}",
                       static_cast<int>(op),
                       dtype_name(dtype),
                       x.to_string(),
                       w.to_string(),
                       y.to_string(),
                       stride,
                       fmt::join(pad, ","));
}

double time_product(const MatrixProduct& p) {
    return checked("timing a matrix product", [&] {
        Timer timer;
        double best = kNever;
        for (const Tag b_tag : {Tag::any, Tag::abc, Tag::acb}) {
            best = std::min(best, time_matmul(timer, p, Tag::abc, b_tag));
        }
        return best;
    });
}

double time_product(const ConvProduct& p) {
    return checked("timing a convolution", [&] {
        Timer timer;
        double best = kNever;
        for (const Tag tag : {Tag::any, Tag::nhwc}) {
            best = std::min(best, time_conv(timer, p.op, conv_descs(p, p.x, p.w, p.y, tag)));
            if (p.op != OpKind::kConv2dBackwardInput || p.stride != 1) continue;
            // The gradient is also a forward convolution with the kernel turned round.
            ConvProduct turned = p;
            turned.pad[0] = p.w[2] - 1 - p.pad[0];
            turned.pad[1] = p.w[3] - 1 - p.pad[1];
            const Shape w{p.w[1], p.w[0], p.w[2], p.w[3]};
            if (turned.pad[0] < 0 || turned.pad[1] < 0) continue;
            best = std::min(
                best, time_conv(timer, OpKind::kConv2d, conv_descs(turned, p.y, w, p.x, tag)));
        }
        return best;
    });
}

}  // namespace lora::cpu
