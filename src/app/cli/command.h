// The commands of `lora`: one table with name, summary and function. main.cpp looks here.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "backend/registry.h"
#include "config/load.h"

namespace lora::app {

// What every command is given.
struct Context {
    const backend::Registry& backends;
    config::Language language = config::Language::kEnglish;
};

// Returns the exit code; errors are thrown.
using CommandFunction = int (*)(const Context& context, const config::Loaded& loaded);

struct CommandEntry {
    std::string_view name;
    config::Command id = config::Command::kNone;
    CommandFunction run = nullptr;
    std::string_view words;  // what stands after the name in the usage line
    int max_positionals = 0;
    config::Words summary;
    config::Words example;
};

[[nodiscard]] std::span<const CommandEntry> commands();
// Null when there is none of this name.
[[nodiscard]] const CommandEntry* find_command(std::string_view name);

// Everything `lora ARGS...` does, from the words after the program's name to the exit code.
// Errors  all of base/error.h; main() reports them.
int run_command_line(const backend::Registry& backends, std::span<const std::string> args);

// The backend that the settings backend, threads and no_autotune ask for.
[[nodiscard]] std::unique_ptr<backend::Backend> open_backend(const Context& context,
                                                             const config::Settings& settings);

int run_train(const Context& context, const config::Loaded& loaded);
int run_sample(const Context& context, const config::Loaded& loaded);
int run_status(const Context& context, const config::Loaded& loaded);
int run_inspect(const Context& context, const config::Loaded& loaded);
int run_demo(const Context& context, const config::Loaded& loaded);
int run_doctor(const Context& context, const config::Loaded& loaded);
int run_version(const Context& context, const config::Loaded& loaded);
int run_merge(const Context& context, const config::Loaded& loaded);
int run_resize(const Context& context, const config::Loaded& loaded);
int run_extract(const Context& context, const config::Loaded& loaded);
int run_convert(const Context& context, const config::Loaded& loaded);
int run_verify(const Context& context, const config::Loaded& loaded);
int run_interrogate(const Context& context, const config::Loaded& loaded);
int run_tags(const Context& context, const config::Loaded& loaded);
int run_fetch(const Context& context, const config::Loaded& loaded);
int run_tag(const Context& context, const config::Loaded& loaded);
int run_data(const Context& context, const config::Loaded& loaded);
int run_help(const Context& context, const config::Loaded& loaded);

}  // namespace lora::app
