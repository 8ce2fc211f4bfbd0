// Whole runs for tests, on the reference backend with a model of a few thousand weights and three
// pictures: the model and the pictures, options, and ways to run, stop and look.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "backend/backend.h"
#include "base/error.h"
#include "models/family.h"
#include "train/events.h"
#include "train/training_run.h"

namespace lora::train {

[[nodiscard]] models::ModelInfo tiny_info();
void write_tiny_model(const std::string& path);
void write_tiny_picture(const std::string& path, int64_t side_px, uint8_t shade);

// Calls fn with every event.
class CallbackSink final : public EventSink {
public:
    explicit CallbackSink(std::function<void(const Event&)> fn) : fn_(std::move(fn)) {}
    void on_event(const Event& event) override { fn_(event); }

private:
    std::function<void(const Event&)> fn_;
};

// The reference backend, said to have memory of its own that may be too small, and with hooks into
// the training steps: graphs with an output "loss".
class TestDevice final : public backend::Backend {
public:
    TestDevice();
    [[nodiscard]] std::string_view name() const override { return own_->name(); }
    [[nodiscard]] std::string device_description() const override {
        return own_->device_description();
    }
    [[nodiscard]] DType preferred_dtype() const override { return own_->preferred_dtype(); }
    [[nodiscard]] bool supports(DType dtype) const override {
        return own_->supports(dtype) && (!only_fp32 || dtype == DType::kF32);
    }
    [[nodiscard]] const plan::Capabilities& capabilities() const override {
        return own_->capabilities();
    }
    [[nodiscard]] std::shared_ptr<backend::Buffer> make_buffer(size_t size_bytes) override {
        return own_->make_buffer(size_bytes);
    }
    [[nodiscard]] std::shared_ptr<backend::Weight> make_weight(
        const TensorView& source, std::shared_ptr<const void> keep_alive, DType dtype) override {
        auto weight = own_->make_weight(source, std::move(keep_alive), dtype);
        weights.push_back(weight);
        return weight;
    }
    [[nodiscard]] std::unique_ptr<backend::Executable> compile(
        plan::MemoryPlan plan, const backend::Bindings& bindings) override;
    [[nodiscard]] size_t persistent_bytes() const override { return own_->persistent_bytes(); }
    [[nodiscard]] bool has_own_memory() const override { return true; }
    [[nodiscard]] std::optional<backend::DeviceMemory> device_memory() const override {
        return memory;
    }

    bool only_fp32 = false;
    std::optional<backend::DeviceMemory> memory;
    size_t room = SIZE_MAX;      // for the arena of a training step
    std::vector<size_t> arenas;  // of the training steps that were compiled, or not
    std::vector<std::weak_ptr<backend::Weight>> weights;  // all that were made
    // Called with the number of the run (from 0) and the batch before a training step; may throw.
    std::function<void(int64_t run, int64_t batch)> before_step;
    // After a training step: what its loss and losses then are.
    std::function<float(int64_t run, float loss)> change_loss;
    // After a training step, with the buffer that its gradients went to.
    std::function<void(int64_t run, backend::Buffer& gradients)> change_gradients;
    int64_t num_steps = 0;

private:
    std::unique_ptr<backend::Backend> own_;
};

// A suite has a folder of its own under root(): model.safetensors and data/2_dot.
class TinyRun : public testing::Test {
protected:
    static void SetUpTestSuite();
    static void TearDownTestSuite();

    static std::string root();

    // Two epochs of two updates; output goes to root()/`output`.
    static TrainOptions options(const std::string& output);
    static RunResult train(const TrainOptions& options,
                           EventSink& sink,
                           const std::stop_token& stop = {});
    static RunResult train(const TrainOptions& options);
    // Trains until the update `last` and stops there.
    static ErrorCode stop_after(const TrainOptions& options, int64_t last);
    // Of files and folders in root()/`folder`.
    static std::set<std::string> names_in(const std::string& folder);
};

}  // namespace lora::train
