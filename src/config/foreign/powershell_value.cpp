// Values of PowerShell variables: `1e-4 * $batch_size`, "./train/cat", $true, @(1, 2).
#include <algorithm>
#include <cctype>
#include <cmath>

#include <fmt/format.h>

#include "base/words.h"
#include "config/internal/foreign.h"

namespace lora::config {
namespace {

constexpr int kMaxDepth = 32;

// A number keeps the way it was written until something is done with it.
struct Value {
    std::string text;
    std::optional<double> number;
};

std::string number_text(double value) { return fmt::format("{:.12g}", value); }
Value from_number(double value) { return {number_text(value), value}; }

// Recursive descent over one line; ok_ turns false at the first thing that is not understood.
class Evaluator {
public:
    Evaluator(std::string_view text, const ScriptVariables& variables)
        : text_(text), variables_(variables) {}

    std::optional<std::string> run() {
        const Value value = list(0);
        skip_blanks();
        const bool at_end = at_ >= text_.size() || text_[at_] == '#' || text_[at_] == ';';
        if (!ok_ || !at_end) return std::nullopt;
        return value.text;
    }

private:
    void skip_blanks() {
        while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
    }
    [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    bool take(std::string_view word) {
        skip_blanks();
        if (lower_ascii(text_.substr(at_, word.size())) != word) return false;
        at_ += word.size();
        return true;
    }
    Value fail() {
        ok_ = false;
        return {};
    }

    // a, b, c is one text with commas: how these scripts hand lists on.
    Value list(int depth) {
        Value value = sum(depth);
        while (ok_ && take(",")) {
            value.text += "," + sum(depth).text;
            value.number.reset();
        }
        return value;
    }

    Value sum(int depth) {
        Value left = product(depth);
        while (ok_) {
            if (take("+")) {
                const Value right = product(depth);
                left = left.number && right.number ? from_number(*left.number + *right.number)
                                                   : Value{left.text + right.text, {}};
            } else if (take("-")) {
                const Value right = product(depth);
                if (!left.number || !right.number) return fail();
                left = from_number(*left.number - *right.number);
            } else {
                break;
            }
        }
        return left;
    }

    Value product(int depth) {
        Value left = factor(depth);
        while (ok_) {
            const bool times = take("*");
            if (!times && !take("/")) break;
            const Value right = factor(depth);
            if (!left.number || !right.number || (!times && *right.number == 0)) return fail();
            left = from_number(times ? *left.number * *right.number : *left.number / *right.number);
        }
        return left;
    }

    Value factor(int depth) {
        skip_blanks();
        if (depth > kMaxDepth) return fail();
        const char c = peek();
        if (c == '"' || c == '\'') return quoted(c);
        if (take("-")) {
            const Value value = factor(depth + 1);
            return value.number ? from_number(-*value.number) : fail();
        }
        if (take("@(") || take("(")) {
            if (take(")")) return {};
            const Value value = list(depth + 1);
            return take(")") ? value : fail();
        }
        if (take("[math]::sqrt(")) {
            const Value value = sum(depth + 1);
            return value.number && *value.number >= 0 && take(")")
                       ? from_number(std::sqrt(*value.number))
                       : fail();
        }
        if (take("[math]::round(")) return rounded(depth);
        if (take("$")) return variable();
        return number();
    }

    Value rounded(int depth) {
        const Value value = sum(depth + 1);
        Value digits = from_number(0);
        if (ok_ && take(",")) digits = sum(depth + 1);
        if (!value.number || !digits.number || !take(")")) return fail();
        const double scale = std::pow(10.0, std::clamp(std::round(*digits.number), 0.0, 15.0));
        return from_number(std::nearbyint(*value.number * scale) / scale);
    }

    std::string name() {
        const size_t begin = at_;
        while (std::isalnum(static_cast<unsigned char>(peek())) != 0 || peek() == '_') ++at_;
        return lower_ascii(text_.substr(begin, at_ - begin));
    }

    Value variable() {
        const bool braces = take("{");
        const std::string wanted = name();
        if (braces && !take("}")) return fail();
        if (wanted == "true" || wanted == "false") return {wanted, {}};
        if (wanted == "null") return {};
        const auto found = variables_.find(wanted);
        if (found == variables_.end()) return fail();
        return {found->second.text, parse_float(found->second.text)};
    }

    Value number() {
        const size_t begin = at_;
        while (std::isalnum(static_cast<unsigned char>(peek())) != 0 || peek() == '.' ||
               ((peek() == '-' || peek() == '+') && at_ > begin &&
                (text_[at_ - 1] == 'e' || text_[at_ - 1] == 'E'))) {
            ++at_;
        }
        const std::string_view word = text_.substr(begin, at_ - begin);
        const auto value = parse_float(word);
        return value ? Value{std::string(word), value} : fail();
    }

    Value quoted(char quote) {
        Value out;
        ++at_;
        while (at_ < text_.size() && peek() != quote) {
            const char c = peek();
            if (quote == '"' && c == '`' && at_ + 1 < text_.size()) {
                out.text += text_[at_ + 1];
                at_ += 2;
            } else if (quote == '"' && c == '$') {
                ++at_;
                out.text += variable().text;
            } else {
                out.text += c;
                ++at_;
            }
        }
        if (at_ >= text_.size()) return fail();
        ++at_;
        out.number = parse_float(out.text);
        return out;
    }

    std::string_view text_;
    const ScriptVariables& variables_;
    size_t at_ = 0;
    bool ok_ = true;
};

}  // namespace

std::optional<std::string> evaluate_powershell(std::string_view text,
                                               const ScriptVariables& variables) {
    return Evaluator(text, variables).run();
}

}  // namespace lora::config
