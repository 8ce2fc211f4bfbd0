// Cases of views and movement.
#include "support/op_case.h"

namespace lora::support::cases {

using ir::OpKind;
using ir::ValueId;

namespace {

std::vector<OpCase> views() {
    return {
        {"reshape/odd",
         OpKind::kReshape,
         [](CaseBuilder& c) {
             c.result(c.b().scale(c.b().reshape(c.operand({3, 10}), {5, 2, 3}), 2));
         }},
        {"image_to_tokens/odd",
         OpKind::kImageToTokens,
         [](CaseBuilder& c) {
             c.result(c.b().scale(c.b().image_to_tokens(c.image({2, 3, 5, 7})), 2));
         }},
        {"tokens_to_image/odd",
         OpKind::kTokensToImage,
         [](CaseBuilder& c) {
             const ValueId image = c.b().tokens_to_image(c.operand({2, 15, 7}), 3, 5);
             c.result(c.b().reorder(image, ir::Layout::kRowMajor));
         }},
    };
}

std::vector<OpCase> copies() {
    return {
        {"reorder/to_channels_last",
         OpKind::kReorder,
         [](CaseBuilder& c) {
             c.result(c.image({2, 3, 5, 7}));
         }},
        {"reorder/size_one",
         OpKind::kReorder,
         [](CaseBuilder& c) {
             c.result(c.image({1, 1, 1, 1}));
         }},
        {"reorder/to_row_major",
         OpKind::kReorder,
         [](CaseBuilder& c) {
             c.result(c.b().reorder(c.b().scale(c.image({3, 4, 2, 5}), 3), ir::Layout::kRowMajor));
         }},
        {"cast/to_accumulator",
         OpKind::kCast,
         [](CaseBuilder& c) {
             const DType wide = c.dtype() == DType::kF64 ? DType::kF64 : DType::kF32;
             c.result(c.b().node(OpKind::kCast, {c.operand({3, 7})}, {.dtype = wide})[0]);
         }},
        {"swap_axes/odd",
         OpKind::kSwapAxes,
         [](CaseBuilder& c) {
             c.result(c.b().swap_axes(c.operand({2, 3, 5, 7})));
         }},
        {"swap_axes/matrices",
         OpKind::kSwapAxes,
         [](CaseBuilder& c) {
             c.result(c.b().swap_axes(c.operand({3, 37, 5, 1})));
         }},
        {"swap_axes/wide",
         OpKind::kSwapAxes,
         [](CaseBuilder& c) {
             c.result(c.b().swap_axes(c.operand({1, 3, 4, 16})));
         }},
        {"upsample2x/odd",
         OpKind::kUpsample2x,
         [](CaseBuilder& c) {
             c.result(c.b().upsample2x(c.image({2, 3, 3, 5})));
         }},
        {"upsample2x/one_pixel",
         OpKind::kUpsample2x,
         [](CaseBuilder& c) {
             c.result(c.b().upsample2x(c.image({1, 5, 1, 1})));
         }},
        {"upsample2x/row_major",
         OpKind::kUpsample2x,
         [](CaseBuilder& c) {
             c.result(c.b().upsample2x(c.operand({1, 2, 3, 1})));
         }},
    };
}

std::vector<OpCase> joins() {
    return {
        {"concat/channels",
         OpKind::kConcat,
         [](CaseBuilder& c) {
             c.result(c.b().concat(c.image({2, 3, 5, 2}), c.image({2, 4, 5, 2}), 1));
         }},
        {"concat/height",
         OpKind::kConcat,
         [](CaseBuilder& c) {
             c.result(c.b().concat(c.image({2, 3, 1, 5}), c.image({2, 3, 4, 5}), 2));
         }},
        {"concat/tokens",
         OpKind::kConcat,
         [](CaseBuilder& c) {
             c.result(c.b().concat(c.operand({2, 3, 5}), c.operand({2, 1, 5}), 1));
         }},
        {"concat/last",
         OpKind::kConcat,
         [](CaseBuilder& c) {
             c.result(c.b().concat(c.operand({3, 2}), c.operand({3, 5}), -1));
         }},
        {"concat/same_twice",
         OpKind::kConcat,
         [](CaseBuilder& c) {
             const ValueId x = c.operand({1, 3});
             c.result(c.b().concat(x, x, 0));
         }},
        {"slice/channels",
         OpKind::kSlice,
         [](CaseBuilder& c) {
             c.result(c.b().slice(c.image({2, 7, 3, 2}), 1, 2, 5));
         }},
        {"slice/tokens",
         OpKind::kSlice,
         [](CaseBuilder& c) {
             c.result(c.b().slice(c.operand({2, 7, 3}), 1, 6, 7));
         }},
        {"slice/overlapping",
         OpKind::kSlice,
         [](CaseBuilder& c) {
             const ValueId x = c.operand({2, 7});
             c.result(c.b().add(c.b().slice(x, 1, 0, 4), c.b().slice(x, 1, 3, 7)));
         }},
        {"pad/right_of_image",
         OpKind::kPad,
         [](CaseBuilder& c) {
             c.result(c.b().pad(c.image({2, 3, 5, 3}), 3, 0, 1));
         }},
        {"pad/both",
         OpKind::kPad,
         [](CaseBuilder& c) {
             c.result(c.b().pad(c.operand({2, 3, 5}), 1, 2, 1));
         }},
    };
}

}  // namespace

std::vector<OpCase> movement() {
    std::vector<OpCase> all = views();
    for (OpCase& item : copies()) all.push_back(std::move(item));
    for (OpCase& item : joins()) all.push_back(std::move(item));
    return all;
}

}  // namespace lora::support::cases
