// Bit strings: bit i is bit i % 64 of word i / 64; in a bit matrix each row starts at a word.
#pragma once
#include <cstdint>
#include <cstring>
#include <vector>
#if defined(__BMI2__)
#include <immintrin.h>
#endif

namespace accelsim {

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Read 0 to 64 bits; nothing beyond the last of them is touched.
inline uint64_t read_bits(const uint64_t* source, int64_t position, int64_t count) {
    if (count <= 0) return 0;
    const int64_t word = position >> 6, shift = position & 63;
    uint64_t value = source[word] >> shift;
    if (shift + count > 64) value |= source[word + 1] << (64 - shift);
    return count < 64 ? value & ((1ull << count) - 1) : value;
}

// Write up to 64 bits where the target is still zero.
inline void or_bits(uint64_t* target, int64_t position, uint64_t value, int64_t count) {
    const int64_t word = position >> 6, shift = position & 63;
    target[word] |= value << shift;
    if (shift + count > 64) target[word + 1] |= value >> (64 - shift);
}

// Deal the low bits of a word to the set bits of `places`.
inline uint64_t deposit(uint64_t value, uint64_t places) {
#if defined(__BMI2__)
    return _pdep_u64(value, places);
#else
    uint64_t dealt = 0;
    for (; places; places &= places - 1, value >>= 1)
        if (value & 1) dealt |= places & ~(places - 1);
    return dealt;
#endif
}

// Transpose 64 x 64 bits in place by swapping ever smaller squares (Warren, Hacker's Delight, 7-3).
inline void transpose_square(uint64_t* square) {
    uint64_t mask = 0x00000000FFFFFFFF;
    for (int width = 32; width; width >>= 1, mask ^= mask << width)
        for (int row = 0; row < 64; row = (row + width + 1) & ~width) {
            const uint64_t swapped = ((square[row] >> width) ^ square[row + width]) & mask;
            square[row] ^= swapped << width;
            square[row + width] ^= swapped;
        }
}

// Moves the bits that a mask selects to the low end of a word (Warren, Hacker's Delight, 7-4); made once a mask.
struct Compression {
    explicit Compression(uint64_t mask) : mask(mask), count(__builtin_popcountll(mask)) {
        uint64_t left = mask, zeros = ~mask << 1;
        for (int round = 0; round < 6; round++) {
            uint64_t parity = zeros;  // of the number of zeros below each bit
            for (int shift = 1; shift < 64; shift *= 2) parity ^= parity << shift;
            moves[round] = parity & left;
            left = (left ^ moves[round]) | moves[round] >> (1 << round);
            zeros &= ~parity;
        }
    }
    uint64_t apply(uint64_t word) const {
        word &= mask;
        if (mask == ~0ull) return word;
        for (int round = 0; round < 6; round++) {
            const uint64_t moved = word & moves[round];
            word = (word ^ moved) | moved >> (1 << round);
        }
        return word;
    }
    uint64_t mask, moves[6];
    int64_t count;
};

// Copy a run of bits to where the target is still zero.
inline void copy_bits(uint64_t* target, int64_t target_position, const uint64_t* source, int64_t source_position, int64_t count) {
    for (int64_t done = 0; done < count; done += 64) {
        const int64_t size = count - done < 64 ? count - done : 64;
        or_bits(target, target_position + done, read_bits(source, source_position + done, size), size);
    }
}

struct BitMatrix {
    int64_t rows = 0, words = 0;
    std::vector<uint64_t> bits;

    BitMatrix() = default;
    BitMatrix(int64_t rows, int64_t cols) : rows(rows), words(ceil_div(cols, 64) + 1), bits(rows * words) {}
    uint64_t* row(int64_t i) { return bits.data() + i * words; }
    const uint64_t* row(int64_t i) const { return bits.data() + i * words; }
};

}  // namespace accelsim
