// Groups that each span a row of the loop. Through a port of one window per cycle they take each window in step: a group that
// had room earlier waits for the one that was last. Through an unlimited port no group waits for another, and it must be
// remembered in which cycle each took its last window, to count the reads that they share.
#include <algorithm>
#include <vector>

#include "pairs.h"

namespace accelsim {
namespace {

constexpr int kMostVectors = kMostParts * kPart;

template <int fixed_planes>
class InStep {
public:
    explicit InStep(const PortedBlock& ported)
        : t_(ported), b_(ported.pes), vectors_(b_.parts * kPart), lanes_(b_.parts * kLanes), tiles_(lanes_ / t_.span), division_(b_.lanes_per_pe), in_step_(t_.lane_words),
          queue_(b_.loop * vectors_), stalled_(b_.loop * vectors_), active_(b_.loop * vectors_), behind_(vectors_), most_(vectors_), outputs_(tiles_), late_(in_step_ ? 0 : b_.loop * tiles_), reads_(tiles_) {
        starved_.clear(vectors_), pairs_.clear(vectors_), waited_.clear(vectors_), lost_.clear(vectors_);
        std::fill_n(b_.starved, lanes_, 0), std::fill_n(b_.pairs, lanes_, 0);
        std::fill_n(t_.lost, lanes_, 0), std::fill_n(t_.lane_reads, tiles_, 0), std::fill_n(t_.loop_reads, tiles_, 0);
        base_.resize(lanes_), lost_sums_.resize(lanes_);
        memcpy(active_.data(), b_.wanted, b_.loop * lanes_);
        for (int64_t row = 0; row < b_.loop; row++) spread_largest(active_.data() + row * vectors_, vectors_, b_.segment);
        for (int64_t row = 0; row < b_.loop; row++)
            for (int64_t tile = 0; tile < tiles_; tile++) outputs_[tile] += is_active(row, tile);
        for (int64_t tile = 0; tile < tiles_; tile++) reads_[tile] = outputs_[tile] > 0;
    }

    void run() {
        const int64_t most = std::max<int64_t>(1, b_.scan_width + b_.lanes_per_pe - 1), rows = std::max<int64_t>(1, 255 / most);
        const int64_t period = std::max<int64_t>(1, 256 / ((b_.loop + rows - 1) / rows));
        for (int64_t i = 0; i < b_.window_count; i++) {
            const int64_t window = b_.windows[i];
            std::fill(most_.begin(), most_.end(), Bytes{});
            for (int64_t part = 0; part < vectors_; part += kPart) take(window, part, rows);
            settle(window);
            if ((i + 1) % period == 0 || i + 1 == b_.window_count) flush();
        }
        drain();
    }

private:
    bool is_active(int64_t row, int64_t tile) const { return reinterpret_cast<const uint8_t*>(active_.data())[row * lanes_ + tile * t_.span]; }
    bool streams(int64_t window, int64_t tile) const { return t_.lanes_of[tile] && (!b_.live || b_.live[window * lanes_ + tile * t_.span]); }

    // Let 64 lanes of every row wait for the group that was last, and take one window.
    void take(int64_t window, int64_t part, int64_t rows_at_once) {
        const int64_t window_planes = fixed_planes ? fixed_planes : b_.window_planes;
        const Bytes* planes = reinterpret_cast<const Bytes*>(b_.lane_planes) + window * window_planes * vectors_ + part;
        const Bytes* live = b_.live ? reinterpret_cast<const Bytes*>(b_.live) + window * vectors_ + part : nullptr;
        const Bytes* wanted = reinterpret_cast<const Bytes*>(b_.wanted) + part;
        const Bytes depth = all_bytes(static_cast<int>(b_.fifo_depth)), all = all_bytes(static_cast<int>(b_.lanes_per_pe));
        const Looped* looped = b_.loop_planes + window * window_planes;
        Bytes eats[kPart], streamed[kPart];
        for (int v = 0; v < kPart; v++) streamed[v] = live ? live[v] : all_bytes(255), eats[v] = streamed[v] & all;
        for (int64_t first = 0; first < b_.loop; first += rows_at_once) {
            Bytes lost[kPart] = {}, starved[kPart] = {}, found[kPart] = {};
            for (int64_t row = first; row < std::min(first + rows_at_once, b_.loop); row++) {
                Bytes n[kPart], full[kPart], fullest[kPart];
                count_pairs<fixed_planes>(n, planes, vectors_, looped + row * b_.pitch, window_planes);
                for (int v = 0; v < kPart; v++) {
                    const int64_t at = row * vectors_ + v;
                    n[v] &= wanted[at], found[v] += n[v];
                    const Bytes gone = division_.pairs(beyond(behind_[part + v], stalled_[at + part]) & streamed[v]);
                    lost[v] += beyond(gone, queue_[at + part]) & wanted[at];
                    full[v] = fullest[v] = beyond(queue_[at + part], gone) + n[v];
                }
                spread_largest(fullest, kPart, b_.segment);
                for (int v = 0; v < kPart; v++) {
                    const int64_t at = row * vectors_ + part + v;
                    const Bytes stall = division_.cycles(beyond(fullest[v], depth));
                    const Bytes held = larger(beyond(full[v], division_.pairs(stall)), n[v]);
                    starved[v] += beyond(eats[v], held) & wanted[at - part];
                    queue_[at] = beyond(held, eats[v]);
                    stalled_[at] = (stalled_[at] & ~streamed[v]) | (stall & streamed[v]);
                    most_[part + v] = larger(most_[part + v], stall & active_[at]);
                }
            }
            for (int v = 0; v < kPart; v++) {
                const int at = static_cast<int>(part) + v;
                lost_.add(at, lost[v]), starved_.add(at, starved[v]), pairs_.add(at, found[v]);
            }
        }
    }

    // A window is over: how long all groups of a tile took, and how often it was read.
    void settle(int64_t window) {
        const Bytes* live = b_.live ? reinterpret_cast<const Bytes*>(b_.live) + window * vectors_ : nullptr;
        for (int64_t v = 0; in_step_ && v < vectors_; v++) {
            const Bytes streamed = live ? live[v] : all_bytes(255);
            waited_.add(static_cast<int>(v), most_[v] & streamed);
            behind_[v] = (behind_[v] & ~streamed) | (most_[v] & streamed);
        }
        const int64_t size = window + 1 == t_.windows ? t_.last_size : b_.scan_width;
        const uint8_t* most = reinterpret_cast<const uint8_t*>(most_.data());
        for (int64_t tile = 0; tile < tiles_; tile++) {
            if (!streams(window, tile)) continue;
            t_.loop_reads[tile] += outputs_[tile] * size;
            if (in_step_) reads_[tile] = most[tile * t_.span] ? different_stalls(tile) : outputs_[tile] > 0;
            else if (most[tile * t_.span]) reads_[tile] = add_stalls(tile);
            t_.lane_reads[tile] += t_.lanes_of[tile] * size * reads_[tile];
        }
    }
    // In how many cycles the groups of a tile took the window, if they are in step.
    int64_t different_stalls(int64_t tile) const {
        const uint8_t *stalled = reinterpret_cast<const uint8_t*>(stalled_.data()) + tile * t_.span, *active = reinterpret_cast<const uint8_t*>(active_.data()) + tile * t_.span;
        uint64_t seen[4] = {};
        for (int64_t row = 0; row < b_.loop; row++)
            if (active[row * lanes_]) seen[stalled[row * lanes_] >> 6] |= 1ull << (stalled[row * lanes_] & 63);
        int64_t count = 0;
        for (uint64_t some : seen) count += __builtin_popcountll(some);
        return count;
    }

    // The same if they are not.
    int64_t add_stalls(int64_t tile) {
        const uint8_t* stalled = reinterpret_cast<const uint8_t*>(stalled_.data()) + tile * t_.span;
        uint32_t least = UINT32_MAX, most = 0;
        cycles_.clear();
        for (int64_t row = 0; row < b_.loop; row++) {
            if (!is_active(row, tile)) continue;
            const uint32_t cycle = late_[row * tiles_ + tile] += stalled[row * lanes_];
            least = std::min(least, cycle), most = std::max(most, cycle), cycles_.push_back(cycle);
        }
        if (most - least < 64) {
            uint64_t seen = 0;
            for (uint32_t cycle : cycles_) seen |= 1ull << (cycle - least);
            return __builtin_popcountll(seen);
        }
        std::sort(cycles_.begin(), cycles_.end());
        return std::unique(cycles_.begin(), cycles_.end()) - cycles_.begin();
    }

    void flush() {
        starved_.flush(b_.starved, vectors_), pairs_.flush(b_.pairs, vectors_), waited_.flush(base_.data(), vectors_), lost_.flush(lost_sums_.data(), vectors_);
        for (int64_t lane = 0; lane < lanes_; lane++) t_.lost[lane] += lost_sums_[lane], lost_sums_[lane] = 0;
    }

    // Each group ends when its queues are empty; in step, its own stall of the last window counts, not that of the slowest.
    void drain() {
        const uint8_t *behind = reinterpret_cast<const uint8_t*>(behind_.data()), *stalled = reinterpret_cast<const uint8_t*>(stalled_.data());
        for (int64_t row = 0; row < b_.loop; row++) {
            Bytes* left = queue_.data() + row * vectors_;
            spread_largest(left, vectors_, b_.segment);
            for (int64_t v = 0; v < vectors_; v++) left[v] = division_.cycles(left[v]);
            const uint8_t* draining = reinterpret_cast<const uint8_t*>(left);
            for (int64_t lane = 0; lane < lanes_; lane++)
                b_.extra_cycles[row * lanes_ + lane] = is_active(row, lane / t_.span) ? cycles(row, lane, behind, stalled) + draining[lane] : 0;
        }
    }

    // How much later than without a stall a group took its last window.
    uint32_t cycles(int64_t row, int64_t lane, const uint8_t* behind, const uint8_t* stalled) const {
        return in_step_ ? base_[lane] - behind[lane] + stalled[row * lanes_ + lane] : late_[row * tiles_ + lane / t_.span];
    }

    const PortedBlock& t_;
    const Block& b_;
    int64_t vectors_, lanes_, tiles_;
    Division division_;
    bool in_step_;                                 // else no group waits for another
    std::vector<Bytes> queue_, stalled_, active_;  // [loop][lane]; stalled_: by how much later than the first each group took the last window
    std::vector<Bytes> behind_, most_;             // [lane]: the same of the slowest group, of the last window and of this one
    LaneSums<kMostVectors> starved_, pairs_, waited_, lost_;
    std::vector<uint32_t> base_, lost_sums_;       // [lane]: cycles that all groups took beyond one for each window
    std::vector<int64_t> outputs_;                 // [tile]: groups with an output
    std::vector<uint32_t> late_, cycles_;          // [loop][tile]: stalls of each group so far, where they are not in step
    std::vector<int64_t> reads_;                   // [tile]: of the last window
};

}  // namespace

void in_step(const PortedBlock& block) {
    if (block.pes.window_planes == 1) InStep<1>(block).run();
    else if (block.pes.window_planes == 2) InStep<2>(block).run();
    else InStep<0>(block).run();
}

}  // namespace accelsim
