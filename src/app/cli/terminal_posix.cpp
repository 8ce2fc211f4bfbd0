#include <cstdlib>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "app/cli/terminal.h"

namespace lora::app {

std::vector<std::string> utf8_arguments(int argc, char** argv) {
    return {argv + (argc > 0 ? 1 : 0), argv + argc};
}

void prepare_console() {}

void hold_own_window(int /*exit_code*/) {}

config::Language system_language() {
    for (const char* name : {"LORA_LANG", "LC_ALL", "LC_MESSAGES", "LANG"}) {
        const char* value = std::getenv(name);
        if (value == nullptr || *value == '\0') continue;
        return std::string_view(value).starts_with("zh") ? config::Language::kChinese
                                                         : config::Language::kEnglish;
    }
    return config::Language::kEnglish;
}

bool stderr_is_terminal() {
    const char* kind = std::getenv("TERM");
    return isatty(STDERR_FILENO) == 1 && (kind == nullptr || std::string_view(kind) != "dumb");
}

int terminal_columns() {
    winsize size{};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20) return 80;
    return size.ws_col;
}

int read_key() {
    const bool keyboard = isatty(STDIN_FILENO) == 1;
    termios before{};
    if (keyboard && tcgetattr(STDIN_FILENO, &before) == 0) {
        termios raw = before;
        raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    unsigned char key = 0;
    ssize_t got = 0;
    do {
        got = read(STDIN_FILENO, &key, 1);
    } while (got == 1 && (key == '\n' || key == '\r' || key == ' '));
    if (keyboard) tcsetattr(STDIN_FILENO, TCSANOW, &before);
    return got == 1 ? key : -1;
}

}  // namespace lora::app
