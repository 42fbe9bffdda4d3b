// What tiles and macro-tiles hold: scheduled columns, windows, outputs and non-zeros, and the cycles of a pass.
#pragma once
#include <cstdint>

#include "memory_steps.h"
#include "scan.h"

namespace accelsim {

// Columns with an output that each tile of `rows` rows must compute: bits [row tiles][words], and how many they are. Of GEMMs
// that are stacked each has `m` rows and its own row tiles.
void want_columns(const uint64_t* needed, int64_t stack, int64_t m, int64_t words, int64_t rows, uint64_t* wanted, int64_t* counts);
// The set bits of each row of `wanted`, one list after another.
void list_columns(const uint64_t* wanted, int64_t rows, int64_t words, int64_t* columns);

// Each row tile's columns (see ScanProblem).
struct Tiles {
    const int64_t *columns, *starts, *stops;
    int64_t row_tiles, rows, cols;

    // Of GEMMs that are stacked, m rows each: which one a row tile is of, and its rows among those of all.
    int64_t gemm(int64_t tile, int64_t m) const { return tile / of_gemm(m); }
    int64_t first_row(int64_t tile, int64_t m) const { return gemm(tile, m) * m + tile % of_gemm(m) * rows; }
    int64_t stop_row(int64_t tile, int64_t m) const {
        const int64_t stop = first_row(tile, m) + rows, last = (gemm(tile, m) + 1) * m;
        return stop < last ? stop : last;
    }

private:
    int64_t of_gemm(int64_t m) const { return (m + rows - 1) / rows; }
};

// Outputs that each tile computes, of GEMMs of m rows each.
void count_outputs(const uint64_t* needed, int64_t m, int64_t words, const Tiles& tiles, int64_t* outputs);
// Whether each window of each row holds a non-zero: bytes [rows][windows].
void find_windows(const uint64_t* source, int64_t rows, int64_t k, int64_t width, uint8_t* present);
// Windows that each tile streams, and their positions: those in which A's rows and B's columns hold a non-zero, as far as
// either is given. Of GEMMs that are stacked each has m rows of A, and n columns of B; n is 0 where all have the same.
void count_streamed(const uint64_t* a, const uint64_t* b, int64_t m, int64_t n, const Tiles& tiles, int64_t k, int64_t width,
                    int64_t* cycles, int64_t* positions);
// Pairs of two non-zeros over all outputs, of `stack` GEMMs of m rows and n columns each.
int64_t count_effectual(const uint64_t* a, const uint64_t* b, int64_t stack, int64_t m, int64_t n, int64_t words);
// Pairs of two non-zeros at the outputs that must be computed.
int64_t effectual_where_needed(const uint64_t* a, int64_t m, const Operand& b, const uint64_t* needed);

// Set bits of each block of rows and columns, both given by their edges: [row blocks][column blocks].
void count_rectangles(const uint64_t* source, int64_t words, const int64_t* row_edges, int64_t row_blocks, const int64_t* column_edges,
                      int64_t column_blocks, int64_t* counts);

// Deals tiles to arrays in turn and adds each one's cycles to its array's work on the macro-tile that it belongs to.
struct Deal {
    const int64_t* tile_cycles;
    int64_t row_tiles, gemm_row_tiles;  // of all GEMMs that are stacked, and of each
    const int64_t *columns, *starts, *stops;  // of each row tile, see ScanProblem
    int64_t cols;                   // of the array
    int64_t block_row_tiles, block_columns;  // of a macro-tile
    int64_t first_tile, arrays, row_blocks, column_blocks;  // blocks of rows: of each GEMM
};
void deal_tiles(const Deal& deal, int64_t* worked /* [stack * row blocks][column blocks][arrays], zero at first */);

// A pass on a channel whose transfers take what they are given to take, in cycles.
struct ConstantPass {
    const int64_t *load, *latency, *store;  // of each step
};
int64_t run_memory_steps(const MemorySteps& steps, const ConstantPass& pass);

}  // namespace accelsim
