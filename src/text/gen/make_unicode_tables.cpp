// Reads UnicodeData.txt and CompositionExclusions.txt and writes the tables that text/unicode.cpp
// searches. Usage: make_unicode_tables UnicodeData.txt CompositionExclusions.txt OUT.cpp
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

struct Range {
    uint32_t first, last, value;
};
struct Triple {
    uint32_t whole, first, second;
};

struct Tables {
    std::vector<Range> classes;
    std::vector<Range> combining;
    std::vector<std::pair<uint32_t, uint32_t>> digits;
    std::vector<std::pair<uint32_t, uint32_t>> lower;
    std::vector<Triple> decompositions;
    std::map<uint32_t, uint32_t> combining_of;
};

[[noreturn]] void fail(const std::string& why) {
    std::cerr << "make_unicode_tables: " << why << "\n";
    std::exit(1);
}

uint32_t hex(const std::string& text) {
    return static_cast<uint32_t>(std::stoul(text, nullptr, 16));
}

std::vector<std::string> split(const std::string& line) {
    std::vector<std::string> fields(1);
    for (const char c : line) {
        if (c == ';') {
            fields.emplace_back();
        } else if (c != '\r') {
            fields.back() += c;
        }
    }
    return fields;
}

void add_range(std::vector<Range>& ranges, Range range) {
    if (!ranges.empty() && ranges.back().last + 1 == range.first &&
        ranges.back().value == range.value) {
        ranges.back().last = range.last;
    } else {
        ranges.push_back(range);
    }
}

void add_character(Tables& tables, const std::vector<std::string>& f, uint32_t first) {
    const uint32_t c = hex(f[0]);
    if (f[2][0] == 'L') add_range(tables.classes, {first, c, 1});
    if (f[2][0] == 'N') add_range(tables.classes, {first, c, 2});
    const uint32_t combining = static_cast<uint32_t>(std::stoul(f[3]));
    if (combining != 0) {
        add_range(tables.combining, {first, c, combining});
        tables.combining_of[c] = combining;
    }
    if (f[2] == "Nd") tables.digits.emplace_back(c, static_cast<uint32_t>(std::stoul(f[6])));
    if (!f[13].empty()) tables.lower.emplace_back(c, hex(f[13]));
    if (!f[5].empty() && f[5][0] != '<') {
        const size_t space = f[5].find(' ');
        tables.decompositions.push_back(
            {c, hex(f[5]), space == std::string::npos ? 0 : hex(f[5].substr(space + 1))});
    }
}

Tables read_characters(const char* path) {
    std::ifstream in(path);
    if (!in) fail(std::string("cannot read ") + path);
    Tables tables;
    std::string line;
    uint32_t range_start = 0;
    bool in_range = false;
    while (std::getline(in, line)) {
        const std::vector<std::string> fields = split(line);
        if (fields.size() < 15) fail("short line: " + line);
        const std::string& name = fields[1];
        if (name.size() > 8 && name.substr(name.size() - 8) == ", First>") {
            range_start = hex(fields[0]);
            in_range = true;
            continue;
        }
        add_character(tables, fields, in_range ? range_start : hex(fields[0]));
        in_range = false;
    }
    return tables;
}

std::set<uint32_t> read_exclusions(const char* path) {
    std::ifstream in(path);
    if (!in) fail(std::string("cannot read ") + path);
    std::set<uint32_t> out;
    std::string line;
    while (std::getline(in, line)) {
        const std::string text = line.substr(0, line.find('#'));
        if (text.find_first_of("0123456789ABCDEF") == 0) out.insert(hex(text));
    }
    return out;
}

// Singletons, listed exclusions, and pairs whose whole or first part is itself a combining mark
// never compose (UAX 15, section 5.6).
std::vector<Triple> compositions(const Tables& tables, const std::set<uint32_t>& excluded) {
    std::vector<Triple> out;
    for (const Triple& t : tables.decompositions) {
        const bool non_starter =
            tables.combining_of.contains(t.whole) || tables.combining_of.contains(t.first);
        if (t.second != 0 && !excluded.contains(t.whole) && !non_starter) out.push_back(t);
    }
    std::sort(out.begin(), out.end(), [](const Triple& a, const Triple& b) {
        return std::pair(a.first, a.second) < std::pair(b.first, b.second);
    });
    return out;
}

void write_array(std::ostream& out,
                 const std::string& type,
                 const std::string& function,
                 const std::vector<std::vector<uint32_t>>& rows) {
    out << "namespace {\nconstexpr " << type << " k_" << function << "[] = {\n";
    for (const auto& row : rows) {
        out << "{";
        for (size_t i = 0; i < row.size(); ++i) out << (i == 0 ? "" : ",") << row[i];
        out << "},\n";
    }
    out << "};\n}  // namespace\nstd::span<const " << type << "> " << function << "() { return k_"
        << function << "; }\n\n";
}

template <typename T, typename Fn>
std::vector<std::vector<uint32_t>> rows_of(const std::vector<T>& items, Fn row) {
    std::vector<std::vector<uint32_t>> out;
    for (const T& item : items) out.push_back(row(item));
    return out;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) fail("usage: make_unicode_tables UnicodeData CompositionExclusions OUT.cpp");
    const Tables tables = read_characters(argv[1]);
    const auto composed = compositions(tables, read_exclusions(argv[2]));
    std::ofstream out(argv[3], std::ios::binary);
    out << "// Written by make_unicode_tables.\n#include \"text/internal/unicode_tables.h\"\n\n"
           "namespace lora::text::internal {\n\n";
    const auto range_row = [](const Range& r) {
        return std::vector<uint32_t>{r.first, r.last, r.value};
    };
    const auto pair_row = [](const std::pair<uint32_t, uint32_t>& p) {
        return std::vector<uint32_t>{p.first, p.second};
    };
    const auto triple_row = [](const Triple& t) {
        return std::vector<uint32_t>{t.whole, t.first, t.second};
    };
    write_array(out, "CharRange", "letter_number_ranges", rows_of(tables.classes, range_row));
    write_array(out, "CharRange", "combining_ranges", rows_of(tables.combining, range_row));
    write_array(out, "CharPair", "decimal_digits", rows_of(tables.digits, pair_row));
    write_array(out, "CharPair", "lower_pairs", rows_of(tables.lower, pair_row));
    write_array(out, "CharTriple", "decompositions", rows_of(tables.decompositions, triple_row));
    write_array(out, "CharTriple", "compositions", rows_of(composed, triple_row));
    out << "}  // namespace lora::text::internal\n";
    out.close();
    if (!out) fail(std::string("cannot write ") + argv[3]);
    return 0;
}
