// What the loops over blocks share: pairs by table look-up, how long a stall takes, and sums of bytes.
#pragma once
#include <algorithm>

#include "block.h"
#include "simd.h"

namespace accelsim {

constexpr int kPart = kLanes / kWidth;  // vectors of 64 lanes

// kPairs[16 * b + a] = popcount(a & b): how many pairs two nibbles make. A row of it is a table for one b.
struct PairTable {
    alignas(64) uint8_t of[256];
    constexpr PairTable() : of() {
        for (int i = 0; i < 256; i++)
            for (int bit = 0; bit < 4; bit++) of[i] += (i >> (4 + bit)) & (i >> bit) & 1;
    }
};
constexpr PairTable kPairs;

// Pairs that a plane of the looped operand makes with that of each lane.
inline Bytes pairs_of(const Looped& looped, Bytes lanes) {
#if defined(__AVX512BITALG__)
    return (Bytes)_mm512_popcnt_epi8(_mm512_and_si512((__m512i)lanes, _mm512_set1_epi32(static_cast<int>(looped))));
#elif defined(__aarch64__)
    return (Bytes)vcntq_u8(vandq_u8((uint8x16_t)lanes, vreinterpretq_u8_u32(vdupq_n_u32(looped))));
#elif defined(__x86_64__) && !defined(__SSSE3__)
    Bytes both = lanes & all_bytes(looped >> 4);
    both -= (both >> 1) & 5;
    return (both & 3) + (both >> 2);
#else
    return look_up(repeat_sixteen(kPairs.of + looped), lanes);
#endif
}

// Pairs of one window for 64 PEs beside one row of the loop.
template <int fixed_planes>
inline void count_pairs(Bytes* pairs, const Bytes* planes, int64_t stride, const Looped* looped, int64_t window_planes) {
    for (int v = 0; v < kPart; v++) pairs[v] = pairs_of(looped[0], planes[v]);
    for (int64_t i = 1; i < (fixed_planes ? fixed_planes : window_planes); i++)
        for (int v = 0; v < kPart; v++) pairs[v] += pairs_of(looped[i], planes[i * stride + v]);
}

// ceil(pairs / L): the cycles in which L lanes consume that many. Exact for L up to 128, see `Division` in docs/performance.md.
struct Division {
    explicit Division(int64_t lanes)
        : lanes(static_cast<uint8_t>(lanes)), factor(static_cast<uint16_t>(lanes > 1 ? 65535 / lanes + 1 : 0)) {}

    ACCELSIM_INLINE Bytes cycles(Bytes pairs) const {
        if (lanes == 1) return pairs;
        const uint16_t round_up = lanes - 1;
        const Pairs16 even = multiply_high(((Pairs16)pairs & 255) + round_up, factor);
        const Pairs16 odd = multiply_high(((Pairs16)pairs >> 8) + round_up, factor);
        return (Bytes)(even | odd << 8);
    }
    inline Bytes pairs(Bytes cycles) const { return lanes == 1 ? cycles : cycles * all_bytes(lanes); }

    uint8_t lanes;
    uint16_t factor;
};

// Give each of `segment` neighbouring lanes what `join` makes of them all.
template <typename Join>
ACCELSIM_INLINE void spread(Bytes* values, int64_t vectors, int64_t segment, const Join& join) {
    for (int64_t apart = kWidth; apart < segment && apart < vectors * kWidth; apart *= 2)
        for (int64_t v = 0; v < vectors; v++)
            if (!(v & apart / kWidth)) {
                Bytes& other = values[v + apart / kWidth];
                values[v] = other = join(values[v], other);
            }
    for (int64_t v = 0; v < vectors; v++) {
        Bytes value = values[v];
        if (segment > 1) value = join(value, change_places<1>(value));
        if (segment > 2) value = join(value, change_places<2>(value));
        if (segment > 4) value = join(value, change_places<4>(value));
        if (segment > 8) value = join(value, change_places<8>(value));
        if (kWidth > 16 && segment > 16) value = join(value, change_places<16>(value));
        if (kWidth > 32 && segment > 32) value = join(value, change_places<32>(value));
        values[v] = value;
    }
}
ACCELSIM_INLINE void spread_largest(Bytes* values, int64_t vectors, int64_t segment) { spread(values, vectors, segment, larger); }
ACCELSIM_INLINE void spread_bits(Bytes* values, int64_t vectors, int64_t segment) {
    spread(values, vectors, segment, [](Bytes a, Bytes b) { return a | b; });
}

// Add bytes to 32-bit sums and clear them.
inline void add_and_clear(uint32_t* sums, Bytes* bytes, int64_t count) {
    uint8_t* values = reinterpret_cast<uint8_t*>(bytes);
    for (int64_t i = 0; i < count; i++) sums[i] += values[i], values[i] = 0;
}

// How often sums of bytes are moved to wider ones. A PE loses at most L lane-cycles and gets at most S pairs in a window.
struct Periods {
    explicit Periods(const Block& b) {
        const int64_t most = b.wanted ? std::max<int64_t>(b.lanes_per_pe, b.scan_width) : b.lanes_per_pe;
        rows = 255 / most;
        windows = std::max<int64_t>(1, 256 / ((b.loop + rows - 1) / rows));
    }
    int64_t rows;     // of the loop whose bytes add up to a byte
    int64_t windows;  // whose bytes add up to 16 bits
};

}  // namespace accelsim
