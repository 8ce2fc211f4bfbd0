#include "io/safetensors.h"

#include <cstring>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/rng.h"
#include "tensor/half.h"

namespace lora::io {
namespace {

// A file with this header (its length put in front) and so many data bytes.
std::string file_with(const std::string& header, size_t data_bytes) {
    std::string bytes;
    for (size_t i = 0; i < 8; ++i) bytes += static_cast<char>((header.size() >> (8 * i)) & 0xFFU);
    return bytes + header + std::string(data_bytes, '\x01');
}

SafetensorsFile parse(const std::string& bytes) {
    return SafetensorsFile::from_bytes(std::as_bytes(std::span(bytes.data(), bytes.size())),
                                       "cat.safetensors");
}

// The whole report of the error, or "no error".
std::string report_of(const std::string& bytes) {
    try {
        static_cast<void>(parse(bytes));
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kFormat);
        return error.report();
    }
    return "no error";
}

std::string report_of_header(const std::string& header, size_t data_bytes) {
    return report_of(file_with(header, data_bytes));
}

#define LORA_EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST(Safetensors, ReadsEveryType) {
    const std::string header =
        R"({"__metadata__":{"format":"pt"},)"
        R"("a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[],"data_offsets":[8,12]},)"
        R"("c":{"dtype":"F16","shape":[1,2],"data_offsets":[12,16]},"d":{"dtype":"BF16","shape":[1],"data_offsets":[16,18]},)"
        R"("e":{"dtype":"I64","shape":[1],"data_offsets":[18,26]},"f":{"dtype":"I32","shape":[1],"data_offsets":[26,30]},)"
        R"("g":{"dtype":"U8","shape":[3],"data_offsets":[30,33]},"h":{"dtype":"BOOL","shape":[1],"data_offsets":[33,34]},)"
        R"("i":{"dtype":"F32","shape":[0,7],"data_offsets":[34,34]}}  )";
    const std::string bytes = file_with(header, 34);
    const SafetensorsFile file = parse(bytes);
    EXPECT_EQ(file.metadata().at("format"), "pt");
    ASSERT_EQ(file.tensors().size(), 9U);
    EXPECT_EQ(file.tensors()[2].name, "c");
    EXPECT_EQ(file.tensors()[2].offset, 12U);
    EXPECT_EQ(file.at("c").shape, (Shape{1, 2}));
    EXPECT_EQ(file.at("c").dtype, DType::kF16);
    EXPECT_EQ(file.at("e").bytes.size(), 8U);
    EXPECT_EQ(file.at("b").shape, Shape{});
    EXPECT_TRUE(file.at("i").bytes.empty());
    EXPECT_FALSE(file.find("x").has_value());
    EXPECT_THROW(static_cast<void>(file.at("x")), Error);
}

// Lengths that begin as a pickle or a zip does.
TEST(Safetensors, AHeaderLengthIsNoPickle) {
    for (const size_t length : {0x280U, 0x10280U}) {
        std::string header = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
        header.resize(length, ' ');
        EXPECT_EQ(parse(file_with(header, 1)).tensors().size(), 1U) << length;
    }
}

TEST(Safetensors, SaysWhereAFileIsCutShort) {
    const std::string header = R"({"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})";
    EXPECT_EQ(report_of_header(header, 9),
              fmt::format("error: tensor \"w\" claims bytes {}..{} of a {}-byte file\n"
                          "  while reading model file cat.safetensors\n"
                          "hint: the file is cut short; copy it again\n",
                          8 + header.size(),
                          24 + header.size(),
                          17 + header.size()));
    EXPECT_EQ(report_of_header(header, 16), "no error");
    const std::string whole = file_with(header, 16);
    for (size_t size = 0; size < whole.size(); ++size) {
        EXPECT_NE(report_of(whole.substr(0, size)), "no error") << size;
    }
}

TEST(Safetensors, RefusesLyingHeaders) {
    LORA_EXPECT_HAS(report_of(""), "the file has 0 bytes");
    LORA_EXPECT_HAS(report_of(std::string(7, 'x')), "the file has 7 bytes");
    LORA_EXPECT_HAS(report_of(std::string(8, '\xFF')),
                    "claim a header of 18446744073709551615 bytes");
    LORA_EXPECT_HAS(report_of(std::string("\x10\0\0\0\0\0\0\0{}", 10)),
                    "claims 16 bytes of a 10-byte file");
    LORA_EXPECT_HAS(report_of_header("[1]", 0), "does not start with '{'");
    LORA_EXPECT_HAS(report_of_header("{\"a\":", 0), "not valid JSON");
    LORA_EXPECT_HAS(report_of_header("{}", 3), "3 bytes at the end");
    EXPECT_EQ(report_of_header("{}", 0), "no error");
    EXPECT_EQ(report_of_header("{\"__metadata__\":{}}    ", 0), "no error");
    LORA_EXPECT_HAS(report_of_header("{\"__metadata__\":{\"a\":1}}", 0),
                    "metadata \"a\" is not a string");
    LORA_EXPECT_HAS(report_of_header("{\"__metadata__\":[]}", 0), "not an object");
    LORA_EXPECT_HAS(report_of_header(R"({"__metadata__":{"a":"1","a":"2"}})", 0), "twice");
    LORA_EXPECT_HAS(report_of("PK\x03\x04"
                              "12345678"),
                    "PyTorch");
    LORA_EXPECT_HAS(report_of("version https://git-lfs.github.com/spec/v1"), "Git LFS");
}

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return fmt::format(R"({{"dtype":"{}","shape":{},"data_offsets":{}}})", dtype, shape, offsets);
}

TEST(Safetensors, RefusesLyingTensors) {
    const auto report =
        [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
            return report_of_header("{\"w\":" + entry(dtype, shape, offsets) + "}", 16);
        };
    EXPECT_EQ(report("F32", "[2,2]", "[0,16]"), "no error");
    LORA_EXPECT_HAS(report("F32", "[2,3]", "[0,16]"),
                    "has 16 bytes of data, its shape [2, 3] of F32 needs 24");
    LORA_EXPECT_HAS(report("F32", "[-2,-2]", "[0,16]"), "-2, which is not a size");
    LORA_EXPECT_HAS(report("F32", "[2.0,2]", "[0,16]"), "2.0, which is not a size");
    LORA_EXPECT_HAS(report("F32", "[\"2\"]", "[0,16]"), "not a size");
    LORA_EXPECT_HAS(report("F32", "4", "[0,16]"), "shape is not a list");
    LORA_EXPECT_HAS(report("F32", "[4294967296,4294967296]", "[0,16]"), "too large");
    LORA_EXPECT_HAS(report("F32", "[0,9223372036854775807,9223372036854775807]", "[0,0]"),
                    "too large");
    LORA_EXPECT_HAS(report("F32", "[18446744073709551615]", "[0,16]"), "not a size");
    LORA_EXPECT_HAS(report("F32", "[4]", "[16,0]"), "run backwards");
    LORA_EXPECT_HAS(report("F32", "[4]", "[-1,15]"), "not a pair");
    LORA_EXPECT_HAS(report("F32", "[4]", "[0,16,32]"), "not a pair");
    LORA_EXPECT_HAS(report("F32", "[4]", "[18446744073709551599,18446744073709551615]"),
                    "claims bytes");
    LORA_EXPECT_HAS(report("F8_E4M3", "[16]", "[0,16]"), "F8_E4M3, which lora.cpp does not read");
    LORA_EXPECT_HAS(report("f32", "[4]", "[0,16]"), "unknown element type \"f32\"");
    LORA_EXPECT_HAS(report_of_header(R"({"w":{"dtype":"F32","shape":[4]}})", 16),
                    "lacks \"data_offsets\"");
    LORA_EXPECT_HAS(report_of_header(R"({"w":5})", 16), "not described by an object");
    LORA_EXPECT_HAS(report_of_header("{\"w\":" + entry("U8", "[16]", "[0,16]") +
                                         ",\"w\":" + entry("U8", "[0]", "[0,0]") + "}",
                                     16),
                    "twice");
}

TEST(Safetensors, RefusesOverlapsAndHoles) {
    const auto report = [](const std::string& first, const std::string& second) {
        return report_of_header(
            "{\"a\":" + entry("U8", "[8]", first) + ",\"b\":" + entry("U8", "[8]", second) + "}",
            17);
    };
    LORA_EXPECT_HAS(report("[0,8]", "[4,12]"), "\"a\" and \"b\" overlap");
    LORA_EXPECT_HAS(report("[0,8]", "[0,8]"), "overlap");
    LORA_EXPECT_HAS(report("[0,8]", "[9,17]"), "1 bytes before tensor \"b\"");
    LORA_EXPECT_HAS(report("[1,9]", "[9,17]"), "1 bytes before tensor \"a\"");
    LORA_EXPECT_HAS(report("[8,16]", "[0,8]"), "1 bytes at the end");
}

TEST(Safetensors, SurvivesBrokenNames) {
    const std::string report = report_of_header("{\"" + std::string(5000, 'n') + "\":5}", 0);
    EXPECT_LT(report.size(), 600U);
    EXPECT_NE(report_of_header("{\"\xFF\":5}", 0), "no error");
}

struct Owned {
    std::vector<Tensor> tensors;
    std::vector<NamedTensor> named;

    void add(const std::string& name, Tensor tensor) {
        tensors.push_back(std::move(tensor));
        named.push_back(
            {name, tensors.back().view()});  // storage is shared, so the view stays valid
    }
};

Tensor halves(Shape shape, const std::vector<float>& values) {
    return to_dtype(Tensor::from_floats(std::move(shape), values).view(), DType::kF16);
}

std::string temporary_file() {
    return join_path(from_path(std::filesystem::temp_directory_path()),
                     "lora_safetensors_test.safetensors");
}

// The worked example of the metadata hashes in sd-scripts.
TEST(SafetensorsHashes, GiveTheWorkedExample) {
    Owned file;
    file.add("m.lora_up.weight", halves({2, 1}, {0.5F, 0.25F}));
    file.add("m.alpha", halves({}, {1}));
    file.add("m.lora_down.weight", halves({1, 2}, {1, -2}));
    EXPECT_EQ(sshs_model_hash(file.named),
              "0a23f65908b0be6bfa62d3cce77e04724a19b138eb563514637c6eb00e23eeea");
    EXPECT_EQ(sshs_legacy_hash(file.named, {{"ss_steps", "1"}}), "e3b0c442");
}

TEST(SafetensorsHashes, AgreeWithTheWrittenFile) {
    Rng rng(3);
    Owned file;
    for (const char* name : {"b", "a", "c"}) {
        std::vector<float> values(120000);
        rng.fill_normal(values);
        file.add(name, Tensor::from_floats({300, 400}, values));
    }
    Metadata metadata = {{"ss_tag", "\xE7\x8C\xAB"}, {"ss_rank", "16"}};
    write_safetensors(temporary_file(), file.named, metadata);
    const std::string text = read_text_file(temporary_file());
    const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
    EXPECT_GT(bytes.size(), 0x110000U);
    metadata["sshs_model_hash"] = "ignored";
    metadata["modelspec.date"] = "ignored";
    EXPECT_EQ(sshs_legacy_hash(file.named, metadata),
              sha256_hex(bytes.subspan(0x100000, 0x10000)).substr(0, 8));
    EXPECT_EQ(sshs_model_hash(file.named),
              sha256_hex(SafetensorsFile::open(temporary_file()).data_section()));
    remove_file_if_exists(temporary_file());
}

TEST(SafetensorsWriter, SortsAlignsAndPads) {
    Owned file;
    file.add("layers_1_", Tensor(DType::kF16, {1}));
    file.add("layers_10_", Tensor(DType::kF16, {1}));
    file.add("z", Tensor(DType::kI64, {1}));
    file.add("flag", Tensor(DType::kBool, {3}));
    file.add("y", Tensor(DType::kF32, {1}));
    write_safetensors(temporary_file(), file.named, {{"b", "2"}, {"a", "\"1\"\n"}});
    const std::string bytes = read_text_file(temporary_file());
    const size_t header_bytes =
        static_cast<unsigned char>(bytes[0]) + 256U * static_cast<unsigned char>(bytes[1]);
    EXPECT_EQ(header_bytes % 8, 0U);
    const std::string header = bytes.substr(8, header_bytes);
    EXPECT_EQ(
        header.substr(0, header.find_last_not_of(' ') + 1),
        R"({"__metadata__":{"a":"\"1\"\n","b":"2"},"z":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},)"
        R"("y":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},"layers_10_":{"dtype":"F16","shape":[1],"data_offsets":[12,14]},)"
        R"("layers_1_":{"dtype":"F16","shape":[1],"data_offsets":[14,16]},"flag":{"dtype":"BOOL","shape":[3],"data_offsets":[16,19]}})");
    EXPECT_EQ(bytes.size(), 8 + header_bytes + 19);
    remove_file_if_exists(temporary_file());
}

TEST(SafetensorsWriter, RoundTripsRandomFiles) {
    const char* given = std::getenv("LORA_TEST_SEED");
    const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : 12345;
    SCOPED_TRACE(fmt::format("LORA_TEST_SEED={}", seed));
    Rng rng(seed);
    for (int round = 0; round < 20; ++round) {
        Owned file;
        const uint64_t count = rng.below(12);
        for (uint64_t i = 0; i < count; ++i) {
            std::vector<int64_t> sizes(rng.below(4));
            for (int64_t& size : sizes) size = static_cast<int64_t>(rng.below(5));
            Tensor tensor(static_cast<DType>(rng.below(8)), Shape(sizes));
            for (std::byte& b : tensor.bytes()) b = static_cast<std::byte>(rng.below(256));
            file.add(fmt::format("\xE7\x8C\xAB \"{}\"", rng.next_u64()), std::move(tensor));
        }
        const Metadata metadata = {{"k", fmt::format("{}", round)}};
        write_safetensors(temporary_file(), file.named, metadata);
        const SafetensorsFile back = SafetensorsFile::open(temporary_file());
        EXPECT_EQ(back.metadata(), metadata);
        ASSERT_EQ(back.tensors().size(), count);
        for (const NamedTensor& item : file.named) {
            const TensorView view = back.at(item.name);
            EXPECT_EQ(view.dtype, item.tensor.dtype);
            EXPECT_EQ(view.shape, item.tensor.shape);
            EXPECT_TRUE(std::equal(view.bytes.begin(),
                                   view.bytes.end(),
                                   item.tensor.bytes.begin(),
                                   item.tensor.bytes.end()));
        }
        for (const TensorInfo& info : back.tensors()) back.release_pages(info);
    }
    remove_file_if_exists(temporary_file());
}

TEST(SafetensorsWriter, RefusesTwoTensorsOfOneName) {
    Owned file;
    file.add("a", Tensor(DType::kF32, {1}));
    file.add("a", Tensor(DType::kF16, {1}));
    EXPECT_THROW(write_safetensors(temporary_file(), file.named, {}), Error);
    EXPECT_FALSE(path_exists(temporary_file()));
}

TEST(Safetensors, OpenNamesTheFile) {
    try {
        static_cast<void>(SafetensorsFile::open("/no/such.safetensors"));
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kIo);
        EXPECT_EQ(error.context().at(0), "while reading model file /no/such.safetensors");
    }
    const std::string mini = LORA_SOURCE_DIR "/assets/mini/mini-sd.safetensors";
    if (!path_exists(mini)) GTEST_SKIP() << "no mini model";
    EXPECT_GT(SafetensorsFile::open(mini).tensors().size(), 100U);
}

}  // namespace
}  // namespace lora::io
