// Reading: files named on the command line, or the mini model and the demo's pictures.
#include <chrono>

#include "base/file.h"
#include "bench.h"
#include "io/image_codec.h"
#include "io/safetensors.h"

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

}  // namespace

void run_io(const Options& options) {
    if (options.filter.empty()) {
        time_folder(options, LORA_SOURCE_DIR "/assets");
    } else if (is_directory(options.filter)) {
        time_folder(options, options.filter);
    } else if (is_picture(options.filter)) {
        time_picture(options, options.filter);
    } else {
        time_model(options, options.filter);
    }
}

}  // namespace lora::bench
