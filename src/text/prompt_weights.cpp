#include "text/prompt_weights.h"

#include <charconv>
#include <cmath>
#include <optional>

namespace lora::text {
namespace {

constexpr double kRound = 1.1;

class Parser {
public:
    explicit Parser(std::string_view prompt) : rest_(prompt) {}

    std::vector<WeightedText> run() {
        while (!rest_.empty()) step();
        for (const size_t begin : round_) multiply(begin, kRound);
        for (const size_t begin : square_) multiply(begin, 1 / kRound);
        return joined();
    }

private:
    void step() {
        const char c = rest_.front();
        if (c == '\\' && rest_.size() > 1 &&
            std::string_view("\\()[]").find(rest_[1]) != std::string_view::npos) {
            add(rest_.substr(1, 1));
            rest_.remove_prefix(2);
            return;
        }
        if (c == ':' && !round_.empty()) {
            if (const std::optional<double> weight = closing_weight()) {
                close(round_, *weight);
                return;
            }
        }
        rest_.remove_prefix(1);
        switch (c) {
            case '(': round_.push_back(parts_.size()); break;
            case '[': square_.push_back(parts_.size()); break;
            case ')': close_or_add(round_, kRound, ")"); break;
            case ']': close_or_add(square_, 1 / kRound, "]"); break;
            default: add({&c, 1});
        }
    }

    // ":1.3)" at the front: takes it away.
    std::optional<double> closing_weight() {
        const size_t end = rest_.find(')');
        if (end == std::string_view::npos) return std::nullopt;
        std::string_view digits = rest_.substr(1, end - 1);
        if (digits.starts_with('+')) digits.remove_prefix(1);
        double weight = 0;
        const auto [last, error] = std::from_chars(
            digits.data(), digits.data() + digits.size(), weight, std::chars_format::fixed);
        if (error != std::errc() || last != digits.data() + digits.size() ||
            !std::isfinite(weight)) {
            return std::nullopt;
        }
        rest_.remove_prefix(end + 1);
        return weight;
    }

    void close_or_add(std::vector<size_t>& open, double weight, std::string_view bracket) {
        if (open.empty()) {
            add(bracket);
        } else {
            close(open, weight);
        }
    }
    void close(std::vector<size_t>& open, double weight) {
        multiply(open.back(), weight);
        open.pop_back();
    }
    void multiply(size_t begin, double weight) {
        for (size_t i = begin; i < parts_.size(); ++i) parts_[i].weight *= weight;
        starts_part_ = true;
    }
    // A part goes on until a bracket opens or closes.
    void add(std::string_view text) {
        const bool opened = (!round_.empty() && round_.back() == parts_.size()) ||
                            (!square_.empty() && square_.back() == parts_.size());
        if (parts_.empty() || opened || starts_part_) parts_.push_back({});
        starts_part_ = false;
        parts_.back().text += text;
    }

    std::vector<WeightedText> joined() {
        std::vector<WeightedText> out;
        for (WeightedText& part : parts_) {
            if (!out.empty() && out.back().weight == part.weight) {
                out.back().text += part.text;
            } else {
                out.push_back(std::move(part));
            }
        }
        return out;
    }

    std::string_view rest_;
    std::vector<WeightedText> parts_;
    std::vector<size_t> round_;  // where the text behind each open bracket begins
    std::vector<size_t> square_;
    bool starts_part_ = false;
};

}  // namespace

std::vector<WeightedText> parse_prompt_weights(std::string_view prompt) {
    return Parser(prompt).run();
}

WeightedTokens encode_weighted(const ClipTokenizer& tokenizer, std::string_view prompt) {
    WeightedTokens out;
    for (const WeightedText& part : parse_prompt_weights(prompt)) {
        const std::vector<int32_t> ids = tokenizer.encode(part.text);
        out.ids.insert(out.ids.end(), ids.begin(), ids.end());
        out.weights.resize(out.ids.size(), static_cast<float>(part.weight));
    }
    return out;
}

}  // namespace lora::text
