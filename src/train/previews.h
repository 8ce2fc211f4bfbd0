// Pictures of the sample prompts while a run goes on, drawn with the LoRA as it stands.
// Training does not change by them: they have random numbers of their own.
// Not the drawing (image_sampler.h), not the prompt file (config/sample_prompts.h).
// Errors   none: a picture that cannot be drawn is a warning, too little memory ends the previews.
// Source   sd-scripts sample_images (training-semantics 10.1, 10.3).
#pragma once

#include <string>

#include "backend/backend.h"
#include "train/events.h"
#include "train/image_sampler.h"
#include "train/optimizer.h"
#include "train/train_model.h"

namespace lora::train {

class Previews {
public:
    struct Parts {
        backend::Backend* backend = nullptr;
        WeightStore* weights = nullptr;  // knows the model file, and the VAE's when it has its own
        const TrainModel* model = nullptr;
        models::VaeConfig vae;
        const ParameterBuffers* buffers = nullptr;
        const SampleOptions* options = nullptr;
        std::string output_dir;
        std::string output_name;
        uint64_t seed = 0;  // of prompts that name none
        EventSink* events = nullptr;
    };
    explicit Previews(Parts parts) : parts_(std::move(parts)) {}

    // Before the first step of a fresh run.
    void at_start();
    void after_step(int64_t step, int64_t epoch);
    void after_epoch(int64_t step, int64_t epoch);

private:
    // `number`: "e000002" or "000120", as in the file's name.
    void draw_all(const std::string& number, int64_t step, int64_t epoch);
    [[nodiscard]] std::unique_ptr<ImageSampler> make_sampler() const;

    Parts parts_;
    bool ended_ = false;
};

// "<output_name>_<number>_<index>_<time>[_<seed>].png"; the seed when the prompt names one.
[[nodiscard]] std::string preview_name(const std::string& output_name,
                                       const std::string& number,
                                       size_t index,
                                       const std::string& time,
                                       std::optional<uint64_t> seed);

}  // namespace lora::train
