// Embeddings of tokens and of timesteps; weights kept in 8 bits.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "backend/cpu/internal/device.h"
#include "base/check.h"

namespace lora::cpu {
namespace {

Program embedding_program(const NodeContext& c) {
    const Device& device = c.device;
    const ir::Value& table = c.input(1);
    const int64_t count = c.input(0).shape.num_elements();
    const int64_t vocabulary = table.shape[0];
    const int64_t bytes = table.shape[1] * static_cast<int64_t>(dtype_bytes(table.dtype));
    Program program;
    program.choice = "own";
    program.run = [&device, count, vocabulary, bytes](const Args& a) {
        const int32_t* ids = a.input<int32_t>(0);
        for (int64_t i = 0; i < count; ++i) {
            LORA_CHECK(ids[i] >= 0 && ids[i] < vocabulary, "token id outside the table");
        }
        device.threads.split(count, 16, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                std::memcpy(
                    a.out[0] + i * bytes, a.in[1] + ids[i] * bytes, static_cast<size_t>(bytes));
            }
        });
    };
    return program;
}

// A few hundred values: fp64 and one thread.
Program timestep_program(const NodeContext& c) {
    const Device& device = c.device;
    const int64_t count = c.input(0).shape.num_elements();
    const int64_t half = c.node.attrs.size / 2;
    const Elem type = elem_of(c.node.attrs.dtype);
    const int64_t bytes = static_cast<int64_t>(dtype_bytes(c.node.attrs.dtype));
    Program program;
    program.choice = "own";
    program.run = [&device, count, half, type, bytes](const Args& a) {
        const float* t = a.input<float>(0);
        std::vector<float> row(static_cast<size_t>(2 * half));
        for (int64_t n = 0; n < count; ++n) {
            for (int64_t i = 0; i < half; ++i) {
                const double exponent =
                    -std::log(10000.0) * static_cast<double>(i) / static_cast<double>(half);
                const double angle = static_cast<double>(t[n]) * std::exp(exponent);
                row[static_cast<size_t>(i)] = static_cast<float>(std::cos(angle));
                row[static_cast<size_t>(half + i)] = static_cast<float>(std::sin(angle));
            }
            device.kernels->from_float(type, row.data(), a.out[0] + n * 2 * half * bytes, 2 * half);
        }
    };
    return program;
}

constexpr int64_t kPiece = 1024;

Program dequantize_program(const NodeContext& c) {
    const Device& device = c.device;
    const int64_t rows = c.input(0).shape[0];
    const int64_t length = c.input(0).shape.num_elements() / rows;
    const Elem type = elem_of(c.node.attrs.dtype);
    const int64_t bytes = static_cast<int64_t>(dtype_bytes(c.node.attrs.dtype));
    Program program;
    program.choice = "own";
    program.run = [&device, rows, length, type, bytes](const Args& a) {
        device.threads.split(rows, 4, [&](int64_t begin, int64_t end) {
            std::array<float, kPiece> values;
            for (int64_t row = begin; row < end; ++row) {
                const float scale = a.input<float>(1)[row];
                const uint8_t* q = a.input<uint8_t>(0) + row * length;
                for (int64_t at = 0; at < length; at += kPiece) {
                    const int64_t count = std::min(kPiece, length - at);
                    for (int64_t i = 0; i < count; ++i) {
                        values[static_cast<size_t>(i)] =
                            static_cast<float>(static_cast<int>(q[at + i]) - 128) * scale;
                    }
                    device.kernels->from_float(
                        type, values.data(), a.out[0] + (row * length + at) * bytes, count);
                }
            }
        });
    };
    return program;
}

}  // namespace

Program source_program(const NodeContext& c) {
    switch (c.node.op) {
        case ir::OpKind::kEmbedding: return embedding_program(c);
        case ir::OpKind::kDequantize: return dequantize_program(c);
        default: return timestep_program(c);
    }
}

}  // namespace lora::cpu
