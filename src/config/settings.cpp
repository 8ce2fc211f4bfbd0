#include "config/settings.h"

#include <cmath>

#include "base/check.h"
#include "base/words.h"

namespace lora::config {

void Settings::set(const OptionRow& row, Setting setting) {
    values_[std::string(row.name)] = std::move(setting);
}

void Settings::erase(std::string_view name) {
    const auto found = values_.find(name);
    if (found != values_.end()) values_.erase(found);
}

const Setting* Settings::find(std::string_view name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? nullptr : &found->second;
}

bool Settings::has(std::string_view name) const { return find(name) != nullptr; }

Origin Settings::origin(std::string_view name) const {
    const Setting* setting = find(name);
    return setting == nullptr ? Origin::kPreset : setting->origin;
}

bool Settings::given(std::string_view name) const { return origin(name) >= Origin::kFile; }

std::string Settings::place(std::string_view name) const {
    const Setting* setting = find(name);
    return setting == nullptr || setting->place.empty() ? std::string(name) : setting->place;
}

std::string Settings::text(std::string_view name) const {
    const Setting* setting = find(name);
    return setting == nullptr || setting->words.empty() ? std::string() : setting->words.front();
}

bool Settings::flag(std::string_view name) const { return parse_bool(text(name)).value_or(false); }

int64_t Settings::integer(std::string_view name) const { return parse_int(text(name)).value_or(0); }

double Settings::number(std::string_view name) const { return parse_float(text(name)).value_or(0); }

std::vector<std::string> Settings::list(std::string_view name) const {
    const Setting* setting = find(name);
    return setting == nullptr ? std::vector<std::string>() : setting->words;
}

std::optional<int64_t> parse_int(std::string_view text) {
    if (text.starts_with('+')) text.remove_prefix(1);
    return parse_number<int64_t>(text);
}

std::optional<double> parse_float(std::string_view text) {
    if (text.starts_with('+')) text.remove_prefix(1);
    const std::optional<double> value = parse_number<double>(text);
    return value && std::isfinite(*value) ? value : std::nullopt;
}

std::optional<bool> parse_bool(std::string_view text) {
    const std::string word = canonical_name(text);
    for (const std::string_view yes : {"true", "1", "yes", "on"}) {
        if (word == yes) return true;
    }
    for (const std::string_view no : {"false", "0", "no", "off"}) {
        if (word == no) return false;
    }
    return std::nullopt;
}

std::optional<uint64_t> parse_bytes(std::string_view text) {
    size_t digits = 0;
    while (digits < text.size() &&
           (text[digits] == '.' || (text[digits] >= '0' && text[digits] <= '9'))) {
        ++digits;
    }
    const auto value = parse_float(text.substr(0, digits));
    std::string unit = canonical_name(text.substr(digits));
    while (!unit.empty() && unit.front() == ' ') unit.erase(0, 1);
    if (unit.ends_with("ib")) unit.resize(unit.size() - 2);
    if (unit.ends_with("b")) unit.resize(unit.size() - 1);
    const size_t power = unit.empty() ? 0 : std::string_view("kmgt").find(unit) + 1;
    if (!value || *value < 0 || unit.size() > 1 || (!unit.empty() && power == 0))
        return std::nullopt;
    const double bytes = *value * std::pow(1024.0, static_cast<double>(power));
    if (bytes > 1e18) return std::nullopt;
    return static_cast<uint64_t>(bytes);
}

}  // namespace lora::config
