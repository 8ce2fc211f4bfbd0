// The pages that show runs: one in each run's folder, renewed while it trains, and one over all
// runs of a logging_dir. Plain HTML that a browser opens from the disk: no server, no script.
// Threads  the training thread. Errors  none while training: a page that cannot be written is told
//          once.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "train/events.h"
#include "train/run_history.h"

namespace lora::train {

inline constexpr const char* kPageName = "index.html";

// `folder`: where the page will lie; pictures are named relative to it where that is possible.
[[nodiscard]] std::string run_page(const RunHistory& history,
                                   const std::string& folder,
                                   double now);
[[nodiscard]] std::string overview_page(const std::vector<RunHistory>& histories, double now);

// Writes the overview of a logging_dir into it.
void write_overview(const std::string& logging_dir);

// Keeps `<folder>/index.html` up to date: every few seconds at most, and at the end.
class RunPageSink final : public EventSink {
public:
    // `logging_dir`: whose overview is renewed at the start and the end.
    RunPageSink(std::string folder, std::string logging_dir)
        : folder_(std::move(folder)), logging_dir_(std::move(logging_dir)) {}
    void on_event(const Event& event) override;

private:
    void write(double now, bool with_overview);

    std::string folder_;
    std::string logging_dir_;
    RunHistory history_;
    double written_ = 0;  // when
    bool has_failed_ = false;
};

}  // namespace lora::train
