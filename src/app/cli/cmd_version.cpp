// `lora version`: this program's version and the behaviour it matches.
#include <fmt/format.h>

#include "app/cli/command.h"
#include "app/cli/terminal.h"
#include "base/json.h"

namespace lora::app {
namespace {

constexpr std::string_view kPackageVersion = "0.6.5";  // of the guide's package, commit 813
constexpr std::string_view kNewestVersion = "0.10.1";

}  // namespace

int run_version(const Context& context, const config::Loaded& loaded) {
    if (loaded.settings.flag("json")) {
        const OrderedJson json = {
            {"version", LORA_VERSION},
            {"matches", {{"package", kPackageVersion}, {"newest", kNewestVersion}}}};
        print_json(json);
        return 0;
    }
    print_out(fmt::format("lora {}\n", LORA_VERSION));
    if (context.language == config::Language::kChinese) {
        print_out(
            fmt::format("訓練行為對應 sd-scripts {}(教學套件所附的 commit 813)與最新的 {};"
                        "兩者不同處依最新版。\n",
                        kPackageVersion,
                        kNewestVersion));
    } else {
        print_out(
            fmt::format("trains as sd-scripts {} (commit 813, the guide's package) and the "
                        "newest, {}; where they differ, as the newest\n",
                        kPackageVersion,
                        kNewestVersion));
    }
    return 0;
}

}  // namespace lora::app
