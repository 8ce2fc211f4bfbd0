// Cuts against trying every one; figures that are known; fills that continue their surroundings.
#include "tools/cutout.h"

#include <cmath>

#include <gtest/gtest.h>

#include "base/error.h"
#include "tools/fill.h"
#include "tools/internal/test_folder.h"
#include "tools/min_cut.h"

namespace lora::tools {
namespace {

using internal::disc_picture;
using internal::DiscPicture;
using internal::plain_picture;

TEST(MinCut, EqualsTheBestOfAllCuts) {
    uint64_t state = 7;
    const auto next = [&](uint64_t below) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        return static_cast<int64_t>((state >> 33) % below);
    };
    for (int trial = 0; trial < 300; ++trial) {
        const int64_t count = 2 + next(9);
        struct Edge {
            int64_t a, b, there, back;
        };
        std::vector<Edge> edges;
        std::vector<std::pair<int64_t, int64_t>> terminals;
        for (int64_t i = 0; i < count; ++i) terminals.emplace_back(next(12), next(12));
        for (int64_t i = 0; i < 2 * count; ++i) {
            const int64_t a = next(static_cast<uint64_t>(count));
            const int64_t b = next(static_cast<uint64_t>(count));
            if (a != b) edges.push_back({a, b, next(10), next(10)});
        }
        MinCut cut(count);
        for (int64_t i = 0; i < count; ++i) {
            const auto& [source, sink] = terminals[static_cast<size_t>(i)];
            cut.add_terminal(i, source, sink);
        }
        for (const Edge& edge : edges) cut.add_edge(edge.a, edge.b, edge.there, edge.back);
        const auto cost = [&](const auto& on_source) {
            int64_t sum = 0;
            for (int64_t i = 0; i < count; ++i) {
                const auto& [source, sink] = terminals[static_cast<size_t>(i)];
                sum += on_source(i) ? sink : source;
            }
            for (const Edge& edge : edges) {
                if (on_source(edge.a) && !on_source(edge.b)) sum += edge.there;
                if (on_source(edge.b) && !on_source(edge.a)) sum += edge.back;
            }
            return sum;
        };
        int64_t best = 1 << 30;
        for (uint64_t bits = 0; bits < uint64_t{1} << count; ++bits) {
            best = std::min(best, cost([&](int64_t i) { return (bits >> i & 1) != 0; }));
        }
        EXPECT_EQ(cut.solve(), best) << trial;
        EXPECT_EQ(cost([&](int64_t i) { return cut.on_source_side(i); }), best) << trial;
    }
}

double likeness(const Mask& mask, const DiscPicture& disc) {
    double both = 0;
    double either = 0;
    for (size_t i = 0; i < disc.inside.size(); ++i) {
        const bool ours = mask.value[i] >= 128;
        both += ours && disc.inside[i] ? 1 : 0;
        either += ours || disc.inside[i] ? 1 : 0;
    }
    return both / either;
}

TEST(GrabCut, FindsTheDisc) {
    for (const int64_t side : {150, 500}) {
        const DiscPicture disc = disc_picture(side);
        const io::ImageSize size{side, side};
        const auto plain = GrabCut().figure_of(disc.image, {});
        ASSERT_TRUE(plain.has_value());
        EXPECT_GT(likeness(*plain, disc), 0.97) << side;
        const auto boxed =
            GrabCut().figure_of(disc.image, {.box = parse_box("10%,20%,70%,70%", size)});
        ASSERT_TRUE(boxed.has_value());
        EXPECT_GT(likeness(*boxed, disc), 0.97) << side;
        // A rough mask: the disc's middle square.
        const auto masked = GrabCut().figure_of(
            disc.image, {.mask = mask_of_box(parse_box("22%,32%,46%,46%", size), size)});
        ASSERT_TRUE(masked.has_value());
        EXPECT_GT(likeness(*masked, disc), 0.8) << side;
        EXPECT_EQ(GrabCut().figure_of(disc.image, {})->value, plain->value);
    }
}

TEST(GrabCut, NothingStandsOutOfOneColour) {
    EXPECT_FALSE(GrabCut().figure_of(plain_picture(80, 60, 200), {}).has_value());
    EXPECT_FALSE(GrabCut().figure_of(plain_picture(1, 1, 200), {}).has_value());
    EXPECT_FALSE(GrabCut().figure_of(plain_picture(2, 300, 9), {}).has_value());
}

TEST(GrabCut, TheBackgroundBecomesPlain) {
    const DiscPicture disc = disc_picture(150);
    const auto figure = GrabCut().figure_of(disc.image, {});
    ASSERT_TRUE(figure.has_value());
    const io::Image out = on_plain_background(disc.image, *figure, {1, 2, 3});
    EXPECT_EQ(out.rgb[0], 1);
    EXPECT_EQ(out.rgb[2], 3);
    const size_t middle = 3 * (82 * 150 + 67);
    EXPECT_EQ(out.rgb[middle], disc.image.rgb[middle]);
    EXPECT_TRUE(has_plain_edge(out));
    EXPECT_FALSE(has_plain_edge(disc.image));
}

// Grey that rises to the right; the mask hides black letters on it.
TEST(Fill, AShadeGoesOnUnderTheMask) {
    io::Image image = plain_picture(60, 80, 0);
    for (size_t i = 0; i < 60 * 80; ++i) {
        for (size_t c = 0; c < 3; ++c)
            image.rgb[3 * i + c] = static_cast<uint8_t>(60 + 2 * (i % 80));
    }
    io::Image marked = image;
    const Mask mask = mask_of_box({20, 15, 40, 30}, {60, 80});
    for (size_t i = 0; i < mask.value.size(); ++i) {
        if (mask.value[i] != 0)
            marked.rgb[3 * i] = marked.rgb[3 * i + 1] = marked.rgb[3 * i + 2] = 0;
    }
    const io::Image out = filled(marked, mask);
    int worst = 0;
    for (size_t i = 0; i < out.rgb.size(); ++i) {
        worst = std::max(worst, std::abs(int{out.rgb[i]} - int{image.rgb[i]}));
    }
    EXPECT_LE(worst, 2);
    EXPECT_LT(roughness_around(marked, mask), 5);
}

TEST(Fill, EdgesOfThePictureAndNothingAround) {
    const io::Image image = plain_picture(9, 9, 70);
    const io::Image out = filled(image, mask_of_box({0, 0, 9, 8}, {9, 9}));
    EXPECT_EQ(out.rgb, image.rgb);
    EXPECT_THROW((void)filled(image, mask_of_box({0, 0, 9, 9}, {9, 9})), Error);
    EXPECT_EQ(painted(image, mask_of_box({0, 0, 1, 1}, {9, 9}), {5, 6, 7}).rgb[1], 6);
}

TEST(Region, BoxesInPixelsAndPercent) {
    const io::ImageSize size{100, 200};
    EXPECT_EQ(parse_box("10,20,30,40", size), (Box{10, 20, 30, 40}));
    EXPECT_EQ(parse_box(" 10% , 20%,50%, 40% ", size), (Box{20, 20, 100, 40}));
    EXPECT_EQ(parse_box("-5,90,30,40", size), (Box{0, 90, 25, 10}));
    for (const char* bad : {"",
                            "1,2,3",
                            "1,2,3,4,5",
                            "a,2,3,4",
                            "1,2,0,4",
                            "300,2,3,4",
                            "nan,1,2,3",
                            "1e300,1,1,1",
                            "inf%,0,1,1",
                            "1,2,-3,4"}) {
        EXPECT_THROW((void)parse_box(bad, size), Error) << bad;
    }
}

TEST(Region, MasksGrowAndShrink) {
    const Mask mask = mask_of_box({4, 3, 2, 2}, {10, 12});
    EXPECT_EQ(*grown(mask, 2).bounds(), (Box{2, 1, 6, 6}));
    EXPECT_EQ(*shrunk_by(grown(mask, 2), 2).bounds(), *mask.bounds());
    EXPECT_EQ(*grown(mask, 100).bounds(), (Box{0, 0, 12, 10}));
    EXPECT_FALSE(shrunk_by(mask, 1).bounds().has_value());
    EXPECT_NEAR(mask.share(), 4.0 / 120, 1e-12);
    EXPECT_THROW((void)mask_of_picture(plain_picture(3, 3, 0), {3, 4}, "m"), Error);
}

TEST(Region, Colours) {
    EXPECT_EQ(parse_colour("White"), (Colour{255, 255, 255}));
    EXPECT_EQ(parse_colour("#0a0B0c"), (Colour{10, 11, 12}));
    for (const char* bad : {"", "#12345", "#12345g", "rosa", "#-12345"}) {
        EXPECT_THROW((void)parse_colour(bad), Error) << bad;
    }
}

}  // namespace
}  // namespace lora::tools
