// A masked GEMM on PEs that take windows, scanning or inner-join ones (docs/timing.md): what the kernel is given and what it
// finds out.
#pragma once
#include <cstdint>

namespace accelsim {

enum class Sync : int64_t { pe, row, column, array };

// An operand's non-zeros along K, a row of bits for each row of A or column of B.
struct Operand {
    const uint64_t* bits;    // [rows][words]; spare bits are zero
    int64_t rows, words;
    const int32_t* row_of;   // [items]: the row that stands for each item; null: its own
    int64_t items;           // M or N
    bool shown;              // whether the scanner sees the zeros
    bool dropped;            // whether windows without a non-zero are not streamed

    const uint64_t* row(int64_t item) const { return bits + (row_of ? row_of[item] : item) * words; }
};

struct ScanProblem {
    int64_t k;
    int64_t rows, cols, lanes, scan_width, fifo_depth;  // R, C, L, S, D
    int64_t held_windows;      // V, that a group of inner-join PEs holds, which have no queues; 0: scanning PEs
    Sync sync;
    int64_t a_words, b_words;  // that the operands' ports can read in a cycle; 0: as many as are asked for
    Operand a, b;
    const uint64_t* needed;    // [M][needed_words], outputs that must be computed; null: all of them
    int64_t needed_words;
    const int64_t* columns;    // the columns that each row tile schedules ...
    const int64_t* starts;     // ... from here ...
    const int64_t* stops;      // ... to here
    const int64_t* first_tile; // [row tiles + 1]: index of each row tile's first tile
    int64_t row_tiles;
    bool count_pairs;          // whether to count the pairs consumed
    void (*check_interrupt)(); // called every now and then; throws to stop

    int64_t windows() const { return (k + scan_width - 1) / scan_width; }
    int64_t window_size(int64_t window) const {
        return window + 1 < windows() ? scan_width : k - window * scan_width;
    }
};

// What each tile's PEs did: [tiles] each, zero at first.
struct ScanTotals {
    int64_t* cycles;
    int64_t* positions;   // K positions streamed
    int64_t* outputs;     // PEs with an output
    int64_t* pairs;       // consumed; only where outputs are masked, or `count_pairs`
    int64_t* starved;     // lane-cycles
    int64_t* busy;        // cycles until a PE's group ends, summed over PEs with an output
    int64_t* scanned;     // windows looked at, summed over PEs
    int64_t* waited;      // lane-cycles in which a PE's group waited for a port
    int64_t *a_reads, *b_reads;  // words read from the buffers
};

void scan_gemm(const ScanProblem& problem, const ScanTotals& totals);

}  // namespace accelsim
