// Sorts two folders of pictures, sfw and nsfw with folders inside, into concept folders to train
// from, in one of the guide's three ways. Copies; the source stays as it is. Nothing is
// overwritten, and undo_changes() of the target takes it back. Errors   kIo, kData: neither folder
// is there, no picture; kConfig: a share above the limit;
//          kFormat: the file of additional tags.
// Threads  one at a time per target.
// Source   the guide's chapter on sorting (requirements M180 to M184).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lora::tools {

enum class MixUse : uint8_t {
    kTogether,  // acts apart, the rest of nsfw one concept, beside the concepts of sfw
    kApart,     // sfw and nsfw as two sets, trained one after the other
    kBlend,     // a small share of nsfw in one concept with sfw
};

// Folder below the source ("sfw/uniform") and the tags its captions get behind the common ones.
using FolderTags = std::vector<std::pair<std::string, std::vector<std::string>>>;
// Lines `folder = tag, tag`; # begins a comment. Errors  kFormat naming `what` and the line.
[[nodiscard]] FolderTags parse_folder_tags(std::string_view text, const std::string& what);

inline constexpr double kMostBlend = 0.2;  // above, clothes become thin (M184)
inline constexpr double kLeastBlend = 0.1;

struct MixOptions {
    std::string source = {};  // holds sfw and nsfw
    std::string to = {};
    MixUse use = MixUse::kTogether;
    std::string trigger = {};  // in front of every caption, and in the folders' names
    FolderTags folder_tags = {};
    std::string acts = "sex";  // the folder below nsfw that becomes a concept of its own
    double share = 0.15;       // kBlend: nsfw pictures for each sfw picture
    int64_t repeats = 0;       // 0: as advised_repeats says
    std::string caption_extension = ".txt";
    bool dry_run = false;
};

struct MixFolder {
    std::string path;  // below the target: "6_mika_uniform"
    int64_t repeats = 0;
    int64_t sfw = 0;  // pictures
    int64_t nsfw = 0;
    [[nodiscard]] double nsfw_share() const {
        return sfw + nsfw > 0 ? static_cast<double>(nsfw) / static_cast<double>(sfw + nsfw) : 0;
    }
};

struct MixReport {
    std::vector<MixFolder> folders;
    int64_t copied = 0;    // files that were not there yet
    int64_t left_out = 0;  // nsfw pictures that kBlend has no place for
};

// `advised_repeats` gives the repeats for a folder of so many pictures.
[[nodiscard]] MixReport mix_data(const MixOptions& options, int64_t (*advised_repeats)(int64_t));

}  // namespace lora::tools
