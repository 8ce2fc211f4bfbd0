// A running average of the network's parameters, kept beside them on the device:
//   average = decay_t average + (1 - decay_t) values, decay_t = min(decay, (1 + t) / (10 + t))
// so that the first steps, whose values are far from the end, are forgotten soon.
// Threads  one thread. Source: Polyak and Juditsky, SIAM J. Control Optim. 30 (1992), 838; the
//          warm-up as tf.train.ExponentialMovingAverage writes it.
#pragma once

#include <memory>
#include <vector>

#include "backend/backend.h"
#include "train/optimizer.h"

namespace lora::train {

class Ema {
public:
    // The buffers and the backend must outlive it.
    Ema(backend::Backend& backend,
        const ParameterBuffers& buffers,
        const Network& network,
        double decay);

    // The average of a fresh run: the parameters as they are.
    void start();
    // After update number `step` (1-based).
    void update(int64_t step);

    // The network's values are the average here; gradients are those of the network.
    [[nodiscard]] ParameterBuffers buffers() const { return {average_, buffers_.gradients}; }
    [[nodiscard]] StateSlot slot() const { return slot_; }
    [[nodiscard]] StateContent read_state() const;
    // Errors  kInternal for a state of another network.
    void write_state(const StateContent& state);

private:
    ParameterBuffers buffers_;
    double decay_;
    StateSlot slot_;
    std::shared_ptr<backend::Buffer> average_;
    std::shared_ptr<backend::Buffer> factors_;  // of average and values
    std::unique_ptr<backend::Executable> executable_;
};

// The optimizer's states and, where there is an average, that one behind them; `ema` may be null.
[[nodiscard]] std::vector<StateSlot> slots_with(const Optimizer& optimizer, const Ema* ema);
[[nodiscard]] std::vector<StateContent> read_states_with(const Optimizer& optimizer,
                                                         const Ema* ema);
void write_states_with(Optimizer& optimizer, Ema* ema, std::vector<StateContent> states);

// How much of the average stays at update `step` (1-based).
[[nodiscard]] double ema_decay_at(double decay, int64_t step);

}  // namespace lora::train
