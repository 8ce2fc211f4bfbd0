// Frozen convolutions and linear layers through oneDNN, and on machines with matrix tiles the
// products of trained parameters in bf16 too. The only file, with floor_onednn.cpp, that sees
// dnnl.hpp.
// Activations stay channels-last; frozen weights are packed once into the layout that the library
// asks for, trained ones are read as they lie. A stride-1 backward-input product runs as a forward
// convolution with the kernel turned round and its channels swapped, which the library runs faster
// than its own backward one.
#include <cstdlib>
#include <cstring>
#include <unordered_map>

#include <fmt/format.h>

#include "backend/cpu/internal/library.h"
#include "backend/cpu/internal/onednn.h"
#include "backend/cpu/internal/weight.h"

namespace lora::cpu {
namespace {

using ir::OpKind;
using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;
using Type = dnnl::memory::data_type;

// A product as the library sees it. Convolutions: `weights` is [O, I, kh, kw] of the forward
// convolution that runs; linear layers: [in, out]; gradients of linear layers: src is dy^T
// [out, rows], `weights` is x [rows, in].
struct Problem {
    OpKind op = OpKind::kLinear;
    Type type = Type::f32;
    Dims src;
    Dims weights;
    Dims dst;
    Dims strides;
    Dims pad_begin;
    Dims pad_end;
    bool turned = false;      // weights are the node's, turned round and swapped
    bool transposed = false;  // linear: the node's weight is [out, in]
    bool frozen = true;       // input 1 is a weight that the program holds
    bool backward = false;    // strided backward-input: the library's own
    float alpha = 1;
    int bias_slot = -1;
    int addend_slot = -1;
    bool accumulate = false;  // gradients: to what dst holds
    Type bias_type = Type::f32;
    Type dst_type = Type::f32;

    [[nodiscard]] std::string key() const {
        return fmt::format("{} {} {} {} {} {} {} {} {} {} {} {} {} {} {}",
                           static_cast<int>(op),
                           static_cast<int>(type),
                           static_cast<int>(dst_type),
                           !frozen,
                           !frozen && transposed,
                           accumulate,
                           fmt::join(src, ","),
                           fmt::join(weights, ","),
                           fmt::join(dst, ","),
                           fmt::join(strides, ","),
                           fmt::join(pad_begin, ","),
                           backward,
                           alpha,
                           bias_slot >= 0 ? static_cast<int>(bias_type) : -1,
                           addend_slot >= 0);
    }
};

// A primitive and the layouts it wants.
struct Chosen {
    dnnl::primitive primitive;
    dnnl::memory::desc src;
    dnnl::memory::desc weights;
    dnnl::memory::desc bias;
    dnnl::memory::desc dst;
    dnnl::memory::desc scratchpad;
    int src_arg = DNNL_ARG_SRC;
    int dst_arg = DNNL_ARG_DST;
    std::string name;
};

Type type_of(DType dtype) { return dtype == DType::kBF16 ? Type::bf16 : Type::f32; }

Problem linear_problem(const ir::Graph& g, const ir::Node& n) {
    const ir::Value& x = g.value(n.inputs[0]);
    const ir::Value& w = g.value(n.inputs[1]);
    Problem p;
    p.transposed = !n.attrs.transpose_weight;
    const int64_t in = w.shape[p.transposed ? 1 : 0];
    const int64_t out = w.shape[p.transposed ? 0 : 1];
    const int64_t rows = x.shape.num_elements() / in;
    p.src = {rows, in};
    p.weights = {in, out};
    p.dst = {rows, out};
    p.bias_slot = n.inputs[2].valid() ? 2 : -1;
    p.addend_slot = n.inputs[3].valid() ? 3 : -1;
    return p;
}

Problem gradient_problem(const ir::Graph& g, const ir::Node& n) {
    const Shape& dy = g.value(n.inputs[0]).shape;
    const Shape& x = g.value(n.inputs[1]).shape;
    const int64_t rows = dy.num_elements() / dy[-1];
    Problem p;
    p.src = {dy[-1], rows};
    p.weights = {rows, x[-1]};
    p.dst = {dy[-1], x[-1]};
    p.accumulate = n.attrs.accumulate;
    return p;
}

Problem conv_problem(const ir::Graph& g, const ir::Node& n) {
    const Shape& x = g.value(n.inputs[0]).shape;
    const Shape& w = g.value(n.inputs[1]).shape;
    const Shape& y = g.value(n.outputs[0]).shape;
    const int64_t stride = n.attrs.stride;
    Problem p;
    p.src = x.sizes();
    p.dst = y.sizes();
    p.strides = {stride, stride};
    p.weights = w.sizes();
    if (n.op == OpKind::kConv2d) {
        p.pad_begin = {n.attrs.pad[0], n.attrs.pad[1]};
        p.pad_end = {n.attrs.pad[2], n.attrs.pad[3]};
        p.bias_slot = n.inputs[2].valid() ? 2 : -1;
        p.addend_slot = n.inputs[3].valid() ? 3 : -1;
        return p;
    }
    p.addend_slot = n.inputs[2].valid() ? 2 : -1;
    if (stride == 1) {
        // dy [N, O, h, w] -> dx: a convolution whose padding is the kernel's rest.
        p.turned = true;
        p.weights = {w[1], w[0], w[2], w[3]};
        p.pad_begin = {w[2] - 1 - n.attrs.pad[0], w[3] - 1 - n.attrs.pad[1]};
        p.pad_end = {y[2] - x[2] + w[2] - 1 - p.pad_begin[0],
                     y[3] - x[3] + w[3] - 1 - p.pad_begin[1]};
        return p;
    }
    // Arguments of the forward convolution whose gradient this is.
    p.backward = true;
    p.src = y.sizes();
    p.dst = x.sizes();
    p.pad_begin = {n.attrs.pad[0], n.attrs.pad[1]};
    p.pad_end = {(x[2] - 1) * stride + w[2] - y[2] - n.attrs.pad[0],
                 (x[3] - 1) * stride + w[3] - y[3] - n.attrs.pad[1]};
    return p;
}

Problem problem_of(const ir::Graph& g, const ir::Node& n) {
    Problem p = n.op == OpKind::kLinear                 ? linear_problem(g, n)
                : n.op == OpKind::kLinearBackwardWeight ? gradient_problem(g, n)
                                                        : conv_problem(g, n);
    p.op = n.op;
    p.type = type_of(g.value(n.inputs[0]).dtype);
    p.dst_type = type_of(g.value(n.outputs[0]).dtype);
    p.frozen = g.value(n.inputs[1]).kind == ir::ValueKind::kWeight;
    p.alpha = static_cast<float>(n.attrs.alpha);
    if (p.bias_slot >= 0) {
        p.bias_type = type_of(g.value(n.inputs[static_cast<size_t>(p.bias_slot)]).dtype);
    }
    return p;
}

dnnl::primitive_attr attributes_of(const Problem& p) {
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    dnnl::post_ops ops;
    if (p.alpha != 1) ops.append_eltwise(1.0F, dnnl::algorithm::eltwise_linear, p.alpha, 0.0F);
    if (p.addend_slot >= 0 || p.accumulate) ops.append_sum(1.0F);
    if (ops.len() > 0) attr.set_post_ops(ops);
    return attr;
}

// Whether an implementation is one of the library's fast ones.
bool is_fast(const std::string& name) { return name.rfind("ref", 0) != 0 && name != "simple:any"; }

Chosen choose_linear(const Problem& p, const dnnl::engine& engine) {
    const bool is_gradient = p.op == OpKind::kLinearBackwardWeight;
    const dnnl::memory::desc src(p.src, p.type, is_gradient ? Tag::ba : Tag::ab);
    const dnnl::memory::desc weights(p.weights,
                                     p.type,
                                     p.frozen       ? Tag::any
                                     : p.transposed ? Tag::ba
                                                    : Tag::ab);
    const dnnl::memory::desc dst(p.dst, p.dst_type, Tag::ab);
    const dnnl::memory::desc bias = p.bias_slot >= 0
                                        ? dnnl::memory::desc({1, p.dst[1]}, p.bias_type, Tag::ab)
                                        : dnnl::memory::desc();
    const dnnl::matmul::desc desc = p.bias_slot >= 0 ? dnnl::matmul::desc(src, weights, bias, dst)
                                                     : dnnl::matmul::desc(src, weights, dst);
    const dnnl::matmul::primitive_desc pd(desc, attributes_of(p), engine, true);
    if (!pd || !is_fast(pd.impl_info_str())) return {};
    return {dnnl::matmul(pd),
            src,
            pd.weights_desc(),
            bias,
            dst,
            pd.scratchpad_desc(),
            DNNL_ARG_SRC,
            DNNL_ARG_DST,
            pd.impl_info_str()};
}

dnnl::convolution_forward::primitive_desc forward_conv(const Problem& p,
                                                       const dnnl::engine& engine,
                                                       const dnnl::primitive_attr& attr) {
    const dnnl::memory::desc src(p.src, p.type, Tag::nhwc);
    const dnnl::memory::desc weights(p.weights, p.type, Tag::any);
    const dnnl::memory::desc dst(p.dst, p.type, Tag::nhwc);
    const dnnl::memory::desc bias(Dims{p.dst[1]}, p.bias_type, Tag::a);
    const auto kind = dnnl::prop_kind::forward_inference;
    const auto algorithm = dnnl::algorithm::convolution_direct;
    const dnnl::convolution_forward::desc desc =
        p.bias_slot >= 0
            ? dnnl::convolution_forward::desc(
                  kind, algorithm, src, weights, bias, dst, p.strides, p.pad_begin, p.pad_end)
            : dnnl::convolution_forward::desc(
                  kind, algorithm, src, weights, dst, p.strides, p.pad_begin, p.pad_end);
    dnnl::convolution_forward::primitive_desc pd(desc, attr, engine, true);
    if (!leave_overreading(pd)) return {};
    return pd;
}

Chosen choose_conv(const Problem& p, const dnnl::engine& engine) {
    const dnnl::memory::desc bias = p.bias_slot >= 0
                                        ? dnnl::memory::desc(Dims{p.dst[1]}, p.bias_type, Tag::a)
                                        : dnnl::memory::desc();
    if (!p.backward) {
        const auto pd = forward_conv(p, engine, attributes_of(p));
        if (!pd || !is_fast(pd.impl_info_str())) return {};
        return {dnnl::convolution_forward(pd),
                pd.src_desc(),
                pd.weights_desc(),
                bias,
                pd.dst_desc(),
                pd.scratchpad_desc(),
                DNNL_ARG_SRC,
                DNNL_ARG_DST,
                pd.impl_info_str()};
    }
    const auto hint = forward_conv(p, engine, dnnl::primitive_attr());
    if (!hint || p.addend_slot >= 0 || p.alpha != 1) return {};
    const dnnl::convolution_backward_data::desc desc(
        dnnl::algorithm::convolution_direct,
        dnnl::memory::desc(p.src, p.type, Tag::nhwc),
        dnnl::memory::desc(p.weights, p.type, Tag::any),
        dnnl::memory::desc(p.dst, p.type, Tag::nhwc),
        p.strides,
        p.pad_begin,
        p.pad_end);
    dnnl::convolution_backward_data::primitive_desc pd(desc, attributes_of(p), engine, hint, true);
    if (!leave_overreading(pd) || !is_fast(pd.impl_info_str())) return {};
    return {dnnl::convolution_backward_data(pd),
            pd.diff_dst_desc(),
            pd.weights_desc(),
            bias,
            pd.diff_src_desc(),
            pd.scratchpad_desc(),
            DNNL_ARG_DIFF_DST,
            DNNL_ARG_DIFF_SRC,
            pd.impl_info_str()};
}

// [O, I, h, w] -> [I, O, h, w] with the kernel turned by 180 degrees.
template <typename T>
void turn(const T* src, const Dims& to, T* dst) {
    const int64_t taps = to[2] * to[3];
    for (int64_t i = 0; i < to[0]; ++i) {
        for (int64_t o = 0; o < to[1]; ++o) {
            const T* from = src + (o * to[0] + i) * taps;
            T* at = dst + (i * to[1] + o) * taps;
            for (int64_t t = 0; t < taps; ++t) at[t] = from[taps - 1 - t];
        }
    }
}

class OneDnn : public Library {
public:
    OneDnn() : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {}

    [[nodiscard]] bool takes(const Device& device,
                             const ir::Graph& graph,
                             const ir::Node& node) override {
        if (!wanted(device)) return false;
        const bool is_frozen = graph.value(node.inputs[1]).kind == ir::ValueKind::kWeight;
        switch (node.op) {
            case OpKind::kLinear:
            case OpKind::kLinearBackwardWeight:
                if (!is_frozen && !wanted_for_trained(device, graph, node)) return false;
                break;
            case OpKind::kConv2d:
            case OpKind::kConv2dBackwardInput:
                if (!is_frozen) return false;
                break;
            default: return false;
        }
        const Problem p = problem_of(graph, node);
        // The library would scale the bias too.
        if (p.alpha != 1 && p.bias_slot >= 0) return false;
        for (const int64_t pad : p.pad_begin) {
            if (pad < 0) return false;
        }
        return static_cast<bool>(chosen(p).primitive);
    }

    [[nodiscard]] size_t scratch_bytes(const Device&,
                                       const ir::Graph& graph,
                                       const ir::Node& node) override {
        return chosen(problem_of(graph, node)).scratchpad.get_size();
    }

    [[nodiscard]] Program program(const NodeContext& c) override;

    [[nodiscard]] std::string description() const override {
        const dnnl_version_t* v = dnnl_version();
        return fmt::format("oneDNN {}.{}.{}", v->major, v->minor, v->patch);
    }

private:
    // On AVX2 our own kernels are as fast. LORA_CPU_PRODUCTS=onednn|own decides for tests.
    static bool wanted(const Device& device) {
        const char* choice = std::getenv("LORA_CPU_PRODUCTS");
        if (choice == nullptr) return device.kernels->lanes >= 16;
        return std::strcmp(choice, "onednn") == 0;
    }

    // Trained parameters change with every step, so nothing can be packed ahead: worth it only
    // where the library multiplies tiles, which our own kernels for them do not.
    static bool wanted_for_trained(const Device& device,
                                   const ir::Graph& graph,
                                   const ir::Node& node) {
        return device.kernels->tiled_attention != nullptr &&
               graph.value(node.inputs[0]).dtype == DType::kBF16 &&
               graph.value(node.inputs[1]).dtype == DType::kBF16;
    }

    const Chosen& chosen(const Problem& p) {
        const std::string key = p.key();
        const auto found = chosen_.find(key);
        if (found != chosen_.end()) return found->second;
        return checked("choosing a product", [&]() -> const Chosen& {
            const bool is_linear = p.op == OpKind::kLinear || p.op == OpKind::kLinearBackwardWeight;
            return chosen_[key] = is_linear ? choose_linear(p, engine_) : choose_conv(p, engine_);
        });
    }

    std::shared_ptr<Memory> pack(CpuWeight& weight, const Problem& p, const dnnl::memory::desc& to);

    dnnl::engine engine_;
    dnnl::stream stream_;
    std::unordered_map<std::string, Chosen> chosen_;  // by Problem::key()
};

std::shared_ptr<Memory> OneDnn::pack(CpuWeight& weight,
                                     const Problem& p,
                                     const dnnl::memory::desc& to) {
    // The layout's own bytes name the form: two products that want the same one share it.
    const std::string_view layout(reinterpret_cast<const char*>(&to.data), sizeof(to.data));
    const std::string name = fmt::format(
        "onednn {} {} {}", p.turned, p.transposed, std::hash<std::string_view>{}(layout));
    return weight.form(name, [&](const TensorView& elements) {
        auto memory = std::make_shared<Memory>(to.get_size());
        std::vector<std::byte> turned;
        const std::byte* src = elements.bytes.data();
        if (p.turned) {
            turned.resize(elements.bytes.size());
            if (p.type == Type::bf16) {
                turn(reinterpret_cast<const uint16_t*>(src),
                     p.weights,
                     reinterpret_cast<uint16_t*>(turned.data()));
            } else {
                turn(reinterpret_cast<const float*>(src),
                     p.weights,
                     reinterpret_cast<float*>(turned.data()));
            }
            src = turned.data();
        }
        const Tag tag = p.op != OpKind::kLinear ? Tag::abcd : p.transposed ? Tag::ba : Tag::ab;
        checked("packing a weight", [&] {
            dnnl::memory from(
                dnnl::memory::desc(p.weights, p.type, tag), engine_, const_cast<std::byte*>(src));
            dnnl::memory packed(to, engine_, memory->data());
            dnnl::reorder(from, packed).execute(stream_, from, packed);
            stream_.wait();
        });
        return memory;
    });
}

// Memory objects made once; each run sets their addresses.
struct Bound {
    Chosen chosen;
    std::shared_ptr<Memory> packed;  // null: the weights are an input
    dnnl::memory src;
    dnnl::memory weights;
    dnnl::memory bias;
    dnnl::memory dst;
    dnnl::memory scratchpad;
    std::unordered_map<int, dnnl::memory> args;
};

Program OneDnn::program(const NodeContext& c) {
    const Problem p = problem_of(c.graph, c.node);
    auto bound = std::make_shared<Bound>();
    bound->chosen = chosen(p);
    if (p.frozen) bound->packed = pack(*c.weight(1), p, bound->chosen.weights);
    checked("binding a product", [&] {
        Bound& b = *bound;
        b.src = dnnl::memory(b.chosen.src, engine_, nullptr);
        b.weights = dnnl::memory(
            b.chosen.weights, engine_, b.packed == nullptr ? nullptr : b.packed->data());
        b.dst = dnnl::memory(b.chosen.dst, engine_, nullptr);
        b.scratchpad = dnnl::memory(b.chosen.scratchpad, engine_, nullptr);
        b.args = {{b.chosen.src_arg, b.src},
                  {b.chosen.dst_arg, b.dst},
                  {DNNL_ARG_WEIGHTS, b.weights},
                  {DNNL_ARG_SCRATCHPAD, b.scratchpad}};
        if (p.bias_slot >= 0) {
            b.bias = dnnl::memory(b.chosen.bias, engine_, nullptr);
            b.args[DNNL_ARG_BIAS] = b.bias;
        }
    });
    Program program;
    program.choice = "onednn " + bound->chosen.name;
    if (p.frozen) program.held_inputs = 1U << 1;
    program.run = [this,
                   &device = c.device,
                   bound,
                   bias_slot = p.bias_slot,
                   addend_slot = p.addend_slot](const Args& a) {
        Bound& b = *bound;
        if (addend_slot >= 0) {
            // The sum starts from what dst holds.
            const std::byte* addend = a.in[static_cast<size_t>(addend_slot)];
            const int64_t size = static_cast<int64_t>(b.chosen.dst.get_size());
            if (addend != a.out[0]) {
                device.threads.split(size, 65536, [&](int64_t begin, int64_t end) {
                    std::memcpy(a.out[0] + begin, addend + begin, static_cast<size_t>(end - begin));
                });
            }
        }
        checked("running a product", [&] {
            b.src.set_data_handle(a.in[0]);
            if (b.packed == nullptr) b.weights.set_data_handle(a.in[1]);
            b.dst.set_data_handle(a.out[0]);
            if (b.scratchpad.get_desc().get_size() > 0) b.scratchpad.set_data_handle(a.scratch);
            if (bias_slot >= 0) b.bias.set_data_handle(a.in[static_cast<size_t>(bias_slot)]);
            b.chosen.primitive.execute(stream_, b.args);
            stream_.wait();
        });
    };
    return program;
}

}  // namespace

std::shared_ptr<Library> open_library() {
    return checked("starting", [] { return std::make_shared<OneDnn>(); });
}

}  // namespace lora::cpu
