#include "train/network.h"

#include <cmath>

#include "base/check.h"
#include "base/hash.h"
#include "base/rng.h"

namespace lora::train {
namespace {

// How a fresh factor is drawn: uniform in +-1/sqrt(fan_in), normal of a width, or zero.
enum class Start : uint8_t { kZero, kKaiming, kNormal };
struct FactorStart {
    std::string_view suffix;
    Start start = Start::kZero;
    float width = 1;
};
constexpr FactorStart kStarts[] = {
    {"lora_down.weight", Start::kKaiming},
    {"lora_mid.weight", Start::kKaiming},
    {"hada_t1", Start::kNormal, 0.1F},
    {"hada_t2", Start::kNormal, 0.1F},
    {"hada_w1_a", Start::kNormal, 0.1F},
    {"hada_w1_b", Start::kNormal, 1.0F},
    {"hada_w2_b", Start::kNormal, 1.0F},
    {"lokr_w1", Start::kKaiming},
    {"lokr_w1_a", Start::kKaiming},
    {"lokr_w1_b", Start::kKaiming},
    {"lokr_t2", Start::kKaiming},
    {"lokr_w2_a", Start::kKaiming},
};

FactorStart start_of(std::string_view key) {
    const std::string_view suffix = key.substr(key.find('.') + 1);
    for (const FactorStart& row : kStarts) {
        if (row.suffix == suffix) return row;
    }
    return {suffix};
}

}  // namespace

Network::Network(std::vector<LoraModule> modules) : modules_(std::move(modules)) {
    const auto add = [this](const LoraModule& module, const nn::LoraFactor& factor) {
        const int64_t count = factor.shape.num_elements();
        entries_.push_back(
            {module.name + "." + factor.suffix, factor.shape, module.part, num_elements_, count});
        num_elements_ += (count + kAlignment - 1) / kAlignment * kAlignment;
    };
    for (const NetworkPart part : {NetworkPart::kTextEncoder, NetworkPart::kUNet}) {
        for (const LoraModule& module : modules_) {
            if (module.part != part) continue;
            LORA_CHECK(module.rank > 0 && module.weight.num_axes() >= 2, "a module without a rank");
            const std::vector<nn::LoraFactor> factors =
                module.factors.empty() ? nn::lora_factors(module.weight, module.rank)
                                       : module.factors;
            for (const nn::LoraFactor& factor : factors) add(module, factor);
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
        const FactorStart row = start_of(entry.key);
        if (row.start == Start::kZero) continue;
        const int64_t fan_in = entry.count / entry.shape[0];
        const auto bound = static_cast<float>(1.0 / std::sqrt(static_cast<double>(fan_in)));
        Rng rng(seed, RngStream::kLoraInit, fnv1a64(entry.key));
        const bool normal = row.start == Start::kNormal;
        for (int64_t i = 0; i < entry.count; ++i) {
            values[static_cast<size_t>(entry.offset + i)] =
                normal ? row.width * rng.normal() : (2.0F * rng.uniform() - 1.0F) * bound;
        }
    }
    return values;
}

}  // namespace lora::train
