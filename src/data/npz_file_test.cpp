#include "data/npz_file.h"

#include <cstdlib>

#include <gtest/gtest.h>

#include "base/attempt.h"
#include "base/crc32.h"
#include "base/error.h"
#include "base/file.h"
#include "base/rng.h"

namespace lora::data {
namespace {

class NpzTest : public testing::Test {
protected:
    void SetUp() override {
        folder_ = testing::TempDir() + "npz_" +
                  testing::UnitTest::GetInstance()->current_test_info()->name();
        remove_directory(folder_);
        make_directories(folder_);
    }
    void TearDown() override { remove_directory(folder_); }
    [[nodiscard]] std::string path(const std::string& name) const {
        return join_path(folder_, name);
    }

    std::string folder_;
};

Tensor counted(Shape shape) {
    Tensor tensor(DType::kF32, std::move(shape));
    float next = 0;
    for (float& v : tensor.data<float>()) v = next++;
    return tensor;
}

// Written by Python's zipfile with the headers that NumPy writes (local sizes in zip64 fields).
TEST_F(NpzTest, ReadsWhatNumpyWrites) {
    const auto arrays =
        read_npz(std::string(LORA_SOURCE_DIR) + "/tests/golden/data/kohya_latents.npz");
    ASSERT_EQ(arrays.size(), 3U);
    EXPECT_EQ(arrays.at("latents").shape(), (Shape{2, 2, 2}));
    EXPECT_EQ(arrays.at("latents").data<float>()[5], 5.0F);
    EXPECT_EQ(arrays.at("original_size").data<int64_t>()[0], 700);
    EXPECT_EQ(arrays.at("crop_ltrb").data<int64_t>()[3], 3);
}

TEST_F(NpzTest, ReadsWhatItWrites) {
    const Tensor a = counted({4, 3, 5});
    const Tensor scalar = counted({});
    const Tensor row = counted({7});
    write_npz(path("x.npz"), {{"a", a.view()}, {"s", scalar.view()}, {"r", row.view()}});
    const auto arrays = read_npz(path("x.npz"));
    EXPECT_EQ(arrays.at("a").shape(), a.shape());
    EXPECT_EQ(relative_error(arrays.at("a").view(), a.view()), 0.0);
    EXPECT_EQ(arrays.at("s").shape(), Shape{});
    EXPECT_EQ(arrays.at("r").shape(), Shape{7});
}

TEST_F(NpzTest, Crc32OfTheCheckString) {
    const std::string_view text = "123456789";
    EXPECT_EQ(crc32(std::as_bytes(std::span(text))), 0xCBF43926U);
}

TEST_F(NpzTest, OnlyErrorsComeOutOfDamagedFiles) {
    const char* replay = std::getenv("LORA_TEST_SEED");
    const uint64_t seed = replay != nullptr ? std::strtoull(replay, nullptr, 10) : 9;
    const auto whole =
        read_binary_file(std::string(LORA_SOURCE_DIR) + "/tests/golden/data/kohya_latents.npz");
    int64_t refused = 0;
    for (size_t size = 0; size < whole.size(); ++size) {
        const auto error =
            attempt([&] { static_cast<void>(parse_npz(std::span(whole).first(size), "cut")); });
        refused += error && error->code() == ErrorCode::kFormat ? 1 : 0;
    }
    EXPECT_EQ(refused, std::ssize(whole));
    Rng rng(seed, RngStream::kTest);
    for (int round = 0; round < 3000; ++round) {
        auto bent = whole;
        for (int k = 0; k < 3; ++k)
            bent[rng.below(bent.size())] = static_cast<std::byte>(rng.below(256));
        const auto error = attempt([&] { static_cast<void>(parse_npz(bent, "bent")); });
        ASSERT_TRUE(!error || error->code() == ErrorCode::kFormat) << "seed " << seed;
    }
}

TEST_F(NpzTest, KohyaNamesAndPlainFileFirst) {
    EXPECT_EQ(kohya_npz_path(path("a.b.png"), {700, 64}), path("a.b_0700x0064_sd.npz"));
    write_file_atomically(path("a.b.npz"), std::string_view("x"));
    EXPECT_EQ(kohya_npz_path(path("a.b.png"), {700, 64}), path("a.b.npz"));
}

TEST_F(NpzTest, KohyaLatentsRoundTripAndAreChecked) {
    KohyaLatents latents;
    latents.latents = counted({4, 8, 8});
    latents.original_size = {100, 90};
    latents.crop_ltrb = kohya_crop_ltrb({64, 64}, {100, 90});
    const std::string image = path("p.png");
    store_kohya_latents(kohya_npz_path(image, {100, 90}), latents);

    Diagnostics found;
    KohyaRequest request = {
        .image_path = image, .original_size = {100, 90}, .latent_shape = {4, 8, 8}};
    const auto loaded = load_kohya_latents(request, found);
    ASSERT_TRUE(loaded);
    EXPECT_TRUE(found.empty());
    EXPECT_EQ(relative_error(loaded->latents.view(), latents.latents.view()), 0.0);
    EXPECT_EQ(loaded->crop_ltrb, latents.crop_ltrb);

    request.flipped = true;
    EXPECT_FALSE(load_kohya_latents(request, found));
    EXPECT_EQ(found.size(), 1U);
    request.flipped = false;
    request.latent_shape = {4, 8, 16};
    EXPECT_FALSE(load_kohya_latents(request, found));
    EXPECT_EQ(found.size(), 2U);
    write_file_atomically(kohya_npz_path(image, {100, 90}), std::string_view("not a zip"));
    EXPECT_FALSE(load_kohya_latents(request, found));
    EXPECT_EQ(found.size(), 3U);
    request.original_size = {1, 1};
    EXPECT_FALSE(load_kohya_latents(request, found));
    EXPECT_EQ(found.size(), 3U);
}

TEST_F(NpzTest, CropRectangleOfKohya) {
    EXPECT_EQ(kohya_crop_ltrb({512, 512}, {1024, 1024}), (std::array<int64_t, 4>{0, 0, 512, 512}));
    EXPECT_EQ(kohya_crop_ltrb({512, 512}, {1000, 500}), (std::array<int64_t, 4>{0, 128, 512, 384}));
    EXPECT_EQ(kohya_crop_ltrb({640, 384}, {500, 500}), (std::array<int64_t, 4>{128, 0, 512, 384}));
}

}  // namespace
}  // namespace lora::data
