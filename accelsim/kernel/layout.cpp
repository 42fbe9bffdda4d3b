// Turns rows of bits into the planes that a block reads.
#include "block.h"
#include "simd.h"

namespace accelsim {
namespace {

inline Sixteen load_sixteen(const uint64_t* row, int64_t word, int64_t words) {
    Sixteen value = {};
    if (row && word < words) memcpy(&value, row + word, word + 2 <= words ? 16 : 8);
    return value;
}

}  // namespace

// Turn rows of bits into planes: byte [plane][lane] is nibble `plane` of the lane's row (null: nothing is set).
void lay_out_lanes(uint8_t* planes, int64_t lanes, int64_t plane_count, const uint64_t* const* rows, int64_t words) {
    for (int64_t word = 0; word * 16 < plane_count; word += 2)
        for (int64_t lane = 0; lane < lanes; lane += 16) {
            Sixteen bytes[16];
            for (int i = 0; i < 16; i++) bytes[i] = load_sixteen(rows[lane + i], word, words);
            transpose_sixteen(bytes);
            for (int i = 0; i < 16; i++) {
                uint8_t* to = planes + (word * 16 + 2 * i) * lanes + lane;
                const Sixteen low = bytes[i] & 15, high = bytes[i] >> 4;
                memcpy(to, &low, 16), memcpy(to + lanes, &high, 16);
            }
        }
}

// Turn a row of bits into bytes: 16 times nibble `plane`, which is where its row of the pair table starts.
void lay_out_row(uint8_t* planes, int64_t plane_count, const uint64_t* row, int64_t words) {
    for (int64_t word = 0; word * 16 < plane_count; word += 2) {
        const Sixteen bytes = load_sixteen(row, word, words), low = bytes << 4, high = bytes & 0xF0;
        const Sixteen first = interleave_low(low, high), second = interleave_high(low, high);
        memcpy(planes + word * 16, &first, 16), memcpy(planes + word * 16 + 16, &second, 16);
    }
}

}  // namespace accelsim
