// Groups that each have one lane and the whole loop, side by side on the lines of the looped operand. Through a port of one
// window per cycle they take each window in step: a group that had room earlier waits for the one that was last. Through an
// unlimited port no group waits for another, and it must be remembered in which cycle each took its last window, to count the
// reads that they share.
#include <algorithm>
#include <vector>

#include "pairs.h"

namespace accelsim {
namespace {

constexpr int kMostVectors = kMostParts * kPart;
constexpr int64_t kStamps = 4096;  // cycles that the groups of a tile may lie apart for their reads to be counted fast

// `masked`: PEs may have no output, and pairs are counted.
template <int fixed_planes, bool masked>
class InStep {
public:
    explicit InStep(const PortedBlock& ported)
        : t_(ported), b_(ported.pes), vectors_(b_.parts * kPart), lanes_(b_.parts * kLanes), tiles_(lanes_ / t_.span), division_(b_.lanes_per_pe),
          in_step_(t_.loop_words), queue_(b_.loop * vectors_), arrived_(b_.loop * vectors_), active_(vectors_), fullest_(vectors_), marks_(2 * vectors_), settled_(vectors_),
          eats_(vectors_), stalled_(vectors_), behind_(vectors_), groups_(tiles_), reads_(tiles_), late_(lanes_), stamps_(in_step_ ? 0 : kStamps) {
        starved_.clear(vectors_), pairs_.clear(vectors_), waited_.clear(vectors_), lost_.clear(vectors_);
        std::fill_n(b_.starved, lanes_, 0), std::fill_n(b_.pairs, lanes_, 0);
        std::fill_n(t_.lost, lanes_, 0), std::fill_n(t_.lane_reads, tiles_, 0), std::fill_n(t_.loop_reads, tiles_, 0);
        lost_sums_.resize(lanes_), waited_sums_.resize(lanes_);
        const Bytes* wanted = reinterpret_cast<const Bytes*>(b_.wanted);
        for (int64_t row = 0; row < b_.loop; row++)
            for (int64_t v = 0; v < vectors_; v++) active_[v] |= wanted[row * vectors_ + v];
        for (int64_t lane = 0; lane < lanes_; lane++) groups_[lane / t_.span] += is_active(lane);
        for (int64_t tile = 0; tile < tiles_; tile++) reads_[tile] = groups_[tile] > 0;
    }

    void run() {
        const int64_t most = std::max<int64_t>(1, b_.scan_width + b_.lanes_per_pe - 1), rows = std::max<int64_t>(1, 255 / most);
        const int64_t period = std::max<int64_t>(1, 256 / ((b_.loop + rows - 1) / rows));
        for (int64_t i = 0; i < b_.window_count; i++) {
            const int64_t window = b_.windows[i];
            for (int64_t part = 0; part < vectors_; part += kPart) take(window, part, rows);
            settle(window);
            if ((i + 1) % period == 0 || i + 1 == b_.window_count) flush();
        }
        drain();
    }

private:
    bool is_active(int64_t lane) const { return reinterpret_cast<const uint8_t*>(active_.data())[lane]; }
    bool streams(int64_t window, int64_t tile) const { return t_.lanes_of[tile] && (!b_.live || b_.live[window * lanes_ + tile * t_.span]); }
    Bytes streamed(int64_t window, int64_t v) const { return b_.live ? reinterpret_cast<const Bytes*>(b_.live)[window * vectors_ + v] : all_bytes(255); }

    // Let 64 groups wait for the last one of their tile, and take one window. As in block.cpp the stall of a window is settled
    // when the next one comes.
    void take(int64_t window, int64_t part, int64_t rows_at_once) {
        const int64_t window_planes = fixed_planes ? fixed_planes : b_.window_planes, loop = b_.loop, pitch = b_.pitch, vectors = vectors_;
        const Bytes* planes = reinterpret_cast<const Bytes*>(b_.lane_planes) + window * window_planes * vectors + part;
        const Bytes* wanted = reinterpret_cast<const Bytes*>(b_.wanted) + part;
        const Looped* looped = b_.loop_planes + window * window_planes;
        Bytes *queue = queue_.data() + part, *arrived = arrived_.data() + part;
        Bytes settled[kPart], eats[kPart], gone[kPart], fullest[kPart] = {}, waiting = {};
        for (int v = 0; v < kPart; v++) {
            settled[v] = settled_[part + v], eats[v] = eats_[part + v], gone[v] = division_.pairs(beyond(behind_[part + v], stalled_[part + v])) & streamed(window, part + v);
            waiting |= gone[v];
        }
        const bool waits = any(waiting);
        for (int64_t first = 0; first < loop; first += rows_at_once) {
            Bytes lost[kPart] = {}, starved[kPart] = {}, found[kPart] = {};
            for (int64_t row = first; row < std::min(first + rows_at_once, loop); row++) {
                Bytes n[kPart];
                count_pairs<fixed_planes>(n, planes, vectors, looped + row * pitch, window_planes);
                for (int v = 0; v < kPart; v++) {
                    const int64_t at = row * vectors + v;
                    if (masked) n[v] &= wanted[at], found[v] += n[v];
                    const Bytes held = larger(beyond(queue[at], settled[v]), arrived[at]);
                    const Bytes unused = beyond(eats[v], held);
                    starved[v] += masked ? unused & wanted[at] : unused;
                    Bytes left = beyond(held, eats[v]);
                    if (waits) {
                        const Bytes idle = beyond(gone[v], left);
                        lost[v] += masked ? idle & wanted[at] : idle, left = beyond(left, gone[v]);
                    }
                    const Bytes next = left + n[v];
                    queue[at] = next, arrived[at] = n[v], fullest[v] = larger(fullest[v], next);
                }
            }
            for (int v = 0; v < kPart; v++) {
                const int at = static_cast<int>(part) + v;
                starved_.add(at, starved[v]);
                if (waits) lost_.add(at, lost[v]);
                if (masked) pairs_.add(at, found[v]);
            }
        }
        for (int v = 0; v < kPart; v++) fullest_[part + v] = fullest[v];
    }

    // A window is over: how long each group took, how long all groups of its tile, and how often the window was read.
    void settle(int64_t window) {
        const Bytes depth = all_bytes(static_cast<int>(b_.fifo_depth)), all = all_bytes(static_cast<int>(b_.lanes_per_pe));
        for (int64_t v = 0; v < vectors_; v++) {
            const Bytes live = streamed(window, v), stall = division_.cycles(beyond(fullest_[v], depth));
            settled_[v] = division_.pairs(stall), eats_[v] = live & all;
            stalled_[v] = (stalled_[v] & ~live) | stall;  // no queue is too full after a window that is not streamed
            fullest_[v] = stall & active_[v];
        }
        if (in_step_) wait_for_the_last(window);
        count_reads(window);
    }

    void wait_for_the_last(int64_t window) {
        last_ = fullest_;
        spread_largest(last_.data(), vectors_, t_.span);
        for (int64_t v = 0; v < vectors_; v++) {
            const Bytes live = streamed(window, v);
            waited_.add(static_cast<int>(v), last_[v] & live);
            behind_[v] = (behind_[v] & ~live) | (last_[v] & live);
        }
    }

    void count_reads(int64_t window) {
        const int64_t size = window + 1 == t_.windows ? t_.last_size : b_.scan_width;
        const bool some = std::any_of(fullest_.begin(), fullest_.end(), any);
        if (in_step_ && some) mark_stalls();
        for (int64_t tile = 0; tile < tiles_; tile++) {
            if (!streams(window, tile)) continue;
            if (in_step_) reads_[tile] = some ? different_stalls(tile) : groups_[tile] > 0;
            else if (some) reads_[tile] = different_cycles(tile);
            t_.lane_reads[tile] += groups_[tile] * size;
            t_.loop_reads[tile] += b_.loop * size * reads_[tile];
        }
    }
    const uint8_t* stalls_of(int64_t tile) const { return reinterpret_cast<const uint8_t*>(fullest_.data()) + tile * t_.span; }

    // A bit for each cycle in which groups of a tile took the window, if they are in step: the first 16 cycles.
    void mark_stalls() {
        static const uint8_t first[16] = {1, 2, 4, 8, 16, 32, 64, 128}, next[16] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128};
        const Bytes early = repeat_sixteen(first), late = repeat_sixteen(next);
        for (int64_t v = 0; v < vectors_; v++) {
            const Bytes stalls = fullest_[v] & 15;  // what takes longer is counted one by one
            marks_[v] = look_up(early, stalls) & active_[v], marks_[vectors_ + v] = look_up(late, stalls) & active_[v];
        }
        spread_bits(marks_.data(), vectors_, t_.span), spread_bits(marks_.data() + vectors_, vectors_, t_.span);
    }
    int64_t different_stalls(int64_t tile) const {
        const uint8_t *stalls = stalls_of(tile), *marks = reinterpret_cast<const uint8_t*>(marks_.data()) + tile * t_.span;
        if (reinterpret_cast<const uint8_t*>(last_.data())[tile * t_.span] < 16) return __builtin_popcount(marks[0] | marks[lanes_] << 8);
        uint64_t seen[4] = {};
        for (int64_t lane = 0; lane < t_.span; lane++)
            if (is_active(tile * t_.span + lane)) seen[stalls[lane] >> 6] |= 1ull << (stalls[lane] & 63);
        int64_t count = 0;
        for (uint64_t some : seen) count += __builtin_popcountll(some);
        return count;
    }
    // The same if they are not: `late_` is by how much later than without a stall each took it.
    int64_t different_cycles(int64_t tile) {
        const uint8_t* stalls = stalls_of(tile);
        uint32_t least = UINT32_MAX, most = 0;
        cycles_.clear();
        for (int64_t lane = 0; lane < t_.span; lane++) {
            const uint32_t cycle = late_[tile * t_.span + lane] += stalls[lane];
            if (is_active(tile * t_.span + lane)) least = std::min(least, cycle), most = std::max(most, cycle), cycles_.push_back(cycle);
        }
        int64_t count = 0;
        if (most - least < kStamps) {
            stamp_++;
            for (uint32_t cycle : cycles_) count += stamps_[cycle % kStamps] != stamp_, stamps_[cycle % kStamps] = stamp_;
            return count;
        }
        std::sort(cycles_.begin(), cycles_.end());
        return std::unique(cycles_.begin(), cycles_.end()) - cycles_.begin();
    }

    void flush() {
        starved_.flush(b_.starved, vectors_), pairs_.flush(b_.pairs, vectors_), waited_.flush(waited_sums_.data(), vectors_), lost_.flush(lost_sums_.data(), vectors_);
        for (int64_t lane = 0; lane < lanes_; lane++) t_.lost[lane] += lost_sums_[lane], lost_sums_[lane] = 0;
    }

    // Each group ends when its queues are empty; in step, its own stall of the last window counts, not that of the last group.
    void drain() {
        std::fill(fullest_.begin(), fullest_.end(), Bytes{});
        for (int64_t row = 0; row < b_.loop; row++) {
            for (int64_t v = 0; v < vectors_; v++) {
                const int64_t at = row * vectors_ + v;
                const Bytes held = larger(beyond(queue_[at], settled_[v]), arrived_[at]), unused = beyond(eats_[v], held);
                starved_.add(static_cast<int>(v), masked ? unused & reinterpret_cast<const Bytes*>(b_.wanted)[at] : unused);
                fullest_[v] = larger(fullest_[v], beyond(held, eats_[v]));
            }
            if (row % 256 == 255 || row + 1 == b_.loop) flush();
        }
        for (int64_t v = 0; v < vectors_; v++) fullest_[v] = division_.cycles(fullest_[v]);
        const uint8_t *draining = reinterpret_cast<const uint8_t*>(fullest_.data()), *stalled = reinterpret_cast<const uint8_t*>(stalled_.data()),
                      *behind = reinterpret_cast<const uint8_t*>(behind_.data());
        for (int64_t lane = 0; lane < lanes_; lane++) {
            const uint32_t late = in_step_ ? waited_sums_[lane] - behind[lane] + stalled[lane] : late_[lane];
            b_.extra_cycles[lane] = is_active(lane) ? late + draining[lane] : 0;
        }
    }

    const PortedBlock& t_;
    const Block& b_;
    int64_t vectors_, lanes_, tiles_;
    Division division_;
    bool in_step_;                          // else no group waits for another
    std::vector<Bytes> queue_, arrived_;    // [loop][lane]: as in block.cpp
    std::vector<Bytes> active_;             // [lane]: whether the group has an output
    std::vector<Bytes> fullest_, last_;     // [lane]: of the window: the fullest queue, then the stall; the longest stall of the tile
    std::vector<Bytes> marks_;              // [2][lane]: see mark_stalls
    std::vector<Bytes> settled_, eats_;     // [lane]: pairs consumed in the stall of the last window, and in the cycle that pushed it
    std::vector<Bytes> stalled_, behind_;   // [lane]: stalls of the last window that was streamed: the group's own, and the longest of the tile
    LaneSums<kMostVectors> starved_, pairs_, waited_, lost_;
    std::vector<uint32_t> waited_sums_, lost_sums_;  // [lane]: cycles that all groups took beyond one for each window
    std::vector<int64_t> groups_;           // [tile]: groups with an output
    std::vector<int64_t> reads_;            // [tile]: of the last window
    std::vector<uint32_t> late_, cycles_, stamps_;
    uint32_t stamp_ = 0;
};

template <bool masked>
void choose_planes(const PortedBlock& block) {
    if (block.pes.window_planes == 1) InStep<1, masked>(block).run();
    else if (block.pes.window_planes == 2) InStep<2, masked>(block).run();
    else InStep<0, masked>(block).run();
}

}  // namespace

void in_step(const PortedBlock& block) { block.masked ? choose_planes<true>(block) : choose_planes<false>(block); }

}  // namespace accelsim
