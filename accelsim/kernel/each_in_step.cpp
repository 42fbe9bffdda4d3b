// Each PE is a group of its own, and both operands' ports hold one window: a PE takes a window once all PEs of its row of the
// loop and of its lane have taken the one before. So the PEs of a tile are at most two stalls apart where all have an output, and
// bytes can tell by how much later than without a stall each took its last window.
#include <algorithm>
#include <vector>

#include "pairs.h"

namespace accelsim {
namespace {

template <int fixed_planes>
class EachInStep {
public:
    explicit EachInStep(const PortedBlock& ported)
        : t_(ported), b_(ported.pes), tiles_(kLanes / t_.span), division_(b_.lanes_per_pe), queue_(b_.loop * kPart), late_(b_.loop * kPart), of_row_(b_.loop * kPart) {
        for (auto* sums : {&starved_, &pairs_, &lost_, &lane_reads_, &row_reads_}) sums->clear(kPart);
        std::fill_n(b_.starved, kLanes, 0), std::fill_n(b_.pairs, kLanes, 0);
        std::fill_n(t_.lost, kLanes, 0), std::fill_n(t_.lane_reads, tiles_, 0), std::fill_n(t_.loop_reads, tiles_, 0);
    }

    // Whether the PEs stayed that close.
    bool run() {
        const int64_t most = 2 * (b_.scan_width + b_.lanes_per_pe - 1), rows = std::max<int64_t>(1, 255 / most);
        int64_t size = b_.scan_width;
        for (int64_t i = 0; i < b_.window_count; i++) {
            const int64_t window = b_.windows[i];
            if (window + 1 == t_.windows) flush(size), size = t_.last_size;
            for (int v = 0; v < kPart; v++) live_[v] = b_.live ? reinterpret_cast<const Bytes*>(b_.live)[window * kPart + v] : all_bytes(255);
            make_room(size);
            if (!take(window, rows, most / b_.lanes_per_pe)) return false;
            count_reads(size);
            if (any_large(most_)) start_over();
            if (any_large(most_)) return false;
        }
        flush(size), drain();
        return true;
    }

private:
    const Bytes* wanted() const { return reinterpret_cast<const Bytes*>(b_.wanted); }
    static uint8_t of(const Bytes* bytes, int64_t lane) { return reinterpret_cast<const uint8_t*>(bytes)[lane]; }

    static bool any_large(const Bytes* values) {
        return std::any_of(values, values + kPart, [](Bytes value) { return any(value & 128); });
    }

    // Let every PE wait for the last ones of its lines, and take one window; false if one waited for longer than `longest`.
    bool take(int64_t window, int64_t rows_at_once, int64_t longest) {
        const int64_t window_planes = fixed_planes ? fixed_planes : b_.window_planes;
        const Bytes* planes = reinterpret_cast<const Bytes*>(b_.lane_planes) + window * window_planes * kPart;
        const Bytes depth = all_bytes(static_cast<int>(b_.fifo_depth)), all = all_bytes(static_cast<int>(b_.lanes_per_pe));
        const Looped* looped = b_.loop_planes + window * window_planes;
        Bytes of_lane[kPart] = {}, least[kPart] = {}, waited = {};
        for (int64_t first = 0; first < b_.loop; first += rows_at_once) {
            Bytes lost[kPart] = {}, starved[kPart] = {}, found[kPart] = {};
            for (int64_t row = first; row < std::min(first + rows_at_once, b_.loop); row++) {
                Bytes n[kPart], last[kPart];
                count_pairs<fixed_planes>(n, planes, kPart, looped + row * b_.pitch, window_planes);
                for (int v = 0; v < kPart; v++) {
                    const int64_t at = row * kPart + v;
                    const Bytes output = wanted()[at], live = live_[v], ready = larger(of_row_[at], of_lane_[v]);
                    n[v] &= output, found[v] += n[v];
                    const Bytes waits = beyond(ready, late_[at]) & live & output, gone = division_.pairs(waits);
                    waited = larger(waited, waits);
                    lost[v] += beyond(gone, queue_[at]);
                    const Bytes full = beyond(queue_[at], gone) + n[v], stall = division_.cycles(beyond(full, depth));
                    const Bytes held = larger(beyond(full, division_.pairs(stall)), n[v]), eats = all & live;
                    starved[v] += beyond(eats, held) & output;
                    queue_[at] = beyond(held, eats);
                    const Bytes late = (late_[at] & ~live) | ((ready + stall) & live);
                    late_[at] = late, last[v] = late & output;
                    of_lane[v] = larger(of_lane[v], last[v]), least[v] = larger(least[v], ~late & output);
                }
                spread_largest(last, kPart, t_.span);
                std::copy_n(last, kPart, of_row_.data() + row * kPart);
            }
            for (int v = 0; v < kPart; v++) lost_.add(v, lost[v]), starved_.add(v, starved[v]), pairs_.add(v, found[v]);
        }
        spread_largest(least, kPart, t_.span);
        for (int v = 0; v < kPart; v++) of_lane_[v] = most_[v] = of_lane[v], least_[v] = ~least[v];
        spread_largest(most_, kPart, t_.span);
        return !any(beyond(waited, all_bytes(static_cast<int>(longest))));
    }

    // How often the window was read: in how many cycles the PEs of each line took it, 16 cycles after the other.
    void count_reads(int64_t size) {
        static const uint8_t first_cycles[16] = {1, 2, 4, 8, 16, 32, 64, 128}, next_cycles[16] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128};
        const Bytes first_bits = repeat_sixteen(first_cycles), next_bits = repeat_sixteen(next_cycles);
        int apart = 0;
        for (int64_t tile = 0; tile < tiles_; tile++) apart = std::max<int>(apart, of(most_, tile * t_.span) - of(least_, tile * t_.span));
        for (int cycle = 0; cycle <= apart; cycle += 16) {
            make_room(size);
            Bytes first[kPart] = {}, next[kPart] = {};
            for (int64_t row = 0; row < b_.loop; row++) {
                Bytes row_first[kPart], row_next[kPart];
                for (int v = 0; v < kPart; v++) {
                    const Bytes at = late_[row * kPart + v] - least_[v] - static_cast<uint8_t>(cycle);
                    const Bytes counts = wanted()[row * kPart + v] & live_[v] & (Bytes)(at < 16);
                    first[v] |= row_first[v] = look_up(first_bits, at & 15) & counts, next[v] |= row_next[v] = look_up(next_bits, at & 15) & counts;
                }
                spread_bits(row_first, kPart, t_.span), spread_bits(row_next, kPart, t_.span);
                for (int v = 0; v < kPart; v++) row_reads_.add(v, count_bits(row_first[v]) + count_bits(row_next[v]));
            }
            for (int v = 0; v < kPart; v++) lane_reads_.add(v, count_bits(first[v]) + count_bits(next[v]));
        }
    }

    // Take the cycles that all PEs of a tile are late out of the bytes.
    void start_over() {
        for (int64_t row = 0; row < b_.loop; row++)
            for (int v = 0; v < kPart; v++) {
                const int64_t at = row * kPart + v;
                late_[at] = beyond(late_[at], least_[v]), of_row_[at] = beyond(of_row_[at], least_[v]);
            }
        for (int v = 0; v < kPart; v++) of_lane_[v] = beyond(of_lane_[v], least_[v]), most_[v] = beyond(most_[v], least_[v]);
        for (int64_t lane = 0; lane < kLanes; lane++) before_[lane] += of(least_, lane);
    }

    // Let every sum take as many bytes as the loop has rows.
    void make_room(int64_t size) {
        if (added_ + b_.loop > 256) flush(size);
        added_ += b_.loop;
    }
    void flush(int64_t size) {
        uint32_t lost[kLanes] = {}, of_lanes[kLanes] = {}, of_rows[kLanes] = {};
        starved_.flush(b_.starved, kPart), pairs_.flush(b_.pairs, kPart);
        lost_.flush(lost, kPart), lane_reads_.flush(of_lanes, kPart), row_reads_.flush(of_rows, kPart);
        for (int64_t lane = 0; lane < kLanes; lane++) {
            t_.lost[lane] += lost[lane], t_.lane_reads[lane / t_.span] += size * of_lanes[lane];
            if (lane % t_.span == 0) t_.loop_reads[lane / t_.span] += size * of_rows[lane];  // the same for all lanes of a tile
        }
        added_ = 0;
    }

    // Each PE ends when its queue is empty.
    void drain() {
        for (int64_t row = 0; row < b_.loop; row++)
            for (int v = 0; v < kPart; v++) {
                const int64_t at = row * kPart + v;
                const Bytes draining = division_.cycles(queue_[at]);
                for (int i = 0; i < kWidth; i++)
                    b_.extra_cycles[at * kWidth + i] = wanted()[at][i] ? before_[v * kWidth + i] + late_[at][i] + draining[i] : 0;
            }
    }

    const PortedBlock& t_;
    const Block& b_;
    int64_t tiles_;
    Division division_;
    std::vector<Bytes> queue_;                          // [loop][lane]
    std::vector<Bytes> late_, of_row_;                  // [loop][lane]: of each PE, and the most of its row's, beyond `before_`
    Bytes of_lane_[kPart] = {};                         // the most of its lane's
    Bytes least_[kPart] = {}, most_[kPart] = {};        // of its tile's
    Bytes live_[kPart] = {};                            // whether the tile streams the window
    uint32_t before_[kLanes] = {};
    LaneSums<kPart> starved_, pairs_, lost_, lane_reads_, row_reads_;
    int64_t added_ = 0;
};

}  // namespace

bool each_in_step(const PortedBlock& block) {
    if (block.pes.window_planes == 1) return EachInStep<1>(block).run();
    if (block.pes.window_planes == 2) return EachInStep<2>(block).run();
    return EachInStep<0>(block).run();
}

}  // namespace accelsim
