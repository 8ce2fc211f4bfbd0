#include "ir/dynamic_map.h"

#include <algorithm>
#include <cmath>

namespace lora::ir {

// Exponent e = 0..6: the middles of 2^e (unsigned 2^(e+1)) equal parts of [0.1, 1], times 10^(e-6).
std::array<float, 256> dynamic_map(bool is_signed) {
    std::array<float, 256> map{};
    size_t n = 0;
    for (int e = 0; e < 7; ++e) {
        const int parts = 1 << (is_signed ? e : e + 1);
        const double scale = std::pow(10.0, e - 6);
        for (int i = 0; i < parts; ++i) {
            const auto value = static_cast<float>(scale * (0.1 + 0.9 * (i + 0.5) / parts));
            map[n++] = value;
            if (is_signed) map[n++] = -value;
        }
    }
    map[n++] = 0.0F;
    map[n] = 1.0F;
    std::sort(map.begin(), map.end());
    return map;
}

std::vector<float> dynamic_maps() {
    std::vector<float> maps;
    for (const bool is_signed : {true, false}) {
        const std::array<float, 256> map = dynamic_map(is_signed);
        maps.insert(maps.end(), map.begin(), map.end());
    }
    return maps;
}

}  // namespace lora::ir
