#include "lowering.h"

#include <algorithm>

#include "bits.h"

namespace accelsim {
namespace {

constexpr int64_t kSideBySide = 8;  // squares of 64 x 64 bits that are transposed together, so that they fill vectors

int64_t words_for(int64_t bits) { return ceil_div(bits, 64); }

// Transpose squares that lie side by side: words [64][8], see transpose_square.
void transpose_squares(uint64_t* squares) {
    uint64_t mask = 0x00000000FFFFFFFF;
    for (int64_t width = 32; width; width >>= 1, mask ^= mask << width)
        for (int64_t row = 0; row < 64; row += 2 * width) {
            uint64_t* low = squares + row * kSideBySide;
            uint64_t* high = low + width * kSideBySide;
            for (int64_t i = 0; i < width * kSideBySide; i++) {
                const uint64_t swapped = ((low[i] >> width) ^ high[i]) & mask;
                low[i] ^= swapped << width, high[i] ^= swapped;
            }
        }
}

}  // namespace

static void transpose_matrix(const uint64_t* source, int64_t rows, int64_t cols, uint64_t* target) {
    const int64_t width = words_for(cols), height = words_for(rows);
    uint64_t squares[64 * kSideBySide];
    for (int64_t first = 0; first < width; first += kSideBySide) {
        const int64_t side = std::min(kSideBySide, width - first);
        for (int64_t word = 0; word < height; word++) {
            std::fill(squares, squares + 64 * kSideBySide, 0);
            for (int64_t row = 0; row < std::min<int64_t>(64, rows - word * 64); row++)
                std::copy_n(source + (word * 64 + row) * width + first, side, squares + row * kSideBySide);
            transpose_squares(squares);
            for (int64_t square = 0; square < side; square++) {
                const int64_t start = (first + square) * 64;
                for (int64_t col = 0; col < std::min<int64_t>(64, cols - start); col++)
                    target[(start + col) * height + word] = squares[col * kSideBySide + square];
            }
        }
    }
}

void transpose_rows(const uint64_t* source, int64_t matrices, int64_t rows, int64_t cols, uint64_t* target) {
    for (int64_t matrix = 0; matrix < matrices; matrix++)
        transpose_matrix(source + matrix * rows * words_for(cols), rows, cols, target + matrix * cols * words_for(rows));
}

namespace {

// Counters of 64 columns a word: word `digit` holds that binary digit of each count, so a row is added by carrying.
constexpr int64_t kDigits = 8;
constexpr int64_t kMostRows = 255;   // that eight digits count
constexpr int64_t kWide = 128;       // words that are counted side by side: they stay in the nearest cache

void add_row(uint64_t (*digits)[kWide], const uint64_t* row, int64_t words) {
    for (int64_t word = 0; word < words; word++) {
        uint64_t carry = row[word];
        for (int64_t digit = 0; digit < kDigits; digit++) {
            const uint64_t old = digits[digit][word];
            digits[digit][word] = old ^ carry, carry &= old;
        }
    }
}

// Two full adders for the ones, one for the twos, half adders above.
void add_four_rows(uint64_t (*digits)[kWide], const uint64_t* rows, int64_t pitch, int64_t words) {
    const uint64_t *first = rows, *second = rows + pitch, *third = rows + 2 * pitch, *fourth = rows + 3 * pitch;
    for (int64_t word = 0; word < words; word++) {
        uint64_t half = digits[0][word] ^ first[word];
        const uint64_t two_a = (digits[0][word] & first[word]) | (half & second[word]), one = half ^ second[word];
        half = one ^ third[word];
        const uint64_t two_b = (one & third[word]) | (half & fourth[word]);
        digits[0][word] = half ^ fourth[word];
        half = digits[1][word] ^ two_a;
        uint64_t carry = (digits[1][word] & two_a) | (half & two_b);
        digits[1][word] = half ^ two_b;
        for (int64_t digit = 2; digit < kDigits; digit++) {
            const uint64_t old = digits[digit][word];
            digits[digit][word] = old ^ carry, carry &= old;
        }
    }
}

}  // namespace

void count_columns(const uint64_t* source, int64_t rows, int64_t words, int64_t* counts) {
    uint64_t digits[kDigits][kWide];
    for (int64_t first = 0; first < words; first += kWide) {
        const int64_t side = std::min(kWide, words - first);
        for (int64_t start = 0; start < rows; start += kMostRows) {
            const int64_t stop = std::min(start + kMostRows, rows), fours = start + ((stop - start) & ~int64_t{3});
            for (auto& digit : digits) std::fill(digit, digit + side, 0);
            for (int64_t row = start; row < fours; row += 4) add_four_rows(digits, source + row * words + first, words, side);
            for (int64_t row = fours; row < stop; row++) add_row(digits, source + row * words + first, side);
            for (int64_t word = 0; word < side; word++)
                for (int64_t bit = 0; bit < 64; bit++) {
                    int64_t count = 0;
                    for (int64_t digit = 0; digit < kDigits; digit++) count |= static_cast<int64_t>(digits[digit][word] >> bit & 1) << digit;
                    counts[(first + word) * 64 + bit] += count;
                }
        }
    }
}

bool all_set(const uint64_t* source, int64_t bits) {
    for (int64_t word = 0; word < bits >> 6; word++)
        if (~source[word]) return false;
    return !(bits & 63) || read_bits(source, bits & ~int64_t{63}, bits & 63) == (1ull << (bits & 63)) - 1;
}

void fill_runs(const uint8_t* flags, int64_t rows, int64_t count, int64_t size, uint64_t* target) {
    const int64_t words = words_for(count * size);
    const std::vector<uint64_t> ones(words_for(size), ~0ull);
    std::fill(target, target + rows * words, 0);
    for (int64_t row = 0; row < rows; row++)
        for (int64_t flag = 0; flag < count; flag++)
            if (flags[row * count + flag]) copy_bits(target + row * words, flag * size, ones.data(), 0, size);
}

void join_runs(const uint64_t* pieces, int64_t rows, int64_t count, int64_t words, int64_t size, uint64_t* target) {
    const int64_t target_words = words_for(count * size);
    std::fill(target, target + rows * target_words, 0);
    for (int64_t row = 0; row < rows; row++)
        for (int64_t piece = 0; piece < count; piece++)
            copy_bits(target + row * target_words, piece * size, pieces + (row * count + piece) * words, 0, size);
}

namespace {

// Appends bits to a row; words are put together before they are written, which is several times faster than or_bits where runs
// are short.
class Appender {
public:
    Appender(uint64_t* target) : target_(target) {}
    void append(uint64_t bits, int64_t count) {
        value_ |= bits << filled_;
        if (filled_ + count < 64) {
            filled_ += count;
        } else {
            *target_++ = value_;
            value_ = filled_ ? bits >> (64 - filled_) : 0;
            filled_ += count - 64;
        }
    }
    void append(const uint64_t* source, int64_t start, int64_t size) {
        for (int64_t done = 0; done < size; done += 64) {
            const int64_t count = std::min<int64_t>(64, size - done);
            append(read_bits(source, start + done, count), count);
        }
    }
    void finish() { if (filled_) *target_ = value_; }

private:
    uint64_t* target_;
    uint64_t value_ = 0;
    int64_t filled_ = 0;
};

// The even bits of a word, closed up (Warren, Hacker's Delight, 7-4, for a mask that is known).
uint64_t close_up_even(uint64_t value) {
    value &= 0x5555555555555555;
    value = (value | value >> 1) & 0x3333333333333333;
    value = (value | value >> 2) & 0x0F0F0F0F0F0F0F0F;
    value = (value | value >> 4) & 0x00FF00FF00FF00FF;
    value = (value | value >> 8) & 0x0000FFFF0000FFFF;
    return (value | value >> 16) & 0x00000000FFFFFFFF;
}

int64_t share(int64_t extent, int64_t step, int64_t phase) { return ceil_div(std::max<int64_t>(0, extent - phase), step); }

}  // namespace

void channel_rows(const uint64_t* source, int64_t images, int64_t channels, int64_t pixels, uint64_t* target) {
    const int64_t words = words_for(images * pixels);
    for (int64_t channel = 0; channel < channels; channel++) {
        Appender row(target + channel * words);
        for (int64_t image = 0; image < images; image++) row.append(source, (image * channels + channel) * pixels, pixels);
        row.finish();
    }
}

void every_other_column(const uint64_t* source, int64_t rows, int64_t words, bool odd, uint64_t* target) {
    const int64_t target_words = (words + 1) / 2, pairs = words / 2;
    for (int64_t row = 0; row < rows; row++) {
        const uint64_t* of = source + row * words;
        uint64_t* to = target + row * target_words;
        for (int64_t i = 0; i < pairs; i++) to[i] = close_up_even(of[2 * i] >> odd) | close_up_even(of[2 * i + 1] >> odd) << 32;
        if (words & 1) to[pairs] = close_up_even(of[words - 1] >> odd);
    }
}

void pick_phase(const uint64_t* source, int64_t rows, int64_t images, Extent image, Extent step, Extent phase, uint64_t* target) {
    const Extent part = {share(image.y, step.y, phase.y), share(image.x, step.x, phase.x)};
    const int64_t source_words = words_for(images * image.y * image.x), words = words_for(images * part.y * part.x);
    for (int64_t row = 0; row < rows; row++) {
        const uint64_t* of = source + row * source_words;
        Appender to(target + row * words);
        for (int64_t n = 0; n < images; n++)
            for (int64_t y = 0; y < part.y; y++) {
                const int64_t start = (n * image.y + phase.y + y * step.y) * image.x + phase.x;
                if (step.x == 1) to.append(of, start, part.x);
                else for (int64_t x = 0; x < part.x; x++) to.append(read_bits(of, start + x * step.x, 1), 1);
            }
        to.finish();
    }
}

void shift_rows(const uint64_t* source, int64_t rows, int64_t words, int64_t distance, const uint64_t* inside, uint64_t* target) {
    const int64_t apart = distance >> 6, right = distance & 63, left = 63 - right;  // shifts by 64 are made of two
    const int64_t low = std::clamp<int64_t>(-apart, 0, words);  // words [low, high) lie between two words of the source
    const int64_t high = std::max(low, std::min(words, words - 1 - apart));
    for (int64_t row = 0; row < rows; row++) {
        const uint64_t* of = source + row * words;
        uint64_t* to = target + row * words;
        for (int64_t word = 0; word < low; word++) to[word] = word == -apart - 1 ? ((of[0] << 1) << left) & inside[word] : 0;
        const uint64_t* here = of + apart;
        for (int64_t word = low; word < high; word++)
            to[word] = (here[word] >> right | (here[word + 1] << 1) << left) & inside[word];
        for (int64_t word = high; word < words; word++) to[word] = word == words - 1 - apart ? (of[words - 1] >> right) & inside[word] : 0;
    }
}

void cut_rows(const uint64_t* source, int64_t rows, int64_t images, Extent image, Extent grid, Extent start, uint64_t* target) {
    const int64_t source_words = words_for(images * image.y * image.x), words = words_for(images * grid.y * grid.x);
    const int64_t low = std::max<int64_t>(0, -start.x), high = std::min(grid.x, image.x - start.x);
    std::fill(target, target + rows * words, 0);
    for (int64_t row = 0; row < rows; row++)
        for (int64_t n = 0; n < images; n++)
            for (int64_t y = 0; y < grid.y; y++) {
                const int64_t line = y + start.y;
                if (line < 0 || line >= image.y || high <= low) continue;
                copy_bits(target + row * words, (n * grid.y + y) * grid.x + low, source + row * source_words,
                          (n * image.y + line) * image.x + start.x + low, high - low);
            }
}

void gather_words(const Gather& g, const uint64_t* pixels, uint64_t* target) {
    const int64_t row_words = g.taps_y * g.taps_x * g.count;
    for (int64_t line = 0; line < g.images * g.grid.y; line++) {
        const int64_t n = line / g.grid.y, y = line % g.grid.y;
        for (int64_t r = 0; r < g.taps_y; r++)
            for (int64_t s = 0; s < g.taps_x; s++) {
                const int64_t source_line = y * g.step.y + g.offset_y[r];
                const bool outside = source_line < 0 || source_line >= g.image.y;
                for (int64_t x = 0; x < g.grid.x; x++) {
                    const int64_t at = x * g.step.x + g.offset_x[s];
                    uint64_t* to = target + (line * g.grid.x + x) * row_words + (r * g.taps_x + s) * g.count;
                    if (outside || at < 0 || at >= g.image.x) std::fill(to, to + g.count, 0);
                    else if (g.count == 1) *to = pixels[((n * g.image.y + source_line) * g.image.x + at) * g.pixel_words + g.first];
                    else std::copy_n(pixels + ((n * g.image.y + source_line) * g.image.x + at) * g.pixel_words + g.first, g.count, to);
                }
            }
    }
}

void tap_rows(const uint8_t* inside_y, const uint8_t* inside_x, int64_t images, Extent grid, Extent taps, uint64_t* target) {
    const int64_t image = grid.y * grid.x, words = words_for(images * image);
    std::fill(target, target + taps.y * taps.x * words, 0);
    std::vector<uint64_t> line(words_for(grid.x) + 1);
    for (int64_t s = 0; s < taps.x; s++) {
        std::fill(line.begin(), line.end(), 0);
        for (int64_t x = 0; x < grid.x; x++) line[x >> 6] |= static_cast<uint64_t>(inside_x[x * taps.x + s] != 0) << (x & 63);
        for (int64_t r = 0; r < taps.y; r++) {
            uint64_t* row = target + (r * taps.x + s) * words;
            for (int64_t y = 0; images && y < grid.y; y++)
                if (inside_y[y * taps.y + r]) copy_bits(row, y * grid.x, line.data(), 0, grid.x);
            for (int64_t done = image; done < images * image;) {  // every image is like the first
                const int64_t more = std::min(done, images * image - done);
                copy_bits(row, done, row, 0, more);
                done += more;
            }
        }
    }
}

}  // namespace accelsim
