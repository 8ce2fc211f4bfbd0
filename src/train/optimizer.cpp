#include "train/optimizer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string_view>

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"
#include "ir/builder.h"

namespace lora::train {
namespace {

using ir::ValueId;

constexpr size_t kScheduleBytes = 64;  // of one part's [3], padded

const char* schedule_name(NetworkPart part) {
    return part == NetworkPart::kTextEncoder ? "schedule.text_encoder" : "schedule.unet";
}

double parse_number(const std::string& key, std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '(')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == ')')) text.remove_suffix(1);
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("optimizer_args {}: \"{}\" is not a number", key, text));
    }
    return value;
}

void parse_betas(const std::string& text, AdamWOptions& options) {
    const size_t comma = text.find(',');
    if (comma == std::string::npos) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("optimizer_args betas: \"{}\" is not a pair", text))
            .with_hint("for example betas=0.9,0.999");
    }
    options.beta1 = parse_number("betas", std::string_view(text).substr(0, comma));
    options.beta2 = parse_number("betas", std::string_view(text).substr(comma + 1));
    if (options.beta1 < 0 || options.beta1 >= 1 || options.beta2 < 0 || options.beta2 >= 1) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("optimizer_args betas: {} is not within 0..1", text));
    }
}

}  // namespace

ParameterBuffers make_parameter_buffers(backend::Backend& backend, const Network& network) {
    const size_t bytes = static_cast<size_t>(network.num_elements()) * sizeof(float);
    return {backend.make_buffer(bytes),
            backend.make_buffer(bytes),
            backend.make_buffer(bytes),
            backend.make_buffer(bytes)};
}

std::vector<float> read_floats(const backend::Buffer& buffer) {
    std::vector<float> values(buffer.size_bytes() / sizeof(float));
    buffer.read(0, std::as_writable_bytes(std::span(values)));
    return values;
}

void write_floats(backend::Buffer& buffer, std::span<const float> values) {
    buffer.write(0, std::as_bytes(values));
}

AdamWOptions adamw_options(const std::vector<std::pair<std::string, std::string>>& optimizer_args,
                           double max_grad_norm) {
    AdamWOptions options;
    options.max_grad_norm = max_grad_norm;
    for (const auto& [key, value] : optimizer_args) {
        if (key == "betas") {
            parse_betas(value, options);
        } else if (key == "eps") {
            options.eps = parse_number(key, value);
        } else if (key == "weight_decay") {
            options.weight_decay = parse_number(key, value);
        } else {
            throw Error(ErrorCode::kConfig,
                        fmt::format("optimizer_args {}: AdamW has no such setting", key))
                .with_hint("AdamW takes betas, eps, weight_decay");
        }
    }
    return options;
}

std::vector<ParameterRange> trained_ranges(const Network& network,
                                           const std::set<std::string>& trained) {
    std::vector<ParameterRange> ranges;
    bool open = false;
    for (const ParameterEntry& entry : network.entries()) {
        if (!trained.contains(entry.key)) {
            open = false;
            continue;
        }
        if (!open || ranges.back().part != entry.part) {
            ranges.push_back({entry.part, entry.offset, 0});
            open = true;
        }
        ranges.back().count = entry.offset + entry.count - ranges.back().offset;
    }
    return ranges;
}

ir::Graph build_update_graph(const std::vector<ParameterRange>& ranges,
                             const AdamWOptions& options) {
    LORA_CHECK(!ranges.empty(), "nothing to update");
    ir::Graph graph;
    ir::Builder builder(graph);
    const ir::Builder::Scope scope(builder, "update");
    std::vector<ValueId> gradients;
    ValueId sum = ir::kNoValue;
    for (size_t i = 0; i < ranges.size(); ++i) {
        gradients.push_back(builder.state(fmt::format("gradients.{}", i), Shape{ranges[i].count}));
        sum = builder.node(ir::OpKind::kSumSquares, {gradients.back(), sum})[0];
    }
    const std::vector<ValueId> clip =
        builder.node(ir::OpKind::kClipCoefficient, {sum}, {.alpha = options.max_grad_norm});
    graph.mark_output(clip[1], "grad_norm");
    std::array<ValueId, 2> schedules{};
    for (size_t i = 0; i < ranges.size(); ++i) {
        ValueId& schedule = schedules[static_cast<size_t>(ranges[i].part)];
        if (!schedule.valid()) {
            schedule = builder.input(schedule_name(ranges[i].part), DType::kF32, Shape{3});
        }
        const Shape shape{ranges[i].count};
        const ValueId p = builder.param(fmt::format("values.{}", i), shape);
        const ValueId m = builder.state(fmt::format("moment1.{}", i), shape);
        const ValueId v = builder.state(fmt::format("moment2.{}", i), shape);
        builder.node(ir::OpKind::kAdamW,
                     {p, gradients[i], m, v, clip[0], schedule},
                     {.eps = options.eps,
                      .beta1 = options.beta1,
                      .beta2 = options.beta2,
                      .weight_decay = options.weight_decay});
    }
    return graph;
}

Optimizer::Optimizer(backend::Backend& backend,
                     const ParameterBuffers& buffers,
                     const std::vector<ParameterRange>& ranges,
                     const AdamWOptions& options)
    : options_(options), schedules_(backend.make_buffer(2 * kScheduleBytes)) {
    backend::Bindings bindings;
    for (size_t i = 0; i < ranges.size(); ++i) {
        const size_t offset = static_cast<size_t>(ranges[i].offset) * sizeof(float);
        bindings[fmt::format("values.{}", i)] = {nullptr, buffers.values, offset};
        bindings[fmt::format("gradients.{}", i)] = {nullptr, buffers.gradients, offset};
        bindings[fmt::format("moment1.{}", i)] = {nullptr, buffers.moment1, offset};
        bindings[fmt::format("moment2.{}", i)] = {nullptr, buffers.moment2, offset};
    }
    for (const NetworkPart part : {NetworkPart::kTextEncoder, NetworkPart::kUNet}) {
        bindings[schedule_name(part)] = {
            nullptr, schedules_, static_cast<size_t>(part) * kScheduleBytes};
    }
    executable_ = backend.compile(
        plan::make_plan(build_update_graph(ranges, options), backend.capabilities()), bindings);
}

double Optimizer::update(int64_t step, const Rates& rates) {
    const auto t = static_cast<double>(step);
    const auto bias1 = static_cast<float>(1.0 - std::pow(options_.beta1, t));
    const auto bias2 = static_cast<float>(1.0 - std::pow(options_.beta2, t));
    const std::array<double, 2> by_part = {rates.text_encoder, rates.unet};
    for (size_t part = 0; part < by_part.size(); ++part) {
        const std::array<float, 3> schedule = {static_cast<float>(by_part[part]), bias1, bias2};
        schedules_->write(part * kScheduleBytes, std::as_bytes(std::span(schedule)));
    }
    executable_->run();
    float norm = 0;
    executable_->read_output("grad_norm", std::as_writable_bytes(std::span(&norm, 1)));
    return norm;
}

}  // namespace lora::train
