// `lora status DIR [--json]`: what runs, and what the runs of a logging_dir have come to.
#include <fmt/format.h>

#include "app/cli/command.h"
#include "app/cli/progress.h"
#include "app/cli/terminal.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/wall_clock.h"
#include "train/run_history.h"
#include "train/run_page.h"

namespace lora::app {
namespace {

using train::HistoryFile;
using train::RunHistory;

OrderedJson files_json(const std::vector<HistoryFile>& files) {
    OrderedJson list = OrderedJson::array();
    for (const HistoryFile& file : files) {
        list.push_back({{"path", file.path}, {"step", file.step}, {"epoch", file.epoch}});
    }
    return list;
}

OrderedJson to_json(const RunHistory& h, double now) {
    OrderedJson json = {{"run", h.run},
                        {"output_name", h.output_name},
                        {"status", h.state_at(now)},
                        {"step", h.step()},
                        {"steps", h.total_steps},
                        {"epochs", h.total_epochs},
                        {"step_ms", h.step_ms()},
                        {"seconds_left", h.seconds_left()},
                        {"last_event", h.last_time}};
    if (!h.steps.empty()) {
        const train::HistoryStep& last = h.steps.back();
        json["epoch"] = last.epoch;
        json["loss"] = last.loss;
        json["average_loss"] = last.average_loss;
        if (last.relative_loss) json["relative_loss"] = *last.relative_loss;
        json["lr_unet"] = last.lr_unet;
        json["lr_text_encoder"] = last.lr_text_encoder;
    }
    if (!h.probes.empty()) json["probe"] = h.probes.back().value;
    if (const auto change = train::trend(h.probes)) {
        json["probe_trend"] = *change;
        json["still_falling"] = *change < train::kStillFalling;
    }
    if (!h.validations.empty()) json["validation_loss"] = h.validations.back().value;
    if (h.turn) json["turned_up_after_step"] = h.turn->step;
    if (!h.advised_file.empty()) json["advised_file"] = h.advised_file;
    if (h.best_weight) json["best_weight"] = *h.best_weight;
    json["troubles"] = h.troubles;
    json["files"] = files_json(h.files);
    json["states"] = files_json(h.states);
    json["previews"] = files_json(h.previews);
    return json;
}

class Printer {
public:
    explicit Printer(bool zh) : zh_(zh) {}

    void run(const RunHistory& h, double now) const {
        const std::string state = h.state_at(now);
        print_out(fmt::format("{} ({}): {}\n",
                              h.output_name.empty() ? h.run : h.output_name,
                              h.run,
                              state_words(state)));
        std::string steps = fmt::format("{} / {}", h.step(), h.total_steps);
        if (h.step_ms() > 0) steps += fmt::format(", {:.1f} ms", h.step_ms());
        if (state == "running") {
            steps += fmt::format(", {} {}", duration_text(h.seconds_left()), zh_ ? "剩餘" : "left");
        }
        line("steps", "步數", steps);
        losses(h);
        count("files", "存檔", h.files);
        count("states", "狀態", h.states);
        count("previews", "試畫", h.previews);
        for (const std::string& trouble : h.troubles) line("trouble", "異常", trouble);
        if (!h.advised_file.empty()) line("advised save", "建議存檔", h.advised_file);
        if (h.best_weight) line("best weight", "最佳權重", fmt::format("{:.2f}", *h.best_weight));
    }

private:
    void line(std::string_view en, std::string_view chinese, std::string_view value) const {
        print_out(fmt::format("  {}: {}\n", zh_ ? chinese : en, value));
    }
    [[nodiscard]] std::string_view state_words(std::string_view state) const {
        if (state == "silent") {
            return zh_ ? "沒有消息(已中斷?)" : "silent (killed, or the machine went down)";
        }
        if (!zh_) return state;
        if (state == "running") return "訓練中";
        if (state == "done") return "完成";
        if (state == "cancelled") return "已停止";
        return state == "failed" ? "失敗" : state;
    }
    void losses(const RunHistory& h) const {
        if (h.steps.empty()) return;
        std::string text = fmt::format("{:.4f}", h.steps.back().average_loss);
        if (!h.probes.empty()) {
            const std::string value = fmt::format("{:.3f}", h.probes.back().value);
            text += zh_ ? ",探測損失為底模的 " + value + " 倍"
                        : ", probe " + value + " of the base model's";
        }
        if (const auto change = train::trend(h.probes)) {
            const bool falls = *change < train::kStillFalling;
            if (zh_) {
                text += falls ? ",仍在下降" : ",不再下降";
            } else {
                text += falls ? ", still falling" : ", no longer falling";
            }
        }
        line("average loss", "平均損失", text);
        if (h.validations.empty()) return;
        text = fmt::format("{:.4f}", h.validations.back().value);
        if (h.turn) {
            const std::string step = fmt::format("{}", h.turn->step);
            text += zh_ ? ",第 " + step + " 步後轉為上升" : ", turned up after step " + step;
        }
        line("validation loss", "驗證損失", text);
    }
    void count(std::string_view en,
               std::string_view chinese,
               const std::vector<HistoryFile>& files) const {
        if (files.empty()) return;
        line(en, chinese, fmt::format("{}, {}", files.size(), files.back().path));
    }

    bool zh_;
};

}  // namespace

int run_status(const Context& context, const config::Loaded& loaded) {
    if (loaded.positionals.empty()) {
        throw Error(ErrorCode::kConfig, "the folder to look into is missing")
            .with_hint("lora status ./logs");
    }
    const std::string& folder = loaded.positionals.front();
    const double now = unix_time();
    const std::vector<RunHistory> histories = train::find_histories(folder);
    if (loaded.settings.flag("json")) {
        OrderedJson runs = OrderedJson::array();
        for (const RunHistory& history : histories) runs.push_back(to_json(history, now));
        print_json({{"runs", runs}});
        return 0;
    }
    const Printer printer(context.language == config::Language::kChinese);
    for (const RunHistory& history : histories) printer.run(history, now);
    const std::string page = join_path(folder, train::kPageName);
    if (path_exists(page)) print_out(page + "\n");
    return 0;
}

}  // namespace lora::app
