// What may differ between the folders of a data set: captions, augmentation, batch size, buckets;
// and the folders as --dataset_config lists them.
// Source  training-semantics 1.5 (sd-scripts --dataset_config), 3.6 (augmentations).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/bucket.h"
#include "data/caption.h"

namespace lora::data {

// How large a face is in the crop, as shares of the crop's shorter side.
struct FaceCropRange {
    double low = 1;
    double high = 1;
    bool operator==(const FaceCropRange&) const = default;
};

struct AugmentOptions {
    bool flip_aug = false;     // mirror with probability one half a draw
    bool color_aug = false;    // shift hue or gamma a little, one draw in three
    bool random_crop = false;  // crop anywhere instead of in the middle
    std::optional<FaceCropRange> face_crop_aug_range = {};  // crop around the face the name tells

    // The picture itself differs from draw to draw, so that no latent can be kept.
    [[nodiscard]] bool changes_pixels() const {
        return color_aug || random_crop || face_crop_aug_range.has_value();
    }
};

// Where the pictures' masks of the loss come from; a mask picture goes before transparency.
struct MaskOptions {
    std::string conditioning_data_dir = {};  // pictures named as the training ones; empty: none
    bool alpha = false;                      // the pictures' transparency
    [[nodiscard]] bool any() const { return alpha || !conditioning_data_dir.empty(); }
};

struct SubsetOptions {
    CaptionOptions caption = {};
    AugmentOptions augment = {};
    MaskOptions mask = {};
};

// One folder of pictures, whatever its name.
struct SubsetPlan {
    std::string image_dir = {};
    int64_t num_repeats = 1;
    bool is_reg = false;
    std::optional<std::string> class_tokens = {};  // the caption of pictures without one
    std::string caption_extension = ".caption";
    SubsetOptions options = {};
};

// Folders that share buckets and batches.
struct DatasetPlan {
    int64_t batch_size = 1;
    BucketOptions bucket = {};
    double validation_split = 0;  // share of each folder that is set aside; 0: none
    std::optional<uint64_t> validation_seed = {};  // none: DatasetOptions'
    std::vector<SubsetPlan> subsets = {};
};

}  // namespace lora::data
