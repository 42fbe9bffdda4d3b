// Turns rows of bits into the planes that a block reads.
#include <algorithm>

#include "bits.h"
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

void lay_out_lanes(uint8_t* planes, int64_t lanes, int64_t plane_count, const uint64_t* const* rows, int64_t words) {
    constexpr int64_t of_word = 64 / kPlane;
    for (int64_t word = 0; word * of_word < plane_count; word += 2)
        for (int64_t lane = 0; lane < lanes; lane += 16) {
            Sixteen bytes[16];
            for (int i = 0; i < 16; i++) bytes[i] = load_sixteen(rows[lane + i], word, words);
            transpose_sixteen(bytes);
            const int64_t held = std::min<int64_t>(16, ceil_div(plane_count - word * of_word, 8 / kPlane));
            for (int64_t i = 0; i < held; i++) {
                uint8_t* to = planes + (word * of_word + i * (8 / kPlane)) * lanes + lane;
                const Sixteen first = kPlane == 8 ? bytes[i] : bytes[i] & 15, second = bytes[i] >> 4;
                memcpy(to, &first, 16);
                if (kPlane == 4) memcpy(to + lanes, &second, 16);
            }
        }
}

void lay_out_row(Looped* planes, int64_t plane_count, const uint64_t* row, int64_t words) {
    if constexpr (kPlane == 8) {
        const uint8_t* bytes = reinterpret_cast<const uint8_t*>(row);
        const int64_t held = std::min(plane_count, words * 8);
        for (int64_t i = 0; i < held; i++) planes[i] = static_cast<Looped>(bytes[i] * 0x01010101u);
        std::fill(planes + held, planes + std::max(held, plane_count), Looped{0});
    } else {
        for (int64_t word = 0; word * 16 < plane_count; word += 2) {
            const Sixteen bytes = load_sixteen(row, word, words), low = bytes << 4, high = bytes & 0xF0;
            const Sixteen first = interleave_low(low, high), second = interleave_high(low, high);
            memcpy(planes + word * 16, &first, 16), memcpy(planes + word * 16 + 16, &second, 16);
        }
    }
}

}  // namespace accelsim
