// Attention: cut into heads and blocks of queries (forward) or of keys (backward).
#include <algorithm>

#include "backend/cpu/internal/device.h"

namespace lora::cpu {
namespace {

struct Heads {
    AttentionArgs args;  // without addresses
    int64_t samples = 0;
    int64_t heads = 0;
    int64_t query_step = 0;  // elements of q of one sample
    int64_t key_step = 0;
    int64_t elem_bytes = 0;
    const AttentionKernels* kernels = nullptr;
};

const AttentionKernels& kernels_for(const Device& device, const AttentionArgs& args) {
    const KernelTable& table = *device.kernels;
    const bool tiled = table.tiled_attention != nullptr && args.type == Elem::kBF16;
    return tiled ? *table.tiled_attention : table.attention;
}

Heads heads_of(const Device& device, const ir::Graph& g, const ir::Node& n) {
    const size_t first = n.op == ir::OpKind::kAttention ? 0 : 1;
    const ir::Value& q = g.value(n.inputs[first]);
    const ir::Value& k = g.value(n.inputs[first + 1]);
    Heads h;
    h.samples = q.shape[0];
    h.heads = n.attrs.heads;
    h.args.type = elem_of(q.dtype);
    h.args.stride = q.shape[2];
    h.args.head_size = q.shape[2] / h.heads;
    h.args.num_queries = q.shape[1];
    h.args.num_keys = k.shape[1];
    h.args.alpha = static_cast<float>(n.attrs.alpha);
    h.args.causal = n.attrs.causal;
    h.query_step = q.shape[1] * q.shape[2];
    h.key_step = k.shape[1] * k.shape[2];
    h.elem_bytes = static_cast<int64_t>(dtype_bytes(q.dtype));
    h.kernels = &kernels_for(device, h.args);
    return h;
}

std::byte* offset(std::byte* base, int64_t elements, int64_t elem_bytes) {
    return base + elements * elem_bytes;
}

// One head of one sample: where its rows begin in q and k, in elements.
struct Head {
    int64_t index = 0;  // [samples, heads]
    int64_t q_at = 0;
    int64_t k_at = 0;
};

Head head_of(const Heads& h, int64_t index) {
    const int64_t sample = index / h.heads;
    const int64_t column = index % h.heads * h.args.head_size;
    return {index, sample * h.query_step + column, sample * h.key_step + column};
}

// Calls body(head, thread, arguments of a block of its queries) for all blocks of all heads.
template <typename Body>
void for_query_blocks(const Device& device, const Heads& h, const Body& body) {
    const int64_t block = h.kernels->query_block;
    const int64_t blocks = ceil_div(h.args.num_queries, block);
    device.threads.run(h.samples * h.heads * blocks, [&](int64_t index, int slot) {
        AttentionArgs args = h.args;
        args.begin = index % blocks * block;
        args.end = std::min(h.args.num_queries, args.begin + block);
        body(head_of(h, index / blocks), slot, args);
    });
}

Program forward_program(const NodeContext& c) {
    const Device& device = c.device;
    const Heads h = heads_of(device, c.graph, c.node);
    Program program;
    program.choice = h.kernels->name;
    program.run = [&device, h](const Args& a) {
        const int64_t slot_bytes = round_up(h.kernels->forward_scratch(h.args), 64);
        for_query_blocks(device, h, [&](const Head& head, int slot, AttentionArgs& args) {
            args.q = offset(a.in[0], head.q_at, h.elem_bytes);
            args.k = offset(a.in[1], head.k_at, h.elem_bytes);
            args.v = offset(a.in[2], head.k_at, h.elem_bytes);
            args.o = offset(a.out[0], head.q_at, h.elem_bytes);
            args.lse = a.output<float>(1) + head.index * h.args.num_queries;
            args.scratch = a.scratch + slot * slot_bytes;
            h.kernels->forward(args);
        });
    };
    return program;
}

// How the backward pass is spread: heads first; where these are fewer than threads, each head's
// keys in `chunks`, with one partial dq each.
struct BackwardSplit {
    int64_t chunks = 1;
    int64_t chunk_keys = 0;
    int64_t dq_floats = 0;  // one partial dq
    int64_t num_dq = 0;
};

BackwardSplit split_of(const Device& device, const Heads& h) {
    const int64_t num_heads = h.samples * h.heads;
    BackwardSplit s;
    const int64_t blocks = ceil_div(h.args.num_keys, h.kernels->key_block);
    const int64_t threads = device.threads.count();
    // Whole rounds of heads leave no thread idle; otherwise at least four pieces a thread.
    if (num_heads % threads != 0 && num_heads < 4 * threads) {
        s.chunks = std::min(blocks, ceil_div(4 * threads, num_heads));
    }
    s.chunk_keys = ceil_div(blocks, s.chunks) * h.kernels->key_block;
    s.chunks = ceil_div(h.args.num_keys, s.chunk_keys);
    s.dq_floats = round_up(h.kernels->dq_floats(h.args), 16);
    s.num_dq = s.chunks == 1 ? threads : num_heads * s.chunks;
    return s;
}

struct BackwardScratch {
    float* delta = nullptr;  // [samples, heads, queries]
    float* dq = nullptr;
    std::byte* slots = nullptr;
    int64_t slot_bytes = 0;
};

BackwardScratch take_backward(ScratchLayout& layout,
                              const Device& device,
                              const Heads& h,
                              const BackwardSplit& split) {
    BackwardScratch s;
    s.delta = layout.take<float>(h.samples * h.heads * h.args.num_queries);
    s.dq = layout.take<float>(split.num_dq * split.dq_floats);
    s.slot_bytes = round_up(h.kernels->backward_scratch(h.args), 64);
    s.slots = layout.take<std::byte>(s.slot_bytes * device.threads.count());
    return s;
}

// What thread `slot` does for one chunk of keys of one head.
struct BackwardPiece {
    int64_t index = 0;  // [samples, heads, chunks]
    int slot = 0;
};

void backward_piece(const Heads& h,
                    const BackwardSplit& split,
                    const BackwardScratch& s,
                    const Args& a,
                    const BackwardPiece& piece) {
    const auto [index, slot] = piece;
    const Head head = head_of(h, index / split.chunks);
    AttentionArgs args = h.args;
    args.d_o = offset(a.in[0], head.q_at, h.elem_bytes);
    args.q = offset(a.in[1], head.q_at, h.elem_bytes);
    args.k = offset(a.in[2], head.k_at, h.elem_bytes);
    args.v = offset(a.in[3], head.k_at, h.elem_bytes);
    args.o = offset(a.in[4], head.q_at, h.elem_bytes);
    args.lse = a.input<float>(5) + head.index * h.args.num_queries;
    args.dk = offset(a.out[1], head.k_at, h.elem_bytes);
    args.dv = offset(a.out[2], head.k_at, h.elem_bytes);
    args.delta = s.delta + head.index * h.args.num_queries;
    args.begin = index % split.chunks * split.chunk_keys;
    args.end = std::min(h.args.num_keys, args.begin + split.chunk_keys);
    const int64_t dq_index = split.chunks == 1 ? slot : index;
    args.dq_sums = s.dq + dq_index * split.dq_floats;
    args.scratch = s.slots + slot * s.slot_bytes;
    std::fill(args.dq_sums, args.dq_sums + split.dq_floats, 0.0F);
    h.kernels->backward(args);
    if (split.chunks == 1) {
        args.dq = offset(a.out[0], head.q_at, h.elem_bytes);
        args.begin = 0;
        args.end = args.num_queries;
        h.kernels->write_dq(args, {args.dq_sums});
    }
}

Program backward_program(const NodeContext& c) {
    const Device& device = c.device;
    const Heads h = heads_of(device, c.graph, c.node);
    const BackwardSplit split = split_of(device, h);
    Program program;
    program.choice = h.kernels->name;
    program.run = [&device, h, split](const Args& a) {
        ScratchLayout layout(a.scratch);
        const BackwardScratch s = take_backward(layout, device, h, split);
        for_query_blocks(device, h, [&](const Head& head, int, AttentionArgs& args) {
            args.d_o = offset(a.in[0], head.q_at, h.elem_bytes);
            args.o = offset(a.in[4], head.q_at, h.elem_bytes);
            args.delta = s.delta + head.index * h.args.num_queries;
            h.kernels->delta(args);
        });
        device.threads.run(h.samples * h.heads * split.chunks, [&](int64_t index, int slot) {
            backward_piece(h, split, s, a, {index, slot});
        });
        if (split.chunks == 1) return;
        for_query_blocks(device, h, [&](const Head& head, int, AttentionArgs& args) {
            args.dq = offset(a.out[0], head.q_at, h.elem_bytes);
            const float* first = s.dq + head.index * split.chunks * split.dq_floats;
            h.kernels->write_dq(args, {first, split.chunks, split.dq_floats});
        });
    };
    return program;
}

}  // namespace

size_t attention_scratch(const Device& d, const ir::Graph& g, const ir::Node& n) {
    const Heads h = heads_of(d, g, n);
    if (n.op == ir::OpKind::kAttention) {
        const int64_t slot_bytes = round_up(h.kernels->forward_scratch(h.args), 64);
        return static_cast<size_t>(slot_bytes * d.threads.count());
    }
    ScratchLayout layout;
    take_backward(layout, d, h, split_of(d, h));
    return layout.used();
}

Program attention_program(const NodeContext& c) {
    return c.node.op == ir::OpKind::kAttention ? forward_program(c) : backward_program(c);
}

}  // namespace lora::cpu
