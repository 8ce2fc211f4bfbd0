#include "train/internal/picture_network.h"

#include <cmath>

#include <gtest/gtest.h>

#include "backend/reference/reference_backend.h"
#include "base/error.h"
#include "ir/builder.h"
#include "train/tiny_run_test.h"

namespace lora::train {
namespace {

// Smooth in both directions and different in every plane.
Tensor waves(const Shape& shape) {
    Tensor tensor(DType::kF32, shape);
    const std::span<float> values = tensor.data<float>();
    for (size_t i = 0; i < values.size(); ++i) {
        values[i] = std::sin(0.37F * static_cast<float>(i)) + 0.01F * static_cast<float>(i % 1000);
    }
    return tensor;
}

// Means of squares of `side` x `side`.
Tensor means(const Tensor& input, int64_t side) {
    const Shape& in = input.shape();
    Tensor result(DType::kF32, {in[0], in[1], in[2] / side, in[3] / side});
    const std::span<const float> source = input.data<float>();
    const std::span<float> sums = result.data<float>();
    for (int64_t plane = 0; plane < in[0] * in[1]; ++plane) {
        for (int64_t y = 0; y < in[2]; ++y) {
            for (int64_t x = 0; x < in[3]; ++x) {
                const int64_t to = (plane * (in[2] / side) + y / side) * (in[3] / side) + x / side;
                sums[static_cast<size_t>(to)] +=
                    source[static_cast<size_t>((plane * in[2] + y) * in[3] + x)] /
                    static_cast<float>(side * side);
            }
        }
    }
    return result;
}

TEST(Tiles, StartsCoverTheAxisAndOverlap) {
    EXPECT_EQ(tile_starts(100, 128, 32), (std::vector<int64_t>{0}));
    EXPECT_EQ(tile_starts(128, 128, 32), (std::vector<int64_t>{0}));
    EXPECT_EQ(tile_starts(129, 128, 32), (std::vector<int64_t>{0, 1}));
    EXPECT_EQ(tile_starts(320, 128, 32), (std::vector<int64_t>{0, 96, 192}));
    for (int64_t length = 1; length < 300; ++length) {
        const std::vector<int64_t> starts = tile_starts(length, 48, 12);
        for (size_t i = 1; i < starts.size(); ++i) EXPECT_LE(starts[i], starts[i - 1] + 36);
        EXPECT_EQ(starts.back(), std::max<int64_t>(length - 48, 0));
    }
}

TEST(Tiles, WhatDoesNotDependOnNeighboursIsTheSameAsWhole) {
    const Tensor input = waves({2, 3, 72, 40});
    const auto copied = run_in_tiles(
        input.view(), {.tile = 32, .overlap = 8}, [](const Tensor& tile) -> std::vector<Tensor> {
            return {Tensor::copy_of(tile.view())};
        });
    ASSERT_EQ(copied.size(), 1U);
    EXPECT_LT(relative_error(copied[0].view(), input.view()), 1e-6);

    const TileLayout eighth{.tile = 32, .overlap = 8, .out_per = 1, .in_per = 8};
    const auto averaged =
        run_in_tiles(input.view(), eighth, [](const Tensor& tile) -> std::vector<Tensor> {
            return {means(tile, 8), means(tile, 8)};
        });
    ASSERT_EQ(averaged.size(), 2U);
    EXPECT_LT(relative_error(averaged[1].view(), means(input, 8).view()), 1e-6);
}

// A step from one tile's answer to the next one's is spread over the overlap.
TEST(Tiles, NeighboursFadeIntoEachOther) {
    const Tensor input(DType::kF32, {1, 1, 8, 56});
    float answer = 0;
    const auto result =
        run_in_tiles(input.view(), {.tile = 32, .overlap = 8}, [&](const Tensor& tile) {
            Tensor same(DType::kF32, tile.shape());
            for (float& value : same.data<float>()) value = answer;
            answer += 1;
            return std::vector<Tensor>{same};
        });
    const std::span<const float> row = result[0].data<float>().first(56);
    EXPECT_EQ(row[23], 0.0F);
    EXPECT_EQ(row[32], 1.0F);
    for (size_t i = 24; i < 32; ++i) {
        EXPECT_NEAR(row[i], (static_cast<double>(i - 24) + 0.5) / 8, 1e-6);
    }
}

class PictureNetworkTest : public testing::Test {
protected:
    // Doubles its input in two nodes, so that the arena holds about two pictures. The output's name
    // makes TestDevice count it among the steps that need `room`.
    static PictureGraph doubling() {
        const auto build = [](const Shape& input) {
            ir::Graph graph;
            ir::Builder b(graph);
            const ir::ValueId half = b.scale(b.input("picture", DType::kF32, input), 4.0);
            graph.mark_output(b.scale(half, 0.5), "losses");
            return graph;
        };
        return {.build = build,
                .input = "picture",
                .outputs = {"losses"},
                .tiles = {{.tile = 48, .overlap = 8}, {.tile = 24, .overlap = 8}}};
    }

    void expect_doubled(PictureNetwork& network, const Tensor& input) {
        Tensor wanted = Tensor::copy_of(input.view());
        for (float& value : wanted.data<float>()) value *= 2;
        const std::vector<Tensor> results = network.run(input.view());
        ASSERT_EQ(results.size(), 1U);
        EXPECT_EQ(results[0].shape(), input.shape());
        EXPECT_LT(relative_error(results[0].view(), wanted.view()), 1e-6);
    }

    TestDevice device_;
    WeightStore weights_{device_};
    Tensor input_ = waves({3, 2, 64, 96});
};

TEST_F(PictureNetworkTest, TheLargestWayThatFitsIsTaken) {
    PictureNetwork whole(device_, weights_, doubling(), 0);
    const size_t all = whole.arena_bytes(input_.shape());
    expect_doubled(whole, input_);
    EXPECT_EQ(device_.arenas, (std::vector<size_t>{all}));

    device_.arenas.clear();
    PictureNetwork one(device_, weights_, doubling(), all / 2);
    expect_doubled(one, input_);
    EXPECT_EQ(device_.arenas.size(), 1U);  // one graph for three pictures
    EXPECT_LE(device_.arenas[0], all / 2);

    device_.arenas.clear();
    PictureNetwork tiles(device_, weights_, doubling(), all / 6);
    expect_doubled(tiles, input_);
    EXPECT_LE(tiles.arena_bytes(input_.shape()), all / 6);
    EXPECT_EQ(device_.arenas, (std::vector<size_t>{tiles.arena_bytes(input_.shape())}));
}

TEST_F(PictureNetworkTest, ADeviceThatIsFullerThanPlannedGetsSmallerPieces) {
    PictureNetwork network(device_, weights_, doubling(), 0);
    device_.room = network.arena_bytes(input_.shape()) / 20;
    expect_doubled(network, input_);
    EXPECT_GT(device_.arenas.size(), 2U);
    EXPECT_LE(device_.arenas.back(), device_.room);
}

TEST_F(PictureNetworkTest, NothingThatFitsIsOneError) {
    PictureNetwork network(device_, weights_, doubling(), 100);
    try {
        (void)network.run(input_.view());
        FAIL() << "a limit of 100 bytes was kept";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kOutOfMemory);
        EXPECT_NE(std::string(error.what()).find("working memory"), std::string::npos);
    }
}

}  // namespace
}  // namespace lora::train
