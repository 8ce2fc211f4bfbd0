// Runs a fuzz target over files without libFuzzer: every file of the folders given, and of each a
// few hundred variants made by fixed rules, so that any compiler's test run sees hostile input.
#include <cstdio>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/rng.h"
#include "fuzz_target.h"

namespace {

constexpr int kVariantsPerFile = 300;

void feed(const std::string& input) {
    // A copy of exactly that size, so that a sanitizer sees reads past the end.
    const std::vector<uint8_t> copy(input.begin(), input.end());
    LLVMFuzzerTestOneInput(copy.data(), copy.size());
}

// A cut, changed bytes, a repeated or a removed piece.
std::string variant(const std::string& original, lora::Rng& rng) {
    std::string result = original;
    if (result.empty()) return result;
    const size_t at = rng.below(result.size());
    switch (rng.below(5)) {
        case 0: result.resize(at); break;
        case 1: result.erase(at, 1 + rng.below(8)); break;
        case 2: result.insert(at, result.substr(at, 1 + rng.below(32))); break;
        case 3: result[at] = static_cast<char>(rng.below(2) == 0 ? 0xFF : 0x00); break;
        default:
            for (uint64_t i = 0; i <= rng.below(4); ++i) {
                result[rng.below(result.size())] = static_cast<char>(rng.below(256));
            }
    }
    return result;
}

}  // namespace

int main(int argc, char** argv) {
    size_t num_files = 0;
    for (int i = 1; i < argc; ++i) {
        const std::string folder = argv[i];
        for (const lora::DirectoryEntry& entry : lora::list_directory(folder)) {
            if (entry.is_directory) continue;
            const std::string original = lora::read_text_file(lora::join_path(folder, entry.name));
            feed(original);
            lora::Rng rng(num_files++);
            for (int round = 0; round < kVariantsPerFile; ++round) feed(variant(original, rng));
        }
    }
    std::printf("%zu files, %d variants each\n", num_files, kVariantsPerFile);
    return num_files == 0 ? 1 : 0;
}
