// `lora tags`: the tags of a folder's captions, listed or changed.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "app/cli/command.h"
#include "app/cli/terminal.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"
#include "base/words.h"
#include "data/concept.h"
#include "tools/caption_tags.h"
#include "tools/file_changes.h"

namespace lora::app {
namespace {

constexpr size_t kCompanions = 5;

void collect(const std::string& folder,
             const std::string& ending,
             bool recursive,
             std::vector<std::string>& out) {
    for (const DirectoryEntry& entry : list_directory(folder)) {
        const std::string path = join_path(folder, entry.name);
        if (entry.is_directory) {
            if (recursive && entry.name != tools::kUndoFolder && !tools::is_symlink(path)) {
                collect(path, ending, recursive, out);
            }
        } else if (entry.name.ends_with(ending) && entry.name != data::kConceptFile) {
            out.push_back(path);
        }
    }
}

// Names as a person lists them: with or without folder and ending; @FILE holds one a line.
std::set<std::string> listed_names(const std::vector<std::string>& words) {
    std::set<std::string> out;
    const auto add = [&](std::string_view name) {
        if (!trimmed(name).empty()) out.insert(without_extension(base_name(trimmed(name))));
    };
    for (const std::string& word : words) {
        if (!word.starts_with('@')) {
            add(word);
            continue;
        }
        const std::string text = decode_text(read_text_file(word.substr(1))).utf8;
        for (const std::string_view line : split(text, '\n')) add(line);
    }
    return out;
}

// The captions of the listed pictures. Errors  kData naming those that have none.
std::vector<std::string> only_listed(const std::vector<std::string>& files,
                                     const std::set<std::string>& names) {
    std::vector<std::string> out;
    std::set<std::string> missing = names;
    for (const std::string& path : files) {
        const std::string stem = without_extension(base_name(path));
        if (!names.contains(stem)) continue;
        out.push_back(path);
        missing.erase(stem);
    }
    if (!missing.empty()) {
        throw Error(ErrorCode::kData,
                    fmt::format("no caption is there for {}", fmt::join(missing, ", ")))
            .with_hint("give names of pictures of this folder, or @FILE with one a line");
    }
    return out;
}

tools::TagRename rename_of(const std::string& word, const char* option) {
    const size_t at = word.find('=');
    if (at == std::string::npos || at == 0) {
        throw Error(ErrorCode::kConfig, fmt::format("{} wants old=new, not {}", option, word));
    }
    return {std::string(trimmed(word.substr(0, at))), std::string(trimmed(word.substr(at + 1)))};
}

tools::TagEdits edits_of(const config::Settings& settings) {
    tools::TagEdits edits;
    edits.add = settings.list("add");
    edits.remove = settings.list("remove");
    edits.whitelist = settings.list("whitelist");
    for (const std::string& word : settings.list("replace")) {
        edits.replace.push_back(rename_of(word, "replace"));
    }
    if (const std::string word = settings.text("rename_trigger"); !word.empty()) {
        edits.rename_first = rename_of(word, "rename_trigger");
    }
    edits.policy = tools::tag_policy_from_name(settings.text("policy"));
    edits.drop_clothing = settings.flag("drop_clothing");
    edits.dedupe = settings.flag("dedupe");
    edits.sort = settings.flag("sort");
    edits.escape_brackets = settings.flag("escape_brackets");
    return edits;
}

// The settings with keep_tokens at least 1.
std::string with_keep_tokens(const std::string& text) {
    std::string out;
    bool done = false;
    for (const std::string_view line : split(text, '\n')) {
        const std::string_view bare = trimmed(line);
        const size_t at = bare.find('=');
        const bool is_row =
            at != std::string_view::npos && (trimmed(bare.substr(0, at)) == "keep_tokens" ||
                                             trimmed(bare.substr(0, at)) == "\"keep_tokens\"");
        if (!out.empty() || line.data() != text.data()) out += '\n';
        done = done || is_row;
        const std::string_view behind = is_row ? bare.substr(at + 1) : std::string_view();
        const std::string_view note = behind.substr(std::min(behind.find('#'), behind.size()));
        const auto value =
            parse_number<int64_t>(trimmed(behind.substr(0, behind.size() - note.size())));
        if (is_row && value.value_or(1) < 1) {
            out += fmt::format("keep_tokens = 1{}{}", note.empty() ? "" : "  ", note);
        } else {
            out += line;
        }
    }
    return done ? out : "keep_tokens = 1\n" + text;
}

void print_list(const tools::TagStatistics& statistics,
                const tools::TagClasses& classes,
                bool as_json) {
    OrderedJson json = {{"captions", statistics.num_captions()}, {"tags", OrderedJson::array()}};
    std::string text = fmt::format("{} captions\n", statistics.num_captions());
    for (const auto& row : statistics.rows(kCompanions)) {
        const std::string_view name = tools::tag_class_name(classes.class_of(row.tag));
        OrderedJson with = OrderedJson::array();
        std::string companions;
        for (const auto& [tag, count] : row.with) {
            with.push_back({{"tag", tag}, {"count", count}});
            companions += fmt::format("{}{} {}", companions.empty() ? "" : ", ", tag, count);
        }
        json["tags"].push_back({{"tag", row.tag},
                                {"count", row.count},
                                {"class", name},
                                {"known", classes.knows(row.tag)},
                                {"with", with}});
        text += fmt::format("{:>6}  {:<11} {:<28} {}\n", row.count, name, row.tag, companions);
    }
    if (as_json) {
        print_json(json, 1);
    } else {
        print_out(text);
    }
}

// The first line changed, further lines as they are; nothing: the file goes.
std::optional<std::string> changed_text(const std::string& text,
                                        const tools::TagEdits& edits,
                                        const tools::TagClasses& classes) {
    if (edits.policy == tools::TagPolicy::kNone) return std::nullopt;
    const std::string_view line = tools::first_line(text);
    const std::vector<std::string> before = tools::split_tags(line);
    const std::vector<std::string> after = tools::apply_edits(before, edits, classes);
    if (after == before) return text;
    return tools::join_tags(after) + text.substr(line.size());
}

void say_keep_tokens(const config::Settings& settings,
                     const tools::TagEdits& edits,
                     std::vector<tools::FileChange>& changes) {
    if (!edits.policy || !tools::needs_keep_tokens(*edits.policy)) return;
    const std::string path = settings.text("keep_tokens_in");
    if (path.empty()) {
        log::warning("train with keep_tokens 1: the trigger has to stay in front");
        return;
    }
    changes.push_back({path, with_keep_tokens(read_text_file(path))});
}

}  // namespace

int run_tags(const Context& /*context*/, const config::Loaded& loaded) {
    const config::Settings& settings = loaded.settings;
    if (loaded.positionals.empty()) {
        throw Error(ErrorCode::kConfig, "a folder is missing").with_hint("lora tags DIR");
    }
    const std::string folder = loaded.positionals.front();
    if (!is_directory(folder)) {
        throw Error(ErrorCode::kIo, fmt::format("there is no folder {}", folder));
    }
    if (settings.flag("undo")) {
        const tools::UndoReport undone = tools::undo_changes(folder);
        print_out(fmt::format("{} files restored\n", undone.restored));
        for (const std::string& path : undone.kept) log::warning("{} was changed since", path);
        return undone.kept.empty() ? 0 : 1;
    }
    tools::TagClasses classes;
    if (const std::string own = settings.text("classes"); !own.empty()) {
        classes.add_user_rules(decode_text(read_text_file(own)).utf8, own);
    }
    std::string ending = settings.text("caption_extension");
    if (!ending.starts_with('.')) ending.insert(0, ".");
    std::vector<std::string> files;
    collect(folder, ending, settings.flag("recursive"), files);
    if (settings.has("only")) files = only_listed(files, listed_names(settings.list("only")));
    const tools::TagEdits edits = edits_of(settings);
    tools::TagStatistics statistics;
    std::vector<tools::FileChange> changes;
    const bool dry_run = settings.flag("dry_run");
    for (const std::string& path : files) {
        const std::string bytes = read_text_file(path);
        const std::string text = decode_text(bytes).utf8;
        if (edits.empty()) {
            statistics.add(tools::split_tags(tools::first_line(text)));
            continue;
        }
        const auto after = changed_text(text, edits, classes);
        if (after == text) continue;  // other encodings are the business of data check
        if (tools::is_symlink(path)) {
            log::warning("{} is a link and stays as it is", path);
            continue;
        }
        if (dry_run) {
            print_out(fmt::format("{}\n- {}\n", path, trimmed(text)));
            if (after) print_out(fmt::format("+ {}\n", trimmed(*after)));
        }
        changes.push_back({path, after});
    }
    if (edits.empty()) {
        print_list(statistics, classes, settings.flag("json"));
        return 0;
    }
    const size_t num_captions = changes.size();
    say_keep_tokens(settings, edits, changes);
    if (!dry_run) tools::change_files(folder, changes);
    print_out(fmt::format("{} of {} captions {}\n",
                          num_captions,
                          files.size(),
                          dry_run ? "would change" : "changed; --undo restores them"));
    return 0;
}

}  // namespace lora::app
