#include "app/token_states.h"

#include <cmath>
#include <filesystem>

#include <gtest/gtest.h>

#include "app/backends.h"
#include "base/attempt.h"
#include "io/safetensors.h"
#include "text/clip_tokenizer.h"
#include "tools/interrogate.h"

namespace lora::app {
namespace {

constexpr int32_t kTrigger = 4381;  // any whole-word token
const std::string kText = "cond_stage_model.transformer.text_model.";

std::string mini() { return std::string(LORA_SOURCE_DIR) + "/assets/mini/mini-sd.safetensors"; }

// What the first layer's projections read where a token stands: second in its window, normalised.
class FirstLayer {
public:
    explicit FirstLayer(const io::SafetensorsFile& model) {
        const auto numbers = [&](const std::string& name) {
            return to_floats(model.at(kText + name));
        };
        tokens_ = numbers("embeddings.token_embedding.weight");
        positions_ = numbers("embeddings.position_embedding.weight");
        gain_ = numbers("encoder.layers.0.layer_norm1.weight");
        shift_ = numbers("encoder.layers.0.layer_norm1.bias");
    }
    [[nodiscard]] size_t width() const { return gain_.size(); }
    [[nodiscard]] std::vector<double> reads(int32_t token) const {
        std::vector<double> x(width());
        double mean = 0;
        double square = 0;
        for (size_t i = 0; i < width(); ++i) {
            x[i] = tokens_[static_cast<size_t>(token) * width() + i] + positions_[width() + i];
            mean += x[i] / static_cast<double>(width());
        }
        for (const double value : x) square += std::pow(value - mean, 2);
        square /= static_cast<double>(width());
        for (size_t i = 0; i < width(); ++i) {
            x[i] = (x[i] - mean) / std::sqrt(square + 1e-5) * gain_[i] + shift_[i];
        }
        return x;
    }

private:
    std::vector<float> tokens_, positions_, gain_, shift_;
};

// A LoRA of rank 1 that answers to one token and on the average to no other: its first matrix is
// what that token's place reads, without the part that all tokens share.
std::string write_lora_for(int32_t token) {
    const FirstLayer layer_input(io::SafetensorsFile::open(mini()));
    const size_t width = layer_input.width();
    std::vector<double> shared(width);
    constexpr int32_t kOthers = 2000;
    for (int32_t other = 0; other < kOthers; ++other) {
        const std::vector<double> read = layer_input.reads(other);
        for (size_t i = 0; i < width; ++i) shared[i] += read[i] / kOthers;
    }
    const std::vector<double> own = layer_input.reads(token);
    double along = 0;
    double square = 0;
    for (size_t i = 0; i < width; ++i) {
        along += own[i] * shared[i];
        square += shared[i] * shared[i];
    }
    std::vector<float> x(width);
    for (size_t i = 0; i < width; ++i) {
        x[i] = static_cast<float>(own[i] - along / square * shared[i]);
    }
    std::vector<float> up(width);
    for (size_t i = 0; i < width; ++i) up[i] = i % 3 == 0 ? 0.002F : -0.001F;
    const auto n = static_cast<int64_t>(width);
    const Tensor down = Tensor::from_floats(Shape{1, n}, x);
    const Tensor out = Tensor::from_floats(Shape{n, 1}, up);
    std::string path =
        from_path(std::filesystem::temp_directory_path() / "lora_token_states.safetensors");
    const std::string layer = "lora_te_text_model_encoder_layers_0_self_attn_v_proj";
    io::write_safetensors(
        path,
        {{layer + ".lora_down.weight", down.view()}, {layer + ".lora_up.weight", out.view()}},
        {});
    return path;
}

class TokenStatesTest : public ::testing::Test {
protected:
    void SetUp() override {
        lora_ = write_lora_for(kTrigger);
        backend_ = all_backends().open("cpu");
    }
    void TearDown() override { remove_file_if_exists(lora_); }

    [[nodiscard]] std::vector<tools::TokenChange> run(TokenEncoder& encoder,
                                                      const tools::InterrogateOptions& options) {
        return tools::interrogate(
            [&](std::span<const int32_t> ids) { return encoder.states(ids, false); },
            [&](std::span<const int32_t> ids) { return encoder.states(ids, true); },
            options);
    }

    std::string lora_;
    std::unique_ptr<backend::Backend> backend_;
};

TEST_F(TokenStatesTest, TheTokenThatALoraAnswersToIsNearTheTop) {
    TokenEncoder encoder(*backend_, mini(), lora_, DType::kF32);
    const auto top = run(encoder, {.batch_size = 128, .top = 10, .last_token = 4500});
    bool found = false;
    for (const tools::TokenChange& change : top) found = found || change.id == kTrigger;
    EXPECT_TRUE(found) << top[0].id << ' ' << top[0].score;
    EXPECT_GT(top[0].score, 0);
}

TEST_F(TokenStatesTest, TheWindowIsTheStartOfAWholeOne) {
    TokenEncoder encoder(*backend_, mini(), lora_, DType::kF32);
    const std::vector<int32_t> ids{kTrigger, 320};
    const std::vector<float> both = encoder.states(ids, true);
    const std::vector<float> one = encoder.states(std::span(ids).subspan(1), true);
    ASSERT_EQ(both.size(), 2 * one.size());
    for (size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(both[one.size() + i], one[i], 1e-5);
}

TEST_F(TokenStatesTest, ClipSkipReadsAnotherLayer) {
    TokenEncoder last(*backend_, mini(), lora_, DType::kF32, 1);
    TokenEncoder before(*backend_, mini(), lora_, DType::kF32, 2);
    const std::vector<int32_t> ids{kTrigger};
    EXPECT_NE(last.states(ids, true), before.states(ids, true));
}

TEST_F(TokenStatesTest, ALoraWithoutATextEncoderIsToldApart) {
    const auto down = Tensor(DType::kF32, Shape{2, 64});
    const auto up = Tensor(DType::kF32, Shape{64, 2});
    const std::string layer =
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k";
    io::write_safetensors(
        lora_,
        {{layer + ".lora_down.weight", down.view()}, {layer + ".lora_up.weight", up.view()}},
        {});
    const auto error =
        attempt([&] { TokenEncoder encoder(*backend_, mini(), lora_, DType::kF32); });
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code(), ErrorCode::kData);
    EXPECT_NE(error->message().find("no text encoder part"), std::string::npos);
}

}  // namespace
}  // namespace lora::app
