#include "diffusion/noise_schedule.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace lora::diffusion {

NoiseSchedule::NoiseSchedule(bool zero_terminal_snr) {
    const double first = std::sqrt(0.00085);
    const double last = std::sqrt(0.012);
    double product = 1;
    alphas_cumprod_.reserve(kNumTimesteps);
    for (int64_t t = 0; t < kNumTimesteps; ++t) {
        const double share = static_cast<double>(t) / static_cast<double>(kNumTimesteps - 1);
        const double root = first + (last - first) * share;
        product *= 1.0 - root * root;
        alphas_cumprod_.push_back(product);
    }
    if (!zero_terminal_snr) return;
    const double top = std::sqrt(alphas_cumprod_.front());
    const double bottom = std::sqrt(alphas_cumprod_.back());
    for (double& ac : alphas_cumprod_) {
        const double root = (std::sqrt(ac) - bottom) * top / (top - bottom);
        ac = root * root;
    }
}

double NoiseSchedule::alphas_cumprod(int64_t t) const {
    LORA_CHECK(t >= 0 && t < kNumTimesteps, "timestep outside the schedule");
    return alphas_cumprod_[static_cast<size_t>(t)];
}

double NoiseSchedule::sigma(int64_t t) const {
    const double ac = alphas_cumprod(t);
    return std::sqrt((1.0 - ac) / ac);
}

double NoiseSchedule::sigma_at(double t) const {
    const double clamped = std::clamp(t, 0.0, static_cast<double>(kNumTimesteps - 1));
    const auto low = static_cast<int64_t>(std::floor(clamped));
    const int64_t high = std::min(low + 1, kNumTimesteps - 1);
    const double share = clamped - static_cast<double>(low);
    return sigma(low) + (sigma(high) - sigma(low)) * share;
}

double NoiseSchedule::timestep_of(double sigma_wanted) const {
    const double wanted = std::log(std::max(sigma_wanted, 1e-10));
    int64_t low = 0;  // the last timestep whose sigma does not exceed the wanted one
    while (low < kNumTimesteps - 2 && std::log(sigma(low + 1)) <= wanted) ++low;
    const double from = std::log(sigma(low));
    const double to = std::log(sigma(low + 1));
    const double share = std::clamp((wanted - from) / (to - from), 0.0, 1.0);
    return static_cast<double>(low) + share;
}

}  // namespace lora::diffusion
