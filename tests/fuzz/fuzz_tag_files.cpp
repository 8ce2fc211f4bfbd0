// Fuzz target: the files of lines that lora tags and lora data read (classes of tags, tags of
// folders), boxes and colours. Only lora::Error may come out; what was accepted is usable.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "fuzz_target.h"
#include "tools/data_mix.h"
#include "tools/region.h"
#include "tools/tag_classes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view text = lora::fuzz::as_text(data, size);
    lora::fuzz::run([&] {
        for (const auto& [folder, tags] : lora::tools::parse_folder_tags(text, "fuzz")) {
            if (folder.empty() || tags.empty()) std::abort();
        }
    });
    lora::fuzz::run([&] {
        static const lora::tools::TagClasses kTable;
        lora::tools::TagClasses classes = kTable;
        classes.add_user_rules(text, "fuzz");
        (void)classes.class_of(text.substr(0, 100));
    });
    lora::fuzz::run([&] {
        const lora::tools::Box box = lora::tools::parse_box(text, {200, 300});
        if (box.left_px < 0 || box.top_px < 0 || box.width_px < 1 || box.height_px < 1 ||
            box.left_px + box.width_px > 300 || box.top_px + box.height_px > 200) {
            std::abort();
        }
    });
    lora::fuzz::run([&] { (void)lora::tools::parse_colour(text); });
    return 0;
}
