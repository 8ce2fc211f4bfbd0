#include "train/run_page.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <system_error>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/file.h"
#include "base/html.h"
#include "base/log.h"
#include "base/wall_clock.h"
#include "train/internal/html_chart.h"

namespace lora::train {
namespace {

constexpr double kRenew_s = 10;
constexpr int kRefresh_s = 10;
constexpr double kSmoothing = 0.03;  // weight of the newest value

constexpr std::string_view kStyle =
    "body{font:14px/1.5 sans-serif;margin:1.5em auto;max-width:1100px;padding:0 1em;color:#1e1e24}"
    "h1{font-size:1.4em;margin:.2em 0}h2{font-size:1.1em;margin:1.4em 0 .3em}"
    "table{border-collapse:collapse}td,th{border:1px solid #cdcdd2;padding:.25em .6em;"
    "text-align:left;vertical-align:top}.ladder img{width:176px;display:block}"
    ".advised{background:#e8f6e8}.bad{color:#b02020}.note{color:#666}svg{background:#fff}"
    ".wide{overflow-x:auto}";

std::string page(std::string_view title, bool refresh, std::string_view body) {
    return fmt::format(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">{}<title>{}</title>"
        "<style>{}</style></head><body>\n{}</body></html>\n",
        refresh ? fmt::format("<meta http-equiv=\"refresh\" content=\"{}\">", kRefresh_s) : "",
        html_text(title),
        kStyle,
        body);
}

// Relative to the page where both lie on one disk.
std::string link_to(const std::string& path, const std::string& folder) {
    std::error_code error;
    const auto target = std::filesystem::absolute(to_path(path), error);
    const auto base = std::filesystem::absolute(to_path(folder), error);
    const auto relative = target.lexically_normal().lexically_relative(base.lexically_normal());
    std::string text = from_path(relative.empty() ? target : relative);
    std::replace(text.begin(), text.end(), '\\', '/');
    return (relative.empty() ? "file:///" : "") + url_text(text);
}

std::string duration(double seconds) {
    const auto whole = std::llround(std::max(seconds, 0.0));
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string head(const RunHistory& h, double now) {
    const std::string state = h.state_at(now);
    std::string text = fmt::format("<h1>{} <span class=\"note\">{}</span></h1>\n<p>",
                                   html_text(h.output_name.empty() ? h.run : h.output_name),
                                   html_text(h.run));
    text += fmt::format("<b>{}</b>, step {} of {}", state, h.step(), h.total_steps);
    if (!h.steps.empty()) {
        text += fmt::format(", epoch {} of {}", h.steps.back().epoch, h.total_epochs);
    }
    if (h.step_ms() > 0) text += fmt::format(", {:.1f} ms a step", h.step_ms());
    if (state == "running") text += fmt::format(", {} left", duration(h.seconds_left()));
    text += fmt::format("<br><span class=\"note\">{} pictures; {} ({}), {}</span></p>\n",
                        h.images,
                        html_text(h.backend),
                        html_text(h.device),
                        html_text(h.dtype));
    for (const std::string& trouble : h.troubles) {
        text += fmt::format("<p class=\"bad\">{}</p>\n", html_text(trouble));
    }
    return text;
}

std::string verdict(const RunHistory& h) {
    std::string text;
    if (!h.probes.empty()) {
        text +=
            fmt::format("<p>Probe loss: <b>{:.3f}</b> of the base model's", h.probes.back().value);
        if (const auto change = trend(h.probes)) {
            text += *change < kStillFalling ? ", still falling" : ", no longer falling";
        }
        text += ".</p>\n";
    }
    if (h.turn) {
        text += fmt::format(
            "<p class=\"bad\">The validation loss has turned up after step {} (epoch {}).</p>\n",
            h.turn->step,
            h.turn->epoch);
    }
    if (h.best_weight) {
        text += fmt::format("<p>Best at weight <b>{:.2f}</b>: {}.</p>\n",
                            *h.best_weight,
                            verdict_of_weight(*h.best_weight));
    }
    return text;
}

ChartLine line_of(std::string colour, double width, const std::vector<CurvePoint>& points) {
    ChartLine line{std::move(colour), width, {}};
    for (const CurvePoint& point : points) {
        line.points.emplace_back(static_cast<double>(point.step), point.value);
    }
    return line;
}

std::string charts(const RunHistory& h) {
    ChartLine raw{"#b9cfe8", 1, {}};
    ChartLine smooth{"#1e5aaa", 2.5, {}};
    ChartLine relative{"#cfe3cf", 1, {}};
    ChartLine relative_smooth{"#2a7a2a", 2.5, {}};
    ChartLine unet{"#1e5aaa", 2, {}};
    ChartLine text_encoder{"#c06a10", 2, {}};
    std::vector<double> losses;
    std::vector<double> ratios;
    for (const HistoryStep& step : h.steps) {
        const auto x = static_cast<double>(step.step);
        raw.points.emplace_back(x, step.loss);
        losses.push_back(step.loss);
        if (step.relative_loss) {
            relative.points.emplace_back(x, *step.relative_loss);
            ratios.push_back(*step.relative_loss);
        }
        unet.points.emplace_back(x, step.lr_unet);
        text_encoder.points.emplace_back(x, step.lr_text_encoder);
    }
    const auto smooth_over = [](const ChartLine& from, ChartLine& to, const auto& values) {
        const std::vector<double> mean = smoothed(values, kSmoothing);
        for (size_t i = 0; i < mean.size(); ++i)
            to.points.emplace_back(from.points[i].first, mean[i]);
    };
    smooth_over(raw, smooth, losses);
    smooth_over(relative, relative_smooth, ratios);
    std::string text = "<h2>Loss &middot; 損失</h2>\n" + html_chart({raw, smooth}, std::nullopt);
    if (!relative.points.empty() || !h.probes.empty()) {
        text +=
            "<h2>Loss over the base model's &middot; 相對損失</h2>\n<p class=\"note\">green: "
            "training steps; red: the probe, always the same pictures and noise</p>\n" +
            html_chart({relative, relative_smooth, line_of("#c02020", 2.5, h.probes)},
                       std::nullopt);
    }
    if (!h.validations.empty()) {
        const auto turn = h.turn ? std::optional(static_cast<double>(h.turn->step)) : std::nullopt;
        text += "<h2>Validation loss &middot; 驗證損失</h2>\n" +
                html_chart({line_of("#7a2a7a", 2.5, h.validations)}, turn);
    }
    return text +
           "<h2>Learning rates &middot; 學習率</h2>\n<p class=\"note\">blue: UNet; orange: text "
           "encoder</p>\n" +
           html_chart({unet, text_encoder}, std::nullopt);
}

// Which saved file is of a step; empty: none.
std::string file_at(const RunHistory& h, int64_t step) {
    for (const HistoryFile& file : h.files) {
        if (file.step == step) return file.path;
    }
    return "";
}

// Prompts down, draws across: the saves side by side, for the eye to choose.
std::string ladder(const RunHistory& h, const std::string& folder) {
    if (h.previews.empty()) return "";
    std::map<int64_t, std::string> prompts;
    std::map<int64_t, int64_t> columns;  // step -> epoch
    std::map<std::pair<int64_t, int64_t>, std::string> cells;
    for (const HistoryFile& preview : h.previews) {
        prompts[preview.index] = preview.prompt;
        columns[preview.step] = preview.epoch;
        cells[{preview.index, preview.step}] = preview.path;
    }
    std::string text =
        "<h2>Previews &middot; 試畫</h2>\n<p class=\"note\">Lower loss is not better: choose by "
        "eye. "
        "Hands decay first when overfit, then bodies, then backgrounds.</p>\n"
        "<div class=\"wide\"><table class=\"ladder\"><tr><th>prompt</th>";
    for (const auto& [step, epoch] : columns) {
        const std::string file = file_at(h, step);
        const bool is_advised = !file.empty() && file == h.advised_file;
        text += fmt::format("<th{}>epoch {}, step {}<br><span class=\"note\">{}{}</span></th>",
                            is_advised ? " class=\"advised\"" : "",
                            epoch,
                            step,
                            html_text(file.empty() ? "no file" : base_name(file)),
                            is_advised ? " (advised)" : "");
    }
    text += "</tr>\n";
    for (const auto& [index, prompt] : prompts) {
        text += fmt::format("<tr><td>{}</td>", html_text(prompt));
        for (const auto& [step, epoch] : columns) {
            const auto cell = cells.find({index, step});
            if (cell == cells.end()) {
                text += "<td></td>";
                continue;
            }
            const std::string link = link_to(cell->second, folder);
            text += fmt::format(
                "<td><a href=\"{0}\"><img src=\"{0}\" alt=\"\" loading=\"lazy\"></a></td>", link);
        }
        text += "</tr>\n";
    }
    return text + "</table></div>\n";
}

std::string files(const RunHistory& h, const std::string& folder) {
    if (h.files.empty()) return "";
    std::string text =
        "<h2>Saved files &middot; 存檔</h2>\n<table><tr><th>file</th><th>step</th>"
        "<th>epoch</th></tr>\n";
    for (const HistoryFile& file : h.files) {
        const bool is_advised = file.path == h.advised_file;
        text += fmt::format("<tr{}><td><a href=\"{}\">{}</a>{}</td><td>{}</td><td>{}</td></tr>\n",
                            is_advised ? " class=\"advised\"" : "",
                            link_to(file.path, folder),
                            html_text(base_name(file.path)),
                            is_advised ? " advised: the first after the turn" : "",
                            file.step,
                            file.epoch);
    }
    return text + "</table>\n";
}

}  // namespace

std::string run_page(const RunHistory& history, const std::string& folder, double now) {
    const std::string body = head(history, now) + verdict(history) + charts(history) +
                             ladder(history, folder) + files(history, folder);
    return page(history.output_name.empty() ? history.run : history.output_name,
                history.state_at(now) == "running",
                body);
}

std::string overview_page(const std::vector<RunHistory>& histories, double now) {
    std::string body =
        "<h1>Runs &middot; 訓練紀錄</h1>\n<table><tr><th>run</th><th>name</th><th>state</th>"
        "<th>step</th><th>average loss</th><th>probe</th><th>loss</th></tr>\n";
    bool is_any_running = false;
    for (const RunHistory& h : histories) {
        const std::string state = h.state_at(now);
        is_any_running = is_any_running || state == "running";
        ChartLine line{"#1e5aaa", 1.5, {}};
        std::vector<double> losses;
        for (const HistoryStep& step : h.steps) losses.push_back(step.loss);
        const std::vector<double> mean = smoothed(losses, kSmoothing);
        for (size_t i = 0; i < mean.size(); ++i) {
            line.points.emplace_back(static_cast<double>(h.steps[i].step), mean[i]);
        }
        body += fmt::format(
            "<tr><td><a href=\"{}/{}\">{}</a></td><td>{}</td><td>{}</td><td>{} of "
            "{}</td><td>{}</td>"
            "<td>{}</td><td>{}</td></tr>\n",
            url_text(h.run),
            kPageName,
            html_text(h.run),
            html_text(h.output_name),
            state,
            h.step(),
            h.total_steps,
            h.steps.empty() ? "" : fmt::format("{:.4f}", h.steps.back().average_loss),
            h.probes.empty() ? "" : fmt::format("{:.3f}", h.probes.back().value),
            html_sparkline(line));
    }
    return page("Runs", is_any_running, body + "</table>\n");
}

void write_overview(const std::string& logging_dir) {
    write_file_atomically(join_path(logging_dir, kPageName),
                          overview_page(find_histories(logging_dir), unix_time()));
}

void RunPageSink::on_event(const Event& event) {
    const double now = unix_time();
    history_.add(parse_json(event_json(event, now), "event"));
    const bool is_end = std::holds_alternative<RunEnded>(event);
    const bool is_start = std::holds_alternative<RunStarted>(event);
    if (is_end || is_start || now - written_ >= kRenew_s) write(now, is_start || is_end);
}

void RunPageSink::write(double now, bool with_overview) {
    written_ = now;
    if (has_failed_) return;
    const auto problem = attempt([&] {
        write_file_atomically(join_path(folder_, kPageName), run_page(history_, folder_, now));
    });
    if (problem) {
        has_failed_ = true;
        log::warning("the run's page is not renewed: {}", problem->message());
    }
    if (!with_overview) return;
    if (const auto unwritten = attempt([&] { write_overview(logging_dir_); })) {
        log::warning("the page of all runs is not renewed: {}", unwritten->message());
    }
}

}  // namespace lora::train
