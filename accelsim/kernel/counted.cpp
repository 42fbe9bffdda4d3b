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

}  // namespace

// The rules of push_over_loop, for one PE of each lane.
void counted(const CountedBlock& b) {
    const Division division(b.lanes_per_pe);
    const Bytes depth = all_bytes(static_cast<int>(b.fifo_depth)), all = all_bytes(static_cast<int>(b.lanes_per_pe));
    Bytes* queue = reinterpret_cast<Bytes*>(b.queue);
    Bytes stalled[kPart] = {}, eats[kPart] = {}, fullest[kPart] = {}, last[kPart] = {};
    LaneSums<kPart> starved, pairs, waited;
    starved.clear(kPart), pairs.clear(kPart), waited.clear(kPart);
    alignas(64) uint8_t turned[16 * kLanes];
    memset(queue, 0, kLanes);
    memset(b.extra_cycles, 0, kLanes * 4), memset(b.starved, 0, kLanes * 4), memset(b.pairs, 0, kLanes * 4);
    int64_t until_flush = 256;
    for (int64_t window = 0; window < b.window_count; window++) {
        if (window % 16 == 0) turn_counts(turned, b.counts, window);
        if (!b.streamed || b.streamed[window]) {
            const Bytes* own = reinterpret_cast<const Bytes*>(turned) + window % 16 * kPart;
            for (int v = 0; v < kPart; v++) {
                const Bytes held = larger(beyond(queue[v], stalled[v]), last[v]);
                starved.add(v, beyond(eats[v], held));
                fullest[v] = queue[v] = beyond(held, eats[v]) + own[v];
            }
            spread_largest(fullest, kPart, b.segment);
            for (int v = 0; v < kPart; v++) {
                const Bytes stall = division.cycles(beyond(fullest[v], depth));
                pairs.add(v, own[v]), waited.add(v, stall);
                stalled[v] = division.pairs(stall), eats[v] = all, last[v] = own[v];
            }
        }
        if (--until_flush == 0 || window + 1 == b.window_count)
            until_flush = 256, starved.flush(b.starved, kPart), pairs.flush(b.pairs, kPart), waited.flush(b.extra_cycles, kPart);
    }
    for (int v = 0; v < kPart; v++) {
        const Bytes held = larger(beyond(queue[v], stalled[v]), last[v]);
        starved.add(v, beyond(eats[v], held)), fullest[v] = beyond(held, eats[v]);
    }
    starved.flush(b.starved, kPart);
    spread_largest(fullest, kPart, b.segment);
    for (int v = 0; v < kPart; v++) {
        const Bytes draining = division.cycles(fullest[v]);
        for (int i = 0; i < kWidth; i++) b.extra_cycles[v * kWidth + i] += draining[i];
    }
}

// Pairs of two rows of bits in each window of S positions, at most 255.
void count_windows(uint8_t* counts, const uint64_t* a, const uint64_t* b, int64_t k, int64_t scan_width) {
    if (scan_width == 16 || scan_width == 8) {  // windows are a word's own parts
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
