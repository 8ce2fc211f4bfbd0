// The program: registers the backends, runs one command, turns errors into text and exit codes.
#include <exception>
#include <new>

#include "app/backends.h"
#include "app/cli/command.h"
#include "app/cli/terminal.h"
#include "base/error.h"

namespace {

int fail(const lora::Error& error) {
    lora::app::print_err(error.report());
    return lora::exit_code(error.code());
}

int run(int argc, char** argv) {
    try {
        lora::app::prepare_console();
        const auto args = lora::app::utf8_arguments(argc, argv);
        return lora::app::run_command_line(lora::app::all_backends(), args);
    } catch (const lora::Error& error) {
        return fail(error);
    } catch (const std::bad_alloc&) {
        return fail(lora::Error(lora::ErrorCode::kOutOfMemory, "the machine has no memory left")
                        .with_hint("lora train --dry_run tells what a run needs"));
    } catch (const std::exception& error) {
        return fail(lora::Error(lora::ErrorCode::kInternal, error.what())
                        .with_hint("this is a bug; please report it with the command line"));
    }
}

}  // namespace

int main(int argc, char** argv) {
    lora::app::prepare_backends(argv);
    const int code = run(argc, argv);
    lora::app::hold_own_window(code);
    return code;
}
