#include "io/internal/png_chunks.h"

#include "io/internal/byte_reader.h"

namespace lora::io {

bool for_each_png_chunk(std::span<const std::byte> bytes,
                        const std::function<bool(const PngChunk&)>& visit) {
    constexpr size_t kFrame = 12;  // length, type, CRC
    const ByteReader reader(bytes);
    size_t at = kPngSignature.size();
    while (true) {
        const auto length = reader.big(at, 4);
        if (!length.has_value() || reader.size() - at < kFrame ||
            *length > reader.size() - at - kFrame) {
            return false;
        }
        const auto type = reader.part(at + 4, 4);
        const PngChunk chunk{{reinterpret_cast<const char*>(type.data()), 4},
                             reader.part(at + 8, *length),
                             reader.part(at + 4, size_t{4} + *length),
                             reader.big(at + 8 + *length, 4).value_or(0)};
        if (!visit(chunk)) return true;
        if (chunk.type == "IEND") return true;
        at += kFrame + *length;
    }
}

}  // namespace lora::io
