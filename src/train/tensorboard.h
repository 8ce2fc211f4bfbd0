// The curves of a run as TensorBoard reads them: events.out.tfevents.* with kohya's tags.
// loss/current, loss/average, lr/unet, lr/textencoder, norm/grad for every update; loss/epoch and
// loss/epoch_average for every epoch; probe/* and loss/validation/* when they are measured. Rates
// are those that the update used (kohya's are those of the next one). Threads  the training thread.
// Source   TensorFlow's record format (length, masked CRC-32C, data, masked CRC-32C) and
// event.proto;
//          training-semantics 13.
#pragma once

#include <fstream>
#include <string>

#include "train/events.h"

namespace lora::train {

class TensorBoardSink final : public EventSink {
public:
    struct Parts {
        bool unet = true;  // which rates there are
        bool text_encoder = true;
    };
    // A new file in `folder`, which is made when missing. Errors  kIo naming the path.
    TensorBoardSink(const std::string& folder, const Parts& parts);
    void on_event(const Event& event) override;

private:
    struct Scalar {
        std::string tag;
        double value;
    };
    void write_scalars(int64_t step, const std::vector<Scalar>& scalars);
    void write_record(const std::string& data);
    void end_epoch();

    Parts parts_;
    std::string path_;
    std::ofstream file_;
    int64_t epoch_ = 0;  // that has not ended
    double average_ = 0;
    bool has_steps_ = false;
};

}  // namespace lora::train
