// Fuzz target: the journal that undo reads. Only lora::Error may come out, and a path that was
// accepted stays below its folder or names a settings file.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/words.h"
#include "fuzz_target.h"
#include "tools/file_changes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    lora::fuzz::run([&] {
        const auto journal = lora::tools::parse_journal(lora::fuzz::as_text(data, size), "fuzz");
        for (const auto& row : journal.files) {
            const bool elsewhere =
                row.path.starts_with('/') && !lora::lower_ascii(row.path).ends_with(".toml");
            const bool up = row.path == ".." || row.path.starts_with("../") ||
                            row.path.ends_with("/..") || row.path.find("/../") != std::string::npos;
            if (row.path.empty() || elsewhere || up) std::abort();
            if (row.original.find('/') != std::string::npos) std::abort();
        }
    });
    return 0;
}
