#include "app/tag_movement.h"

#include <cmath>

#include "base/check.h"

namespace lora::app {
namespace {

double squared_difference(const io::Image& a, const io::Image& b) {
    LORA_CHECK(a.rgb.size() == b.rgb.size(), "pictures of one size");
    double sum = 0;
    for (size_t i = 0; i < a.rgb.size(); ++i) {
        const double apart = (static_cast<double>(a.rgb[i]) - static_cast<double>(b.rgb[i])) / 255;
        sum += apart * apart;
    }
    return sum / static_cast<double>(a.rgb.size());
}

}  // namespace

std::vector<TagMovement> measure_movement(PictureMaker& maker,
                                          const std::string& lora_path,
                                          const MovementOptions& options) {
    maker.add_lora(lora_path);
    const auto without = maker.sampler({0}, options.clip_skip);
    const auto with = maker.sampler({1}, options.clip_skip);
    train::ImageRequest request;
    request.width_px = request.height_px =
        options.side_px > 0 ? options.side_px : maker.info().native_resolution_px;
    request.num_steps = options.num_steps;
    request.sampler = diffusion::SamplerKind::kDdim;
    const int64_t total = std::ssize(options.prompts) * options.num_seeds;
    int64_t done = 0;
    std::vector<TagMovement> out;
    for (const std::string& prompt : options.prompts) {
        request.prompt = prompt;
        double sum = 0;
        for (int64_t i = 0; i < options.num_seeds; ++i) {
            if (options.on_progress) options.on_progress(done++, total);
            request.seed = static_cast<uint64_t>(i + 1);
            sum += squared_difference(without->sample(request), with->sample(request));
        }
        out.push_back({prompt, std::sqrt(sum / static_cast<double>(options.num_seeds))});
    }
    return out;
}

}  // namespace lora::app
