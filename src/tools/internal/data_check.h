// The parts of data_check.h: one scanned folder, and who judges it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/data_check.h"

namespace lora::tools::internal {

struct ScannedPicture {
    std::string path;
    std::string caption_path;  // empty: none
};

struct ScannedFolder {
    CheckedFolder row;
    std::string path;
    std::vector<ScannedPicture> pictures;
};

struct CheckContext {
    const CheckOptions& options;
    const TagClasses& classes;
    CheckReport& report;
    void add(Severity severity,
             std::string kind,
             std::string path,
             std::string message,
             std::string fix,
             bool fixable = false) const;
};

void check_captions(const CheckContext& context, const ScannedFolder& folder);
void check_pictures(const CheckContext& context, const std::vector<ScannedFolder>& folders);

}  // namespace lora::tools::internal
