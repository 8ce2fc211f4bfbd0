// Matrix tiles of AMX: bf16 products with fp32 sums, 16 x 16 x 32 an instruction.
// An operand is packed in tiles of 1 KiB, 16 lines of 64 bytes:
//   A  16 rows of 32 depths
//   B  16 pairs of depths, 16 columns of each
//   C  16 rows of 16 fp32 sums
// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, vol. 2, TDPBF16PS,
// TILELOADD, TILESTORED, LDTILECFG. Included only by kernels/*_amx.cpp.
#pragma once

#include "backend/cpu/kernels/simd.h"

namespace lora::cpu::LORA_CPU_ISA {

struct alignas(64) Tile {
    uint32_t line[16][16];
};

// All eight tile registers hold whole tiles between the constructor and the destructor.
class TileRegisters {
public:
    TileRegisters() {
        alignas(64) unsigned char config[64] = {1};  // the only palette
        for (int i = 0; i < 8; ++i) {
            config[16 + 2 * i] = 64;  // bytes of a line
            config[48 + i] = 16;      // lines
        }
        asm volatile("ldtilecfg %0" : : "m"(config) : "memory");
    }
    ~TileRegisters() { asm volatile("tilerelease" : : : "memory"); }
    TileRegisters(const TileRegisters&) = delete;
    TileRegisters& operator=(const TileRegisters&) = delete;
};

template <int kRegister>
LORA_INLINE void tile_zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(kRegister));
}
template <int kRegister>
LORA_INLINE void tile_load(const Tile* tile) {
    asm volatile("tileloadd (%1,%2,1), %%tmm%c0"
                 :
                 : "i"(kRegister), "r"(tile), "r"(int64_t{64})
                 : "memory");
}
template <int kRegister>
LORA_INLINE void tile_store(Tile* tile) {
    asm volatile("tilestored %%tmm%c0, (%1,%2,1)"
                 :
                 : "i"(kRegister), "r"(tile), "r"(int64_t{64})
                 : "memory");
}
// sums += a b
template <int kSums, int kA, int kB>
LORA_INLINE void tile_multiply() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSums), "i"(kA), "i"(kB));
}

// A grid of tiles in memory; the steps are in tiles.
struct Tiles {
    Tile* first;
    int64_t row_step;
    int64_t col_step;

    [[nodiscard]] LORA_INLINE Tile* at(int64_t row, int64_t col) const {
        return first + row * row_step + col * col_step;
    }
};

// c = a b, or c += a b, for kRows x kCols tiles of c. Registers 0 to 3 hold sums, 4 and 5 rows
// of a, 6 and 7 columns of b.
template <int kRows, int kCols>
LORA_INLINE void tile_block(
    const Tiles& a, const Tiles& b, const Tiles& c, int64_t depth, bool add) {
    if (add) {
        tile_load<0>(c.at(0, 0));
        if constexpr (kCols == 2) tile_load<1>(c.at(0, 1));
        if constexpr (kRows == 2) tile_load<2>(c.at(1, 0));
        if constexpr (kRows == 2 && kCols == 2) tile_load<3>(c.at(1, 1));
    } else {
        tile_zero<0>();
        if constexpr (kCols == 2) tile_zero<1>();
        if constexpr (kRows == 2) tile_zero<2>();
        if constexpr (kRows == 2 && kCols == 2) tile_zero<3>();
    }
    for (int64_t k = 0; k < depth; ++k) {
        tile_load<6>(b.at(k, 0));
        tile_load<4>(a.at(0, k));
        tile_multiply<0, 4, 6>();
        if constexpr (kCols == 2) {
            tile_load<7>(b.at(k, 1));
            tile_multiply<1, 4, 7>();
        }
        if constexpr (kRows == 2) {
            tile_load<5>(a.at(1, k));
            tile_multiply<2, 5, 6>();
        }
        if constexpr (kRows == 2 && kCols == 2) tile_multiply<3, 5, 7>();
    }
    tile_store<0>(c.at(0, 0));
    if constexpr (kCols == 2) tile_store<1>(c.at(0, 1));
    if constexpr (kRows == 2) tile_store<2>(c.at(1, 0));
    if constexpr (kRows == 2 && kCols == 2) tile_store<3>(c.at(1, 1));
}

struct TileCounts {
    int64_t rows;
    int64_t cols;
    int64_t depth;
};

// The same for any number of tiles.
LORA_INLINE void multiply_tiles(
    const Tiles& a, const Tiles& b, const Tiles& c, const TileCounts& n, bool add) {
    for (int64_t row = 0; row < n.rows; row += 2) {
        const Tiles a_row{a.at(row, 0), a.row_step, a.col_step};
        for (int64_t col = 0; col < n.cols; col += 2) {
            const Tiles b_col{b.at(0, col), b.row_step, b.col_step};
            const Tiles sums{c.at(row, col), c.row_step, c.col_step};
            const bool two_rows = row + 1 < n.rows;
            if (col + 1 < n.cols) {
                two_rows ? tile_block<2, 2>(a_row, b_col, sums, n.depth, add)
                         : tile_block<1, 2>(a_row, b_col, sums, n.depth, add);
            } else {
                two_rows ? tile_block<2, 1>(a_row, b_col, sums, n.depth, add)
                         : tile_block<1, 1>(a_row, b_col, sums, n.depth, add);
            }
        }
    }
}

}  // namespace lora::cpu::LORA_CPU_ISA
