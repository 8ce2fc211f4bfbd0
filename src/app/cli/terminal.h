// What differs between systems about the console: arguments, language, whether stderr is a screen.
// Implemented in terminal_posix.cpp and terminal_windows.cpp.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "config/option_table.h"

namespace lora::app {

// The words after the program's name, in UTF-8.
[[nodiscard]] std::vector<std::string> utf8_arguments(int argc, char** argv);

// Makes a console show UTF-8; nothing to do on most systems.
void prepare_console();

// Where the program was started by a double click, so that its window would close with it: says
// finished or failed and waits for a key. Nothing on systems where programs get no window.
void hold_own_window(int exit_code);

// LORA_LANG, else the system's language.
[[nodiscard]] config::Language system_language();

// Whether stderr is a screen that a progress bar can be drawn on.
[[nodiscard]] bool stderr_is_terminal();
// Columns of that screen, 80 when unknown.
[[nodiscard]] int terminal_columns();

// The next key: at once from a keyboard, else the next character of stdin that is no blank. -1 at
// its end.
[[nodiscard]] int read_key();

// A name from a disk as it may be shown on one line: control characters, which a screen would obey,
// become '?', and what is no UTF-8 is replaced.
[[nodiscard]] std::string printable(std::string_view name);

// Writes a whole text to stdout (UTF-8) or stderr and flushes it; what is no UTF-8 is replaced.
void print_out(std::string_view text);
void print_err(std::string_view text);
// One line, or indented lines; what is no UTF-8, of a file's name for instance, is replaced.
void print_json(const OrderedJson& json, int indent = -1);

}  // namespace lora::app
