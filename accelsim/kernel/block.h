// The inner loop of the scanning PE.
//
// A *block* is a rectangle of PEs. One operand lies along its lanes, 64 PEs side by side, one byte each; the other one is
// looped over, row by row. Which operand is which is up to the caller, as is how PEs share scan pointers:
//
//   over_loop  the PEs of one lane, or of `segment` neighbouring lanes, share a pointer over the whole loop, and every
//              window can be read in one cycle;
//   ported     any groups of PEs, any ports, any queues.
//
// docs/performance.md explains how windows of pairs become table look-ups and how a stall becomes one step.
#pragma once
#include <cstdint>

namespace accelsim {

constexpr int64_t kLanes = 64;       // PEs side by side; a block is a multiple of it
constexpr int64_t kMostParts = 64;   // that many times: arrays of up to 4096 PEs along the lanes

// A *plane* is what is counted by one step: bytes that hold a few K positions of each lane. Where the processor counts the set
// bits of bytes they are eight positions, and the looped operand's are repeated to fill a vector faster; elsewhere four, whose
// pairs a table has: see pairs.h.
#if defined(__AVX512BITALG__) || defined(__aarch64__)
constexpr int64_t kPlane = 8;
using Looped = uint32_t;             // a byte, four times
#else
constexpr int64_t kPlane = 4;
using Looped = uint8_t;              // 16 times a nibble, which is where its row of the pair table starts
#endif

struct Block {
    // The PEs.
    int64_t parts;                 // lanes / 64
    int64_t loop;                  // rows that are looped over
    int64_t segment;               // lanes that share a scan pointer, a power of two
    int64_t lanes_per_pe;          // L, MAC lanes
    int64_t fifo_depth;            // D
    // What they see, in planes.
    int64_t window_planes;         // of a window
    int64_t scan_width;            // S
    const uint8_t* lane_planes;    // [plane][lane]: the lanes' operand
    const Looped* loop_planes;     // [loop][pitch]: the looped operand
    int64_t pitch;
    const uint8_t* live;           // [window][lane], 255 or 0: whether the lane's tile streams the window; null: all do
    const uint8_t* wanted;         // [loop][lane], 255 or 0: whether the PE has an output; null: all have one
    const int32_t* windows;        // which windows are streamed
    int64_t window_count;
    // What they did; zeroed by the engine. Cycles beyond one for each window that is streamed.
    uint32_t* extra_cycles;        // [lane], or [loop][lane] where groups end within a row
    uint32_t* starved;             // [lane], or [loop][lane] where `each`
    uint32_t* pairs;               // [lane]; only where `wanted`
    // Room for [loop][lane] bytes each; only for over_loop.
    void* queues;
    void* arrivals;
};

// Groups of PEs and the ports from which they read their windows; `wanted` and `pairs` must be there.
struct PortedBlock {
    const Block& pes;              // `segment`: 1 or `span`
    bool by_row;                   // whether groups end within a row of the loop
    bool masked;                   // whether some PEs have no output, or pairs are to be counted
    int64_t span;                  // lanes from one tile to the next, a power of two
    const int64_t* lanes_of;       // [tiles]: lanes that each tile uses
    int64_t windows, last_size;    // along K, and positions of the last one
    int64_t lane_words, loop_words;  // of either operand, that can be read in a cycle; 0: as many as are asked for
    int64_t held_windows;          // V, that a group of inner-join PEs holds, which have no queues; 0: scanning PEs
    int64_t* lost;                 // [lane]: lane-cycles of waiting for windows
    int64_t *lane_reads, *loop_reads;  // [tiles]: words read of either operand
};

// The pairs of every window, counted beforehand: for PEs beside rows that are all alike.
struct CountedBlock {
    int64_t segment, lanes_per_pe, fifo_depth, held_windows;  // as in PortedBlock
    const uint8_t* const* counts;  // [lane]: bytes [windows]; null: no PE
    const uint8_t* streamed;       // [window]: whether it is; null: all are
    int64_t window_count;
    uint32_t *extra_cycles, *starved, *pairs;  // [lane]
};

// What the PEs of each lane did together.
struct LaneTotals {
    uint32_t outputs[kMostParts * kLanes];  // PEs with an output
    uint32_t longest[kMostParts * kLanes];  // extra cycles of the longest group
    uint64_t busy[kMostParts * kLanes];     // extra cycles, summed over PEs with an output
};

// Turn rows of bits (null: nothing is set) into planes [plane][lane].
void lay_out_lanes(uint8_t* planes, int64_t lanes, int64_t plane_count, const uint64_t* const* rows, int64_t words);
// Turn a row of bits into planes of the looped operand.
void lay_out_row(Looped* planes, int64_t plane_count, const uint64_t* row, int64_t words);

void over_loop(const Block&);
void over_loop_each(const Block&);                 // with `starved` of each PE; `arrivals` has room for twice the bytes
void ported(const PortedBlock&);
void in_step(const PortedBlock&);                  // groups of one lane each; its own operand never waits, and P is 1 or unlimited for the looped one
bool each_in_step(const PortedBlock&);             // each PE a group, P is 1 for both operands, and no tile has more than 64 lanes; false if it cannot
void counted(const CountedBlock&);
// Pairs of two rows of bits in each window of S positions, at most 255.
void count_windows(uint8_t* counts, const uint64_t* a, const uint64_t* b, int64_t k, int64_t scan_width);
void add_up(const Block&, bool by_row, LaneTotals&);

// Whether queues of D pairs and windows of S fit the bytes of the fast loops.
inline bool fits_bytes(int64_t fifo_depth, int64_t scan_width, int64_t lanes, int64_t loop) {
    const int64_t most = lanes > scan_width ? lanes : scan_width;
    return fifo_depth + scan_width <= 255 && lanes <= 128 && (loop + 255 / most - 1) / (255 / most) <= 256;
}

}  // namespace accelsim
