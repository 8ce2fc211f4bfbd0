// Cases of training: prediction, loss, every gradient, and the network after some updates, computed
// with the very objects that a training run uses.
#include <charconv>
#include <cmath>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "app/parity/parity.h"
#include "base/error.h"
#include "data/loss_mask.h"
#include "models/lora_file_weights.h"
#include "train/loss_scaler.h"
#include "train/optimizer.h"
#include "train/run_settings.h"
#include "train/train_step.h"
#include "train/weight_norms.h"

namespace lora::parity {
namespace {

using train::ParameterEntry;

// "AdamW lr=0.001 betas=0.9,0.999 ..."
double learning_rate_of(const std::string& optimizer) {
    const size_t at = optimizer.find("lr=");
    double rate = 0;
    if (at == std::string::npos ||
        std::from_chars(optimizer.data() + at + 3, optimizer.data() + optimizer.size(), rate).ec !=
            std::errc()) {
        throw Error(ErrorCode::kFormat, "golden case: no learning rate in \"" + optimizer + "\"");
    }
    return rate;
}

train::TrainModel model_of(Bench& bench, const CaseFile& golden) {
    const models::LoraFileContent content =
        models::read_lora_file(golden.file, bench.info(), "in.net.");
    train::TrainModelOptions options;
    options.dtype = bench.dtype();
    options.clip_skip = golden.integer("clip_skip", 1);
    if (golden.flag("v_prediction")) {
        options.prediction = diffusion::PredictionType::kVPrediction;
    }
    return train::make_train_model(bench.info(), content.modules, options);
}

std::vector<float> starting_values(const train::Network& network, const CaseFile& golden) {
    std::vector<float> values(static_cast<size_t>(network.num_elements()), 0.0F);
    for (const ParameterEntry& entry : network.entries()) {
        const std::vector<float> part = to_floats(golden.file.at("in.net." + entry.key));
        std::copy(part.begin(), part.end(), values.begin() + entry.offset);
    }
    return values;
}

Tensor piece(const std::vector<float>& flat, const ParameterEntry& entry) {
    const auto offset = static_cast<size_t>(entry.offset);
    return Tensor::from_floats(entry.shape,
                               std::span(flat).subspan(offset, static_cast<size_t>(entry.count)));
}

double inner_product(const TensorView& a, const TensorView& b) {
    const Tensor x = to_dtype(a, DType::kF64);
    const Tensor y = to_dtype(b, DType::kF64);
    double sum = 0;
    for (size_t i = 0; i < x.data<double>().size(); ++i) {
        sum += x.data<double>()[i] * y.data<double>()[i];
    }
    return sum;
}

// LyCORIS 3.x takes the other factor's core and w_b when it computes the gradient of a Tucker
// LoHa's w_a. The change of the weight is linear in every factor, so all true gradients have the
// same <factor, gradient>; where the case's one of w_a has not, that product is compared instead.
// The core's key then.
std::optional<std::string> core_to_compare(const CaseFile& golden, const std::string& key) {
    for (const auto& [w_a, core] :
         {std::pair{".hada_w1_a", ".hada_t1"}, {".hada_w2_a", ".hada_t2"}}) {
        if (!key.ends_with(w_a)) continue;
        const std::string core_key =
            key.substr(0, key.size() - std::string_view(w_a).size()) + core;
        if (!golden.has("out.grad." + core_key)) return std::nullopt;
        const TensorView factor = golden.file.at("in.net." + key);
        const TensorView gradient = golden.file.at("out.grad." + key);
        const double its = inner_product(factor, gradient);
        const double true_one = inner_product(golden.file.at("in.net." + core_key),
                                              golden.file.at("out.grad." + core_key));
        const double scale = norm_of(factor) * norm_of(gradient);
        if (std::abs(its - true_one) <= 1e-4 * scale) return std::nullopt;
        return core_key;
    }
    return std::nullopt;
}

void compare_gradients(const train::TrainStep& step,
                       const std::vector<float>& gradients,
                       const CaseFile& golden,
                       Report& report) {
    double sum = 0;
    const double whole = norm_of(golden.file.at("out.grad_norm"));
    double expected_sum = whole * whole;
    for (const ParameterEntry& entry : step.model().network.entries()) {
        const bool expected = golden.has("out.grad." + entry.key);
        if (expected != step.trained().contains(entry.key)) {
            report.fail(golden,
                        "grad." + entry.key,
                        expected ? "no-gradient-computed" : "gradient-not-expected");
        }
        if (!expected || !step.trained().contains(entry.key)) continue;
        const Tensor gradient = piece(gradients, entry);
        if (const auto core = core_to_compare(golden, entry.key)) {
            const double its = norm_of(golden.file.at("out.grad." + entry.key));
            expected_sum -= its * its;
            const TensorView factor = golden.file.at("in.net." + entry.key);
            report.compare_numbers(golden,
                                   "grad." + entry.key + ":inner_product",
                                   inner_product(factor, gradient.view()),
                                   inner_product(golden.file.at("in.net." + *core),
                                                 golden.file.at("out.grad." + *core)),
                                   norm_of(factor) * norm_of(gradient.view()));
            continue;
        }
        const double norm = norm_of(gradient.view());
        sum += norm * norm;
        report.compare_gradient(golden, entry.key, gradient, whole);
    }
    report.compare_numbers(
        golden, "grad_norm", std::sqrt(sum), std::sqrt(expected_sum), std::sqrt(expected_sum));
}

void compare_network(const train::Network& network,
                     const std::vector<float>& values,
                     const CaseFile& golden,
                     Report& report) {
    for (const ParameterEntry& entry : network.entries()) {
        report.compare(golden, "net." + entry.key, piece(values, entry), report.bounds().gradients);
    }
    for (const train::LoraModule& module : network.modules()) {
        if (!golden.has("out.net." + module.name + ".alpha")) continue;  // ia3 has none
        const std::vector<float> alpha{static_cast<float>(module.alpha)};
        report.compare(golden,
                       "net." + module.name + ".alpha",
                       Tensor::from_floats(Shape{}, alpha),
                       report.bounds().gradients);
    }
}

// The mask of the loss from a picture of single numbers, which the case has on the latent too.
Tensor mask_of(const CaseFile& golden, const Shape& latents, Report& report) {
    const Tensor pictures = golden.floats("mask_px");
    const Shape& size = pictures.shape();
    const auto count = static_cast<size_t>(size[2] * size[3]);
    Tensor mask(DType::kF32, {latents[0], 1, latents[2], latents[3]});
    auto dst = mask.data<float>().begin();
    for (int64_t i = 0; i < latents[0]; ++i) {
        const auto part = pictures.data<float>().subspan(static_cast<size_t>(i) * count, count);
        const Tensor plane = Tensor::from_floats({size[2], size[3]}, part);
        const Tensor cells = data::area_mean(plane, latents[2], latents[3]);
        dst = std::copy(cells.data<float>().begin(), cells.data<float>().end(), dst);
    }
    report.compare(golden, "mask", mask, report.bounds().tables);
    return mask;
}

train::StepInputs inputs_of(const CaseFile& golden, Report& report) {
    train::StepInputs inputs;
    inputs.latents = golden.floats("latents");
    if (golden.has("in.mask_px")) {
        inputs.mask = mask_of(golden, inputs.latents.shape(), report);
    }
    inputs.noise = golden.floats("noise");
    inputs.token_ids = golden.ids("input_ids");
    for (const float t : to_floats(golden.file.at("in.timesteps"))) {
        inputs.timesteps.push_back(static_cast<int64_t>(t));
    }
    inputs.loss_weights = to_floats(golden.file.at("in.loss_weights"));
    return inputs;
}

// loss_type with its threshold, and the mask.
void set_loss(const CaseFile& golden, train::TrainStepOptions& options) {
    train::LossOptions loss;
    if (golden.params.contains("loss_type")) loss.loss_type = golden.text("loss_type");
    if (golden.params.contains("huber_schedule")) {
        loss.huber_schedule = golden.text("huber_schedule");
        loss.huber_c = golden.number("huber_c");
        loss.huber_scale = golden.number("huber_scale");
    }
    options.loss = train::loss_kind(loss);
    options.huber = train::huber_options(loss);
    options.masks_loss = golden.has("in.mask_px");
}

// One step whose gradients are those of the loss: fp16's are scaled on their way until all are
// finite.
double run_step(train::TrainStep& step,
                const train::StepInputs& inputs,
                train::LossScaler* scaler) {
    while (true) {
        if (scaler != nullptr) step.set_loss_scale(scaler->state().scale);
        const double loss = step.run(inputs).loss;
        if (scaler == nullptr || scaler->unscale()) return loss;
    }
}

}  // namespace

void run_train_steps(Bench& bench, const CaseFile& golden, Report& report) {
    train::TrainStepOptions options;
    options.loss_weight.min_snr_gamma =
        golden.params.contains("min_snr_gamma") ? golden.number("min_snr_gamma") : 0;
    options.zero_terminal_snr = golden.flag("zero_terminal_snr");
    set_loss(golden, options);
    options.keep_prediction = true;
    options.scale_loss = bench.dtype() == DType::kF16;
    train::TrainStep step(bench.device(), model_of(bench, golden), options);
    const train::Network& network = step.model().network;
    const train::StepInputs inputs = inputs_of(golden, report);
    const Shape& latents = inputs.latents.shape();
    step.add_shape({latents[0], latents[2], latents[3], inputs.token_ids.shape()[1]});
    const train::ParameterBuffers buffers = train::make_parameter_buffers(bench.device(), network);
    train::write_floats(*buffers.values, starting_values(network, golden));
    step.compile(bench.weights(), buffers);
    train::Optimizer optimizer(bench.device(), buffers, network, step.trained());

    std::unique_ptr<train::LossScaler> scaler;
    if (options.scale_loss) {
        scaler = std::make_unique<train::LossScaler>(
            bench.device(), buffers.gradients, network.num_elements(), train::LossScale{});
    }
    std::unique_ptr<train::WeightNorms> norms;
    if (golden.params.contains("scale_weight_norms")) {
        norms = std::make_unique<train::WeightNorms>(
            bench.device(), buffers, network, golden.number("scale_weight_norms"));
    }
    const int64_t num_updates = golden.integer("steps", 0);
    const double rate = learning_rate_of(golden.text("optimizer"));
    std::vector<float> losses;
    for (int64_t i = 0; i < std::max<int64_t>(1, num_updates); ++i) {
        losses.push_back(static_cast<float>(run_step(step, inputs, scaler.get())));
        if (i == 0) {
            report.compare(golden, "prediction", step.prediction(), report.bounds().values);
            compare_gradients(step, train::read_floats(*buffers.gradients), golden, report);
        }
        if (num_updates > 0) optimizer.update(i + 1, {rate, rate});
        if (norms) norms->limit();
    }
    report.compare(golden,
                   "losses",
                   Tensor::from_floats(Shape{static_cast<int64_t>(losses.size())}, losses),
                   report.bounds().losses);
    if (num_updates > 0 && report.bounds().weights_after_steps) {
        compare_network(network, train::read_floats(*buffers.values), golden, report);
    }
}

}  // namespace lora::parity
