// The loops of block.h with queues of bytes.
#include "block.h"

#include <algorithm>

#include "pairs.h"

namespace accelsim {
namespace {

constexpr int kMostVectors = kMostParts * kPart;

// What all PEs that share a pointer have in common between two windows, by lane; and what the PEs of each lane add up.
template <int most_vectors>
struct Pointer {
    Bytes stalled[most_vectors];  // pairs that each PE consumed while the pointer stood still, L a cycle
    Bytes eats[most_vectors];     // pairs that a PE consumes in the cycle that pushed the last window: L
    Bytes fullest[most_vectors];  // the fullest queue, with the window's pairs in it
    LaneSums<most_vectors> starved, pairs, waited;

    explicit Pointer(int64_t vectors) {
        starved.clear(vectors), pairs.clear(vectors), waited.clear(vectors);
        for (int64_t v = 0; v < vectors; v++) stalled[v] = eats[v] = Bytes{};
    }
};

// Push one window into the queues of 64 lanes, for every row of the loop. A window's stall is known only when all its rows
// have been seen, so it is settled one window later: the queue kept is what it would be without the stall, and after the
// stall a PE holds max(queue - stalled, pairs that have just arrived).
template <int fixed_planes, bool masked, bool each, int most_vectors>
ACCELSIM_INLINE void push_over_loop(const Block& b, int64_t window, int64_t part, const Periods& periods, Pointer<most_vectors>& pointer,
                                    Bytes* lost_by_pe) {
    const int64_t vectors = most_vectors == kPart ? kPart : b.parts * kPart, window_planes = fixed_planes ? fixed_planes : b.window_planes, loop = b.loop, pitch = b.pitch;
    const Bytes* planes = reinterpret_cast<const Bytes*>(b.lane_planes) + window * window_planes * vectors + part;
    constexpr bool in_registers = fixed_planes && fixed_planes * kPart <= 8;
    Bytes here[in_registers ? fixed_planes * kPart : 1], stalled[kPart], eats[kPart], fullest[kPart];
    if (in_registers)
        for (int i = 0; i < fixed_planes * kPart; i++) here[i] = planes[i / kPart * vectors + i % kPart];
    for (int v = 0; v < kPart; v++) {
        stalled[v] = pointer.stalled[part + v], eats[v] = pointer.eats[part + v], fullest[v] = Bytes{};
    }
    Bytes* queue = static_cast<Bytes*>(b.queues) + part;
    Bytes* arrived = static_cast<Bytes*>(b.arrivals) + part;
    const Bytes* wanted = reinterpret_cast<const Bytes*>(b.wanted) + part;
    const Looped* looped = b.loop_planes + window * window_planes;
    for (int64_t first = 0; first < loop; first += periods.rows) {
        Bytes lost[kPart] = {}, found[kPart] = {};
        for (int64_t row = first; row < std::min<int64_t>(first + periods.rows, loop); row++) {
            Bytes n[kPart];
            if (in_registers) count_pairs<fixed_planes>(n, here, kPart, looped + row * pitch, window_planes);
            else count_pairs<fixed_planes>(n, planes, vectors, looped + row * pitch, window_planes);
            for (int v = 0; v < kPart; v++) {
                const int64_t at = row * vectors + v;
                if (masked) n[v] &= wanted[at], found[v] += n[v];
                const Bytes held = larger(beyond(queue[at], stalled[v]), arrived[at]);
                if (each) lost_by_pe[row * vectors + part + v] += beyond(eats[v], held);
                else lost[v] += beyond(eats[v], held);
                const Bytes next = beyond(held, eats[v]) + n[v];
                queue[at] = next, arrived[at] = n[v], fullest[v] = larger(fullest[v], next);
            }
        }
        for (int v = 0; v < kPart; v++) {
            if (!each) pointer.starved.add(part + v, lost[v]);
            if (masked) pointer.pairs.add(part + v, found[v]);
        }
    }
    for (int v = 0; v < kPart; v++) pointer.fullest[part + v] = fullest[v];
}

// Settle the last window, and let every queue run empty.
template <bool each, int most_vectors>
inline void end_over_loop(const Block& b, const Division& division, Pointer<most_vectors>& pointer) {
    const int64_t vectors = b.parts * kPart;
    Bytes* queue = static_cast<Bytes*>(b.queues);
    Bytes* arrived = static_cast<Bytes*>(b.arrivals);
    for (int64_t v = 0; v < vectors; v++) pointer.fullest[v] = Bytes{};
    for (int64_t row = 0; row < b.loop; row++) {
        for (int64_t v = 0; v < vectors; v++) {
            const int64_t at = row * vectors + v;
            const Bytes held = larger(beyond(queue[at], pointer.stalled[v]), arrived[at]);
            const Bytes lost = beyond(pointer.eats[v], held);
            if (each) arrived[at] = lost;
            else pointer.starved.add(static_cast<int>(v), lost);
            pointer.fullest[v] = larger(pointer.fullest[v], beyond(held, pointer.eats[v]));
        }
        if (!each && row % 256 == 255) pointer.starved.flush(b.starved, vectors);
    }
    if (each) add_and_clear(b.starved, arrived, b.loop * vectors * kWidth);
    else pointer.starved.flush(b.starved, vectors);
    spread_largest(pointer.fullest, vectors, b.segment);
    for (int64_t v = 0; v < vectors; v++) {
        const Bytes draining = division.cycles(pointer.fullest[v]);
        for (int i = 0; i < kWidth; i++) b.extra_cycles[v * kWidth + i] += draining[i];
    }
}

// Blocks of 64 lanes, nearly all, keep what their lanes have in common in registers.
template <int fixed_planes, bool masked, bool each, int most_vectors>
void run_over_loop(const Block& b) {
    const int64_t vectors = most_vectors == kPart ? kPart : b.parts * kPart, lanes = b.parts * kLanes, bytes = b.loop * lanes;
    const Division division(b.lanes_per_pe);
    const Periods periods(b);
    const Bytes depth = all_bytes(static_cast<int>(b.fifo_depth)), all = all_bytes(static_cast<int>(b.lanes_per_pe));
    const Bytes* live = reinterpret_cast<const Bytes*>(b.live);
    Bytes* lost_by_pe = static_cast<Bytes*>(b.arrivals) + b.loop * vectors;
    Pointer<most_vectors> pointer(vectors);
    memset(b.queues, 0, bytes), memset(b.arrivals, 0, bytes), memset(b.extra_cycles, 0, lanes * 4);
    memset(b.starved, 0, (each ? bytes : lanes) * 4);
    if (each) memset(lost_by_pe, 0, bytes);
    if (masked) memset(b.pairs, 0, lanes * 4);
    const int64_t byte_period = std::max<int64_t>(1, 255 / b.lanes_per_pe);
    int64_t until_flush = periods.windows, until_byte_flush = byte_period;
    for (int64_t i = 0; i < b.window_count; i++) {
        const int64_t window = b.windows[i];
        for (int64_t part = 0; part < vectors; part += kPart)
            push_over_loop<fixed_planes, masked, each>(b, window, part, periods, pointer, lost_by_pe);
        if (b.segment > 1) spread_largest(pointer.fullest, vectors, b.segment);
        for (int64_t v = 0; v < vectors; v++) {
            const Bytes stall = division.cycles(beyond(pointer.fullest[v], depth));
            pointer.waited.add(static_cast<int>(v), stall);
            pointer.stalled[v] = division.pairs(stall);
            pointer.eats[v] = live ? live[window * vectors + v] & all : all;
        }
        if (--until_flush == 0 || i + 1 == b.window_count) {
            until_flush = periods.windows;
            if (!each) pointer.starved.flush(b.starved, vectors);
            if (masked) pointer.pairs.flush(b.pairs, vectors);
            pointer.waited.flush(b.extra_cycles, vectors);
        }
        if (each && (--until_byte_flush == 0 || i + 1 == b.window_count)) until_byte_flush = byte_period, add_and_clear(b.starved, lost_by_pe, bytes);
    }
    end_over_loop<each>(b, division, pointer);
}

// Pick the instance for a window of 1, 2, 4 or any number of planes.
template <template <int, bool, bool> class Loop, bool masked, bool each>
void choose_planes(const Block& b) {
    if (b.window_planes == 1) return Loop<1, masked, each>::run(b);
    if (b.window_planes == 2) return Loop<2, masked, each>::run(b);
    if (b.window_planes == 4) return Loop<4, masked, each>::run(b);
    return Loop<0, masked, each>::run(b);
}

template <int planes, bool masked, bool each>
struct OverLoop {
    static void run(const Block& b) { b.parts == 1 ? run_over_loop<planes, masked, each, kPart>(b) : run_over_loop<0, masked, each, kMostVectors>(b); }
};

}  // namespace

void over_loop(const Block& b) {
    b.wanted ? choose_planes<OverLoop, true, false>(b) : choose_planes<OverLoop, false, false>(b);
}
void over_loop_each(const Block& b) { choose_planes<OverLoop, true, true>(b); }

// What each lane's PEs did together, over the rows of the loop. Whether PEs are masked is asked outside of the loops: newer clangs
// make masked loads from nowhere of it, which do not fault but are slow.
void add_up(const Block& b, bool by_row, LaneTotals& lanes) {
    const int64_t count = b.parts * kLanes, loop = b.loop;
    uint32_t *__restrict outputs = lanes.outputs, *__restrict longest = lanes.longest;
    uint64_t* __restrict busy = lanes.busy;
    const uint32_t* __restrict extra = b.extra_cycles;
    const uint8_t* __restrict wanted = b.wanted;
    std::fill_n(outputs, count, wanted ? 0 : static_cast<uint32_t>(loop)), std::fill_n(longest, count, 0), std::fill_n(busy, count, 0);
    for (int64_t row = 0; wanted && row < loop; row++)
        for (int64_t lane = 0; lane < count; lane++) outputs[lane] += wanted[row * count + lane] & 1;
    if (!by_row)
        for (int64_t lane = 0; lane < count; lane++) longest[lane] = extra[lane], busy[lane] = static_cast<uint64_t>(extra[lane]) * outputs[lane];
    for (int64_t row = 0; by_row && row < loop; row++, extra += count) {
        for (int64_t lane = 0; lane < count; lane++) longest[lane] = longest[lane] > extra[lane] ? longest[lane] : extra[lane];
        if (wanted)
            for (int64_t lane = 0; lane < count; lane++) busy[lane] += extra[lane] & -static_cast<uint32_t>(wanted[row * count + lane] & 1);
        else
            for (int64_t lane = 0; lane < count; lane++) busy[lane] += extra[lane];
    }
}

}  // namespace accelsim
