#include "train/tensorboard.h"

#include <bit>
#include <span>

#include <fmt/format.h>

#include "base/crc32.h"
#include "base/error.h"
#include "base/file.h"
#include "base/wall_clock.h"

namespace lora::train {
namespace {

void put(std::string& out, uint64_t value, int size) {
    for (int i = 0; i < size; ++i) {
        out += static_cast<char>(value & 0xFFU);
        value >>= 8U;
    }
}

// Protocol buffers: a field's number and wire type, then its value.
enum Wire : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
void put_varint(std::string& out, uint64_t value) {
    while (value >= 0x80U) {
        out += static_cast<char>((value & 0x7FU) | 0x80U);
        value >>= 7U;
    }
    out += static_cast<char>(value);
}
void put_key(std::string& out, uint32_t field, Wire wire) { put_varint(out, field << 3U | wire); }
void put_bytes(std::string& out, uint32_t field, const std::string& bytes) {
    put_key(out, field, kBytes);
    put_varint(out, bytes.size());
    out += bytes;
}

// event.proto: wall_time 1, step 2, file_version 3, summary 5.
std::string event_start(double time, int64_t step) {
    std::string out;
    put_key(out, 1, kFixed64);
    put(out, std::bit_cast<uint64_t>(time), 8);
    if (step != 0) {
        put_key(out, 2, kVarint);
        put_varint(out, static_cast<uint64_t>(step));
    }
    return out;
}

// summary.proto: value 1 { tag 1, simple_value 2 }.
std::string summary_value(const std::string& tag, double value) {
    std::string out;
    put_bytes(out, 1, tag);
    put_key(out, 2, kFixed32);
    put(out, std::bit_cast<uint32_t>(static_cast<float>(value)), 4);
    return out;
}

uint32_t masked_crc32c(const std::string& bytes) {
    return std::rotr(crc32c(std::as_bytes(std::span(bytes))), 15) + 0xA282EAD8U;
}

}  // namespace

TensorBoardSink::TensorBoardSink(const std::string& folder, const Parts& parts) : parts_(parts) {
    make_directories(folder);
    const double time = unix_time();
    path_ =
        join_path(folder, fmt::format("events.out.tfevents.{}.lora", static_cast<int64_t>(time)));
    file_.open(to_path(path_), std::ios::binary | std::ios::app);
    std::string first = event_start(time, 0);
    put_bytes(first, 3, "brain.Event:2");
    write_record(first);
}

void TensorBoardSink::on_event(const Event& event) {
    if (const auto* started = std::get_if<EpochStarted>(&event)) {
        end_epoch();
        epoch_ = started->epoch;
    } else if (const auto* step = std::get_if<StepDone>(&event)) {
        if (epoch_ == 0) epoch_ = step->epoch;  // a resumed run starts inside an epoch
        average_ = step->average_loss;
        has_steps_ = true;
        std::vector<Scalar> scalars = {{"loss/current", step->loss}, {"loss/average", average_}};
        if (parts_.text_encoder) scalars.push_back({"lr/textencoder", step->lr_text_encoder});
        if (parts_.unet) scalars.push_back({"lr/unet", step->lr_unet});
        if (step->d > 0) {
            const double rate = parts_.unet ? step->lr_unet : step->lr_text_encoder;
            scalars.push_back({"lr/d*lr", step->d * rate});
        }
        for (const auto& [group, rate] : step->group_rates) {
            if (group != "textencoder" && group != "unet") {
                scalars.push_back({"lr/" + group, rate});
            }
        }
        if (step->relative_loss) scalars.push_back({"loss/relative", *step->relative_loss});
        scalars.push_back({"norm/grad", step->grad_norm});
        if (const auto& norm = step->max_norm) {
            const auto scaled = static_cast<double>(norm->keys_scaled);
            for (const auto& [tag, value] :
                 {std::pair<const char*, double>{"max_norm/keys_scaled", scaled},
                  {"max_norm/average_key_norm", norm->average},
                  {"max_norm/max_key_norm", norm->largest}}) {
                scalars.push_back({tag, value});
            }
        }
        write_scalars(step->step, scalars);
    } else if (const auto* probe = std::get_if<ProbeDone>(&event)) {
        std::vector<Scalar> scalars = {{"probe/relative", probe->relative},
                                       {"probe/loss", probe->loss}};
        if (probe->layout) scalars.push_back({"probe/layout", *probe->layout});
        if (probe->form) scalars.push_back({"probe/form", *probe->form});
        if (probe->detail) scalars.push_back({"probe/detail", *probe->detail});
        write_scalars(probe->step, scalars);
    } else if (const auto* validation = std::get_if<ValidationDone>(&event)) {
        const std::string tag = validation->ends_epoch ? "epoch" : "step";
        write_scalars(validation->ends_epoch ? validation->epoch : validation->step,
                      {{"loss/validation/" + tag + "_average", validation->loss},
                       {"loss/validation/" + tag + "_divergence", validation->divergence}});
    } else if (const auto* ended = std::get_if<RunEnded>(&event)) {
        if (ended->status == "done") end_epoch();
    }
}

void TensorBoardSink::end_epoch() {
    if (!has_steps_) return;
    write_scalars(epoch_, {{"loss/epoch", average_}, {"loss/epoch_average", average_}});
    has_steps_ = false;
}

void TensorBoardSink::write_scalars(int64_t step, const std::vector<Scalar>& scalars) {
    std::string summary;
    for (const Scalar& scalar : scalars)
        put_bytes(summary, 1, summary_value(scalar.tag, scalar.value));
    std::string event = event_start(unix_time(), step);
    put_bytes(event, 5, summary);
    write_record(event);
}

void TensorBoardSink::write_record(const std::string& data) {
    std::string record;
    put(record, data.size(), 8);
    put(record, masked_crc32c(record), 4);
    record += data;
    put(record, masked_crc32c(data), 4);
    file_ << record;
    file_.flush();
    if (!file_) {
        throw Error(ErrorCode::kIo, fmt::format("cannot write to {}", path_))
            .with_hint("is the disk full?");
    }
}

}  // namespace lora::train
