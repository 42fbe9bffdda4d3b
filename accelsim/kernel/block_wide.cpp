// Queues of 32 bits, for machines whose depth, scan width or lanes do not fit a byte: the same rules, one step after the
// other, on plain arrays that a compiler turns into vectors.
#include "pairs.h"

#include <algorithm>

namespace accelsim {
namespace {

constexpr int64_t kMostPlanes = 31;  // whose pairs fit a byte

// Add the pairs of some planes of 64 lanes beside a few rows of the loop to wider counts.
template <int rows>
inline void count_planes(const Block& b, const Bytes* planes, const Looped* looped, int64_t plane_count, uint32_t* arrivals) {
    const int64_t vectors = b.parts * kPart, lanes = b.parts * kLanes, pitch = b.pitch;
    Bytes n[rows][kPart] = {};
    for (int64_t plane = 0; plane < plane_count; plane++)
        for (int row = 0; row < rows; row++)
            for (int v = 0; v < kPart; v++) n[row][v] += pairs_of(looped[row * pitch + plane], planes[plane * vectors + v]);
    for (int row = 0; row < rows; row++) {
        const uint8_t* counts = reinterpret_cast<const uint8_t*>(n[row]);
        for (int64_t lane = 0; lane < kLanes; lane++) arrivals[row * lanes + lane] += counts[lane];
    }
}

// Pairs of one window for every PE of a block, with windows of any width.
void count_wide(const Block& b, int64_t window, uint32_t* arrivals) {
    const int64_t vectors = b.parts * kPart, lanes = b.parts * kLanes;
    const Bytes* planes = reinterpret_cast<const Bytes*>(b.lane_planes) + window * b.window_planes * vectors;
    memset(arrivals, 0, b.loop * lanes * 4);
    for (int64_t part = 0; part < b.parts; part++)
        for (int64_t first = 0; first < b.window_planes; first += kMostPlanes) {
            const Bytes* of_part = planes + first * vectors + part * kPart;
            const Looped* looped = b.loop_planes + window * b.window_planes + first;
            const int64_t count = std::min(kMostPlanes, b.window_planes - first);
            uint32_t* to = arrivals + part * kLanes;
            int64_t row = 0;
            for (; row + 4 <= b.loop; row += 4) count_planes<4>(b, of_part, looped + row * b.pitch, count, to + row * lanes);
            for (; row < b.loop; row++) count_planes<1>(b, of_part, looped + row * b.pitch, count, to + row * lanes);
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
    for (int64_t apart = 1; apart < b.segment; apart *= 2)
        for (int64_t lane = 0; lane < lanes; lane++)
            if (!(lane & apart)) stalls[lane] = stalls[lane + apart] = std::max(stalls[lane], stalls[lane + apart]);
    const uint32_t depth = static_cast<uint32_t>(b.fifo_depth), consumed = static_cast<uint32_t>(b.lanes_per_pe);
    for (int64_t lane = 0; lane < lanes; lane++) stalls[lane] = stalls[lane] > depth ? stalls[lane] - depth : 0;
    if (consumed > 1)
        for (int64_t lane = 0; lane < lanes; lane++) stalls[lane] = (stalls[lane] + consumed - 1) / consumed;
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
