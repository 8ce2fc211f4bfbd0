#include "io/internal/jpeg_structure.h"

#include <array>
#include <cstring>
#include <string>

#include "base/error.h"
#include "io/internal/byte_reader.h"

namespace lora::io {
namespace {

[[noreturn]] void fail(const char* what) {
    throw Error(ErrorCode::kData, std::string("the JPEG is damaged: ") + what)
        .with_hint("copy it again, or open it in a picture editor and save it");
}

constexpr uint32_t kEndOfImage = 0xD9;
constexpr uint32_t kStartOfScan = 0xDA;
constexpr uint32_t kHuffmanTables = 0xC4;
constexpr uint32_t kQuantizationTables = 0xDB;

bool is_restart(uint32_t marker) { return marker >= 0xD0 && marker <= 0xD7; }
bool is_frame(uint32_t marker) { return marker >= 0xC0 && marker <= 0xC2; }

struct Component {
    uint32_t id = 0;
    uint32_t quantization_table = 0;
};

// Walks the segments in order and keeps which tables are defined so far.
class Walker {
public:
    explicit Walker(std::span<const std::byte> bytes) : reader_(bytes), bytes_(bytes) {}

    void walk() {
        size_t at = 2;
        while (true) {
            while (reader_.matches(at, "\xFF\xFF")) ++at;
            const auto word = reader_.big(at, 2);
            if (!word.has_value()) fail("it is cut short");
            if ((*word >> 8) != 0xFF) fail("a marker is missing");
            const uint32_t marker = *word & 0xFFU;
            if (marker == kEndOfImage) {
                if (!saw_scan_) fail("it holds no picture data");
                return;
            }
            const auto length = reader_.big(at + 2, 2);
            if (!length.has_value() || *length < 2 || *length > reader_.size() - at - 2)
                fail("it is cut short");
            const std::span<const std::byte> body = reader_.part(at + 4, *length - 2);
            at += 2 + *length;
            visit(marker, ByteReader(body));
            if (marker == kStartOfScan) at = end_of_scan(at);
        }
    }

private:
    void visit(uint32_t marker, const ByteReader& body) {
        if (marker == kHuffmanTables) visit_huffman_tables(body);
        if (marker == kQuantizationTables) visit_quantization_tables(body);
        if (is_frame(marker)) visit_frame(marker, body);
        if (marker == kStartOfScan) visit_scan(body);
    }

    void visit_huffman_tables(const ByteReader& body) {
        for (size_t at = 0; at < body.size();) {
            const uint32_t which = body.big(at, 1).value_or(0);
            uint32_t num_codes = 0;
            // Codes of each length are counted off from what the shorter ones leave.
            int64_t free_codes = 1;
            for (size_t i = 1; i <= 16; ++i) {
                const auto count = body.big(at + i, 1);
                if (!count.has_value()) fail("a Huffman table is cut short");
                num_codes += *count;
                free_codes = free_codes * 2 - *count;
                if (free_codes < 0) fail("a Huffman table has too many codes");
            }
            // 256 codes are possible on paper only; the decoder marks gaps with 255.
            if (num_codes > 255 || body.size() - at < 17 + num_codes)
                fail("a Huffman table is too long");
            if ((which >> 4) > 1 || (which & 15U) > 3) fail("a Huffman table has a wrong number");
            has_huffman_[which >> 4][which & 15U] = true;
            at += 17 + num_codes;
        }
    }

    void visit_quantization_tables(const ByteReader& body) {
        for (size_t at = 0; at < body.size();) {
            const uint32_t which = body.big(at, 1).value_or(0);
            const size_t size = (which >> 4) != 0 ? 129 : 65;
            if ((which & 15U) > 3 || body.size() - at < size)
                fail("a quantization table is cut short");
            has_quantization_[which & 15U] = true;
            at += size;
        }
    }

    void visit_frame(uint32_t marker, const ByteReader& body) {
        if (num_components_ != 0) fail("it holds two pictures");
        is_progressive_ = marker == 0xC2;
        num_components_ = body.big(5, 1).value_or(0);
        if (num_components_ == 0 || num_components_ > components_.size())
            fail("its number of color channels is wrong");
        for (size_t i = 0; i < num_components_; ++i) {
            const auto id = body.big(6 + 3 * i, 1);
            const auto table = body.big(8 + 3 * i, 1);
            if (!table.has_value() || *table > 3) fail("its frame is cut short");
            components_[i] = {*id, *table};
        }
    }

    void visit_scan(const ByteReader& body) {
        const uint32_t count = body.big(0, 1).value_or(0);
        const auto first_coefficient = body.big(1 + size_t{2} * count, 1);
        if (num_components_ == 0 || count == 0 || count > num_components_ ||
            !first_coefficient.has_value()) {
            fail("a scan's header is wrong");
        }
        for (size_t i = 0; i < count; ++i) {
            const uint32_t id = *body.big(1 + 2 * i, 1);
            const uint32_t tables = *body.big(2 + 2 * i, 1);
            check_tables(id, tables >> 4, tables & 15U, *first_coefficient);
        }
        saw_scan_ = true;
    }

    // Progressive scans hold either the first coefficient or others, with one table each.
    void check_tables(uint32_t id,
                      uint32_t dc_table,
                      uint32_t ac_table,
                      uint32_t first_coefficient) const {
        if (dc_table > 3 || ac_table > 3) fail("a scan's header is wrong");
        const bool needs_dc = !is_progressive_ || first_coefficient == 0;
        const bool needs_ac = !is_progressive_ || first_coefficient != 0;
        if ((needs_dc && !has_huffman_[0][dc_table]) || (needs_ac && !has_huffman_[1][ac_table])) {
            fail("a Huffman table is missing");
        }
        for (size_t i = 0; i < num_components_; ++i) {
            if (components_[i].id == id && !has_quantization_[components_[i].quantization_table]) {
                fail("a quantization table is missing");
            }
        }
    }

    // Where the first marker after a scan's data stands; in the data 0xFF is followed by 0 or is a
    // restart.
    [[nodiscard]] size_t end_of_scan(size_t at) const {
        while (true) {
            const void* found = std::memchr(bytes_.data() + at, 0xFF, bytes_.size() - at);
            if (found == nullptr) fail("it is cut short");
            at = static_cast<size_t>(static_cast<const std::byte*>(found) - bytes_.data());
            const auto next = reader_.big(at + 1, 1);
            if (!next.has_value()) fail("it is cut short");
            if (*next == 0xFF) {
                ++at;
            } else if (*next == 0 || is_restart(*next)) {
                at += 2;
            } else {
                return at;
            }
        }
    }

    ByteReader reader_;
    std::span<const std::byte> bytes_;
    std::array<std::array<bool, 4>, 2> has_huffman_{};  // [direct, alternating][number]
    std::array<bool, 4> has_quantization_{};
    std::array<Component, 4> components_{};
    size_t num_components_ = 0;
    bool is_progressive_ = false;
    bool saw_scan_ = false;
};

}  // namespace

void check_jpeg_structure(std::span<const std::byte> bytes) { Walker(bytes).walk(); }

}  // namespace lora::io
