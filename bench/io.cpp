// Reading: files named on the command line, or the mini model and the demo's pictures; `data_check`
// among the names times lora data check --no_decode on a folder of 50,000 files.
#include <chrono>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "base/file.h"
#include "bench.h"
#include "io/image_codec.h"
#include "io/safetensors.h"
#include "tools/data_check.h"

namespace lora::bench {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void time_model(const Options& options, const std::string& path) {
    std::vector<double> open_s;
    std::vector<double> read_s;
    size_t bytes = 0;
    uint64_t sum = 0;  // the bytes are really read
    for (int i = 0; i < options.repeats; ++i) {
        auto start = std::chrono::steady_clock::now();
        const io::SafetensorsFile file = io::SafetensorsFile::open(path);
        open_s.push_back(seconds_since(start));
        start = std::chrono::steady_clock::now();
        const std::span<const std::byte> data = file.data_section();
        for (size_t at = 0; at < data.size(); at += 64) sum += static_cast<uint64_t>(data[at]);
        read_s.push_back(seconds_since(start));
        bytes = data.size();
    }
    OrderedJson line;
    line["file"] = base_name(path);
    line["bytes"] = bytes;
    line["header_ms"] = median(open_s) * 1e3;
    line["read_gb_per_s"] = static_cast<double>(bytes) / median(read_s) * 1e-9;
    line["check"] = sum;
    print_line(line);
}

void time_picture(const Options& options, const std::string& path) {
    const std::vector<std::byte> bytes = read_binary_file(path);
    std::vector<double> times;
    int64_t pixels = 0;
    for (int i = 0; i < options.repeats; ++i) {
        const auto start = std::chrono::steady_clock::now();
        const io::Image image = io::decode_image(bytes, path);
        times.push_back(seconds_since(start));
        pixels = image.height_px * image.width_px;
    }
    OrderedJson line;
    line["file"] = base_name(path);
    line["bytes"] = bytes.size();
    line["ms"] = median(times) * 1e3;
    line["megapixels_per_s"] = static_cast<double>(pixels) / median(times) * 1e-6;
    print_line(line);
}

bool is_picture(const std::string& path) {
    const std::string kind = extension(path);
    return kind == ".png" || kind == ".jpg" || kind == ".jpeg" || kind == ".webp" || kind == ".bmp";
}

// One picture of each folder below, and any model file.
void time_folder(const Options& options, const std::string& folder) {
    bool had_picture = false;
    for (const DirectoryEntry& entry : list_directory(folder)) {
        const std::string path = join_path(folder, entry.name);
        if (entry.is_directory) {
            time_folder(options, path);
        } else if (is_picture(path) && !had_picture) {
            time_picture(options, path);
            had_picture = true;
        } else if (extension(path) == ".safetensors") {
            time_model(options, path);
        }
    }
}

// Five concept folders of 5000 pictures (names of few files) with a caption each, of few tags, or
// each with a tag that nobody knows.
void time_data_check(const Options& options, bool odd_tags) {
    constexpr int kNamesOfOneFile = 500;  // file systems limit them
    constexpr const char* kActions[] = {"sitting", "standing", "smile"};
    constexpr const char* kPlaces[] = {"indoors", "outdoors", "night", "snow"};
    const std::string folder =
        from_path(std::filesystem::temp_directory_path()) + "/lora_bench_data_check";
    const std::string picture = read_text_file(LORA_SOURCE_DIR "/assets/demo/5_zorp/zorp_00.png");
    remove_directory(folder);
    int64_t files = 0;
    for (int row = 0; row < 5; ++row) {
        const std::string inside = fmt::format("{}/5_mika{}", folder, row);
        make_directories(inside);
        std::string first;
        for (int i = 0; i < 5000; ++i, files += 2) {
            const std::string stem = fmt::format("{}/p{:04}", inside, i);
            if (i % kNamesOfOneFile == 0) {
                first = stem + ".png";
                write_file_atomically(first, picture);
            } else {
                std::filesystem::create_hard_link(to_path(first), to_path(stem + ".png"));
            }
            // Not worth a flush each.
            std::ofstream(to_path(stem + ".txt"))
                << "mika" << row << ", " << kActions[i % 3] << ", " << kPlaces[i % 4]
                << (odd_tags ? fmt::format(", x{}", i) : "");
        }
    }
    std::vector<double> times;
    size_t findings = 0;
    const tools::TagClasses classes;
    for (int i = 0; i < options.repeats; ++i) {
        const auto start = std::chrono::steady_clock::now();
        findings =
            tools::check_data({.folder = folder, .no_decode = true}, classes).findings.size();
        times.push_back(seconds_since(start));
    }
    remove_directory(folder);
    OrderedJson line;
    line["case"] = odd_tags ? "data_check_odd_tags" : "data_check";
    line["files"] = files;
    line["s"] = median(times);
    line["findings"] = findings;
    print_line(line);
}

}  // namespace

void run_io(const Options& options) {
    if (options.filter.empty()) {
        time_folder(options, LORA_SOURCE_DIR "/assets");
    } else if (options.filter == "data_check") {
        time_data_check(options, false);
        time_data_check(options, true);
    } else if (is_directory(options.filter)) {
        time_folder(options, options.filter);
    } else if (is_picture(options.filter)) {
        time_picture(options, options.filter);
    } else {
        time_model(options, options.filter);
    }
}

}  // namespace lora::bench
