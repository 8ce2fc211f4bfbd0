// The operators of the graph: kinds, attributes, and one table row each.
// Not kernels: backends implement these; backend/reference defines their numbers.
//
// Conventions for every row below
//   Shapes are PyTorch's, outermost first. An image is [N, C, H, W]; its layout says how it lies in
//   memory (channels-last everywhere inside the models). Tokens are [N, T, D] row-major.
//   "dst = ..." is computed in fp32 (fp64 for F64) whatever the element type of src and dst.
//   Inputs in [brackets] are optional; an absent one is kNoValue.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "ir/loss_kind.h"
#include "ir/update_rule.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace lora::ir {

enum class OpKind : uint8_t {
    // Views: same bytes, another shape. Never run.
    kReshape,        // x -> x with attrs.shape
    kImageToTokens,  // x [N,C,H,W] channels-last -> [N,H*W,C]
    kTokensToImage,  // x [N,H*W,C] -> [N,C,H,W] channels-last; attrs.height, attrs.width

    // Movement.
    kReorder,     // x -> same shape, attrs.layout
    kCast,        // x -> same shape, attrs.dtype; attrs.accumulate (state dst): dst += x
    kConcat,      // a, b -> joined along attrs.axis (logical axis, any layout)
    kSlice,       // x -> x[attrs.begin : attrs.end] along attrs.axis
    kPad,         // x -> zeros around x along attrs.axis: attrs.begin before, attrs.end after
    kSwapAxes,    // x [N,A,B,D] -> [N,B,A,D]
    kUpsample2x,  // x [N,C,H,W] -> [N,C,2H,2W], nearest
    kUpsample2xBackward,  // dy [N,C,2H,2W] -> sums of 2x2 cells [N,C,H,W]

    // Products.
    kLinear,  // x [..,in], w [out,in], [bias [out]], [addend [..,out]], [x2 [..,r]], [w2 [out,r]]
              //   dst = alpha * x w^T + alpha2 * x2 w2^T + bias + addend
              //   attrs.transpose_weight: w is [in,out], x w; w2 is [r,out] likewise. The second
              //   product (a LoRA's) is joined by the planner, so it has no gradient rule
    kLinearBackwardWeight,  // dy [..,out], x [..,in] -> [out,in] = alpha * dy^T x (fp32 dst; F64
                            // for F64)
                            //   attrs.accumulate: dst += instead of =
    kConv2d,  // x [N,I,H,W], w [O,I,kh,kw], [bias [O]], [addend like dst]; attrs.stride,
              //   attrs.pad = {top, left, bottom, right}; dst = alpha * conv + bias + addend
              //   The three take w, and its gradient, row-major or channels-last ([O,kh,kw,I]).
    kConv2dBackwardInput,   // dy [N,O,h,w], w [O,I,kh,kw], [addend like dst] -> [N,I,height,width]
                            // of
                            //   attrs.height, attrs.width; dst = alpha * ... + addend
    kConv2dBackwardWeight,  // dy [N,O,h,w], x [N,I,H,W] -> [O,I,kh,kw] fp32, attrs.layout;
                            //   attrs.kernel = {kh, kw}; attrs.accumulate
    // Both backward_weight operators: attrs.dtype bf16 or f16 rounds dst to that type.

    // The change of a weight by LoHa: elementwise product of two matrices of low rank.
    kHadamard,  // a1 [o,r], b1 [r,c], a2 [o,q], b2 [q,c], [addend] -> [o,c] =
                //   alpha * (a1 b1) * (a2 b2) + addend, a matrix [o,c] or a filter [o,i,kh,kw],
                //   c = i * kh * kw; dst is then a filter too, channels-last. With an addend, half
                //   precision is rounded by backend/dither_rules.h, element by index in [o,c].
    kHadamardBackward,  // d [o,c] or a filter, channels-last, a [o,q], b [q,c], partner [r,c] ->
                        //   [o,r] = alpha * (d * (a b)) partner^T; attrs.transpose_weight: partner
                        //   [o,r] -> [r,c] = alpha * partner^T (d * (a b)); fp32;
                        //   attrs.accumulate

    // Norms. gamma and beta are frozen; statistics are [.., 2] = mean, 1/sqrt(var + eps), fp32.
    kGroupNorm,  // x [N,C,H,W], gamma [C], beta [C] -> y, stats [N,groups,2]; attrs.groups, eps;
                 //   attrs.activation kSilu: y = silu(norm)
    kGroupNormBackward,  // dy, x, gamma, beta, stats, [addend] -> dx (+ addend)
    kLayerNorm,          // x [..,D], gamma [D], beta [D] -> y, stats [rows,2]; attrs.eps
    kLayerNormBackward,  // dy, x, gamma, stats, [addend] -> dx (+ addend)
    kDoraScale,  // v [R,..], m [R] -> h [R] = m / (norm(v[r]) + attrs.eps) - 1, norms [R]; all but
                 // v
                 //   fp32. What DoRA adds to the factor of a weight's rows
    kDoraScaleBackward,  // dh, v, m, norms -> dv [R,..], dm [R]

    // Attention over tokens; heads split the last axis. Score = attrs.alpha * q k^T.
    kAttention,  // q [N,Tq,C], k [N,Tk,C], v [N,Tk,C] -> o [N,Tq,C], lse [N,heads,Tq] (fp32
                 // log-sum-exp
                 //   of the scaled scores); attrs.heads, attrs.causal (key index <= query index)
    kAttentionBackward,  // d_o, q, k, v, o, lse -> dq, dk, dv

    // Elementwise.
    kActivation,          // x -> f(x); attrs.activation
    kActivationBackward,  // dy, x -> dy * f'(x)
    kGeglu,               // x [..,2F] -> x[..,:F] * gelu(x[..,F:]), exact gelu
    kGegluBackward,       // dy [..,F], x [..,2F] -> dx [..,2F]
    kAdd,         // a, b -> a + b; b has a's shape or its trailing part (broadcast in front)
    kMultiply,    // a, b -> a * b; b has a's shape or its trailing part
    kScale,       // x -> attrs.alpha * x
    kAddChannel,  // x [N,C,H,W], e [N,C] -> x + e over H, W
    kSumSpatial,  // dy [N,C,H,W] -> [N,C]
    kMixRows,     // x [N,..], y [N,..], a [N] f32, b [N] f32 -> a[n] x[n] + b[n] y[n] (latents and
                  // noise: no gradient)
    kDropout,     // x [.., F] row-major, key [4] I32 -> attrs.alpha * x where the draw keeps it, 0
                  //   elsewhere. Draw i is word i of Rng(seed, kDropout, step, attrs.size) with key
                  //   = {seed low, high, step low, high}; it keeps what has (word >> 8) >=
                  //   round(attrs.probability * 2^24). x counts as [N, T, F] with N its first axis;
                  //   i runs over the axes named in attrs.draw_axes (4: N, 2: T, 1: F), the others
                  //   share their draws. Its gradient is the same operator

    // Sources.
    kEmbedding,          // ids [..] i32, table [V,D] -> [..,D]
    kTimestepEmbedding,  // t [N] f32 -> [N,attrs.size]: cos half, then sin half, of
                         //   t * 10000^(-i/half); attrs.dtype

    kDequantize,  // q [R,..] u8, scale [R] f32 -> (q - 128) * scale[row] in attrs.dtype. Frozen
                  //   weights kept in 8 bits; made again for the backward pass, never kept for it

    // Loss. losses[n] = mean over the other axes of mask * f(prediction - target), f by attrs.loss:
    //   l2 d^2; l1 |d|; huber 2c (sqrt(d^2 + c^2) - c); smooth_l1 2 (sqrt(d^2 + c^2) - c)
    kWeightedLoss,          // prediction [N,..], target [N,..], weights [N] f32, [mask [N,..] f32],
                            //   [c [N] f32] -> loss [] = mean_n weights[n] losses[n], losses [N];
                            //   both fp32. A smaller mask repeats over its row (one for all
                            //   channels); c is there for huber and smooth_l1
    kWeightedLossBackward,  // prediction, target, weights, [mask], [c] -> d_prediction of
                            //   attrs.alpha * loss

    // Update of the trainable parameters.
    kSumSquares,       // x -> [] fp32 (F64 for F64), summed in fp64; [addend []] is added
    kClipCoefficient,  // sum_squares [] -> coefficient [] = min(1, attrs.alpha / (sqrt(s) + 1e-6)),
                       //   norm [] = sqrt(s); attrs.alpha 0: coefficient 1
    //
    // The optimizer's methods (attrs.update.rule) over the flat buffers p and g [n] (fp32, or F64
    // for F64). Only what the table `pieces` [P, 4] I32 names is touched, a row a piece of one
    // tensor: {first element, count, group, first element of its state}. schedule [G, 4] has a row
    // a group: {lr, then what the rule needs of the step's number}. g' = clip g.
    // States s0 .. s4 (1-D, in place), by rule:
    //   adamw m, v; lion m; sgd_nesterov b; schedule_free_adamw v, z; dadapt_adam m, v, s;
    //   dadapt_lion m, s; dadapt_sgd s, p0; dadapt_adan m, diff, v, s, previous g';
    //   prodigy m, v, s, p0
    // Formulas: backend/reference/update.cpp.
    kUpdateGlobals,  // globals [8] (in place), schedule, [sums [4]], [sum_squares []], [clip []] ->
                     //   scalars [8]; without sums: what the sums need; with them: the end of the
                     //   estimate of d
    kUpdateSums,  // p, g, s0, [s1], [s2], [s3], [s4], clip, schedule, pieces, scalars -> sums [4]:
                  //   moves states on and sums over all pieces; dadapt_lion moves p too
    kUpdateStep,  // p, g, s0, [s1], [s2], [s3], [s4], clip, schedule, pieces, [scalars] -> nothing;
                  //   moves p (and states, where there was no update_sums)
    kUpdateStep8bit,  // p, g, q0 u8, absmax0 [P], [q1], [absmax1], clip, schedule, pieces,
                      //   maps [2, 256] (dynamic_map.h) -> nothing. States in 8 bit, a piece a
                      //   block of at most 256; adamw, lion, sgd_nesterov
    kUpdateFactored,  // p, g, row, col, [m], [res_row], [res_col], clip, schedule, tensors [T, 7]
                      //   I32 = {first, count, group, rows, cols, first of row, first of col} ->
                      //   nothing. A tensor is count / (rows cols) matrices; adafactor, came
    kLimitNorm,       // f0, [f1] .. [f5], sum_squares [], stats [4] -> nothing. The factors of one
                      // weight
                      //   change whose squares sum to sum_squares: norm = sqrt(sum_squares), n =
    //   max(norm, attrs.alpha / 2), ratio = min(n, attrs.alpha) / n; each of K factors
    //   is multiplied by ratio^(1/K), unless ratio is 1. stats: {how many were scaled,
    //   sum of norm * ratio, largest of them, how many there are}
    kCount_,
};

// Operators that are implemented together: rules of shapes (ir/ops/), and in every backend a file
// of that name.
enum class OpFamily : uint8_t {
    kMovement,  // views too
    kProduct,
    kHadamard,
    kNorm,
    kAttention,
    kElementwise,
    kSource,
    kLoss,
    kUpdate,
};

struct UpdateAttributes {
    UpdateRule rule = UpdateRule::kAdamW;
    double beta1 = 0.9;  // sgd_nesterov, dadapt_sgd: the momentum
    double beta2 = 0.999;
    double beta3 = 0;  // dadapt_adan, prodigy, came
    double eps = 1e-8;
    double eps2 = 1e-3;  // adafactor, came
    double weight_decay = 0;
    double growth_rate = 0;      // dadapt_*, prodigy: d grows by at most this factor; 0: no limit
    double d_coef = 1;           // prodigy
    double clip_threshold = 1;   // adafactor, came
    double weight_lr_power = 2;  // schedule_free_adamw
    bool decouple = true;        // dadapt_adam, prodigy: decay apart from the gradient
    bool decay_last = false;     // adamw: after the step, as bitsandbytes does
    bool safeguard_warmup = false;  // prodigy
    bool no_prox = false;           // dadapt_adan
    bool scale_parameter = true;    // adafactor
};

enum class Activation : uint8_t { kNone, kSilu, kGelu, kQuickGelu };

enum class Layout : uint8_t {
    kRowMajor,
    kChannelsLast,  // [N,C,H,W] lying as N,H,W,C
};

// One struct for all kinds; an operator reads the fields its row names and ignores the others.
struct Attributes {
    Shape shape = {};
    DType dtype = DType::kF32;
    Layout layout = Layout::kRowMajor;
    Activation activation = Activation::kNone;
    int axis = 0;
    int64_t begin = 0;
    int64_t end = 0;
    int64_t size = 0;
    int64_t height = 0;
    int64_t width = 0;
    int64_t stride = 1;
    std::array<int64_t, 4> pad{};     // top, left, bottom, right
    std::array<int64_t, 2> kernel{};  // kh, kw
    int64_t heads = 1;
    int64_t groups = 1;
    double alpha = 1;
    double alpha2 = 1;  // of a second product
    double eps = 1e-5;
    double probability = 0;  // dropout
    int draw_axes = 0;
    LossKind loss = LossKind::kL2;
    UpdateAttributes update = {};
    bool causal = false;
    bool transpose_weight = false;
    bool accumulate = false;
};

struct OpInfo {
    OpKind kind;
    std::string_view name;  // snake_case; also the file stem's word
    OpFamily family;
    int num_inputs;            // slots, optional ones included
    uint32_t optional_inputs;  // bit i: input i may be kNoValue
    int num_outputs;
    bool is_view;       // output shares input 0's bytes
    int inplace_input;  // input whose buffer output 0 may take over when it dies here; -1 none
    uint32_t mutated_inputs;  // bit i: input i is written (params and state only)
};

[[nodiscard]] const OpInfo& op_info(OpKind kind);
[[nodiscard]] std::string_view activation_name(Activation activation);
// "l2", "l1", "huber", "smooth_l1"
[[nodiscard]] std::string_view loss_name(LossKind loss);
[[nodiscard]] std::string_view update_rule_name(UpdateRule rule);
// States s0, s1, ... of update_sums and update_step (adafactor, came: none of these).
[[nodiscard]] int num_update_states(UpdateRule rule);
// Whether update_sums and update_globals go before update_step, which dadapt_lion does without.
[[nodiscard]] bool has_update_sums(UpdateRule rule);

}  // namespace lora::ir
