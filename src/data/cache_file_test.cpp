#include "data/cache_file.h"

#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "base/file.h"

namespace lora::data {
namespace {

class LatentCacheTest : public testing::Test {
protected:
    void SetUp() override {
        folder_ = testing::TempDir() + "latents 快取 " +
                  testing::UnitTest::GetInstance()->current_test_info()->name();
        remove_directory(folder_);
    }
    void TearDown() override { remove_directory(folder_); }

    std::string folder_;
};

LatentKey some_key() {
    LatentKey key;
    key.image_sha256 = std::string(64, 'a');
    key.choice = {.bucket = {512, 512}, .resized = {600, 512}, .crop_left_px = 44};
    key.vae_hash = "vae1";
    key.precision = "fp32";
    return key;
}

Tensor some_latent() {
    Tensor latent(DType::kF32, {4, 2, 3});
    for (size_t i = 0; i < 24; ++i) latent.data<float>()[i] = static_cast<float>(i) - 7.5F;
    return latent;
}

TEST_F(LatentCacheTest, GivesBackWhatWasStored) {
    const LatentCache cache(folder_);
    EXPECT_FALSE(cache.load(some_key(), {4, 2, 3}));
    cache.store(some_key(), some_latent().view());
    const auto loaded = cache.load(some_key(), {4, 2, 3});
    ASSERT_TRUE(loaded);
    EXPECT_EQ(std::memcmp(loaded->bytes().data(), some_latent().bytes().data(), 96), 0);
    EXPECT_FALSE(cache.load(some_key(), {4, 3, 2}));
}

TEST_F(LatentCacheTest, EveryFieldOfTheKeyCounts) {
    const LatentCache cache(folder_);
    cache.store(some_key(), some_latent().view());
    std::vector<LatentKey> others(10, some_key());
    others[0].image_sha256[0] = 'b';
    others[1].choice.bucket.width_px = 448;
    others[2].choice.resized.width_px = 601;
    others[3].choice.crop_left_px = 43;
    others[4].flipped = true;
    others[5].apply_exif = false;
    others[9].mask = "alpha";
    others[6].composite_alpha = false;
    others[7].vae_hash = "vae2";
    others[8].precision = "bf16";
    for (const LatentKey& key : others) {
        EXPECT_NE(cache.path_of(key), cache.path_of(some_key()));
        EXPECT_FALSE(cache.load(key, {4, 2, 3})) << to_text(key);
    }
}

TEST_F(LatentCacheTest, DamagedFilesCountAsAbsent) {
    const LatentCache cache(folder_);
    cache.store(some_key(), some_latent().view());
    const std::string path = cache.path_of(some_key());
    const std::string whole = read_text_file(path);
    for (size_t at = 0; at < whole.size(); at += 7) {
        std::string bent = whole;
        bent[at] = static_cast<char>(bent[at] ^ 0x10);
        write_file_atomically(path, std::string_view(bent));
        EXPECT_FALSE(cache.load(some_key(), {4, 2, 3})) << "byte " << at;
    }
    for (const size_t size : {size_t{0}, size_t{7}, whole.size() / 2, whole.size() - 1}) {
        write_file_atomically(path, std::string_view(whole).substr(0, size));
        EXPECT_FALSE(cache.load(some_key(), {4, 2, 3})) << "cut at " << size;
    }
    // A file of another key under this name.
    LatentKey other = some_key();
    other.vae_hash = "vae2";
    cache.store(other, some_latent().view());
    write_file_atomically(path, std::string_view(read_text_file(cache.path_of(other))));
    EXPECT_FALSE(cache.load(some_key(), {4, 2, 3}));
}

}  // namespace
}  // namespace lora::data
