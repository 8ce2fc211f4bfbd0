#include "train/state.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "train/lora_file.h"

namespace lora::train {
namespace {

constexpr std::string_view kNetworkFile = "network.safetensors";
constexpr std::string_view kOptimizerFile = "optimizer.safetensors";
constexpr std::string_view kSummaryFile = "train_state.json";
constexpr std::string_view kMarkerFile = "complete.json";
constexpr std::string_view kFormat = "lora.cpp train state";
constexpr int64_t kVersion = 2;  // 1 lacked meaning and rate_factor

OrderedJson curve_json(const std::vector<CurvePoint>& points) {
    OrderedJson rows = OrderedJson::array();
    for (const CurvePoint& point : points) rows.push_back({point.step, point.epoch, point.value});
    return rows;
}

OrderedJson monitor_json(const MonitorState& monitor) {
    OrderedJson base = OrderedJson::array();
    for (const ExpectedLoss::Point& point : monitor.base) {
        base.push_back({point.timestep, point.loss});
    }
    return {{"base", base},
            {"probes", curve_json(monitor.probes)},
            {"validations", curve_json(monitor.validations)}};
}

OrderedJson summary_json(const StateSummary& s) {
    OrderedJson scale = nullptr;
    if (s.loss_scale) {
        scale = {{"scale", s.loss_scale->scale},
                 {"good_updates", s.loss_scale->good_updates},
                 {"skipped_updates", s.loss_scale->skipped_updates}};
    }
    return {{"format", kFormat},
            {"version", kVersion},
            {"step_meaning", kStepMeaning},
            {"current_step", s.step},
            {"current_epoch", s.epoch},
            {"next_batch", s.batch_idx},
            {"seed", s.identity.seed},
            {"session_id", s.identity.session_id},
            {"started_at", s.identity.started_at},
            {"losses", s.losses},
            {"loss_scale", scale},
            {"rate_factor", s.rate_factor},
            {"monitor", monitor_json(s.monitor)},
            {"fixed_settings", s.fixed},
            {"free_settings", s.free},
            {"plan", s.plan}};
}

template <typename T>
T field(const Json& json, const char* name) {
    const auto found = json.find(name);
    bool fits = found != json.end();
    if constexpr (std::is_same_v<T, std::string>) {
        fits = fits && found->is_string();
    } else if constexpr (std::is_same_v<T, Settings>) {
        fits =
            fits && found->is_object() &&
            std::all_of(found->begin(), found->end(), [](const Json& v) { return v.is_string(); });
    } else if constexpr (std::is_same_v<T, std::vector<double>>) {
        fits =
            fits && found->is_array() &&
            std::all_of(found->begin(), found->end(), [](const Json& v) { return v.is_number(); });
    } else if constexpr (std::is_same_v<T, double>) {
        fits = fits && found->is_number();
    } else {
        fits = fits && found->is_number_integer() && found->get<int64_t>() >= 0;
    }
    if (!fits)
        throw Error(ErrorCode::kFormat, fmt::format("field \"{}\" is missing or wrong", name));
    return found->get<T>();
}

// Rows of so many numbers; none where the file has none. Errors  kFormat.
std::vector<std::vector<double>> rows_of(const Json& json, const char* name, size_t width) {
    std::vector<std::vector<double>> rows;
    const auto found = json.find(name);
    if (found == json.end()) return rows;
    const bool fits =
        found->is_array() && std::all_of(found->begin(), found->end(), [&](const Json& row) {
            return row.is_array() && row.size() == width &&
                   std::all_of(
                       row.begin(), row.end(), [](const Json& value) { return value.is_number(); });
        });
    if (!fits) throw Error(ErrorCode::kFormat, fmt::format("field \"{}\" is wrong", name));
    for (const Json& row : *found) rows.push_back(row.get<std::vector<double>>());
    return rows;
}

MonitorState monitor_of(const Json& json) {
    MonitorState monitor;
    for (const auto& row : rows_of(json, "base", 2)) {
        monitor.base.push_back({static_cast<int64_t>(row[0]), row[1]});
    }
    for (auto& [name, points] :
         {std::pair{"probes", &monitor.probes}, std::pair{"validations", &monitor.validations}}) {
        for (const auto& row : rows_of(json, name, 3)) {
            points->push_back({static_cast<int64_t>(row[0]), static_cast<int64_t>(row[1]), row[2]});
        }
    }
    return monitor;
}

void check_meaning(int64_t meaning) {
    if (meaning == kStepMeaning) return;
    throw Error(
        ErrorCode::kFormat,
        fmt::format("the state's steps have meaning {}, this program's have {}: they compute "
                    "other numbers from the same settings",
                    meaning,
                    kStepMeaning))
        .with_hint(
            "resume with the program that wrote it, or start anew from its network.safetensors "
            "with --network_weights");
}

StateSummary summary_of(const Json& json) {
    if (!json.is_object() || field<std::string>(json, "format") != kFormat) {
        throw Error(ErrorCode::kFormat, "not a train state of lora.cpp")
            .with_hint("states of other programs cannot be resumed");
    }
    StateSummary s;
    const int64_t version = field<int64_t>(json, "version");
    if (version < 1 || version > kVersion) {
        throw Error(
            ErrorCode::kFormat,
            fmt::format(
                "the train state has format {}, this program reads 1 to {}", version, kVersion))
            .with_hint(
                "resume with the program that wrote it, or start anew from its "
                "network.safetensors with --network_weights");
    }
    if (version >= 2) {
        s.meaning = field<int64_t>(json, "step_meaning");
        s.rate_factor = field<double>(json, "rate_factor");
        check_meaning(s.meaning);
        if (const auto found = json.find("monitor"); found != json.end() && found->is_object())
            s.monitor = monitor_of(*found);
    }
    s.step = field<int64_t>(json, "current_step");
    s.epoch = field<int64_t>(json, "current_epoch");
    s.batch_idx = field<int64_t>(json, "next_batch");
    s.identity.seed = json.contains("seed") && json["seed"].is_number_unsigned()
                          ? json["seed"].get<uint64_t>()
                          : static_cast<uint64_t>(field<int64_t>(json, "seed"));
    s.identity.session_id = static_cast<uint64_t>(field<int64_t>(json, "session_id"));
    s.identity.started_at = field<double>(json, "started_at");
    s.losses = field<std::vector<double>>(json, "losses");
    if (const auto scale = json.find("loss_scale"); scale != json.end() && !scale->is_null()) {
        s.loss_scale = {.scale = field<double>(*scale, "scale"),
                        .good_updates = field<int64_t>(*scale, "good_updates"),
                        .skipped_updates = field<int64_t>(*scale, "skipped_updates")};
    }
    s.fixed = field<Settings>(json, "fixed_settings");
    s.free = field<Settings>(json, "free_settings");
    s.plan = field<std::string>(json, "plan");
    return s;
}

// Settings that differ, also those that only one of the two names.
std::vector<std::string> differing(const Settings& before, const Settings& now) {
    std::vector<std::string> lines;
    const auto value_in = [](const Settings& settings, const std::string& name) {
        const auto found = settings.find(name);
        return found == settings.end() ? std::string("(none)") : found->second;
    };
    Settings all = now;
    all.insert(before.begin(), before.end());
    for (const auto& [name, value] : all) {
        const std::string old = value_in(before, name);
        const std::string text = value_in(now, name);
        if (old != text)
            lines.push_back(fmt::format("{}: {} in the state, {} now", name, old, text));
    }
    return lines;
}

// The bytes of one tensor of a state.
std::span<const std::byte> bytes_of(const StateContent& state, const StateTensor& tensor) {
    const size_t size = dtype_bytes(state.slot.dtype);
    return std::span(state.bytes)
        .subspan(static_cast<size_t>(tensor.offset) * size,
                 static_cast<size_t>(tensor.shape.num_elements()) * size);
}

void write_states(const std::string& path, const TrainState& state) {
    std::vector<io::NamedTensor> tensors;
    for (const StateContent& content : state.states) {
        for (const StateTensor& tensor : content.slot.tensors) {
            tensors.push_back(
                {tensor.name, {content.slot.dtype, tensor.shape, bytes_of(content, tensor)}});
        }
    }
    io::write_safetensors(path, tensors, {});
}

StateContent read_state(const io::SafetensorsFile& file, const StateSlot& slot) {
    StateContent content{slot, std::vector<std::byte>(slot.num_bytes())};
    for (const StateTensor& tensor : slot.tensors) {
        const TensorView view = file.at(tensor.name);
        if (view.shape != tensor.shape || view.dtype != slot.dtype) {
            throw Error(ErrorCode::kFormat,
                        fmt::format("tensor {} has another shape or type", tensor.name));
        }
        const auto place =
            content.bytes.begin() + tensor.offset * static_cast<int64_t>(dtype_bytes(slot.dtype));
        std::copy(view.bytes.begin(), view.bytes.end(), place);
    }
    return content;
}

// {"network.safetensors": 1234, ...}
std::string marker_text(const std::string& folder) {
    OrderedJson sizes;
    for (const std::string_view name : {kNetworkFile, kOptimizerFile, kSummaryFile}) {
        sizes[std::string(name)] = file_size_bytes(join_path(folder, name));
    }
    return sizes.dump(1) + "\n";
}

void step(const SaveHook& hook, std::string_view name) {
    if (hook) hook(name);
}

}  // namespace

void save_state(const std::string& path,
                const Network& network,
                const TrainState& state,
                const SaveHook& hook) {
    with_context(fmt::format("while saving the train state {}", path), [&] {
        const std::string partial = path + std::string(kPartialSuffix);
        step(hook, "folder");
        remove_directory(partial);
        make_directories(partial);
        step(hook, "network");
        save_lora(join_path(partial, kNetworkFile), network, state.values, DType::kF32, {});
        step(hook, "optimizer");
        write_states(join_path(partial, kOptimizerFile), state);
        step(hook, "summary");
        write_file_atomically(join_path(partial, kSummaryFile),
                              summary_json(state.summary).dump(1) + "\n");
        step(hook, "marker");
        write_file_atomically(join_path(partial, kMarkerFile), marker_text(partial));
        step(hook, "rename");
        replace_directory(partial, path);
    });
}

void remove_state(const std::string& path) {
    remove_file_if_exists(join_path(path, kMarkerFile));
    remove_directory(path);
}

bool is_whole_state(const std::string& path) {
    const std::string marker = join_path(path, kMarkerFile);
    if (!path_exists(marker)) return false;
    Json sizes;
    const auto broken = attempt([&] { sizes = parse_json(read_text_file(marker), marker); });
    if (broken || !sizes.is_object()) return false;
    for (const std::string_view name : {kNetworkFile, kOptimizerFile, kSummaryFile}) {
        const std::string file = join_path(path, name);
        const auto size = sizes.find(std::string(name));
        if (size == sizes.end() || !size->is_number_unsigned() || !path_exists(file)) return false;
        if (file_size_bytes(file) != size->get<uint64_t>()) return false;
    }
    return true;
}

StateSummary read_state_summary(const std::string& path) {
    return with_context(fmt::format("while reading the train state {}", path), [&] {
        if (!is_directory(path)) {
            throw Error(ErrorCode::kIo, fmt::format("{} is not a folder", path))
                .with_hint("give --resume the folder whose name ends with -state");
        }
        if (!is_whole_state(path)) {
            throw Error(ErrorCode::kFormat, "the train state is not whole")
                .with_hint("its files are missing or cut short; resume from another one");
        }
        const std::string file = join_path(path, kSummaryFile);
        return summary_of(parse_json(read_text_file(file), file));
    });
}

TrainState load_state(const std::string& path,
                      const Network& network,
                      const std::vector<StateSlot>& slots) {
    TrainState state;
    state.summary = read_state_summary(path);
    with_context(fmt::format("while reading the train state {}", path), [&] {
        state.values.assign(static_cast<size_t>(network.num_elements()), 0.0F);
        const LoadReport report = load_lora(join_path(path, kNetworkFile), network, state.values);
        if (!report.missing.empty() || !report.unexpected.empty()) {
            throw Error(ErrorCode::kConfig, "the train state holds other modules than this run");
        }
        const io::SafetensorsFile file = io::SafetensorsFile::open(join_path(path, kOptimizerFile));
        for (const StateSlot& slot : slots) state.states.push_back(read_state(file, slot));
    });
    return state;
}

Diagnostics compare_settings(const StateSummary& saved,
                             const Settings& fixed,
                             const Settings& free) {
    const std::vector<std::string> refused = differing(saved.fixed, fixed);
    if (!refused.empty()) {
        throw Error(
            ErrorCode::kConfig,
            fmt::format("the train state belongs to other settings: {}", fmt::join(refused, "; ")))
            .with_hint("resume with the settings it was saved with, or start without --resume");
    }
    Diagnostics warnings;
    for (const std::string& line : differing(saved.free, free)) {
        warnings.push_back(
            {Severity::kWarning, "resume", line, "the rest of the run follows the new value"});
    }
    return warnings;
}

}  // namespace lora::train
