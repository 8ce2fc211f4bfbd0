// PyTorch files: our own written and read back, the older stream, what is left out, hostile
// pickles.
#include "io/torch_checkpoint.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "io/internal/pickle.h"
#include "io/zip.h"

namespace lora::io {
namespace {

using namespace std::string_literals;

std::span<const std::byte> bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

std::string zip_of(const std::string& pickle, const std::string& numbers) {
    ZipWriter zip;
    zip.add("m/data.pkl", pickle);
    zip.add("m/data/0", numbers);
    return zip.finish();
}

std::string word(const std::string& text) {
    return "X" + std::string(1, static_cast<char>(text.size())) + "\0\0\0"s + text;
}

// _rebuild_tensor_v2(storage 0 of `count` numbers, offset, sizes, strides, False, OrderedDict()).
std::string tensor(const std::string& storage,
                   int count,
                   int offset,
                   const std::string& sizes,
                   const std::string& strides) {
    const auto byte = [](int value) { return "K" + std::string(1, static_cast<char>(value)); };
    return "ctorch._utils\n_rebuild_tensor_v2\n((" + word("storage") + "ctorch\n" + storage + "\n" +
           word("0") + word("cpu") + byte(count) + "tQ" + byte(offset) + "(" + sizes + "t(" +
           strides + "t\x89" + "ccollections\nOrderedDict\n)RtR";
}

std::string dict(const std::string& items) { return "\x80\x02}(" + items + "u."; }

std::string error_of(const std::string& file) {
    try {
        (void)read_checkpoint(bytes_of(file));
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kFormat) << error.report();
        return error.report();
    }
    return "no error";
}

#define LORA_EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST(TorchCheckpoint, WrittenAndReadBack) {
    const Tensor a = Tensor::from_floats(Shape{2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6});
    const Tensor b(DType::kF16, Shape{});
    const Tensor c(DType::kI64, Shape{0, 4});
    const std::string path = ::testing::TempDir() + "written.ckpt";
    write_checkpoint(path, {{"x.a", a.view()}, {"x.b", b.view()}, {"c", c.view()}});
    const SafetensorsFile file = SafetensorsFile::open(path);
    ASSERT_EQ(file.tensors().size(), 3U);
    EXPECT_EQ(file.at("x.a").shape, (Shape{2, 3}));
    EXPECT_EQ(to_floats(file.at("x.a")), (std::vector<float>{1, 2, 3, 4, 5, 6}));
    EXPECT_EQ(file.at("x.b").dtype, DType::kF16);
    EXPECT_EQ(file.at("x.b").shape, Shape{});
    EXPECT_EQ(file.at("c").shape, (Shape{0, 4}));
    EXPECT_TRUE(file.metadata().empty());
}

TEST(TorchCheckpoint, TakesTheStateDictAndLeavesAveragesOut) {
    const std::string inner = "}(" + word("w") + tensor("FloatStorage", 4, 1, "K\x03", "K\x01") +
                              word("model_ema.w") + tensor("FloatStorage", 4, 0, "K\x04", "K\x01") +
                              word("step") + "K\x07u";
    const std::string file =
        zip_of(dict(word("epoch") + "K\x05" + word("state_dict") + inner), std::string(16, '\x40'));
    const std::vector<TensorInfo> infos = read_checkpoint(bytes_of(file));
    ASSERT_EQ(infos.size(), 1U);
    EXPECT_EQ(infos[0].name, "w");
    EXPECT_EQ(infos[0].bytes, 12U);
    EXPECT_EQ(file.substr(infos[0].offset, 12), std::string(12, '\x40'));
}

TEST(TorchCheckpoint, ReadsTheStreamOfOlderVersions) {
    const std::string magic = "\x80\x02\x8a\x0alFC\x9c\x9f\xa6 \xa8P\x19."s;
    const std::string right = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."s;
    const std::string rest = "\x80\x02M\xe9\x03."s + "\x80\x02}." +
                             dict(word("w") + tensor("HalfStorage", 2, 0, "K\x02", "K\x01")) +
                             "\x80\x02](" + word("0") + "e." + "\x02\0\0\0\0\0\0\0"s + "abcd";
    const std::vector<TensorInfo> infos = read_checkpoint(bytes_of(right + rest));
    ASSERT_EQ(infos.size(), 1U);
    EXPECT_EQ((right + rest).substr(infos[0].offset, infos[0].bytes), "abcd");
    LORA_EXPECT_HAS(error_of(magic + rest), "none that PyTorch wrote");
}

TEST(TorchCheckpoint, NamesWhatIsWrong) {
    const std::string good = word("w") + tensor("FloatStorage", 4, 0, "K\x02K\x02", "K\x02K\x01");
    const std::string numbers(16, 'x');
    EXPECT_EQ(error_of(zip_of(dict(good), numbers)), "no error");
    LORA_EXPECT_HAS(error_of(zip_of(dict(good + good), numbers)), "two tensors");
    LORA_EXPECT_HAS(error_of(zip_of(dict(good), "short")), "reaches beyond its storage");
    LORA_EXPECT_HAS(
        error_of(zip_of(dict(word("w") + tensor("FloatStorage", 4, 0, "K\x02K\x02", "K\x01K\x02")),
                        numbers)),
        "does not lie in one piece");
    LORA_EXPECT_HAS(error_of(zip_of(dict(word("n") + "K\x01"), numbers)), "holds no tensors");
    LORA_EXPECT_HAS(error_of(zip_of("\x80\x02K\x01.", numbers)), "no dictionary");
    ZipWriter other;
    other.add("word/document.xml", "text");
    LORA_EXPECT_HAS(error_of(other.finish()), "no data.pkl");
    const std::string whole = zip_of(dict(good), numbers);
    for (size_t size = 0; size < whole.size(); ++size) {
        EXPECT_NE(error_of(whole.substr(0, size)), "no error") << size;
    }
}

// What would run a command in Python is a name and its arguments here.
TEST(TorchCheckpoint, RunsNothing) {
    const std::string mark = ::testing::TempDir() + "pickle_was_here";
    const std::string attack = "cos\nsystem\n(S'touch " + mark + "'\ntR";
    const std::string good = word("w") + tensor("FloatStorage", 1, 0, "K\x01", "K\x01");
    EXPECT_EQ(error_of(zip_of(dict(word("a") + attack + good), "1234")), "no error");
    EXPECT_FALSE(path_exists(mark));
    LORA_EXPECT_HAS(error_of(zip_of("\x80\x02" + attack + ".", "1234")), "no dictionary");
}

TEST(TorchCheckpoint, SurvivesHostilePickles) {
    const std::string deep = "\x80\x02)" + std::string(1000000, '\x85') + ".";
    LORA_EXPECT_HAS(error_of(zip_of(deep, "")), "no dictionary");
    const std::string circle = "\x80\x02]q\x01h\x01" + "a."s;
    LORA_EXPECT_HAS(error_of(zip_of(circle, "")), "no dictionary");
    LORA_EXPECT_HAS(error_of(zip_of("\x80\x02" + std::string(5000000, 'N') + ".", "")),
                    "too many values");
    LORA_EXPECT_HAS(error_of(zip_of("\x80\x02X\xff\xff\xff\xff.", "")), "longer than the file");
    LORA_EXPECT_HAS(error_of(zip_of("\x80\x02\xff.", "")), "opcode 0xff");
    for (const char* short_one :
         {"u.", "t.", "R.", "b.", "h\x05.", "a.", "s.", "Q.", "2.", "o.", "\x93."}) {
        LORA_EXPECT_HAS(error_of(zip_of("\x80\x02" + std::string(short_one), "")), "damaged");
    }
}

TEST(Pickle, ReadsEveryKindOfNumberAndText) {
    const std::string text =
        "\x80\x04(K\x05M\x01\x01J\xfe\xff\xff\xff\x8a\x02\x00\xffI7\nL-9L\nG?\xf0\0\0\0\0\0\0F2.5\n\x88\x89NI01\nVabc\nS'x'\n\x8c\x02hit."s;
    const internal::Unpickled data = internal::unpickle(bytes_of(text));
    const auto& items = std::get<internal::PickleList>(data.value->data).items;
    ASSERT_EQ(items.size(), 15U);
    const auto integer = [&](size_t i) { return std::get<int64_t>(items[i]->data); };
    EXPECT_EQ(integer(0), 5);
    EXPECT_EQ(integer(1), 257);
    EXPECT_EQ(integer(2), -2);
    EXPECT_EQ(integer(3), -256);
    EXPECT_EQ(integer(4), 7);
    EXPECT_EQ(integer(5), -9);
    EXPECT_EQ(std::get<double>(items[6]->data), 1.0);
    EXPECT_EQ(std::get<double>(items[7]->data), 2.5);
    EXPECT_TRUE(std::get<bool>(items[8]->data));
    EXPECT_FALSE(std::get<bool>(items[9]->data));
    EXPECT_TRUE(std::holds_alternative<internal::PickleNone>(items[10]->data));
    EXPECT_TRUE(std::get<bool>(items[11]->data));
    EXPECT_EQ(std::get<std::string>(items[12]->data), "abc");
    EXPECT_EQ(std::get<std::string>(items[13]->data), "x");
    EXPECT_EQ(std::get<std::string>(items[14]->data), "hi");
    EXPECT_EQ(data.bytes_read, text.size());
}

}  // namespace
}  // namespace lora::io
