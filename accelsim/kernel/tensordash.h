// TensorDash's schedules (docs/timing.md): 16 lanes whose operands move up in time and across lanes, past zeros.
#pragma once
#include <cstdint>

#include "counting.h"

namespace accelsim {

constexpr int64_t kTensorDashLanes = 16;
constexpr int64_t kMostStages = 3;

struct TensorDashProblem {
    int64_t m, k;
    Tiles tiles;
    const int64_t* first_tile;     // [row tiles + 1]
    const uint16_t* windows;       // [M or N][window_pitch]: the scheduled operand
    int64_t window_pitch;
    bool by_column;                // schedules belong to the columns of B; else to the rows of A
    int64_t stages;                // windows that a schedule sees, 1 to 3
    bool together;                 // all schedules of a tile advance by the same number of windows
    int64_t a_words, b_words;      // that the ports of the buffers read in a cycle; 0: as many as are asked for
    const uint64_t* needed;        // [M][needed_words]; null: all outputs
    int64_t needed_words;
    const uint8_t* present_a;      // [row tiles][windows], where windows without a non-zero of A are dropped; else null
    const uint8_t* present_b;      // [N][windows], the same for B's columns
    void (*check_interrupt)();

    // Positions of a window: the last one may have fewer.
    int64_t size_of(int64_t window) const { return k - window * kTensorDashLanes < kTensorDashLanes ? k - window * kTensorDashLanes : kTensorDashLanes; }
};

struct TensorDashTotals {
    int64_t *cycles, *positions;   // [tiles]
    int64_t pairs = 0, sync = 0, starved = 0, barrier = 0, waited = 0;  // lane-cycles by what became of them
    int64_t working = 0;           // all lane-cycles of PEs with an output
    int64_t outputs = 0;           // these PEs
    int64_t scanned = 0;           // windows of schedules, each counted once for all PEs that follow it
    int64_t a_reads = 0, b_reads = 0;  // words read from the buffers
};

void run_tensordash(const TensorDashProblem& problem, TensorDashTotals& totals);

}  // namespace accelsim
