// Parts a figure from its background, and lays it on a plain colour.
// Shapes   pictures are 8-bit RGB; masks have the picture's size.
// Threads  const members may be called from many threads; the answer depends on the input alone.
// Source   Rother, Kolmogorov and Blake 2004, "GrabCut": Gaussian mixtures of colour on both sides,
//          a graph cut between them, in turns.
#pragma once

#include <optional>

#include "tools/region.h"

namespace lora::tools {

// What is known about where the figure is; of both, the mask counts.
struct FigureHint {
    std::optional<Box> box = {};    // all of the figure lies inside
    std::optional<Mask> mask = {};  // roughly the figure
};

// Whoever can find the figure of a picture.
class Segmenter {
public:
    virtual ~Segmenter() = default;
    // How much each place belongs to the figure; nothing when there is none to be found.
    [[nodiscard]] virtual std::optional<Mask> figure_of(const io::Image& image,
                                                        const FigureHint& hint) const = 0;
};

// Works on a copy of at most `working_side_px` and takes the result up to the picture's size.
// Without a hint the figure is taken to leave a margin all around.
class GrabCut final : public Segmenter {
public:
    explicit GrabCut(int64_t working_side_px = 320) : working_side_px_(working_side_px) {}
    [[nodiscard]] std::optional<Mask> figure_of(const io::Image& image,
                                                const FigureHint& hint) const override;

private:
    int64_t working_side_px_;
};

// The figure on a plain colour; half-covered places at the edge are mixed.
[[nodiscard]] io::Image on_plain_background(const io::Image& image,
                                            const Mask& figure,
                                            Colour background);

}  // namespace lora::tools
