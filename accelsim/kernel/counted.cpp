// Windows whose pairs were counted beforehand: PEs beside rows that are all alike.
#include <algorithm>

#include "bits.h"
#include "pairs.h"

namespace accelsim {
namespace {

// Turn sixteen windows of 64 lanes' counts into vectors: byte [window][lane].
inline void turn_counts(uint8_t* turned, const uint8_t* const* counts, int64_t first_window) {
    for (int64_t lane = 0; lane < kLanes; lane += 16) {
        Sixteen rows[16] = {};
        for (int i = 0; i < 16; i++)
            if (counts[lane + i]) memcpy(&rows[i], counts[lane + i] + first_window, 16);
        transpose_sixteen(rows);
        for (int i = 0; i < 16; i++) memcpy(turned + i * kLanes + lane, &rows[i], 16);
    }
}

// What one PE of each lane does: 64 queues.
class Queues {
public:
    explicit Queues(const CountedBlock& b) : b_(b), division_(b.lanes_per_pe) {}

    // Push a window's pairs by the rules of push_over_loop in block.cpp; return what each lane loses, and how long it waits.
    void take(const Bytes* pairs, Bytes* lost, Bytes* waited) {
        for (int v = 0; v < kPart; v++) {
            const Bytes held = settled(v);
            lost[v] = beyond(eats_[v], held);
            waited[v] = queue_[v] = beyond(held, eats_[v]) + pairs[v];
        }
        spread_largest(waited, kPart, b_.segment);
        for (int v = 0; v < kPart; v++) {
            waited[v] = division_.cycles(beyond(waited[v], all_bytes(static_cast<int>(b_.fifo_depth))));
            stalled_[v] = division_.pairs(waited[v]), eats_[v] = all_bytes(static_cast<int>(b_.lanes_per_pe)), last_[v] = pairs[v];
        }
    }
    void end(Bytes* lost, Bytes* left) {
        for (int v = 0; v < kPart; v++) lost[v] = beyond(eats_[v], settled(v)), left[v] = beyond(settled(v), eats_[v]);
    }

private:
    Bytes settled(int v) const { return larger(beyond(queue_[v], stalled_[v]), last_[v]); }

    const CountedBlock& b_;
    Division division_;
    Bytes queue_[kPart] = {}, stalled_[kPart] = {}, eats_[kPart] = {}, last_[kPart] = {};
};

// The same of 64 inner-join PEs.
class HeldWindows {
public:
    explicit HeldWindows(const CountedBlock& b) : b_(b), division_(b.lanes_per_pe) {}

    // Let a window enter by the rules of enter_over_loop in inner_join.cpp.
    void take(const Bytes* pairs, Bytes* lost, Bytes* waited) {
        const Bytes eats = all_bytes(static_cast<int>(b_.lanes_per_pe));
        for (int v = 0; v < kPart; v++) {
            waited[v] = owed_[v];
            const Bytes now = beyond(left_[v], division_.pairs(owed_[v])) + pairs[v];
            lost[v] = beyond(eats, now), left_[v] = beyond(now, eats);
            Bytes younger = {};
            for (int64_t i = b_.held_windows - 2; i >= 0; i--) kept_[i][v] = i ? kept_[i - 1][v] : pairs[v], younger += kept_[i][v];
            owed_[v] = beyond(left_[v], younger);
        }
        spread_largest(owed_, kPart, b_.segment);
        for (int v = 0; v < kPart; v++) owed_[v] = division_.cycles(owed_[v]);
    }
    void end(Bytes* lost, Bytes* left) {
        for (int v = 0; v < kPart; v++) lost[v] = Bytes{}, left[v] = left_[v];
    }

private:
    const CountedBlock& b_;
    Division division_;
    Bytes left_[kPart] = {}, owed_[kPart] = {};  // pairs that each PE has left; cycles until the next window can enter
    Bytes kept_[3][kPart] = {};                  // pairs of the youngest V - 1 windows
};

template <typename PEs>
void run_counted(const CountedBlock& b) {
    PEs pes(b);
    LaneSums<kPart> starved, pairs, waited;
    starved.clear(kPart), pairs.clear(kPart), waited.clear(kPart);
    alignas(64) uint8_t turned[16 * kLanes];
    for (uint32_t* sums : {b.extra_cycles, b.starved, b.pairs}) std::fill_n(sums, kLanes, 0);
    Bytes lost[kPart], waits[kPart];
    int64_t until_flush = 256;
    for (int64_t window = 0; window < b.window_count; window++) {
        if (window % 16 == 0) turn_counts(turned, b.counts, window);
        if (!b.streamed || b.streamed[window]) {
            const Bytes* own = reinterpret_cast<const Bytes*>(turned) + window % 16 * kPart;
            pes.take(own, lost, waits);
            for (int v = 0; v < kPart; v++) starved.add(v, lost[v]), pairs.add(v, own[v]), waited.add(v, waits[v]);
        }
        if (--until_flush == 0 || window + 1 == b.window_count)
            until_flush = 256, starved.flush(b.starved, kPart), pairs.flush(b.pairs, kPart), waited.flush(b.extra_cycles, kPart);
    }
    pes.end(lost, waits);
    for (int v = 0; v < kPart; v++) starved.add(v, lost[v]);
    starved.flush(b.starved, kPart);
    spread_largest(waits, kPart, b.segment);
    const Division division(b.lanes_per_pe);
    for (int v = 0; v < kPart; v++) {
        const Bytes draining = division.cycles(waits[v]);
        for (int i = 0; i < kWidth; i++) b.extra_cycles[v * kWidth + i] += draining[i];
    }
}

}  // namespace

void counted(const CountedBlock& b) { b.held_windows ? run_counted<HeldWindows>(b) : run_counted<Queues>(b); }

// Pairs of two rows of bits in each window of S positions, at most 255.
void count_windows(uint8_t* counts, const uint64_t* a, const uint64_t* b, int64_t k, int64_t scan_width) {
    if (scan_width == 16 || scan_width == 8 || scan_width == 4) {  // windows are a word's own parts
        const int64_t words = ceil_div(k, 64);
        int64_t word = 0;
#if defined(__AVX512BITALG__)
        for (; scan_width == 16 && word + 8 <= words; word += 8) {
            const __m512i both = _mm512_and_si512(_mm512_loadu_si512(a + word), _mm512_loadu_si512(b + word));
            _mm256_storeu_si256((__m256i*)(counts + word * 4), _mm512_maskz_cvtepi16_epi8(~0u, _mm512_popcnt_epi16(both)));
        }
#endif
        for (; word < words; word++) {
            uint64_t value = a[word] & b[word];
            value -= value >> 1 & 0x5555555555555555;
            value = (value & 0x3333333333333333) + (value >> 2 & 0x3333333333333333);
            if (scan_width == 4) {
                for (int half = 0; half < 2; half++) {
                    const uint64_t bytes = deposit(value >> (32 * half), 0x0F0F0F0F0F0F0F0F);
                    memcpy(counts + word * 16 + 8 * half, &bytes, 8);
                }
                continue;
            }
            value = (value + (value >> 4)) & 0x0F0F0F0F0F0F0F0F;
            if (scan_width == 16) {
                value = (value + (value >> 8)) & 0x00FF00FF00FF00FF;  // one byte in two
                value = (value | value >> 8) & 0x0000FFFF0000FFFF;
                value = value | value >> 16;
            }
            memcpy(counts + word * (64 / scan_width), &value, 64 / scan_width);
        }
        return;
    }
    for (int64_t window = 0; window * scan_width < k; window++) {
        int64_t sum = 0;
        const int64_t stop = std::min<int64_t>(k, (window + 1) * scan_width);
        for (int64_t at = window * scan_width; at < stop;) {
            const int64_t shift = at & 63, bits = std::min<int64_t>(64 - shift, stop - at);
            const uint64_t both = (a[at >> 6] & b[at >> 6]) >> shift;
            sum += __builtin_popcountll(bits < 64 ? both & ((1ull << bits) - 1) : both);
            at += bits;
        }
        counts[window] = static_cast<uint8_t>(sum);
    }
}

}  // namespace accelsim
