// lora_bench: how long operators, whole steps, sampling and file reading take here.
// Every result is one JSON object a line on stdout; words for people go to stderr.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "base/json.h"

namespace lora::bench {

struct Options {
    std::string command;  // op, step, sample or io
    std::string filter;   // op: part of the case's name; io: a file
    std::string model;
    std::string backend = "cpu";
    std::string dtype;  // fp32 or bf16; empty: the device's best
    std::vector<int64_t> batches{1};
    int64_t resolution_px = 512;
    int64_t rank = 32;
    int64_t num_chunks = 3;  // windows of 75 tokens a caption
    // step: of lycoris.kohya, "algo=loha,conv_dim=4"; empty: networks.lora without convolutions
    std::vector<std::pair<std::string, std::string>> network_args;
    int num_threads = 0;
    int repeats = 5;
    bool nodes = false;  // step, sample: one line an operator too
    bool floor = true;
    bool vendor = false;         // op: beside NVIDIA's libraries
    bool quantize_base = false;  // step: frozen weights in 8 bits
};

// Errors  kConfig.
[[nodiscard]] Options parse_options(const std::vector<std::string>& words);
[[nodiscard]] std::unique_ptr<backend::Backend> open_backend(const Options& options);
[[nodiscard]] DType dtype_of(const Options& options, const backend::Backend& backend);

void run_op(const Options& options);
// Errors  kDevice without a card or without the libraries.
void run_vendor(const Options& options);
void run_step(const Options& options);
void run_sample(const Options& options);
void run_io(const Options& options);

[[nodiscard]] double median(std::vector<double> values);
// What every line starts with: backend, device, dtype.
[[nodiscard]] OrderedJson line_start(const backend::Backend& backend, DType dtype);
void print_line(const OrderedJson& line);

}  // namespace lora::bench
