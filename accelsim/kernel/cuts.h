// The cuts of a GEMM into macro-tiles that fit the on-chip buffers and of which no other moves less.
#pragma once
#include <cstdint>
#include <vector>

namespace accelsim {

// Where the kernel's taps read the source along one axis of an image: grid position p and tap t read p * step + offsets[t].
struct Sliding {
    int64_t grid, step, source;
    const int64_t* offsets;
    int64_t taps;
};

// Bits that may be on chip at a time: of operand A, of B, of sums, and of all together.
struct Room {
    int64_t a, b, sums, total;
};

struct CutProblem {
    int64_t rows, cols;  // of the array
    int64_t operand_bits, accumulator_bits;
    int64_t m, n, k;
    bool grid_is_k;  // the grid is the reduction, kernel and channels are columns: weight_grad
    bool by_rows, by_columns;  // which blocks the outer loop may walk
    bool may_spill;            // whether sums may leave before they are done
    int64_t images, channels;
    Sliding y, x;
    Room room;
};

// See `Blocking` in accelsim/memory/blocking.py; and what the cut moves if every output must be computed.
struct CutFound {
    int64_t row_tiles, columns, chunk, by_columns, gathered, kernel_rows, block_channels, window_width, stays, spills;
    int64_t a_words, b_words, spilled_sums, steps;
};
constexpr int64_t kCutFields = sizeof(CutFound) / sizeof(int64_t);

// The cuts of which no other moves at most as many words of A, words of B and spilled sums, and fewer of one. Of those that
// move the same there are up to two: of the fewest steps, and of the fewest from `enough` on.
std::vector<CutFound> find_cuts(const CutProblem& problem, int64_t enough);

}  // namespace accelsim
