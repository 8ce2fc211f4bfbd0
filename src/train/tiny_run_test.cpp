#include "train/tiny_run_test.h"

#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include <fmt/format.h>

#include "backend/reference/reference_backend.h"
#include "base/attempt.h"
#include "base/file.h"
#include "io/png.h"
#include "io/safetensors.h"
#include "models/hash_model.h"
#include "models/tensor_list.h"

namespace lora::train {
namespace {

void set_environment(const char* name, const char* value) {
#ifdef _WIN32
    _putenv_s(name, value);
#else
    setenv(name, value, 1);
#endif
}

// A training step of a TestDevice.
class HookedStep final : public backend::Executable {
public:
    HookedStep(TestDevice& device,
               std::unique_ptr<backend::Executable> own,
               std::shared_ptr<backend::Buffer> gradients)
        : device_(device), own_(std::move(own)), gradients_(std::move(gradients)) {}
    void prepare() override { own_->prepare(); }
    void run() override {
        number_ = device_.num_steps++;
        const ir::Graph& graph = own_->plan().graph;
        const int64_t batch = graph.value(graph.at("losses")).shape[0];
        if (device_.before_step) device_.before_step(number_, batch);
        own_->run();
        if (device_.change_gradients && gradients_) device_.change_gradients(number_, *gradients_);
    }
    void read_output(std::string_view name, std::span<std::byte> dst) const override {
        own_->read_output(name, dst);
        if (!device_.change_loss || !name.starts_with("loss")) return;
        for (size_t at = 0; at < dst.size(); at += sizeof(float)) {
            float value = 0;
            std::memcpy(&value, dst.data() + at, sizeof(value));
            value = device_.change_loss(number_, value);
            std::memcpy(dst.data() + at, &value, sizeof(value));
        }
    }
    [[nodiscard]] const plan::MemoryPlan& plan() const override { return own_->plan(); }
    [[nodiscard]] const std::vector<backend::NodeTime>& node_times() const override {
        return own_->node_times();
    }
    void set_tracing(bool on) override { own_->set_tracing(on); }

private:
    TestDevice& device_;
    std::unique_ptr<backend::Executable> own_;
    std::shared_ptr<backend::Buffer> gradients_;
    int64_t number_ = 0;
};

}  // namespace

TestDevice::TestDevice() : own_(reference::open({})) {}

std::unique_ptr<backend::Executable> TestDevice::compile(plan::MemoryPlan plan,
                                                         const backend::Bindings& bindings) {
    const bool is_step = plan.graph.find("losses").has_value();
    if (!is_step) return own_->compile(std::move(plan), bindings);
    arenas.push_back(plan.arena_bytes);
    if (plan.arena_bytes > room) throw Error(ErrorCode::kOutOfMemory, "no room");
    std::shared_ptr<backend::Buffer> gradients;
    for (const auto& [name, binding] : bindings) {
        if (name.starts_with("grad.")) gradients = binding.buffer;
    }
    return std::make_unique<HookedStep>(
        *this, own_->compile(std::move(plan), bindings), std::move(gradients));
}

models::ModelInfo tiny_info() {
    models::ModelInfo info;
    info.unet.channels = {32, 64};
    info.unet.has_attention = {true, false};
    info.unet.context_size = 64;
    info.unet.heads = 2;
    info.text.width = 64;
    info.text.layers = 2;
    info.text.heads = 1;
    info.text.hidden = 64;
    info.vae.channels = {32, 32, 32, 32};
    return info;
}

void write_tiny_model(const std::string& path) {
    std::vector<Tensor> storage;
    std::vector<io::NamedTensor> tensors;
    const auto specs = models::model_tensors(tiny_info());
    storage.reserve(specs.size());
    for (const models::TensorSpec& spec : specs) {
        storage.push_back(to_dtype(models::hash_weight(spec.name, spec.shape).view(), DType::kF16));
    }
    for (size_t i = 0; i < specs.size(); ++i) {
        tensors.push_back({specs[i].name, storage[i].view()});
    }
    io::write_safetensors(
        path, tensors, {{"lora_cpp.model", R"({"unet_num_heads": 2, "text_num_heads": 1})"}});
}

void write_tiny_picture(const std::string& path, int64_t side_px, uint8_t shade) {
    io::Image image{side_px, side_px, {}};
    for (int64_t i = 0; i < side_px * side_px * 3; ++i) {
        image.rgb.push_back(static_cast<uint8_t>(shade + i % 61));
    }
    io::write_png(path, image);
}

std::string TinyRun::root() {
    return testing::TempDir() + testing::UnitTest::GetInstance()->current_test_suite()->name();
}

void TinyRun::SetUpTestSuite() {
    set_environment("SOURCE_DATE_EPOCH", "1700000000");
    remove_directory(root());
    make_directories(join_path(root(), "data/2_dot"));
    write_tiny_model(join_path(root(), "model.safetensors"));
    for (int i = 0; i < 2; ++i) {
        const std::string stem = join_path(root(), fmt::format("data/2_dot/{}", i));
        write_tiny_picture(stem + ".png", 64, static_cast<uint8_t>(40 * i));
        write_file_atomically(stem + ".txt", fmt::format("dot, picture {}, round", i));
    }
    write_tiny_picture(join_path(root(), "data/2_dot/wide.png"), 128, 9);
}

void TinyRun::TearDownTestSuite() { remove_directory(root()); }

TrainOptions TinyRun::options(const std::string& output) {
    TrainOptions o;
    o.model.pretrained_model_name_or_path = join_path(root(), "model.safetensors");
    o.dataset.train_data_dir = join_path(root(), "data");
    o.dataset.caption_extension = ".txt";
    o.bucket = {.resolution = {64, 64}, .min_bucket_reso_px = 64, .max_bucket_reso_px = 128};
    o.caption.shuffle_caption = true;
    o.latents.train_batch_size = 4;  // six slots: a full and a short batch an epoch
    o.latents.cache_dir = join_path(root(), "cache");
    o.network.network_dim = 2;
    o.optimizer.learning_rate = 1e-3;
    o.optimizer.lr_scheduler = "cosine";
    o.loss.weight.min_snr_gamma = 5;
    o.length.max_train_epochs = 2;
    o.device.mixed_precision = "no";
    o.save.output_dir = join_path(root(), output);
    o.save.output_name = "dot";
    o.save.save_precision = "float";
    o.seed = 3;
    return o;
}

RunResult TinyRun::train(const TrainOptions& options,
                         EventSink& sink,
                         const std::stop_token& stop) {
    const auto backend = reference::open({});
    return TrainingRun::open(options, *backend)->train(stop, sink);
}

RunResult TinyRun::train(const TrainOptions& options) {
    CallbackSink sink([](const Event&) {});
    return train(options, sink);
}

ErrorCode TinyRun::stop_after(const TrainOptions& options, int64_t last) {
    std::stop_source source;
    CallbackSink sink([&](const Event& event) {
        const auto* step = std::get_if<StepDone>(&event);
        if (step != nullptr && step->step == last) source.request_stop();
    });
    const auto error = attempt([&] { train(options, sink, source.get_token()); });
    return error ? error->code() : ErrorCode::kInternal;
}

std::set<std::string> TinyRun::names_in(const std::string& folder) {
    std::set<std::string> names;
    for (const DirectoryEntry& entry : list_directory(join_path(root(), folder))) {
        names.insert(entry.name);
    }
    return names;
}

}  // namespace lora::train
