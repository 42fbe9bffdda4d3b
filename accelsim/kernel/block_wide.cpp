// Queues of 32 bits, for machines whose depth, scan width or lanes do not fit a byte: the same rules, one step after the
// other, on plain arrays that a compiler turns into vectors.
#include "pairs.h"

#include <algorithm>

namespace accelsim {
namespace {

// Pairs of one window for every PE of a block, with windows of any width.
void count_wide(const Block& b, int64_t window, uint32_t* arrivals) {
    const int64_t vectors = b.parts * kPart, lanes = b.parts * kLanes;
    constexpr int64_t most = 31;  // planes whose pairs fit a byte
    const Bytes* planes = reinterpret_cast<const Bytes*>(b.lane_planes) + window * b.window_planes * vectors;
    memset(arrivals, 0, b.loop * lanes * 4);
    for (int64_t row = 0; row < b.loop; row++)
        for (int64_t part = 0; part < vectors; part += kPart)
            for (int64_t first = 0; first < b.window_planes; first += most) {
                Bytes n[kPart];
                count_pairs<0>(n, planes + first * vectors + part, vectors,
                               b.loop_planes + row * b.pitch + window * b.window_planes + first,
                               std::min<int64_t>(most, b.window_planes - first));
                uint32_t* to = arrivals + row * lanes + part * kWidth;
                const uint8_t* counts = reinterpret_cast<const uint8_t*>(n);
                for (int64_t lane = 0; lane < kLanes; lane++) to[lane] += counts[lane];
            }
    if (!b.wanted) return;
    for (int64_t i = 0; i < b.loop * lanes; i++) arrivals[i] &= b.wanted[i] ? ~0u : 0;
    for (int64_t row = 0; row < b.loop; row++)
        for (int64_t lane = 0; lane < lanes; lane++) b.pairs[lane] += arrivals[row * lanes + lane];
}

// Cycles until each group's fullest queue has room; groups are `segment` lanes of `rows` rows.
void find_stalls(const Block& b, const uint32_t* queues, const uint32_t* arrivals, int64_t rows, uint32_t* stalls) {
    const int64_t lanes = b.parts * kLanes;
    memset(stalls, 0, lanes * 4);
    for (int64_t row = 0; row < rows; row++)
        for (int64_t lane = 0; lane < lanes; lane++) {
            const uint32_t full = queues[row * lanes + lane] + arrivals[row * lanes + lane];
            stalls[lane] = stalls[lane] > full ? stalls[lane] : full;
        }
    const uint32_t depth = static_cast<uint32_t>(b.fifo_depth), consumed = static_cast<uint32_t>(b.lanes_per_pe);
    for (int64_t first = 0; first < lanes; first += b.segment) {
        uint32_t fullest = 0;
        for (int64_t lane = first; lane < first + b.segment; lane++) fullest = fullest > stalls[lane] ? fullest : stalls[lane];
        const uint32_t stall = fullest > depth ? (fullest - depth + consumed - 1) / consumed : 0;
        for (int64_t lane = first; lane < first + b.segment; lane++) stalls[lane] = stall;
    }
}

// Let a row of PEs consume while their pointer stands still, then push the window, then consume once more.
void push_wide(const Block& b, const uint8_t* live, const uint32_t* stalls, uint32_t* queues, const uint32_t* arrivals,
               uint32_t* starved) {
    const int64_t lanes = b.parts * kLanes;
    const uint32_t consumed = static_cast<uint32_t>(b.lanes_per_pe);
    for (int64_t lane = 0; lane < lanes; lane++) {
        const uint32_t gone = stalls[lane] * consumed, eats = live && !live[lane] ? 0 : consumed;
        const uint32_t held = (queues[lane] > gone ? queues[lane] - gone : 0) + arrivals[lane];
        starved[lane] += eats > held ? eats - held : 0;
        queues[lane] = held > eats ? held - eats : 0;
    }
}

}  // namespace

void wide(const Block& b, bool by_row, bool each) {
    const int64_t lanes = b.parts * kLanes, group_rows = by_row ? 1 : b.loop;
    uint32_t* queues = static_cast<uint32_t*>(b.queues);
    uint32_t* arrivals = static_cast<uint32_t*>(b.arrivals);
    uint32_t stalls[kMostParts * kLanes];
    memset(queues, 0, b.loop * lanes * 4), memset(b.extra_cycles, 0, (by_row ? b.loop : 1) * lanes * 4);
    memset(b.starved, 0, (each ? b.loop : 1) * lanes * 4);
    if (b.wanted) memset(b.pairs, 0, lanes * 4);
    for (int64_t i = 0; i < b.window_count; i++) {
        count_wide(b, b.windows[i], arrivals);
        const uint8_t* live = b.live ? b.live + b.windows[i] * lanes : nullptr;
        for (int64_t first = 0; first < b.loop; first += group_rows) {
            uint32_t* extra = b.extra_cycles + (by_row ? first : 0) * lanes;
            find_stalls(b, queues + first * lanes, arrivals + first * lanes, group_rows, stalls);
            for (int64_t lane = 0; lane < lanes; lane++) extra[lane] += stalls[lane];
            for (int64_t row = first; row < first + group_rows; row++)
                push_wide(b, live, stalls, queues + row * lanes, arrivals + row * lanes, b.starved + (each ? row * lanes : 0));
        }
    }
    memset(arrivals, 0, b.loop * lanes * 4);
    Block drained = b;
    drained.fifo_depth = 0;  // a group ends when its queues are empty
    for (int64_t first = 0; first < b.loop; first += group_rows) {
        uint32_t* extra = b.extra_cycles + (by_row ? first : 0) * lanes;
        find_stalls(drained, queues + first * lanes, arrivals, group_rows, stalls);
        for (int64_t lane = 0; lane < lanes; lane++) extra[lane] += stalls[lane];
    }
}

}  // namespace accelsim
