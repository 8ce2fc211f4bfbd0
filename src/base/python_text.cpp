#include "base/python_text.h"

#include <cmath>

#include <fmt/format.h>

namespace lora {
namespace {

std::string quoted(const std::string& text) {
    return OrderedJson(text).dump(-1, ' ', true, OrderedJson::error_handler_t::replace);
}

void append(std::string& out, const OrderedJson& value) {
    if (value.is_object()) {
        out += '{';
        bool first = true;
        for (const auto& [key, item] : value.items()) {
            if (!std::exchange(first, false)) out += ", ";
            out += quoted(key) + ": ";
            append(out, item);
        }
        out += '}';
    } else if (value.is_array()) {
        out += '[';
        bool first = true;
        for (const OrderedJson& item : value) {
            if (!std::exchange(first, false)) out += ", ";
            append(out, item);
        }
        out += ']';
    } else if (value.is_number_float()) {
        out += python_float(value.get<double>());
    } else if (value.is_string()) {
        out += quoted(value.get<std::string>());
    } else {
        out += value.dump();
    }
}

}  // namespace

std::string python_float(double value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
    std::string text = fmt::format("{}", value);
    if (text.find_first_of(".e") == std::string::npos) text += ".0";
    return text;
}

std::string python_bool(bool value) { return value ? "True" : "False"; }

std::string python_optional(std::optional<double> value) {
    return value ? python_float(*value) : "None";
}

std::string python_json(const OrderedJson& value) {
    std::string out;
    append(out, value);
    return out;
}

}  // namespace lora
