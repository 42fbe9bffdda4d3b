// An operand as the engine reads it: every window starts at a plane, and a row of ones stands for all rows whose zeros the
// scanner is not shown.
#pragma once
#include <algorithm>
#include <memory>
#include <new>

#include "bits.h"
#include "block.h"
#include "scan.h"

namespace accelsim {

struct WindowGrid {
    explicit WindowGrid(const ScanProblem& p)
        : k(p.k), scan_width(p.scan_width), windows(p.windows()), window_planes(ceil_div(p.scan_width, kPlane)),
          planes(windows * window_planes), pitch(ceil_div(planes, 32) * 32) {
        if (pitch % 512 == 0) pitch += 64;  // rows that lie a power of two apart would share a few places of the cache
    }
    int64_t k, scan_width, windows;
    int64_t window_planes;  // of a window
    int64_t planes;   // of a row, all windows
    int64_t pitch;    // planes that a row takes in memory
};

class Aligned {
public:
    Aligned(const Operand& operand, const WindowGrid& grid) : operand_(operand), grid_(grid) {
        if (grid.scan_width % kPlane) move_windows();
        if (operand.shown) return;
        ones_.resize(ceil_div(grid.planes * kPlane, 64) + 2);
        for (int64_t window = 0; window < grid.windows; window++) {
            const int64_t place = window * grid.window_planes * kPlane, stop = place + std::min(grid.scan_width, grid.k - window * grid.scan_width);
            for (int64_t at = place; at < stop; at += 64) or_bits(ones_.data(), at, ~0ull >> (64 - std::min<int64_t>(64, stop - at)), std::min<int64_t>(64, stop - at));
        }
    }
    int64_t items() const { return operand_.items; }
    bool shown() const { return operand_.shown; }
    bool dropped() const { return operand_.dropped; }
    int64_t words() const { return own_.rows ? own_.words : operand_.words; }

    // What is non-zero, and what the scanner sees of it.
    const uint64_t* non_zeros(int64_t item) const {
        return own_.rows ? own_.row(operand_.row_of ? operand_.row_of[item] : item) : operand_.row(item);
    }
    const uint64_t* seen(int64_t item) const { return operand_.shown ? non_zeros(item) : ones_.data(); }
    int64_t seen_words() const { return operand_.shown ? words() : static_cast<int64_t>(ones_.size()); }

    // Mark the windows in which any of some items holds a non-zero; whether all windows are.
    bool find_present(uint8_t* present, const int64_t* items, int64_t count) const {
        std::vector<uint64_t> any(words());
        for (int64_t i = 0; i < count; i++) {
            const uint64_t* row = non_zeros(items[i]);
            for (int64_t word = 0; word < words(); word++) any[word] |= row[word];
        }
        bool all = true;
        for (int64_t window = 0; window < grid_.windows; window++) {
            const int64_t first = window * grid_.window_planes * kPlane, stop = std::min(first + grid_.window_planes * kPlane, words() * 64);
            uint64_t found = 0;
            for (int64_t at = first; at < stop; at += 64) found |= read_bits(any.data(), at, std::min<int64_t>(64, stop - at));
            present[window] = found ? 255 : 0;
            all &= found != 0;
        }
        return all;
    }

private:
    void move_windows() {
        own_ = BitMatrix(operand_.rows, grid_.planes * kPlane);
        const int64_t width = grid_.window_planes * kPlane, together = 64 % width ? 0 : 64 / width;  // windows that fill a word
        uint64_t places = 0;
        for (int64_t bit = 0; together && bit < 64; bit++) places |= static_cast<uint64_t>(bit % width < grid_.scan_width) << bit;
        for (int64_t row = 0; row < operand_.rows; row++) {
            const uint64_t* bits = operand_.bits + row * operand_.words;
            int64_t window = 0;
            for (; together && window < grid_.windows; window += together) {
                const int64_t first = window * grid_.scan_width, count = std::min(together * grid_.scan_width, grid_.k - first);
                own_.row(row)[window / together] = deposit(read_bits(bits, first, count), places);
            }
            for (; window < grid_.windows; window++) {
                const int64_t size = std::min(grid_.scan_width, grid_.k - window * grid_.scan_width);
                for (int64_t at = 0; at < size; at += 64) {
                    const int64_t count = std::min<int64_t>(64, size - at);
                    or_bits(own_.row(row), window * width + at, read_bits(bits, window * grid_.scan_width + at, count), count);
                }
            }
        }
    }

    Operand operand_;
    WindowGrid grid_;
    BitMatrix own_;
    std::vector<uint64_t> ones_;
};

// Memory that vectors may be loaded from and stored to.
template <typename T>
class AlignedBuffer {
public:
    explicit AlignedBuffer(int64_t count) : data_(static_cast<T*>(::operator new(std::max<int64_t>(count, 1) * sizeof(T), kAlignment))) {}
    ~AlignedBuffer() { ::operator delete(data_, kAlignment); }
    AlignedBuffer(const AlignedBuffer&) = delete;
    AlignedBuffer& operator=(const AlignedBuffer&) = delete;
    T* data() { return data_; }

private:
    static constexpr std::align_val_t kAlignment{64};
    T* data_;
};

}  // namespace accelsim
