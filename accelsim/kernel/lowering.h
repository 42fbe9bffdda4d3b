// Bit work of lowering: masks laid out by channel, im2col, transposes. Matrices are rows of bits (bits.h) unless said otherwise;
// targets are written whole.
#pragma once
#include <cstdint>

namespace accelsim {

struct Extent { int64_t y, x; };

// [matrices][rows][cols] to [matrices][cols][rows].
void transpose_rows(const uint64_t* source, int64_t matrices, int64_t rows, int64_t cols, uint64_t* target);
// Add the set bits of each column to counts [64 * words].
void count_columns(const uint64_t* source, int64_t rows, int64_t words, int64_t* counts);
bool all_set(const uint64_t* source, int64_t bits);
// Each flag becomes a run of `size` bits: bytes [rows][flags] to bits [rows][flags * size].
void fill_runs(const uint8_t* flags, int64_t rows, int64_t count, int64_t size, uint64_t* target);
// Join each row's pieces of `size` bits: words [rows][pieces][words] to bits [rows][pieces * size].
void join_runs(const uint64_t* pieces, int64_t rows, int64_t count, int64_t words, int64_t size, uint64_t* target);
// Bits laid out [images][channels][pixels], without gaps, to [channels][images * pixels].
void channel_rows(const uint64_t* source, int64_t images, int64_t channels, int64_t pixels, uint64_t* target);
// Every other bit of each row, the odd ones or the even ones: words [rows][words] to [rows][ceil(words / 2)].
void every_other_column(const uint64_t* source, int64_t rows, int64_t words, bool odd, uint64_t* target);
// The lines phase.y, phase.y + step.y, ... of each image, and of them the pixels phase.x, phase.x + step.x, ...: bits
// [rows][images * image] to [rows][images * share].
void pick_phase(const uint64_t* source, int64_t rows, int64_t images, Extent image, Extent step, Extent phase, uint64_t* target);
// Fetch each bit from `distance` bits further on and clear those that are not `inside` (one row of `words` for all rows).
void shift_rows(const uint64_t* source, int64_t rows, int64_t words, int64_t distance, const uint64_t* inside, uint64_t* target);
// Cut each image to the grid that begins at `start`; outside the image lie zeros.
void cut_rows(const uint64_t* source, int64_t rows, int64_t images, Extent image, Extent grid, Extent start, uint64_t* target);
// im2col with channels fastest: words [images * image][pixel_words] to [images * grid][taps][count], `count` words from `first`.
struct Gather {
    int64_t images;
    Extent image, grid, step;
    int64_t taps_y, taps_x;
    const int64_t *offset_y, *offset_x;  // of each tap at grid position 0
    int64_t pixel_words, first, count;
};
void gather_words(const Gather& gather, const uint64_t* pixels, uint64_t* target);
// Where each tap falls inside the image: bytes [grid][taps] by axis to bits [taps_y * taps_x][images * grid].
void tap_rows(const uint8_t* inside_y, const uint8_t* inside_x, int64_t images, Extent grid, Extent taps, uint64_t* target);

}  // namespace accelsim
