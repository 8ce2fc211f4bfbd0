// clang-format off
#include <windows.h>
#include <conio.h>
#include <io.h>
#include <shellapi.h>
// clang-format on

#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

#include "app/cli/terminal.h"
#include "base/utf8.h"

namespace lora::app {

std::vector<std::string> utf8_arguments(int /*argc*/, char** /*argv*/) {
    int count = 0;
    wchar_t** words = CommandLineToArgvW(GetCommandLineW(), &count);
    std::vector<std::string> args;
    for (int i = 1; words != nullptr && i < count; ++i) args.push_back(wide_to_utf8(words[i]));
    LocalFree(words);
    return args;
}

void prepare_console() {
    SetConsoleOutputCP(CP_UTF8);
    // Bars and colours are escape sequences there since Windows 10.
    HANDLE screen = GetStdHandle(STD_ERROR_HANDLE);
    DWORD mode = 0;
    if (GetConsoleMode(screen, &mode) != 0) {
        SetConsoleMode(screen, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
    }
}

void hold_own_window(int exit_code) {
    DWORD processes[2] = {};
    // A shell, or the one that runs lora.bat, would be a second one in the same window.
    if (GetConsoleProcessList(processes, 2) != 1 || _isatty(_fileno(stdin)) == 0) return;
    const bool zh = system_language() == config::Language::kChinese;
    print_out(exit_code == 0
                  ? (zh ? "\n完成。" : "\nfinished. ")
                  : fmt::format(fmt::runtime(zh ? "\n失敗(代碼 {})。" : "\nfailed (code {}). "),
                                exit_code));
    print_out(zh ? "按任意鍵關閉視窗\n" : "press a key to close this window\n");
    static_cast<void>(_getch());
}

config::Language system_language() {
    const char* asked = std::getenv("LORA_LANG");
    if (asked != nullptr && *asked != '\0') {
        return std::string_view(asked).starts_with("zh") ? config::Language::kChinese
                                                         : config::Language::kEnglish;
    }
    return PRIMARYLANGID(GetUserDefaultUILanguage()) == LANG_CHINESE ? config::Language::kChinese
                                                                     : config::Language::kEnglish;
}

bool stderr_is_terminal() { return _isatty(_fileno(stderr)) != 0; }

int terminal_columns() {
    CONSOLE_SCREEN_BUFFER_INFO info{};
    if (GetConsoleScreenBufferInfo(GetStdHandle(STD_ERROR_HANDLE), &info) == 0) return 80;
    const int columns = info.srWindow.Right - info.srWindow.Left + 1;
    return columns < 20 ? 80 : columns;
}

int read_key() {
    const bool keyboard = _isatty(_fileno(stdin)) != 0;
    int key = 0;
    do {
        key = keyboard ? _getch() : std::getchar();
    } while (key == '\n' || key == '\r' || key == ' ');
    return key == EOF ? -1 : key;
}

}  // namespace lora::app
