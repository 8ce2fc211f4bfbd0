#include "config/option_table.h"

#include <algorithm>
#include <cctype>

#include "config/internal/rows.h"

namespace lora::config {
namespace {

std::vector<OptionSection> gather() {
    std::vector<OptionSection> all;
    for (const auto& group : {data_sections(),
                              training_sections(),
                              output_sections(),
                              tool_sections(),
                              picture_sections(),
                              tagging_sections(),
                              command_sections(),
                              legacy_sections()}) {
        all.insert(all.end(), group.begin(), group.end());
    }
    return all;
}

// Edit distance (insert, remove, replace, swap of neighbours), capped by the caller's patience.
size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::vector<size_t>> rows(a.size() + 1, std::vector<size_t>(b.size() + 1));
    for (size_t i = 0; i <= a.size(); ++i) rows[i][0] = i;
    for (size_t j = 0; j <= b.size(); ++j) rows[0][j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t replace = rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            rows[i][j] = std::min({rows[i - 1][j] + 1, rows[i][j - 1] + 1, replace});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                rows[i][j] = std::min(rows[i][j], rows[i - 2][j - 2] + 1);
            }
        }
    }
    return rows[a.size()][b.size()];
}

bool answers_to(const OptionRow& row, std::string_view name) {
    if (row.name == name) return true;
    const auto aliases = split_words(row.aliases, ' ');
    return std::find(aliases.begin(), aliases.end(), name) != aliases.end();
}

}  // namespace

std::vector<std::string_view> split_words(std::string_view text, char separator) {
    std::vector<std::string_view> words;
    while (!text.empty()) {
        const size_t end = std::min(text.find(separator), text.size());
        if (end > 0) words.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return words;
}

std::span<const OptionSection> option_sections() {
    static const std::vector<OptionSection> kSections = gather();
    return kSections;
}

std::string canonical_name(std::string_view name) {
    while (!name.empty() && name.front() == '-') name.remove_prefix(1);
    std::string out(name);
    for (char& c : out) {
        c = c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    return out;
}

const OptionRow* find_option(Command command, std::string_view name) {
    const std::string wanted = canonical_name(name);
    for (const OptionRow* row : options_of(command)) {
        if (answers_to(*row, wanted)) return row;
    }
    return nullptr;
}

std::vector<const OptionRow*> options_of(Command command) {
    std::vector<const OptionRow*> rows;
    for (const OptionSection& section : option_sections()) {
        if ((section.commands & bit(command)) == 0) continue;
        for (const OptionRow& row : section.rows) rows.push_back(&row);
    }
    return rows;
}

std::string nearest_word(std::string_view word, std::span<const std::string_view> words) {
    std::string_view best;
    size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
    for (const std::string_view candidate : words) {
        const size_t d = distance(word, candidate);
        if (d < best_distance) {
            best = candidate;
            best_distance = d;
        }
    }
    return std::string(best);
}

std::string nearest_option(Command command, std::string_view name) {
    std::vector<std::string_view> names;
    for (const OptionRow* row : options_of(command)) {
        if (row->support == Support::kRefused) continue;
        names.push_back(row->name);
        for (const std::string_view alias : split_words(row->aliases, ' ')) names.push_back(alias);
    }
    return nearest_word(canonical_name(name), names);
}

}  // namespace lora::config
