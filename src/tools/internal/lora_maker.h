// LoRA files for tests: layers of random numbers under any names, in memory or on disk.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/rng.h"
#include "io/safetensors.h"
#include "tools/lora_layers.h"

namespace lora::tools::internal {

class LoraMaker {
public:
    explicit LoraMaker(uint64_t seed = 1) : rng_(seed) {}

    Tensor& add(const std::string& name, const Shape& shape, float deviation = 0.1F) {
        std::vector<float> values(static_cast<size_t>(shape.num_elements()));
        for (float& value : values) value = deviation * rng_.normal();
        storage_.push_back(Tensor::from_floats(shape, values));
        named_.push_back({name, storage_.back().view()});
        return storage_.back();
    }
    void set(const std::string& name, float value) {
        storage_.push_back(Tensor::from_floats(Shape{}, {&value, 1}));
        named_.push_back({name, storage_.back().view()});
    }
    // A linear or convolution layer of sd-scripts; alpha 0: none.
    void lora(const std::string& layer, const Shape& weight, int64_t rank, float alpha = 0) {
        std::vector<int64_t> down = weight.sizes();
        down[0] = rank;
        std::vector<int64_t> up(down.size(), 1);
        up[0] = weight[0];
        up[1] = rank;
        add(layer + ".lora_down.weight", Shape(down));
        add(layer + ".lora_up.weight", Shape(up));
        if (alpha != 0) set(layer + ".alpha", alpha);
    }
    void save(const std::string& path, const io::Metadata& metadata = {}) const {
        io::write_safetensors(path, named_, metadata);
    }
    // Reads what would be in the file.
    [[nodiscard]] LoraFile read(const io::Metadata& metadata = {}) const {
        const TemporaryFile file("made.safetensors");
        save(file.path(), metadata);
        bytes_ = std::make_shared<std::vector<std::byte>>(read_binary_file(file.path()));
        return read_lora(std::make_shared<const io::SafetensorsFile>(
            io::SafetensorsFile::from_bytes(*bytes_, "made.safetensors")));
    }

    // A path in the system's folder for temporary files, removed at the end.
    class TemporaryFile {
    public:
        explicit TemporaryFile(const std::string& name)
            : path_(from_path(std::filesystem::temp_directory_path() / unique(name))) {}
        ~TemporaryFile() { remove_file_if_exists(path_); }
        TemporaryFile(const TemporaryFile&) = delete;
        TemporaryFile& operator=(const TemporaryFile&) = delete;
        [[nodiscard]] const std::string& path() const { return path_; }

    private:
        static std::string unique(const std::string& name) {
            static int count = 0;
            const auto seed = reinterpret_cast<uintptr_t>(&count);
            return "lora_tools_" + std::to_string(seed) + "_" + std::to_string(++count) + "_" +
                   name;
        }
        std::string path_;
    };

private:
    Rng rng_;
    std::deque<Tensor> storage_;
    std::vector<io::NamedTensor> named_;
    mutable std::shared_ptr<std::vector<std::byte>> bytes_;
};

// A file in a temporary place, and the change of each of its layers.
[[nodiscard]] inline std::vector<float> change_of(const LoraFile& file, const std::string& layer) {
    const LoraLayer* found = file.find(layer);
    return found == nullptr ? std::vector<float>{} : weight_change(*found).values;
}

}  // namespace lora::tools::internal
