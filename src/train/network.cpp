#include "train/network.h"

#include <cmath>

#include "base/check.h"
#include "base/hash.h"
#include "base/rng.h"

namespace lora::train {
namespace {

Shape down_shape(const LoraModule& module) {
    std::vector<int64_t> sizes = module.weight.sizes();
    sizes[0] = module.rank;
    return Shape(sizes);
}

Shape up_shape(const LoraModule& module) {
    std::vector<int64_t> sizes(module.weight.sizes().size(), 1);
    sizes[0] = module.weight[0];
    sizes[1] = module.rank;
    return Shape(sizes);
}

}  // namespace

Network::Network(std::vector<LoraModule> modules) : modules_(std::move(modules)) {
    const auto add = [this](const LoraModule& module, const char* suffix, Shape shape) {
        const int64_t count = shape.num_elements();
        entries_.push_back(
            {module.name + suffix, std::move(shape), module.part, num_elements_, count});
        num_elements_ += (count + kAlignment - 1) / kAlignment * kAlignment;
    };
    for (const NetworkPart part : {NetworkPart::kTextEncoder, NetworkPart::kUNet}) {
        for (const LoraModule& module : modules_) {
            if (module.part != part) continue;
            LORA_CHECK(module.rank > 0 && module.weight.num_axes() >= 2, "a module without a rank");
            add(module, ".lora_down.weight", down_shape(module));
            add(module, ".lora_up.weight", up_shape(module));
        }
    }
}

const ParameterEntry* Network::find(std::string_view key) const {
    for (const ParameterEntry& entry : entries_) {
        if (entry.key == key) return &entry;
    }
    return nullptr;
}

int64_t Network::num_parameters() const {
    int64_t sum = 0;
    for (const ParameterEntry& entry : entries_) sum += entry.count;
    return sum;
}

bool Network::has_part(NetworkPart part) const {
    for (const LoraModule& module : modules_) {
        if (module.part == part) return true;
    }
    return false;
}

std::vector<float> initial_values(const Network& network, uint64_t seed) {
    std::vector<float> values(static_cast<size_t>(network.num_elements()), 0.0F);
    for (const ParameterEntry& entry : network.entries()) {
        if (!entry.key.ends_with(".lora_down.weight")) continue;
        const int64_t fan_in = entry.count / entry.shape[0];
        const auto bound = static_cast<float>(1.0 / std::sqrt(static_cast<double>(fan_in)));
        Rng rng(seed, RngStream::kLoraInit, fnv1a64(entry.key));
        for (int64_t i = 0; i < entry.count; ++i) {
            values[static_cast<size_t>(entry.offset + i)] = (2.0F * rng.uniform() - 1.0F) * bound;
        }
    }
    return values;
}

}  // namespace lora::train
