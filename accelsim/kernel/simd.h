// Vectors of bytes in the widest registers that a translation unit may use, and the few operations that need intrinsics.
#pragma once
#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define ACCELSIM_INLINE inline __attribute__((always_inline))

namespace accelsim {

#if defined(__AVX512BW__)
constexpr int kWidth = 64;
#elif defined(__AVX2__)
constexpr int kWidth = 32;
#else
constexpr int kWidth = 16;
#endif

typedef uint8_t Bytes __attribute__((vector_size(kWidth)));
typedef uint16_t Pairs16 __attribute__((vector_size(kWidth)));
typedef uint8_t Sixteen __attribute__((vector_size(16)));

inline Bytes all_bytes(int value) { return Bytes{} + static_cast<uint8_t>(value); }

// Sixteen bytes, repeated over the vector. (gcc's own header warns of the forms without a mask.)
inline Bytes repeat_sixteen(const uint8_t* bytes) {
#if defined(__AVX512BW__)
    return (Bytes)_mm512_maskz_broadcast_i32x4(0xFFFF, _mm_loadu_si128((const __m128i*)bytes));
#elif defined(__AVX2__)
    return (Bytes)_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i*)bytes));
#else
    Bytes value;
    memcpy(&value, bytes, 16);
    return value;
#endif
}

// Byte i of the result is byte index[i] % 16 of the table's sixteen around i; 0 where index[i] is 128.
inline Bytes look_up(Bytes table, Bytes index) {
#if defined(__AVX512BW__)
    return (Bytes)_mm512_shuffle_epi8((__m512i)table, (__m512i)index);
#elif defined(__AVX2__)
    return (Bytes)_mm256_shuffle_epi8((__m256i)table, (__m256i)index);
#elif defined(__SSSE3__)
    return (Bytes)_mm_shuffle_epi8((__m128i)table, (__m128i)index);
#elif defined(__aarch64__)
    return (Bytes)vqtbl1q_u8((uint8x16_t)table, (uint8x16_t)index);
#else
    Bytes found;
    for (int i = 0; i < kWidth; i++) found[i] = index[i] < 16 ? table[index[i]] : 0;
    return found;
#endif
}

inline Bytes larger(Bytes a, Bytes b) {
#if defined(__AVX512BW__)
    return (Bytes)_mm512_max_epu8((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (Bytes)_mm256_max_epu8((__m256i)a, (__m256i)b);
#elif defined(__x86_64__)
    return (Bytes)_mm_max_epu8((__m128i)a, (__m128i)b);
#elif defined(__aarch64__)
    return (Bytes)vmaxq_u8((uint8x16_t)a, (uint8x16_t)b);
#else
    return a > b ? a : b;
#endif
}

// a - b, but 0 where b is larger.
inline Bytes beyond(Bytes a, Bytes b) {
#if defined(__AVX512BW__)
    return (Bytes)_mm512_subs_epu8((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (Bytes)_mm256_subs_epu8((__m256i)a, (__m256i)b);
#elif defined(__x86_64__)
    return (Bytes)_mm_subs_epu8((__m128i)a, (__m128i)b);
#elif defined(__aarch64__)
    return (Bytes)vqsubq_u8((uint8x16_t)a, (uint8x16_t)b);
#else
    return larger(a, b) - b;
#endif
}

inline bool any(Bytes bytes) {
    uint64_t words[kWidth / 8], some = 0;
    memcpy(words, &bytes, kWidth);
    for (uint64_t word : words) some |= word;
    return some;
}

// The set bits of each byte.
inline Bytes count_bits(Bytes bytes) {
#if defined(__AVX512BITALG__)
    return (Bytes)_mm512_popcnt_epi8((__m512i)bytes);
#elif defined(__aarch64__)
    return (Bytes)vcntq_u8((uint8x16_t)bytes);
#else
    bytes -= (bytes >> 1) & 0x55;
    bytes = (bytes & 0x33) + ((bytes >> 2) & 0x33);
    return (bytes + (bytes >> 4)) & 15;
#endif
}

// The upper 16 bits of products of 16 by 16 bits.
inline Pairs16 multiply_high(Pairs16 a, uint16_t factor) {
#if defined(__AVX512BW__)
    return (Pairs16)_mm512_mulhi_epu16((__m512i)a, _mm512_set1_epi16((short)factor));
#elif defined(__AVX2__)
    return (Pairs16)_mm256_mulhi_epu16((__m256i)a, _mm256_set1_epi16((short)factor));
#elif defined(__x86_64__)
    return (Pairs16)_mm_mulhi_epu16((__m128i)a, _mm_set1_epi16((short)factor));
#else
    for (int i = 0; i < kWidth / 2; i++) a[i] = static_cast<uint16_t>(static_cast<uint32_t>(a[i]) * factor >> 16);
    return a;
#endif
}

// Byte i of the result is byte i ^ step: the two halves of each 2 * step bytes change places. `step` is 1, 2, 4, 8, 16, 32.
template <int step>
inline Bytes change_places(Bytes a) {
#if defined(__AVX512BW__)
    if (step == 16) return (Bytes)_mm512_maskz_shuffle_i32x4(0xFFFF, (__m512i)a, (__m512i)a, 0xB1);
    if (step == 32) return (Bytes)_mm512_maskz_shuffle_i32x4(0xFFFF, (__m512i)a, (__m512i)a, 0x4E);
#elif defined(__AVX2__)
    if (step == 16) return (Bytes)_mm256_permute4x64_epi64((__m256i)a, 0x4E);
#endif
    static const uint8_t places[4][16] = {
        {1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14},
        {2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13},
        {4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11},
        {8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7},
    };
    return look_up(a, repeat_sixteen(places[step == 1 ? 0 : step == 2 ? 1 : step == 4 ? 2 : 3]));
}

// The low or high eight bytes of two vectors, in turn.
inline Sixteen interleave_low(Sixteen a, Sixteen b) {
#if defined(__x86_64__)
    return (Sixteen)_mm_unpacklo_epi8((__m128i)a, (__m128i)b);
#elif defined(__aarch64__)
    return (Sixteen)vzip1q_u8((uint8x16_t)a, (uint8x16_t)b);
#else
    Sixteen joined;
    for (int i = 0; i < 8; i++) joined[2 * i] = a[i], joined[2 * i + 1] = b[i];
    return joined;
#endif
}

inline Sixteen interleave_high(Sixteen a, Sixteen b) {
#if defined(__x86_64__)
    return (Sixteen)_mm_unpackhi_epi8((__m128i)a, (__m128i)b);
#elif defined(__aarch64__)
    return (Sixteen)vzip2q_u8((uint8x16_t)a, (uint8x16_t)b);
#else
    Sixteen joined;
    for (int i = 0; i < 8; i++) joined[2 * i] = a[i + 8], joined[2 * i + 1] = b[i + 8];
    return joined;
#endif
}

// Transpose 16 x 16 bytes: four rounds of interleaving rows that lie eight apart.
inline void transpose_sixteen(Sixteen* rows) {
    Sixteen turned[16];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 8; i++) {
            turned[2 * i] = interleave_low(rows[i], rows[i + 8]);
            turned[2 * i + 1] = interleave_high(rows[i], rows[i + 8]);
        }
        for (int i = 0; i < 8; i++) {
            rows[2 * i] = interleave_low(turned[i], turned[i + 8]);
            rows[2 * i + 1] = interleave_high(turned[i], turned[i + 8]);
        }
    }
}

// Sums of bytes, lane by lane: 16-bit sums of even and odd lanes, which a caller moves to 32 bits before they overflow, after
// 257 additions at the latest. Not zero until cleared.
template <int count>
struct LaneSums {
    Pairs16 even[count], odd[count];

    void clear(int64_t vectors) {
        for (int64_t v = 0; v < vectors; v++) even[v] = odd[v] = Pairs16{};
    }

    void add(int vector, Bytes bytes) {
        even[vector] += (Pairs16)bytes & 255;
        odd[vector] += (Pairs16)bytes >> 8;
    }

    void flush(uint32_t* sums, int64_t vectors) {
        for (int64_t v = 0; v < vectors; v++) {
            for (int i = 0; i < kWidth / 2; i++) {
                sums[v * kWidth + 2 * i] += even[v][i];
                sums[v * kWidth + 2 * i + 1] += odd[v][i];
            }
            even[v] = odd[v] = Pairs16{};
        }
    }
};

}  // namespace accelsim
