// The verdict of the demo: probe loss on held-out pictures, and pictures that a person would call a
// zorp on the named background.
#include <array>

#include <fmt/format.h>

#include "app/demo/canvas.h"
#include "app/demo/demo.h"
#include "app/demo/probe.h"
#include "base/error.h"

namespace lora::app {
namespace {

// The verdict's bounds. Seeds 1337, 1 and 2 give 16, 14 and 12 zorps of 16 and a probe share of
// 0.15; no LoRA 0, training on stickers 0, on zorps of a wrong colour 1 (tests/e2e/demo_test.py).
constexpr double kMostProbeShare = 0.75;  // probe loss with the LoRA / without
constexpr double kLeastPictures = 0.6;    // share of zorps at weight 1
constexpr double kMostBase = 0.1;         // share of zorps without the LoRA

constexpr std::array<double, 4> kWeights = {0, 0.5, 1.0, 1.5};
constexpr size_t kJudgedColumn = 2;
constexpr int kSeedsPerPrompt = 2;
constexpr uint64_t kFirstSeed = 1;
constexpr int64_t kSize = 128;

constexpr int64_t kLabelWidth = 150;
constexpr int64_t kGap = 6;
constexpr int64_t kTop = 28;

train::ImageRequest request_for(const DemoPrompt& prompt, int seed_idx) {
    train::ImageRequest request;
    request.prompt = prompt.text;
    request.width_px = kSize;
    request.height_px = kSize;
    request.seed = kFirstSeed + static_cast<uint64_t>(seed_idx);
    request.sampler = diffusion::SamplerKind::kDdim;
    request.num_steps = 30;
    // At 5, the usual value of larger models, the colours leave what was learned.
    request.cfg_scale = 3;
    return request;
}

// One word a line fits the label column better than cut words.
void draw_label(Canvas& canvas, Point at, std::string_view text) {
    while (!text.empty()) {
        const size_t end = std::min(text.find(", "), text.size());
        canvas.text(at, text.substr(0, end));
        at.y += kLetterHeight + 4;
        text.remove_prefix(std::min(end + 2, text.size()));
    }
}

Point cell(size_t row, size_t column) {
    return {kLabelWidth + static_cast<int64_t>(column) * (kSize + kGap),
            kTop + static_cast<int64_t>(row) * (kSize + kGap)};
}

Canvas empty_sheet(const std::vector<DemoPrompt>& prompts) {
    const Point end = cell(prompts.size(), kWeights.size());
    Canvas canvas(end.x, end.y);
    for (size_t column = 0; column < kWeights.size(); ++column) {
        const std::string head =
            kWeights[column] == 0 ? "without LoRA" : fmt::format("weight {:.1f}", kWeights[column]);
        canvas.text({cell(0, column).x, 10}, head);
    }
    for (size_t row = 0; row < prompts.size(); ++row) {
        draw_label(canvas, {8, cell(row, 0).y + kSize / 3}, prompts[row].text);
    }
    return canvas;
}

// All prompts with the first seed, then with the second; made side by side.
std::vector<io::Image> draw_column(train::ImageSampler& sampler,
                                   const std::vector<DemoPrompt>& prompts,
                                   int num_seeds,
                                   const std::stop_token& stop) {
    std::vector<train::ImageRequest> requests;
    for (int seed = 0; seed < num_seeds; ++seed) {
        for (const DemoPrompt& prompt : prompts) requests.push_back(request_for(prompt, seed));
    }
    requests.front().on_step = [&stop](int64_t) {
        if (stop.stop_requested()) {
            throw Error(ErrorCode::kCancelled, "stopped before the verdict");
        }
    };
    return sampler.sample(requests);
}

void judge_column(const std::vector<io::Image>& images,
                  const std::vector<DemoPrompt>& prompts,
                  size_t column,
                  DemoVerdict& verdict) {
    for (size_t row = 0; row < prompts.size(); ++row) {
        for (size_t seed = 0; seed < kSeedsPerPrompt; ++seed) {
            const io::Image& image = images[seed * prompts.size() + row];
            const ZorpCheck check = check_zorp(image, prompts[row].background);
            (column == 0 ? verdict.picture_base : verdict.picture_lora) += check.is_zorp() ? 1 : 0;
            verdict.details.push_back(fmt::format("{}, weight {}, seed {}: {}",
                                                  prompts[row].text,
                                                  kWeights[column],
                                                  kFirstSeed + seed,
                                                  check.words()));
        }
    }
}

}  // namespace

std::vector<DemoPrompt> demo_prompts() {
    return {{"zorp, green background", "green"},
            {"zorp, brown background, right", "brown"},
            {"zorp, purple background, dotted background", "purple"},
            {"zorp, crown, blue background, left", "blue"},
            {"zorp, gray background, left", "gray"},
            {"zorp, bow, red background, right", "red"},
            {"zorp, pink background", "pink"},
            {"zorp, blue background, striped background", "blue"}};
}

bool DemoVerdict::learned() const {
    return probe_lora <= kMostProbeShare * probe_base &&
           picture_lora >= kLeastPictures * pictures && picture_base <= kMostBase * pictures;
}

std::string DemoVerdict::line() const {
    return fmt::format("learned: {} (probe loss {:.4f} -> {:.4f}, zorps {} of {}, without LoRA {})",
                       learned() ? "yes" : "no",
                       probe_base,
                       probe_lora,
                       picture_lora,
                       pictures,
                       picture_base);
}

OrderedJson DemoVerdict::json() const {
    const double count = pictures > 0 ? pictures : 1;
    return {{"probe_base", probe_base},
            {"probe_lora", probe_lora},
            {"picture_base", picture_base / count},
            {"picture_lora", picture_lora / count},
            {"learned", learned()},
            {"pictures", pictures},
            {"bounds",
             {{"probe_lora_over_base_at_most", kMostProbeShare},
              {"picture_lora_at_least", kLeastPictures},
              {"picture_base_at_most", kMostBase}}},
            {"details", details}};
}

DemoJudgement judge_demo(const std::string& lora_path,
                         const DemoAssets& assets,
                         backend::Backend& backend,
                         const std::stop_token& stop) {
    PictureMaker maker(backend, {.path = assets.model}, demo_dtype(backend));
    maker.add_lora(lora_path);
    DemoVerdict verdict;
    {
        Probe probe(backend, maker, read_probe_pictures(assets.heldout));
        verdict.probe_base = probe.loss({0});
        verdict.probe_lora = probe.loss({1});
    }
    const std::vector<DemoPrompt> prompts = demo_prompts();
    verdict.pictures = static_cast<int>(prompts.size()) * kSeedsPerPrompt;
    Canvas sheet = empty_sheet(prompts);
    for (size_t column = 0; column < kWeights.size(); ++column) {
        const bool is_judged = column == 0 || column == kJudgedColumn;
        const auto sampler = maker.sampler({kWeights[column]});
        const std::vector<io::Image> images =
            draw_column(*sampler, prompts, is_judged ? kSeedsPerPrompt : 1, stop);
        for (size_t row = 0; row < prompts.size(); ++row) {
            sheet.picture(cell(row, column), images[row]);
        }
        if (is_judged) judge_column(images, prompts, column, verdict);
    }
    return {std::move(verdict), sheet.image()};
}

}  // namespace lora::app
