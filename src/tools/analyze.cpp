#include "tools/analyze.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/thread_pool.h"
#include "tools/resize.h"

namespace lora::tools {
namespace {

// exp(-sum p ln p) of p = s^2 / sum s^2 (Roy and Vetterli, "The effective rank", 2007, of
// energies).
double effective_rank(const std::vector<double>& energies, double total) {
    double entropy = 0;
    for (const double energy : energies) {
        if (energy <= 0) continue;
        const double p = energy / total;
        entropy -= p * std::log(p);
    }
    return std::exp(entropy);
}

// Energies of a layer's singular values, largest first; one number where ranks are not looked at.
std::vector<double> energies_of(const LoraLayer& layer) {
    if (layer.kind == nn::LoraKind::kIa3) return {};
    if (layer.kind != nn::LoraKind::kLora) return {squared_norm(weight_change(layer))};
    const FactorPair pair = factor_pair(layer);
    std::vector<double> energies;
    for (const double s : svd_of_product(pair.up, pair.down).s) {
        energies.push_back(std::pow(s * layer.scale(), 2));
    }
    return energies;
}

double sum_of(const std::vector<double>& values) {
    double sum = 0;
    for (const double value : values) sum += value;
    return sum;
}

void gather_blocks(LoraAnalysis& out) {
    std::map<int, std::pair<BlockAnalysis, int64_t>> blocks;  // with the number of moved layers
    int64_t moved = 0;
    for (const LayerAnalysis& layer : out.layers) {
        auto& [block, count] = blocks[layer.block];
        block.block = layer.block;
        ++block.layers;
        block.energy += layer.energy;
        block.effective_rank += layer.effective_rank;
        if (layer.energy > 0) {
            ++count;
            ++moved;
        }
        out.energy += layer.energy;
        out.effective_rank += layer.effective_rank;
    }
    for (auto& [number, entry] : blocks) {
        if (entry.second > 0) entry.first.effective_rank /= static_cast<double>(entry.second);
        out.blocks.push_back(entry.first);
    }
    if (moved > 0) out.effective_rank /= static_cast<double>(moved);
}

// The smallest rank that keeps the share over all layers together.
void suggest_rank(const LoraFile& file,
                  const std::vector<std::vector<double>>& energies,
                  const AnalyzeOptions& options,
                  LoraAnalysis& out) {
    int64_t largest = 0;
    for (const LoraLayer& layer : file.layers) {
        if (layer.kind != nn::LoraKind::kLora) return;
        largest = std::max(largest, layer.rank);
    }
    double kept = 0;
    for (int64_t rank = 1; rank < largest && out.energy > 0; ++rank) {
        for (const std::vector<double>& layer : energies) {
            const auto place = static_cast<size_t>(rank - 1);
            if (place < layer.size()) kept += layer[place];
        }
        if (kept < options.kept_share * out.energy) continue;
        out.suggested_rank = rank;
        out.kept_share = std::min(kept / out.energy, 1.0);
        const DType dtype = file.layers.front().factors.begin()->second.dtype;
        out.suggested_bytes = resized_bytes(file, rank, dtype);
        return;
    }
}

}  // namespace

LoraAnalysis analyze_lora(const LoraFile& file, const AnalyzeOptions& options) {
    LoraAnalysis out;
    out.layers.resize(file.layers.size());
    std::vector<std::vector<double>> energies(file.layers.size());
    ThreadPool pool(options.threads);
    pool.parallel_for(static_cast<int64_t>(file.layers.size()), [&](int64_t i) {
        const auto at = static_cast<size_t>(i);
        const LoraLayer& layer = file.layers[at];
        energies[at] = energies_of(layer);
        LayerAnalysis& told = out.layers[at];
        told = {layer.name, block_of_layer(layer.name), layer.rank, sum_of(energies[at])};
        if (told.energy > 0 && layer.kind == nn::LoraKind::kLora) {
            told.effective_rank = effective_rank(energies[at], told.energy);
        }
    });
    for (size_t i = 0; i < file.layers.size(); ++i) {
        const bool is_ia3 = file.layers[i].kind == nn::LoraKind::kIa3;
        if (!is_ia3 && out.layers[i].energy == 0) out.unmoved.push_back(out.layers[i].name);
    }
    gather_blocks(out);
    suggest_rank(file, energies, options, out);
    return out;
}

}  // namespace lora::tools
