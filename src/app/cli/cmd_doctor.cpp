// `lora doctor`: what this machine has and what that means for training.
#include <fmt/format.h>

#include "app/backends.h"
#include "app/cli/command.h"
#include "app/cli/terminal.h"
#include "app/machine.h"
#include "base/json.h"

namespace lora::app {
namespace {

constexpr double kGiB = 1024.0 * 1024 * 1024;
// A step of Stable Diffusion 1.x at 512 x 512, batch 1, needs about this much with its weights.
constexpr double kComfortableGiB = 6.0;
constexpr double kLeastGiB = 4.0;

struct Line {
    std::string key;
    std::string en;
    std::string zh;
};

std::string features_text(const Machine& machine) {
    if (machine.features.empty()) return "-";
    return fmt::format("{}", fmt::join(machine.features, ", "));
}

Line memory_advice(const Machine& machine) {
    const double free_gib = static_cast<double>(machine.free_memory_bytes) / kGiB;
    if (machine.free_memory_bytes == 0) {
        return {"memory_advice",
                "the free memory is unknown; lora train --dry_run tells what a run needs",
                "無法得知可用記憶體;lora train --dry_run 會顯示所需記憶體"};
    }
    if (free_gib >= kComfortableGiB) {
        return {"memory_advice",
                "enough for Stable Diffusion 1.x at 512 x 512",
                "足以在 512 x 512 訓練 Stable Diffusion 1.x"};
    }
    if (free_gib >= kLeastGiB) {
        return {"memory_advice",
                "tight for 512 x 512: train_batch_size 1, perhaps --gradient_checkpointing",
                "訓練 512 x 512 較吃緊:train_batch_size 用 1,必要時加 --gradient_checkpointing"};
    }
    return {"memory_advice",
            "little for 512 x 512: close other programs, use --gradient_checkpointing or a smaller "
            "resolution",
            "訓練 512 x 512 記憶體不足:請關閉其他程式、使用 --gradient_checkpointing 或降低解析度"};
}

Line precision_advice(DType dtype) {
    if (dtype == DType::kF32) {
        return {"precision",
                "fp32: this processor has no fast bf16; nothing to set",
                "fp32:此處理器沒有快速的 bf16;不需設定"};
    }
    return {"precision",
            fmt::format("{}: about twice as fast as fp32 here; mixed_precision auto takes it",
                        dtype_name(dtype)),
            fmt::format("{}:在此機器約為 fp32 的兩倍快;mixed_precision auto 會自動使用",
                        dtype_name(dtype))};
}

OrderedJson libraries_json() {
    OrderedJson json = OrderedJson::object();
    for (const auto& [name, version] : vendor_libraries()) json[name] = version;
    return json;
}

}  // namespace

int run_doctor(const Context& context, const config::Loaded& loaded) {
    const Machine machine = look_at_machine();
    const auto backend = context.backends.open(loaded.settings.text("backend"));
    OrderedJson backends = OrderedJson::array();
    for (const backend::BackendEntry& entry : context.backends.entries()) {
        backends.push_back({{"name", entry.name}, {"unavailable", entry.unavailable_reason()}});
    }
    const Line precision = precision_advice(backend->preferred_dtype());
    const Line memory = memory_advice(machine);
    if (loaded.settings.flag("json")) {
        const OrderedJson json = {{"system", machine.system},
                                  {"cpu", machine.cpu},
                                  {"threads", machine.num_threads},
                                  {"features", machine.features},
                                  {"memory_bytes", machine.memory_bytes},
                                  {"free_memory_bytes", machine.free_memory_bytes},
                                  {"backends", backends},
                                  {"libraries", libraries_json()},
                                  {"backend", std::string(backend->name())},
                                  {"device", backend->device_description()},
                                  {"dtype", dtype_name(backend->preferred_dtype())},
                                  {"advice", {precision.en, memory.en}}};
        print_json(json);
        return 0;
    }
    const bool zh = context.language == config::Language::kChinese;
    const auto line = [zh](std::string_view en, std::string_view chinese, std::string_view value) {
        print_out(fmt::format("{}: {}\n", zh ? chinese : en, value));
    };
    line("system", "系統", machine.system);
    line("processor", "處理器", machine.cpu);
    line("threads", "執行緒", fmt::format("{}", machine.num_threads));
    line("instruction sets", "指令集", features_text(machine));
    line(
        "memory",
        "記憶體",
        fmt::format(fmt::runtime(zh ? "{:.1f} GiB,可用 {:.1f} GiB" : "{:.1f} GiB, {:.1f} GiB free"),
                    static_cast<double>(machine.memory_bytes) / kGiB,
                    static_cast<double>(machine.free_memory_bytes) / kGiB));
    for (const backend::BackendEntry& entry : context.backends.entries()) {
        const std::string reason = entry.unavailable_reason();
        const bool chosen = entry.name == backend->name();
        const std::string state =
            !reason.empty() ? reason
                            : (chosen ? (zh ? "使用中" : "chosen") : (zh ? "可用" : "available"));
        line(fmt::format("backend {}", entry.name), fmt::format("後端 {}", entry.name), state);
    }
    for (const auto& [name, version] : vendor_libraries()) {
        const std::string_view absent =
            zh ? "未找到(訓練不需要)" : "not found (training needs none)";
        line(name, name, version.empty() ? absent : version);
    }
    line("device", "裝置", backend->device_description());
    line("precision", "精度", zh ? precision.zh : precision.en);
    line("what that means", "建議", zh ? memory.zh : memory.en);
    return 0;
}

}  // namespace lora::app
