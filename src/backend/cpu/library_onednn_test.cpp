#include <gtest/gtest.h>

#include "backend/cpu/internal/library.h"
#include "backend/cpu/internal/weight.h"
#include "backend/cpu/kernels/kernel_table.h"
#include "ir/builder.h"

namespace lora::cpu {
namespace {

// What the library chooses for a frozen 3x3 convolution in bf16, or nothing where it is not asked.
std::string choice_of(const Shape& x, int64_t out_channels, int stride) {
    Device device;
    device.kernels = &kernel_table("");
    device.threads = Threads(1);
    device.library = open_library();
    ir::Graph graph;
    ir::Builder b(graph);
    const Shape w{out_channels, x[1], 3, 3};
    const ir::ValueId image = b.reorder(b.input("x", DType::kBF16, x), ir::Layout::kChannelsLast);
    b.conv2d(image, b.weight("w", DType::kBF16, w), {.stride = stride, .pad = {1, 1, 1, 1}});
    const ir::Node& node = graph.nodes().back();
    if (!device.library->takes(device, graph, node)) return "";
    const auto numbers = std::make_shared<Tensor>(DType::kBF16, w);
    auto weight = std::make_shared<CpuWeight>(numbers->view(), numbers, DType::kBF16);
    return device.library->program({device, graph, node, [&](int) { return weight; }}).choice;
}

// The first implementation of the library's list reads beyond its own memory for these, which a
// sanitized build must not do.
TEST(OneDnnLibrary, LeavesTheImplementationThatReadsTooFar) {
#if !defined(__SANITIZE_ADDRESS__)
    GTEST_SKIP() << "for builds with AddressSanitizer";
#endif
    const struct {
        Shape x;
        int64_t out_channels;
        int stride;
    } cases[] = {
        {{2, 96, 2, 2}, 96, 1},
        {{2, 96, 4, 4}, 1, 1},
        {{2, 96, 8, 8}, 96, 2},
        {{2, 64, 16, 16}, 64, 1},
        {{1, 320, 64, 64}, 4, 1},
    };
    for (const auto& c : cases) {
        const std::string choice = choice_of(c.x, c.out_channels, c.stride);
        EXPECT_EQ(choice.find("brgconv:avx512_core_amx"), std::string::npos) << choice;
        // Where the processor has the instructions, the next one takes over.
        if (!choice.empty()) {
            EXPECT_EQ(choice.rfind("onednn ", 0), 0U) << choice;
        }
    }
}

}  // namespace
}  // namespace lora::cpu
