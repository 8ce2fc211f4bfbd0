#include "tools/tagger_list.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "base/error.h"
#include "base/utf8.h"
#include "base/words.h"

namespace lora::tools {
namespace {

constexpr size_t kMaxTags = 1'000'000;

[[noreturn]] void fail(const std::string& what, int64_t line, std::string_view why) {
    throw Error(ErrorCode::kFormat, fmt::format("{}, line {}: {}", what, line, why))
        .with_hint("take the selected_tags.csv that was published with the model");
}

// Rows of fields; RFC 4180: fields may stand in quotes, a doubled quote is one.
class CsvReader {
public:
    CsvReader(std::string_view text, const std::string& what) : text_(text), what_(what) {}

    // Nothing at the end of the text.
    std::optional<std::vector<std::string>> next() {
        if (text_.empty()) return std::nullopt;
        line_ = next_line_;
        std::vector<std::string> fields;
        do {
            fields.push_back(field());
        } while (take(','));
        take('\r');
        if (!text_.empty() && !take('\n')) fail(what_, line_, "text behind a closing quote");
        ++next_line_;
        return fields;
    }
    [[nodiscard]] int64_t line() const { return line_; }

private:
    bool take(char c) {
        if (text_.empty() || text_.front() != c) return false;
        text_.remove_prefix(1);
        return true;
    }

    std::string field() {
        if (take('"')) return quoted();
        const size_t end = std::min(text_.find_first_of(",\r\n"), text_.size());
        std::string out(text_.substr(0, end));
        text_.remove_prefix(end);
        return out;
    }

    std::string quoted() {
        std::string out;
        for (;;) {
            const size_t end = text_.find('"');
            if (end == std::string_view::npos) fail(what_, line_, "a quote is never closed");
            next_line_ +=
                std::count(text_.begin(), text_.begin() + static_cast<int64_t>(end), '\n');
            out += text_.substr(0, end);
            text_.remove_prefix(end + 1);
            if (!take('"')) return out;
            out += '"';
        }
    }

    std::string_view text_;
    const std::string& what_;
    int64_t line_ = 0;
    int64_t next_line_ = 1;
};

TaggerCategory category_of(std::string_view field, const std::string& what, int64_t line) {
    const auto number = parse_number<int64_t>(trimmed(field));
    if (!number) fail(what, line, "the category is no number");
    if (*number == 9) return TaggerCategory::kRating;
    return *number == 4 ? TaggerCategory::kCharacter : TaggerCategory::kGeneral;
}

}  // namespace

std::string_view tagger_category_name(TaggerCategory category) {
    if (category == TaggerCategory::kRating) return "rating";
    return category == TaggerCategory::kCharacter ? "character" : "general";
}

std::vector<TaggerTag> read_tagger_list(std::string_view text, const std::string& what) {
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    if (!is_valid_utf8(text)) fail(what, 1, "the file is not UTF-8");
    CsvReader reader(text, what);
    const auto header = reader.next();
    size_t name_at = 0;
    size_t category_at = 0;
    if (header) {
        const auto place = [&](const char* word) {
            return static_cast<size_t>(std::find(header->begin(), header->end(), word) -
                                       header->begin());
        };
        name_at = place("name");
        category_at = place("category");
    }
    if (!header || name_at >= header->size() || category_at >= header->size()) {
        fail(what, 1, "the first line must name the columns name and category");
    }
    std::vector<TaggerTag> out;
    while (const auto row = reader.next()) {
        if (row->size() == 1 && row->front().empty()) continue;  // an empty line
        if (row->size() <= std::max(name_at, category_at)) {
            fail(what, reader.line(), "a column is missing");
        }
        const std::string name((trimmed((*row)[name_at])));
        if (name.empty() || name.find_first_of("\r\n") != std::string::npos) {
            fail(what, reader.line(), "a tag without a name, or with a line end in it");
        }
        if (out.size() >= kMaxTags) fail(what, reader.line(), "more tags than any model has");
        out.push_back({name, category_of((*row)[category_at], what, reader.line())});
    }
    if (out.empty()) fail(what, reader.line(), "no tags");
    return out;
}

}  // namespace lora::tools
