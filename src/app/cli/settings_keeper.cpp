#include "app/cli/settings_keeper.h"

#include "base/file.h"

namespace lora::app {

SettingsKeeper::SettingsKeeper(std::string logging_dir, std::string settings_toml)
    : logging_dir_(std::move(logging_dir)), settings_toml_(std::move(settings_toml)) {}

void SettingsKeeper::on_event(const train::Event& event) {
    const auto* started = std::get_if<train::RunStarted>(&event);
    if (started == nullptr || logging_dir_.empty()) return;
    const std::string folder = join_path(logging_dir_, started->run);
    make_directories(folder);
    write_file_atomically(join_path(folder, "config.toml"), settings_toml_);
}

}  // namespace lora::app
