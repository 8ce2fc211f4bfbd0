// Cases of the optimizer's operators, which are fp32 whatever the compute type.
#include <algorithm>

#include "ir/dynamic_map.h"
#include "support/op_case.h"

namespace lora::support::cases {

using ir::OpKind;
using ir::ValueId;

namespace {

OpCase clip_case(std::string name, double max_norm) {
    return {std::move(name),
            OpKind::kClipCoefficient,
            [=](CaseBuilder& c) {
                const ValueId sum =
                    c.input({}, DType::kF32, {.kind = Fill::Kind::kPositive, .offset = 4});
                const std::vector<ValueId> outputs =
                    c.b().node(OpKind::kClipCoefficient, {sum}, {.alpha = max_norm});
                c.result(outputs[0]);
                c.result(outputs[1]);
            },
            1,
            false};
}

// Two tensors of odd sizes that begin at odd places, in pieces of at most `most` elements; the
// elements between them and behind them belong to nobody.
std::vector<double> pieces_of(int64_t most) {
    std::vector<double> rows;
    const auto add = [&](int64_t begin, int64_t count, int64_t group, int64_t state) {
        for (int64_t at = 0; at < count; at += most) {
            for (const int64_t value :
                 {begin + at, std::min(most, count - at), group, state + at}) {
                rows.push_back(static_cast<double>(value));
            }
        }
    };
    add(0, 515, 1, 0);
    add(528, 331, 0, 528);
    add(865, 1, 1, 861);
    return rows;
}

struct Operands {
    ValueId p, g, clip, schedule, pieces;
};

Operands operands(CaseBuilder& c,
                  int64_t size,
                  std::vector<double> pieces,
                  std::vector<double> schedule) {
    const auto rows = static_cast<int64_t>(pieces.size()) / 4;
    Operands o;
    o.p = c.state({size}, {});
    o.g = c.state({size}, {});
    o.clip = c.input({}, DType::kF32, {.kind = Fill::Kind::kPositive, .offset = 0.1});
    o.schedule =
        c.input({2, 4}, DType::kF32, {.kind = Fill::Kind::kValues, .values = std::move(schedule)});
    o.pieces =
        c.input({rows, 4}, DType::kI32, {.kind = Fill::Kind::kValues, .values = std::move(pieces)});
    return o;
}

// Rates of two groups and what the rule needs beside them.
std::vector<double> schedule_of(ir::UpdateRule rule) {
    if (rule == ir::UpdateRule::kAdamW) return {0.3, 0.1, 0.02, 0, 0.2, 0.1, 0.02, 0};
    if (rule == ir::UpdateRule::kSgdNesterov) return {0.3, 0, 0, 0, 0.2, 1, 0, 0};
    if (rule == ir::UpdateRule::kDAdaptAdan) return {1, 1, 0, 0, 1, 1, 1, 0};
    return {0.3, 1, 0, 0, 0.2, 1, 0, 0};
}

// States as large as the parameters; second moments are positive.
std::vector<ValueId> states_of(CaseBuilder& c, ir::UpdateRule rule, int64_t size) {
    std::vector<ValueId> states(5, ir::kNoValue);
    const Fill positive{.kind = Fill::Kind::kPositive, .offset = 0.1};
    for (int i = 0; i < ir::num_update_states(rule); ++i) {
        states[static_cast<size_t>(i)] = c.state({size}, positive);
    }
    return states;
}

// d, lambda, go, d0
ValueId scalars_of(CaseBuilder& c, double go = 1) {
    return c.input(
        {8}, DType::kF32, {.kind = Fill::Kind::kValues, .values = {0.3, 0.2, go, 0.1, 0, 0, 0, 0}});
}

OpCase step_case(const std::string& variant,
                 ir::UpdateAttributes attrs,
                 bool sums,
                 int64_t most = 96,
                 double go = 1) {
    const OpKind op = sums ? OpKind::kUpdateSums : OpKind::kUpdateStep;
    const std::string rule(ir::update_rule_name(attrs.rule));
    return {std::string(ir::op_info(op).name) + "/" + rule + variant,
            op,
            [=](CaseBuilder& c) {
                const int64_t size = 870;
                const Operands o = operands(c, size, pieces_of(most), schedule_of(attrs.rule));
                const std::vector<ValueId> s = states_of(c, attrs.rule, size);
                const bool is_plain = attrs.rule == ir::UpdateRule::kAdamW ||
                                      attrs.rule == ir::UpdateRule::kLion ||
                                      attrs.rule == ir::UpdateRule::kSgdNesterov;
                const std::vector<ValueId> outputs =
                    c.b().node(op,
                               {o.p,
                                o.g,
                                s[0],
                                s[1],
                                s[2],
                                s[3],
                                s[4],
                                o.clip,
                                o.schedule,
                                o.pieces,
                                is_plain ? ir::kNoValue : scalars_of(c, go)},
                               {.update = attrs});
                if (sums) c.result(outputs[0]);
            },
            sums ? 847 : 1,
            false,
            4};  // a quotient of two roots: several fp32 roundings
}

OpCase globals_case(const std::string& variant,
                    ir::UpdateAttributes attrs,
                    bool ends,
                    const std::vector<double>& sums = {0.3, 0.4, 0.5, 0}) {
    const std::string rule(ir::update_rule_name(attrs.rule));
    return {"update_globals/" + rule + variant,
            OpKind::kUpdateGlobals,
            [=](CaseBuilder& c) {
                const ValueId globals = c.state(
                    {8},
                    {.kind = Fill::Kind::kValues, .values = {0.1, 0.05, 0.1, 0, 0.7, 0.2, 0.1, 0}});
                const ValueId schedule = c.input(
                    {1, 4}, DType::kF32, {.kind = Fill::Kind::kValues, .values = {0.5, 1.5, 0, 0}});
                const Fill positive{.kind = Fill::Kind::kPositive, .offset = 0.1};
                const ValueId given =
                    ends ? c.input({4}, DType::kF32, {.kind = Fill::Kind::kValues, .values = sums})
                         : ir::kNoValue;
                const ValueId squares = c.input({}, DType::kF32, positive);
                const ValueId clip = c.input({}, DType::kF32, positive);
                c.result(c.b().node(OpKind::kUpdateGlobals,
                                    {globals, schedule, given, squares, clip},
                                    {.update = attrs})[0]);
            },
            1,
            false,
            4};  // a chain of products and quotients
}

OpCase packed_case(ir::UpdateAttributes attrs) {
    const std::string rule(ir::update_rule_name(attrs.rule));
    return {"update_step_8bit/" + rule,
            OpKind::kUpdateStep8bit,
            [=](CaseBuilder& c) {
                const int64_t size = 870;
                const Operands o =
                    operands(c, size, pieces_of(ir::kQuantBlock), schedule_of(attrs.rule));
                const int64_t blocks = c.b().shape(o.pieces)[0];
                const bool has_second = attrs.rule == ir::UpdateRule::kAdamW;
                const Fill bytes{.kind = Fill::Kind::kIds, .limit = 256};
                const Fill positive{.kind = Fill::Kind::kPositive, .offset = 0.5};
                std::vector<ValueId> s(4, ir::kNoValue);
                for (size_t i = 0; i < (has_second ? 2U : 1U); ++i) {
                    s[2 * i] = c.state({size}, bytes, DType::kU8);
                    s[2 * i + 1] = c.state({blocks}, positive);
                }
                const std::vector<float> maps = ir::dynamic_maps();
                const ValueId table =
                    c.input({2, 256},
                            DType::kF32,
                            {.kind = Fill::Kind::kValues,
                             .values = std::vector<double>(maps.begin(), maps.end())});
                c.b().node(OpKind::kUpdateStep8bit,
                           {o.p, o.g, s[0], s[1], s[2], s[3], o.clip, o.schedule, o.pieces, table},
                           {.update = attrs});
            },
            1,
            false,
            8};  // a quotient of two roots after decoding
}

// A matrix of 7 x 45, five of 3 x 3, a vector of 13, and one number.
OpCase factored_case(const std::string& variant, ir::UpdateAttributes attrs, bool has_moment) {
    const std::string rule(ir::update_rule_name(attrs.rule));
    return {
        "update_factored/" + rule + variant,
        OpKind::kUpdateFactored,
        [=](CaseBuilder& c) {
            const Operands o = operands(c, 400, {0, 0, 0, 0}, {0.3, 0.6, 0.4, 0, 0.2, 0.6, 0.4, 0});
            const bool is_came = attrs.rule == ir::UpdateRule::kCame;
            const Fill positive{.kind = Fill::Kind::kPositive, .offset = 0.5};
            std::vector<ValueId> s(5, ir::kNoValue);
            for (const size_t i : {0U, 1U, 3U, 4U}) {
                if (i < 2 || is_came) s[i] = c.state({96}, positive);
            }
            if (has_moment) s[2] = c.state({400}, {});
            const ValueId tensors =
                c.input({4, 7},
                        DType::kI32,
                        {.kind = Fill::Kind::kValues,
                         .values = {0,   315, 0, 7, 45, 0,  0,  320, 45, 1, 3, 3, 16, 48,
                                    368, 13,  0, 1, 1,  32, 64, 384, 1,  1, 1, 1, 48, 80}});
            c.b().node(OpKind::kUpdateFactored,
                       {o.p, o.g, s[0], s[1], s[2], s[3], s[4], o.clip, o.schedule, tensors},
                       {.update = attrs});
        },
        315,
        false,
        8};  // quotients of roots of sums, passed through two averages
}

using ir::UpdateRule;

std::vector<OpCase> step_cases() {
    std::vector<OpCase> list{
        step_case("", {.beta2 = 0.99, .weight_decay = 0.01}, false),
        step_case("_one_piece", {.beta2 = 0.99}, false, 2048),
        step_case("_decay_last", {.weight_decay = 0.1, .decay_last = true}, false),
        step_case("", {.rule = UpdateRule::kLion, .weight_decay = 0.1}, false),
        step_case("", {.rule = UpdateRule::kSgdNesterov, .weight_decay = 0.1}, false),
        step_case("", {.rule = UpdateRule::kScheduleFreeAdamW, .weight_decay = 0.1}, false),
        step_case("", {.rule = UpdateRule::kDAdaptAdam, .weight_decay = 0.1}, false),
        step_case("_waits", {.rule = UpdateRule::kDAdaptAdam}, false, 96, 0),
        step_case("", {.rule = UpdateRule::kDAdaptSgd}, false),
        step_case("", {.rule = UpdateRule::kDAdaptAdan, .weight_decay = 0.1}, false),
        step_case("_no_prox",
                  {.rule = UpdateRule::kDAdaptAdan, .weight_decay = 0.1, .no_prox = true},
                  false),
        step_case("", {.rule = UpdateRule::kProdigy, .beta3 = 0.95, .weight_decay = 0.1}, false),
    };
    for (const bool decouple : {true, false}) {
        const std::string variant = decouple ? "" : "_coupled";
        list.push_back(
            step_case(variant,
                      {.rule = UpdateRule::kDAdaptAdam, .weight_decay = 0.1, .decouple = decouple},
                      true));
        list.push_back(step_case(variant,
                                 {.rule = UpdateRule::kProdigy,
                                  .beta3 = 0.95,
                                  .weight_decay = 0.1,
                                  .decouple = decouple,
                                  .safeguard_warmup = !decouple},
                                 true));
    }
    list.push_back(step_case("", {.rule = UpdateRule::kDAdaptLion, .weight_decay = 0.1}, true));
    list.push_back(step_case("", {.rule = UpdateRule::kDAdaptSgd, .weight_decay = 0.1}, true));
    list.push_back(step_case("", {.rule = UpdateRule::kDAdaptAdan, .beta3 = 0.9}, true));
    list.push_back(
        step_case("_one_piece", {.rule = UpdateRule::kDAdaptAdan, .beta3 = 0.9}, true, 2048));
    return list;
}

std::vector<OpCase> state_cases() {
    return {
        globals_case("", {.rule = UpdateRule::kScheduleFreeAdamW}, false),
        globals_case("_begin", {.rule = UpdateRule::kDAdaptSgd}, false),
        globals_case("_begin", {.rule = UpdateRule::kDAdaptAdam}, false),
        globals_case("", {.rule = UpdateRule::kDAdaptAdam, .beta2 = 0.9}, true),
        globals_case(
            "_grows", {.rule = UpdateRule::kDAdaptAdam, .beta2 = 0.9, .growth_rate = 1.02}, true),
        globals_case("_nothing", {.rule = UpdateRule::kDAdaptAdam}, true, {0, 0, 0, 0}),
        globals_case("", {.rule = UpdateRule::kDAdaptLion}, true),
        globals_case("", {.rule = UpdateRule::kDAdaptSgd}, true),
        globals_case("", {.rule = UpdateRule::kDAdaptAdan, .beta3 = 0.9}, true),
        globals_case("", {.rule = UpdateRule::kProdigy, .beta3 = 0.9, .d_coef = 2}, true),
        globals_case(
            "_grows", {.rule = UpdateRule::kProdigy, .beta3 = 0.9, .growth_rate = 1.02}, true),
        packed_case({.beta2 = 0.99, .weight_decay = 0.1}),
        packed_case({.rule = UpdateRule::kLion, .weight_decay = 0.1}),
        packed_case({.rule = UpdateRule::kSgdNesterov, .weight_decay = 0.1}),
        factored_case(
            "", {.rule = UpdateRule::kAdafactor, .eps = 1e-30, .weight_decay = 0.1}, false),
        factored_case("_moment",
                      {.rule = UpdateRule::kAdafactor, .eps = 1e-30, .scale_parameter = false},
                      true),
        factored_case("",
                      {.rule = UpdateRule::kCame,
                       .beta3 = 0.9999,
                       .eps = 1e-30,
                       .eps2 = 1e-16,
                       .weight_decay = 0.1},
                      true),
    };
}

// Two or three factors whose product's squares sum to `sum`; limited to a norm of 2.
OpCase limit_case(const std::string& name, int factors, double sum) {
    return {"limit_norm/" + name,
            OpKind::kLimitNorm,
            [=](CaseBuilder& c) {
                std::vector<ValueId> inputs(6, ir::kNoValue);
                for (int i = 0; i < factors; ++i) {
                    inputs[static_cast<size_t>(i)] = c.state({5 + 40 * i, 7});
                }
                const Fill fixed{.kind = Fill::Kind::kValues, .values = {sum}};
                inputs.push_back(c.input({}, DType::kF32, fixed));
                const Fill stats{.kind = Fill::Kind::kValues, .values = {3, 4.5, 1.75, 8}};
                inputs.push_back(c.state({4}, stats));
                c.b().node(OpKind::kLimitNorm, inputs, {.alpha = 2});
            },
            1,
            false};
}

}  // namespace

std::vector<OpCase> update() {
    std::vector<OpCase> list{
        {"sum_squares/odd",
         OpKind::kSumSquares,
         [](CaseBuilder& c) {
             c.result(
                 c.b().node(OpKind::kSumSquares, {c.input({1003}, DType::kF32), ir::kNoValue})[0]);
         },
         1,
         false},
        {"sum_squares/one_and_addend",
         OpKind::kSumSquares,
         [](CaseBuilder& c) {
             const ValueId x = c.input({1}, DType::kF32);
             const ValueId sum = c.input({}, DType::kF32, {.kind = Fill::Kind::kPositive});
             c.result(c.b().node(OpKind::kSumSquares, {x, sum})[0]);
         },
         1,
         false},
        clip_case("clip_coefficient/clips", 1),
        clip_case("clip_coefficient/leaves", 100),
        clip_case("clip_coefficient/off", 0),
    };
    list.push_back(limit_case("scales", 2, 17));
    list.push_back(limit_case("scales_three", 3, 9));
    list.push_back(limit_case("leaves", 2, 3.5));
    list.push_back(limit_case("small", 1, 0.01));
    for (OpCase& item : step_cases()) list.push_back(std::move(item));
    for (OpCase& item : state_cases()) list.push_back(std::move(item));
    return list;
}

}  // namespace lora::support::cases
