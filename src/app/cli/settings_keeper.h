// Puts the settings of a run beside its events, as `<logging_dir>/<run>/config.toml`; training with
// that file repeats the run. Written at the first event, so that a run that fails before leaves
// nothing behind.
#pragma once

#include <string>

#include "train/events.h"

namespace lora::app {

class SettingsKeeper final : public train::EventSink {
public:
    // An empty logging_dir: nothing is written.
    SettingsKeeper(std::string logging_dir, std::string settings_toml);
    void on_event(const train::Event& event) override;

private:
    std::string logging_dir_;
    std::string settings_toml_;
};

}  // namespace lora::app
