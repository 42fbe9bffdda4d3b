// The loop of inner_join.h.
#include "inner_join.h"

#include <algorithm>
#include <vector>

#include "pairs.h"

namespace accelsim {
namespace {

constexpr int kMostVectors = kMostParts * kPart;

// Note a window's pairs and return those of the windows that may stay when the next one enters: the youngest V - 1. Kept of 64
// PEs are the windows before this one, the youngest first; this one too where tiles stream different windows (`dropped`), as
// for a tile that does not stream it all stays as it was.
template <int held, bool dropped>
ACCELSIM_INLINE Bytes note_window(Bytes* kept, int64_t stride, Bytes pairs, Bytes streams) {
    constexpr int count = held == 1 ? 0 : dropped ? held - 1 : held - 2;
    Bytes younger = held > 1 && !dropped ? pairs : Bytes{}, moving = pairs;
    for (int i = 0; i < count; i++) {
        const Bytes was = kept[i * stride];
        kept[i * stride] = dropped ? (moving & streams) | (was & ~streams) : moving;
        younger += dropped ? kept[i * stride] : was;
        moving = was;
    }
    return younger;
}

// What the PEs of a group have in common between two windows, by lane.
template <int most_vectors>
struct Group {
    Bytes owed[most_vectors];  // cycles until the next window can enter
    Bytes most[most_vectors];  // pairs of the oldest window that a PE has left
    LaneSums<most_vectors> starved, pairs, waited;

    explicit Group(int64_t vectors) {
        starved.clear(vectors), pairs.clear(vectors), waited.clear(vectors);
        for (int64_t v = 0; v < vectors; v++) owed[v] = Bytes{};
    }
};

// Let a window into 64 lanes, for every row of the loop, and let every PE take its first pairs. `each`: `lost_by_pe` is what
// each PE lost.
template <int fixed_planes, bool masked, bool each, int held, bool dropped, int most_vectors>
ACCELSIM_INLINE void enter_over_loop(const Block& b, int64_t window, int64_t part, const Periods& periods, const Division& division,
                                     Group<most_vectors>& group, Bytes* lost_by_pe) {
    const int64_t vectors = most_vectors == kPart ? kPart : b.parts * kPart, window_planes = fixed_planes ? fixed_planes : b.window_planes, loop = b.loop, pitch = b.pitch;
    const Bytes* planes = reinterpret_cast<const Bytes*>(b.lane_planes) + window * window_planes * vectors + part;
    const Bytes* live = b.live ? reinterpret_cast<const Bytes*>(b.live) + window * vectors + part : nullptr;
    constexpr bool in_registers = fixed_planes && fixed_planes * kPart <= 8;
    Bytes here[in_registers ? fixed_planes * kPart : 1], streams[kPart], stalled[kPart], eats[kPart], most[kPart];
    if (in_registers)
        for (int i = 0; i < fixed_planes * kPart; i++) here[i] = planes[i / kPart * vectors + i % kPart];
    for (int v = 0; v < kPart; v++) {
        streams[v] = dropped && b.live ? live[v] : all_bytes(255);
        const Bytes stall = group.owed[part + v] & streams[v];
        group.waited.add(static_cast<int>(part) + v, stall);
        stalled[v] = division.pairs(stall), eats[v] = all_bytes(static_cast<int>(b.lanes_per_pe)) & streams[v], most[v] = Bytes{};
    }
    Bytes* left = static_cast<Bytes*>(b.queues) + part;
    Bytes* kept = static_cast<Bytes*>(b.arrivals) + part;
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
                const Bytes now = beyond(left[at], stalled[v]) + n[v], next = beyond(now, eats[v]);
                const Bytes younger = note_window<held, dropped>(kept + at, loop * vectors, n[v], streams[v]);
                (each ? lost_by_pe[at + part] : lost[v]) += beyond(eats[v], now);
                left[at] = next, most[v] = larger(most[v], beyond(next, younger));
            }
        }
        for (int v = 0; v < kPart; v++) {
            if (!each) group.starved.add(static_cast<int>(part) + v, lost[v]);
            if (masked) group.pairs.add(static_cast<int>(part) + v, found[v]);
        }
    }
    for (int v = 0; v < kPart; v++) group.most[part + v] = most[v];
}

template <int fixed_planes, bool masked, bool each, int held, bool dropped, int most_vectors>
void run_over_loop(const Block& b) {
    const int64_t vectors = most_vectors == kPart ? kPart : b.parts * kPart, lanes = b.parts * kLanes, bytes = b.loop * lanes;
    const Division division(b.lanes_per_pe);
    const Periods periods(b);
    Group<most_vectors> group(vectors);
    // fill_n, as GCC takes `lanes * 4` bytes of memset for possibly negative ones where it splits this loop by `part`.
    std::fill_n(static_cast<uint8_t*>(b.queues), bytes, 0), std::fill_n(static_cast<uint8_t*>(b.arrivals), (held - 1) * bytes, 0);
    std::fill_n(b.extra_cycles, lanes, 0), std::fill_n(b.starved, each ? bytes : lanes, 0);
    if (masked) std::fill_n(b.pairs, lanes, 0);
    std::vector<Bytes> lost_by_pe(each ? b.loop * vectors : 0);
    const int64_t byte_period = std::max<int64_t>(1, 255 / b.lanes_per_pe);
    int64_t until_flush = periods.windows, until_byte_flush = byte_period;
    for (int64_t i = 0; i < b.window_count; i++) {
        for (int64_t part = 0; part < vectors; part += kPart)
            enter_over_loop<fixed_planes, masked, each, held, dropped>(b, b.windows[i], part, periods, division, group, lost_by_pe.data());
        if (b.segment > 1) spread_largest(group.most, vectors, b.segment);
        for (int64_t v = 0; v < vectors; v++) group.owed[v] = division.cycles(group.most[v]);
        if (--until_flush == 0 || i + 1 == b.window_count) {
            until_flush = periods.windows;
            if (!each) group.starved.flush(b.starved, vectors);
            group.waited.flush(b.extra_cycles, vectors);
            if (masked) group.pairs.flush(b.pairs, vectors);
        }
        if (each && (--until_byte_flush == 0 || i + 1 == b.window_count)) until_byte_flush = byte_period, add_and_clear(b.starved, lost_by_pe.data(), bytes);
    }
    for (int64_t v = 0; v < vectors; v++) group.most[v] = Bytes{};
    const Bytes* left = static_cast<Bytes*>(b.queues);
    for (int64_t row = 0; row < b.loop; row++)
        for (int64_t v = 0; v < vectors; v++) group.most[v] = larger(group.most[v], left[row * vectors + v]);
    spread_largest(group.most, vectors, b.segment);
    for (int64_t v = 0; v < vectors; v++) {
        const Bytes draining = division.cycles(group.most[v]);
        for (int i = 0; i < kWidth; i++) b.extra_cycles[v * kWidth + i] += draining[i];
    }
}

// Two windows, which are most worth building, remember nothing where all tiles stream the same.
template <int planes, bool masked, bool each, int held>
void run_planes(const Block& b) {
    if constexpr (held == 2)
        if (!b.live) return run_over_loop<planes, masked, each, held, false, kPart>(b);
    run_over_loop<planes, masked, each, held, true, kPart>(b);
}

template <bool masked, bool each, int held>
void choose_planes(const Block& b) {
    if (!each && b.parts > 1) return run_over_loop<0, masked, false, held, true, kMostVectors>(b);
    if (b.window_planes == 1) return run_planes<1, masked, each, held>(b);
    if (b.window_planes == 2) return run_planes<2, masked, each, held>(b);
    return run_planes<0, masked, each, held>(b);
}

template <int held>
void run(const Block& b, bool each) {
    if (each) choose_planes<true, true, held>(b);
    else b.wanted ? choose_planes<true, false, held>(b) : choose_planes<false, false, held>(b);
}

void choose_windows(const Block& b, int64_t windows, bool each) { windows == 1 ? run<1>(b, each) : windows == 2 ? run<2>(b, each) : run<4>(b, each); }

}  // namespace

void inner_join(const Block& b, int64_t windows) { choose_windows(b, windows, false); }
void inner_join_each(const Block& b, int64_t windows) { choose_windows(b, windows, true); }

}  // namespace accelsim
