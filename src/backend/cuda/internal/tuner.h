// Measures which kernel computes each product fastest, once for each shape, and remembers it on
// disk under the program's folder, keyed by card, driver and build.
// Threads  one thread at a time.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "backend/cuda/internal/card.h"
#include "backend/cuda/internal/products.h"

namespace lora::cuda {

class Tuner {
public:
    // `cache_path` empty: nothing is read or written. A cache that cannot be read is made anew.
    Tuner(std::shared_ptr<Card> card, std::shared_ptr<Products> products, std::string cache_path);

    // Decides for a shape that is not decided yet. `launches` gives the product's launches under
    // the choice that `products` holds; they run on the memory they name.
    void decide(const ProductShape& shape, const std::function<Launches()>& launches);
    // Writes what was decided since the last call; a folder that cannot be written is left alone.
    void save();
    [[nodiscard]] int64_t num_decided() const { return num_decided_; }
    // Of what `run` puts on the card's stream, the best of a few rounds.
    [[nodiscard]] double time_us(const std::function<void()>& run);

private:
    void load();

    std::shared_ptr<Card> card_;
    std::shared_ptr<Products> products_;
    std::string cache_path_;
    std::string key_;  // card, driver and build
    int64_t num_decided_ = 0;
    bool changed_ = false;
};

}  // namespace lora::cuda
