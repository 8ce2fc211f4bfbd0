// Aspect-ratio buckets: which sizes exist, which one a picture belongs to, and the resize and crop
// that lead there. Not here: pixels (image_transform.h), batches (loader.h).
// Shapes   sizes are pixels; the latent is bucket / 8.
// Threads  pure. Source: NovelAI aspect-ratio bucketing; choice rules of kohya sd-scripts
//          (training-semantics 3.1 to 3.4).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/diagnostic.h"

namespace lora::data {

struct ImageSize {
    int64_t width_px = 0;
    int64_t height_px = 0;
    // By width, then height: the order of buckets everywhere.
    bool operator==(const ImageSize&) const = default;
    bool operator<(const ImageSize& other) const {
        return width_px != other.width_px ? width_px < other.width_px : height_px < other.height_px;
    }
};

// "512x768"
[[nodiscard]] std::string to_string(ImageSize size);

// The two published ways to list buckets; they differ for odd sizes only.
enum class BucketRule { kNewest, kV065 };

struct BucketOptions {
    ImageSize resolution = {512, 512};  // its area is the most a bucket holds
    bool enable_bucket = true;          // off: every picture goes to one bucket of `resolution`
    int64_t min_bucket_reso_px = 256;   // shortest side of a bucket
    int64_t max_bucket_reso_px = 1024;  // longest side of a bucket
    int64_t bucket_reso_steps_px = 64;  // sides are multiples of this
    bool no_upscale = false;            // never enlarge; min and max are ignored then
    BucketRule rule = BucketRule::kNewest;
};

// Everything wrong with the options: sides that are no multiples of 64, min or max that exclude the
// resolution.
[[nodiscard]] Diagnostics check_bucket_options(const BucketOptions& options);

// Sorted, without duplicates. One entry with bucketing off, none with no_upscale.
[[nodiscard]] std::vector<ImageSize> list_buckets(const BucketOptions& options);

struct BucketChoice {
    ImageSize bucket;
    ImageSize resized;         // covers the bucket; equals the picture when nothing is resized
    int64_t crop_left_px = 0;  // centre crop of `resized`
    int64_t crop_top_px = 0;
    double ar_error = 0;  // bucket width/height minus picture width/height
};

// Holds the list of buckets and assigns pictures to them.
class BucketChooser {
public:
    // Errors  kConfig for the first error of check_bucket_options.
    explicit BucketChooser(const BucketOptions& options);

    // Without the check, for sizes that kohya allows and training here does not.
    [[nodiscard]] static BucketChooser unchecked(const BucketOptions& options);

    // With no_upscale a picture under one step on a side gives a bucket with a side of 0; callers
    // refuse it. Any other picture of at least 1 x 1 gets a real bucket.
    [[nodiscard]] BucketChoice choose(ImageSize image) const;
    [[nodiscard]] const std::vector<ImageSize>& buckets() const { return buckets_; }

private:
    BucketChooser(const BucketOptions& options, std::vector<ImageSize> buckets)
        : options_(options), buckets_(std::move(buckets)) {}
    [[nodiscard]] BucketChoice choose_predefined(ImageSize image) const;
    [[nodiscard]] BucketChoice choose_no_upscale(ImageSize image) const;

    BucketOptions options_;
    std::vector<ImageSize> buckets_;
};

// One bucket with the pictures in it, for batches and metadata.
struct BucketUse {
    ImageSize size;
    int64_t count = 0;        // pictures times repeats
    int64_t dataset_idx = 0;  // into Dataset::groups
    int64_t batch_size = 0;   // of a described data set; 0: the run's

    [[nodiscard]] int64_t batch(int64_t run_batch_size) const {
        return batch_size > 0 ? batch_size : run_batch_size;
    }
};

}  // namespace lora::data
