#include "base/hash.h"

#include <string>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/internal/sha256_blocks.h"
#include "base/rng.h"

namespace lora {
namespace {

std::string sha256(std::string_view text) {
    return sha256_hex(std::as_bytes(std::span(text.data(), text.size())));
}

// Source: FIPS 180-4 examples (NIST).
TEST(Sha256, GivesTheStandardsExamples) {
    EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    EXPECT_EQ(sha256(std::string(1000000, 'a')),
              "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, DoesNotDependOnTheCuts) {
    Rng rng(7);
    std::string text(5000, '\0');
    for (char& c : text) c = static_cast<char>(rng.below(256));
    const std::string whole = sha256(text);
    for (int round = 0; round < 200; ++round) {
        Sha256 hash;
        for (size_t at = 0; at < text.size();) {
            const size_t size = std::min<size_t>(text.size() - at, rng.below(200));
            hash.update(std::string_view(text).substr(at, size));
            at += size;
        }
        ASSERT_EQ(hash.hex_digest(), whole) << "round " << round;
    }
}

TEST(Sha256, HardwareAndPortableAgree) {
    if (!detail::sha256_hardware_available()) GTEST_SKIP() << "no SHA instructions here";
    Rng rng(11);
    std::vector<std::byte> data(64 * 37 + 1);
    for (std::byte& b : data) b = static_cast<std::byte>(rng.below(256));
    for (size_t start : {0, 1}) {  // aligned and not
        std::array<uint32_t, 8> a{1, 2, 3, 4, 5, 6, 7, 0xFFFFFFFF};
        std::array<uint32_t, 8> b = a;
        detail::sha256_blocks_portable(a, data.data() + start, 37);
        detail::sha256_blocks_hardware(b, data.data() + start, 37);
        EXPECT_EQ(a, b);
    }
}

TEST(Sha256, PortableGivesTheStandardsExample) {
    // "abc" padded by hand.
    std::array<std::byte, 64> block{
        std::byte{'a'}, std::byte{'b'}, std::byte{'c'}, std::byte{0x80}};
    block[63] = std::byte{24};
    std::array<uint32_t, 8> state = {0x6A09E667,
                                     0xBB67AE85,
                                     0x3C6EF372,
                                     0xA54FF53A,
                                     0x510E527F,
                                     0x9B05688C,
                                     0x1F83D9AB,
                                     0x5BE0CD19};
    detail::sha256_blocks_portable(state, block.data(), 1);
    EXPECT_EQ(state[0], 0xBA7816BFU);
    EXPECT_EQ(state[7], 0xF20015ADU);
}

TEST(Sha256, HashesAFile) {
    const std::string path =
        join_path(from_path(std::filesystem::temp_directory_path()), "lora_hash_test");
    write_file_atomically(path, std::string_view("abc"));
    EXPECT_EQ(sha256_file_hex(path), sha256("abc"));
    write_file_atomically(path, std::string_view(""));
    EXPECT_EQ(sha256_file_hex(path), sha256(""));
    remove_file_if_exists(path);
}

// Source: the FNV authors' test suite (isthe.com/chongo/tech/comp/fnv).
TEST(Fnv1a64, GivesThePublishedValues) {
    EXPECT_EQ(fnv1a64(""), 0xCBF29CE484222325ULL);
    EXPECT_EQ(fnv1a64("a"), 0xAF63DC4C8601EC8CULL);
    EXPECT_EQ(fnv1a64("foobar"), 0x85944171F73967E8ULL);
}

}  // namespace
}  // namespace lora
