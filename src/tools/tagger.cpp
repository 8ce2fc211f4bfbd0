#include "tools/tagger.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/check.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/thread_pool.h"
#include "base/utf8.h"
#include "data/dataset.h"
#include "tools/change_log.h"

namespace lora::tools {
namespace {

// At most so much work is lost when a run is killed.
constexpr std::chrono::seconds kWriteEvery{5};
constexpr size_t kWriteAt = 256;

struct Job {
    std::string path;
    std::string caption_path;
    std::string trigger;
};

void collect(const std::string& folder, bool recursive, std::vector<std::string>& out) {
    for (const DirectoryEntry& entry : list_directory(folder)) {
        const std::string path = join_path(folder, entry.name);
        if (entry.is_directory) {
            if (recursive && entry.name != kUndoFolder && !is_symlink(path)) {
                collect(path, recursive, out);
            }
        } else if (data::is_image_name(entry.name)) {
            out.push_back(path);
        }
    }
}

// The caption file's name: [name], [extension], [output_extension], [hash:sha256].
std::string output_name(const std::string& pattern,
                        const std::string& picture,
                        const std::string& ending) {
    const auto refuse = [&](const std::string& why) {
        throw Error(ErrorCode::kConfig, fmt::format("output name {}: {}", pattern, why))
            .with_hint("known: [name], [extension], [output_extension], [hash:sha256]");
    };
    const std::string name = base_name(picture);
    std::string out;
    for (size_t i = 0; i < pattern.size();) {
        const size_t end = pattern[i] == '[' ? pattern.find(']', i) : std::string::npos;
        if (end == std::string::npos) {
            out += pattern[i++];
            continue;
        }
        const std::string word = pattern.substr(i + 1, end - i - 1);
        if (word == "name") {
            out += without_extension(name);
        } else if (word == "extension") {
            out += extension(name).substr(1);
        } else if (word == "output_extension") {
            out += ending.substr(1);
        } else if (word == "hash:sha256") {
            out += sha256_file_hex(picture);
        } else {
            refuse(fmt::format("[{}] is not known", word));
        }
        i = end + 1;
    }
    if (out.empty() || out.find_first_of("/\\") != std::string::npos || out == "." || out == "..") {
        refuse("it gives no file name");
    }
    return out;
}

class TagRun {
public:
    TagRun(TaggerModel& model, const TagChooser& chooser, const TagRunOptions& options)
        : model_(model),
          chooser_(chooser),
          options_(options),
          log_(options.output_dir.empty() ? options.folder : options.output_dir,
               options.dry_run ? "" : options.settings) {
        if (!options_.caption_extension.starts_with('.')) options_.caption_extension.insert(0, ".");
        if (options_.save_json && options_.caption_extension == ".json") {
            throw Error(ErrorCode::kConfig, "save_json would write over captions that end in .json")
                .with_hint("choose another caption_extension");
        }
    }

    TagReport run() {
        plan();
        const int64_t total = std::ssize(jobs_);
        const int64_t asked = std::max<int64_t>(options_.batch_size, 1);
        const int64_t batch = model_.fixed_batch() > 0 ? model_.fixed_batch() : asked;
        last_write_ = Clock::now();
        for (int64_t done = 0; done < total; done += batch) {
            if (options_.progress) options_.progress(done, total);
            if (options_.stop.stop_requested()) {
                write();
                throw Error(ErrorCode::kCancelled,
                            fmt::format("stopped after {} of {} pictures", done, total))
                    .with_hint("the same command goes on from there");
            }
            tag(std::span(jobs_).subspan(narrow<size_t>(done),
                                         narrow<size_t>(std::min(batch, total - done))));
            if (pending_.size() >= kWriteAt || Clock::now() - last_write_ > kWriteEvery) write();
        }
        if (options_.progress) options_.progress(total, total);
        write();
        if (!options_.dry_run) log_.finish();
        return report_;
    }

private:
    using Clock = std::chrono::steady_clock;

    std::string trigger_of(const std::string& folder) {
        if (!options_.folder_trigger) return {};
        const auto [place, is_new] = triggers_.try_emplace(folder);
        const auto name = data::parse_folder_name(base_name(folder));
        if (is_new && name) {
            place->second = data::concept_of(folder, *name, data::FolderScheme::kGuide).trigger;
        }
        return place->second;
    }

    [[nodiscard]] std::string caption_path_of(const std::string& picture) const {
        std::string folder = parent_path(picture);
        if (!options_.output_dir.empty()) {
            const std::string inside =
                folder.substr(std::min(folder.size(), join_path(options_.folder, "").size()));
            folder = inside.empty() ? options_.output_dir : join_path(options_.output_dir, inside);
        }
        return join_path(folder,
                         output_name(options_.name_pattern, picture, options_.caption_extension));
    }

    void plan() {
        std::vector<std::string> pictures;
        collect(options_.folder, options_.recursive, pictures);
        report_.pictures = std::ssize(pictures);
        std::set<std::string> taken;
        for (const std::string& path : pictures) {
            const std::string caption = caption_path_of(path);
            if (!taken.insert(caption).second) {
                log::warning("{}: another picture has the same caption file {}", path, caption);
                ++report_.skipped;
            } else if (is_symlink(caption) || is_directory(caption)) {
                log::warning("{} is a link or a folder and stays as it is", caption);
                ++report_.skipped;
            } else if ((options_.on_conflict == OnConflict::kIgnore && path_exists(caption)) ||
                       log_.has_written(caption)) {
                ++report_.skipped;
            } else {
                jobs_.push_back({path, caption, trigger_of(parent_path(path))});
            }
        }
    }

    void tag(std::span<const Job> jobs) {
        const size_t size = model_.input_size();
        std::vector<float> input(jobs.size() * size);
        std::vector<std::optional<Error>> troubles(jobs.size());
        pool_.parallel_for(std::ssize(jobs), [&](int64_t i) {
            const auto place = static_cast<size_t>(i);
            troubles[place] = attempt([&] {
                model_.prepare(model_.read(jobs[place].path),
                               std::span(input).subspan(place * size, size));
            });
        });
        std::vector<const Job*> readable;
        for (size_t i = 0; i < jobs.size(); ++i) {
            if (troubles[i]) {
                log::warning("{} is left out: {}", jobs[i].path, troubles[i]->message());
                report_.failed.push_back(jobs[i].path);
                continue;
            }
            if (readable.size() != i) {
                std::copy_n(input.begin() + static_cast<int64_t>(i * size),
                            size,
                            input.begin() + static_cast<int64_t>(readable.size() * size));
            }
            readable.push_back(&jobs[i]);
        }
        auto scores =
            model_.scores(std::span(input).first(readable.size() * size), std::ssize(readable));
        for (size_t i = 0; i < readable.size(); ++i) take(*readable[i], std::move(scores[i]));
    }

    void take(const Job& job, std::vector<float> scores) {
        TaggedPicture picture{job.path, job.caption_path, {}, chooser_.choose(scores), {}};
        std::string before;
        if (path_exists(job.caption_path)) {
            before = decode_text(read_text_file(job.caption_path)).utf8;
        }
        picture.caption = chooser_.caption(picture.tags, job.trigger, before, options_.on_conflict);
        picture.scores = std::move(scores);
        ++report_.tagged;
        if (picture.tags.empty()) ++report_.without_tags;
        if (options_.tagged) options_.tagged(picture);
        if (options_.dry_run) return;
        pending_.push_back({job.caption_path, picture.caption});
        if (options_.save_json) {
            pending_.push_back(
                {without_extension(job.caption_path) + ".json", scores_json(picture.scores)});
        }
    }

    // [ratings, tags], as the extension writes them.
    [[nodiscard]] std::string scores_json(const std::vector<float>& scores) const {
        OrderedJson ratings = OrderedJson::object();
        OrderedJson tags = OrderedJson::object();
        for (size_t i = 0; i < scores.size(); ++i) {
            const TaggerTag& tag = chooser_.tags()[i];
            (tag.category == TaggerCategory::kRating ? ratings : tags)[tag.name] = scores[i];
        }
        return OrderedJson::array({ratings, tags}).dump() + "\n";
    }

    void write() {
        last_write_ = Clock::now();
        if (pending_.empty()) return;
        if (!options_.output_dir.empty()) {
            std::set<std::string> folders;
            for (const FileChange& change : pending_) folders.insert(parent_path(change.path));
            for (const std::string& folder : folders) make_directories(folder);
        }
        log_.apply(pending_);
        pending_.clear();
    }

    TaggerModel& model_;
    const TagChooser& chooser_;
    TagRunOptions options_;
    ThreadPool pool_;
    ChangeLog log_;
    std::vector<Job> jobs_;
    std::map<std::string, std::string> triggers_;
    std::vector<FileChange> pending_;
    Clock::time_point last_write_;
    TagReport report_;
};

}  // namespace

TagReport tag_folder(TaggerModel& model, const TagChooser& chooser, const TagRunOptions& options) {
    if (!is_directory(options.folder)) {
        throw Error(ErrorCode::kIo, fmt::format("there is no folder {}", options.folder))
            .with_hint("lora tag DIR");
    }
    return TagRun(model, chooser, options).run();
}

}  // namespace lora::tools
