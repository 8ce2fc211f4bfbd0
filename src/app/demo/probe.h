// The probe loss: how well a model predicts noise that was mixed into held-out pictures. Noise and
// timesteps are fixed, so that two models are compared on exactly the same questions.
// Not the training loss: nothing is drawn at random, nothing is weighted.
// Shapes   pictures of one size, [3, H, W]; captions of one token window.
// Source   Ho et al., arXiv:2006.11239 eq. 14, at fixed t.
#pragma once

#include <string>
#include <vector>

#include "app/picture_maker.h"

namespace lora::app {

struct ProbePicture {
    io::Image image;
    std::string caption;
};

// PNG pictures of a folder with their .txt captions, in the order of their names.
// Errors   kData when there is none or sizes differ; kIo.
[[nodiscard]] std::vector<ProbePicture> read_probe_pictures(const std::string& folder);

class Probe {
public:
    // Encodes the pictures (mean of the VAE's posterior). Backend and maker must outlive the probe.
    Probe(backend::Backend& backend, PictureMaker& maker, std::vector<ProbePicture> pictures);

    // Mean square error over all pictures and timesteps, with the LoRA files at `weights`.
    [[nodiscard]] double loss(const std::vector<double>& weights);

private:
    backend::Backend* backend_;
    PictureMaker* maker_;
    std::vector<ProbePicture> pictures_;
    Tensor latents_;  // [N, 4, h, w], scaled
    Tensor noise_;    // the same shape
};

}  // namespace lora::app
