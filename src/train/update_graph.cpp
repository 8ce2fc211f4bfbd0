#include "train/update_graph.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/check.h"
#include "ir/builder.h"
#include "ir/dynamic_map.h"
#include "tensor/dtype.h"

namespace lora::train {
namespace {

using ir::UpdateRule;
using ir::ValueId;

constexpr int64_t kPiece = 2048;      // elements of a row of `pieces`
constexpr int64_t kLeast8bit = 4096;  // smaller tensors keep fp32 states

int64_t ceil_div(int64_t n, int64_t d) { return (n + d - 1) / d; }

std::vector<std::string> state_names(UpdateRule rule) {
    switch (rule) {
        case UpdateRule::kAdamW: return {"moment1", "moment2"};
        case UpdateRule::kLion: return {"moment1"};
        case UpdateRule::kSgdNesterov: return {"momentum"};
        case UpdateRule::kScheduleFreeAdamW: return {"moment2", "z"};
        case UpdateRule::kDAdaptAdam: return {"moment1", "moment2", "s"};
        case UpdateRule::kDAdaptLion: return {"moment1", "s"};
        case UpdateRule::kDAdaptSgd: return {"s", "start"};
        case UpdateRule::kDAdaptAdan:
            return {"moment1", "moment_diff", "moment2", "s", "last_gradient"};
        case UpdateRule::kProdigy: return {"moment1", "moment2", "s", "start"};
        default: return {};
    }
}

bool is_factored(const OptimizerSpec& spec) {
    return spec.update.rule == UpdateRule::kAdafactor || spec.update.rule == UpdateRule::kCame;
}

bool has_globals(const OptimizerSpec& spec) {
    return spec.adapts_rate() || spec.update.rule == UpdateRule::kScheduleFreeAdamW;
}

bool is_packed(const OptimizerSpec& spec, const ParameterEntry& entry) {
    return spec.is_8bit && entry.count >= kLeast8bit;
}

// Rows and columns of the matrices that are factored: the last two axes; a vector has none.
struct Matrix {
    int64_t rows = 1;
    int64_t cols = 1;
};
Matrix matrix_of(const Shape& shape) {
    if (shape.num_axes() < 2) return {};
    return {shape[-2], shape[-1]};
}

int64_t aligned(int64_t count) {
    return ceil_div(count, Network::kAlignment) * Network::kAlignment;
}

// Gives each entry its place in a state.
class SlotBuilder {
public:
    SlotBuilder(std::string name, DType dtype) {
        slot_.name = std::move(name);
        slot_.dtype = dtype;
    }
    void add(const std::string& key, Shape shape, int64_t offset) {
        const int64_t end = offset + aligned(shape.num_elements());
        slot_.num_elements = std::max(slot_.num_elements, end);
        slot_.tensors.push_back({slot_.name + "." + key, std::move(shape), offset});
    }
    void append(const std::string& key, Shape shape) {
        add(key, std::move(shape), slot_.num_elements);
    }
    void append_unaligned(const std::string& key, int64_t count) {
        slot_.tensors.push_back({slot_.name + "." + key, Shape{count}, slot_.num_elements});
        slot_.num_elements += count;
    }
    // A state is never empty: buffers of no bytes are nobody's friend.
    [[nodiscard]] StateSlot take() {
        slot_.num_elements = std::max(slot_.num_elements, Network::kAlignment);
        return std::move(slot_);
    }

private:
    StateSlot slot_;
};

void add_packed_slots(const Network& network,
                      const std::string& name,
                      DType dtype,
                      std::vector<StateSlot>& out) {
    SlotBuilder indices(name + "_8bit", DType::kU8);
    SlotBuilder absmax(name + "_absmax", dtype);
    SlotBuilder small(name, dtype);
    for (const ParameterEntry& entry : network.entries()) {
        if (entry.count < kLeast8bit) {
            small.append(entry.key, entry.shape);
            continue;
        }
        indices.append(entry.key, entry.shape);
        absmax.append_unaligned(entry.key, ceil_div(entry.count, ir::kQuantBlock));
    }
    out.push_back(indices.take());
    out.push_back(absmax.take());
    out.push_back(small.take());
}

void add_factored_slots(const Network& network,
                        const OptimizerSpec& spec,
                        DType dtype,
                        std::vector<StateSlot>& out) {
    const bool is_came = spec.update.rule == UpdateRule::kCame;
    std::vector<std::string> names = {"row", "col"};
    if (is_came) names.insert(names.end(), {"res_row", "res_col"});
    for (const std::string& name : names) {
        SlotBuilder slot(name, dtype);
        for (const ParameterEntry& entry : network.entries()) {
            const Matrix matrix = matrix_of(entry.shape);
            const bool rows = name.ends_with("row");
            slot.append(entry.key, Shape{entry.count / (rows ? matrix.cols : matrix.rows)});
        }
        out.push_back(slot.take());
    }
    if (!spec.has_first_moment) return;
    SlotBuilder moment("moment1", dtype);
    for (const ParameterEntry& entry : network.entries()) {
        moment.add(entry.key, entry.shape, entry.offset);
    }
    out.push_back(moment.take());
}

void append_row(std::vector<int32_t>& table, std::initializer_list<int64_t> row) {
    for (const int64_t value : row) table.push_back(narrow<int32_t>(value));
}

class GraphWriter {
public:
    GraphWriter(ir::Graph& graph,
                const Network& network,
                const OptimizerSpec& spec,
                const UpdateTables& tables,
                int64_t num_groups,
                DType dtype)
        : builder_(graph), spec_(spec), tables_(tables) {
        const Shape flat{network.num_elements()};
        p_ = builder_.param("values", flat, dtype);
        g_ = builder_.state("gradients", flat, dtype);
        for (const StateSlot& slot : state_slots(network, spec, dtype)) {
            states_.emplace_back(
                slot.name,
                builder_.state("state." + slot.name, Shape{slot.num_elements}, slot.dtype));
        }
        schedule_ = builder_.input("schedule", dtype, Shape{num_groups, 4});
    }

    void write() {
        const ir::Builder::Scope scope(builder_, "update");
        sum_ = builder_.node(ir::OpKind::kSumSquares, {g_, ir::kNoValue})[0];
        const std::vector<ValueId> clip =
            builder_.node(ir::OpKind::kClipCoefficient, {sum_}, {.alpha = spec_.max_grad_norm});
        clip_ = clip[0];
        builder_.graph().mark_output(clip[1], "grad_norm");
        if (!tables_.tensors.empty()) factored();
        if (!tables_.blocks.empty()) packed();
        if (!tables_.pieces.empty()) stepped();
    }

private:
    [[nodiscard]] ValueId state(const std::string& name) const {
        for (const auto& [key, value] : states_) {
            if (key == name) return value;
        }
        return ir::kNoValue;
    }
    [[nodiscard]] ValueId table(const char* name, const std::vector<int32_t>& rows, int columns) {
        const auto count = narrow<int64_t>(rows.size()) / columns;
        return builder_.input(name, DType::kI32, Shape{count, columns});
    }
    [[nodiscard]] ir::Attributes attrs() const { return {.update = spec_.update}; }

    void factored() {
        const ValueId tensors = table("tensors", tables_.tensors, 7);
        builder_.node(ir::OpKind::kUpdateFactored,
                      {p_,
                       g_,
                       state("row"),
                       state("col"),
                       state("moment1"),
                       state("res_row"),
                       state("res_col"),
                       clip_,
                       schedule_,
                       tensors},
                      attrs());
    }

    void packed() {
        const std::vector<std::string> names = state_names(spec_.update.rule);
        std::vector<ValueId> inputs{p_, g_};
        for (size_t i = 0; i < 2; ++i) {
            inputs.push_back(i < names.size() ? state(names[i] + "_8bit") : ir::kNoValue);
            inputs.push_back(i < names.size() ? state(names[i] + "_absmax") : ir::kNoValue);
        }
        inputs.insert(inputs.end(), {clip_, schedule_, table("blocks", tables_.blocks, 4)});
        inputs.push_back(builder_.input("maps", DType::kF32, Shape{2, 256}));
        builder_.node(ir::OpKind::kUpdateStep8bit, std::move(inputs), attrs());
    }

    ValueId globals(ValueId sums) {
        return builder_.node(ir::OpKind::kUpdateGlobals,
                             {state("globals"), schedule_, sums, sum_, clip_},
                             attrs())[0];
    }

    void stepped() {
        std::vector<ValueId> inputs{p_, g_};
        const std::vector<std::string> names = state_names(spec_.update.rule);
        for (size_t i = 0; i < 5; ++i) {
            inputs.push_back(i < names.size() ? state(names[i]) : ir::kNoValue);
        }
        inputs.insert(inputs.end(), {clip_, schedule_, table("pieces", tables_.pieces, 4)});
        inputs.push_back(has_globals(spec_) ? globals(ir::kNoValue) : ir::kNoValue);
        if (spec_.adapts_rate()) {
            const ValueId sums = builder_.node(ir::OpKind::kUpdateSums, inputs, attrs())[0];
            inputs.back() = globals(sums);
            if (spec_.update.rule == UpdateRule::kDAdaptLion) return;  // the sums moved p
        }
        builder_.node(ir::OpKind::kUpdateStep, std::move(inputs), attrs());
    }

    ir::Builder builder_;
    const OptimizerSpec& spec_;
    const UpdateTables& tables_;
    ValueId p_;
    ValueId g_;
    ValueId schedule_;
    ValueId sum_;
    ValueId clip_;
    std::vector<std::pair<std::string, ValueId>> states_;
};

}  // namespace

size_t StateSlot::num_bytes() const {
    return static_cast<size_t>(num_elements) * dtype_bytes(dtype);
}

std::vector<StateSlot> state_slots(const Network& network, const OptimizerSpec& spec, DType dtype) {
    std::vector<StateSlot> slots;
    if (is_factored(spec)) add_factored_slots(network, spec, dtype, slots);
    for (const std::string& name : state_names(spec.update.rule)) {
        if (spec.is_8bit) {
            add_packed_slots(network, name, dtype, slots);
            continue;
        }
        SlotBuilder slot(name, dtype);
        for (const ParameterEntry& entry : network.entries()) {
            slot.add(entry.key, entry.shape, entry.offset);
        }
        slots.push_back(slot.take());
        slots.back().starts_at_values = name == "start" || name == "z";
    }
    if (has_globals(spec)) {
        slots.push_back({"globals", dtype, 8, false, {{"globals", Shape{8}, 0}}});
    }
    return slots;
}

size_t state_bytes(const Network& network, const OptimizerSpec& spec) {
    size_t bytes = 0;
    for (const StateSlot& slot : state_slots(network, spec)) bytes += slot.num_bytes();
    return bytes;
}

UpdateTables update_tables(const Network& network,
                           const OptimizerSpec& spec,
                           std::span<const int> groups) {
    LORA_CHECK(groups.size() == network.entries().size(), "a group for every entry");
    UpdateTables tables;
    // Places in states that hold only some tensors, or tensors of another size.
    int64_t packed = 0;
    int64_t small = 0;
    int64_t row = 0;
    int64_t col = 0;
    for (size_t i = 0; i < groups.size(); ++i) {
        const ParameterEntry& entry = network.entries()[i];
        const bool is_trained = groups[i] >= 0;
        if (is_factored(spec)) {
            const Matrix matrix = matrix_of(entry.shape);
            if (is_trained) {
                append_row(
                    tables.tensors,
                    {entry.offset, entry.count, groups[i], matrix.rows, matrix.cols, row, col});
            }
            row += aligned(entry.count / matrix.cols);
            col += aligned(entry.count / matrix.rows);
            continue;
        }
        if (is_packed(spec, entry)) {
            // Blocks of tensors that are not trained have rows too, of no elements: a row's number
            // is its absmax's place.
            for (int64_t at = 0; at < entry.count; at += ir::kQuantBlock) {
                const int64_t count = std::min<int64_t>(ir::kQuantBlock, entry.count - at);
                append_row(tables.blocks,
                           {entry.offset + at,
                            is_trained ? count : 0,
                            std::max(groups[i], 0),
                            packed + at});
            }
            packed += aligned(entry.count);
            continue;
        }
        const int64_t state = spec.is_8bit ? small : entry.offset;
        for (int64_t at = 0; is_trained && at < entry.count; at += kPiece) {
            const int64_t count = std::min(kPiece, entry.count - at);
            append_row(tables.pieces, {entry.offset + at, count, groups[i], state + at});
        }
        small += aligned(entry.count);
    }
    return tables;
}

ir::Graph build_update_graph(const Network& network,
                             const OptimizerSpec& spec,
                             const UpdateTables& tables,
                             int64_t num_groups,
                             DType dtype) {
    LORA_CHECK(!tables.empty(), "nothing to update");
    ir::Graph graph;
    GraphWriter(graph, network, spec, tables, num_groups, dtype).write();
    return graph;
}

}  // namespace lora::train
