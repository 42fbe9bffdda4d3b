// weight_grad after batch norm: rows of a gradient without a zero are all alike, so what a PE gets depends on its column only.
#include "few_rows.h"

namespace accelsim {
namespace {

class EqualRows {
public:
    EqualRows(const ScanProblem& p, const Aligned& a, const Aligned& b, const ScanTotals& totals)
        : p_(p), totals_(totals), windows_(p.windows()),
          pitch_(ceil_div(p.windows(), 16) * 16 + 16), counts_(p.b.items * pitch_), streamed_(p.a.dropped ? windows_ : 0),
          extra_(kLanes), starved_(kLanes), pairs_(kLanes) {
        count_columns(a, b);
        used_ = windows_, positions_ = p.k;
        for (int64_t window = 0; p.a.dropped && window < windows_; window++) {
            streamed_[window] = any_non_zero(a.non_zeros(0), window);
            if (!streamed_[window]) used_--, positions_ -= p.window_size(window);
        }
    }

    // All PEs of a tile share a pointer: one PE for each column, the tile's columns side by side in `span` lanes.
    void run(int64_t span) {
        const int64_t together = kLanes / span;
        for (int64_t row_tile = 0; row_tile < p_.row_tiles; row_tile++) {
            take_row_tile(row_tile);
            for (int64_t first = 0; first * p_.cols < columns_; first += together) {
                const int64_t stop = std::min(first + together, ceil_div(columns_, p_.cols));
                const uint8_t* lanes[kLanes] = {};
                for (int64_t i = first * p_.cols; i < std::min(stop * p_.cols, columns_); i++) lanes[lane_of(i, first, span)] = counts_of(column_[i]);
                run(lanes, span);
                for (int64_t tile = first; tile < stop; tile++) {
                    begin_tile();
                    for (int64_t i = tile * p_.cols; i < std::min((tile + 1) * p_.cols, columns_); i++) {
                        const int64_t lane = lane_of(i, first, span);
                        add_pes(outputs_of(i), extra_.data()[lane], starved_.data()[lane], pairs_.data()[lane]);
                    }
                    end_tile(row_tile, tile);
                }
            }
        }
    }

private:
    struct Sums { int64_t longest = 0, outputs = 0, busy = 0, starved = 0, pairs = 0; };

    bool any_non_zero(const uint64_t* row, int64_t window) const {
        const int64_t place = window * ceil_div(p_.scan_width, kPlane) * kPlane;
        for (int64_t at = 0; at < p_.window_size(window); at += 64)
            if (read_bits(row, place + at, std::min<int64_t>(64, p_.window_size(window) - at))) return true;
        return false;
    }

    // Pairs of each window beside the one row, a byte each.
    void count_columns(const Aligned& a, const Aligned& b) {
        const int64_t width = ceil_div(p_.scan_width, kPlane) * kPlane;  // as laid out: windows start at planes
        for (int64_t column = 0; column < p_.b.items; column++)
            count_windows(counts_.data() + column * pitch_, a.seen(0), b.seen(column), aligned_bits(width), width);
    }
    int64_t aligned_bits(int64_t width) const { return (windows_ - 1) * width + p_.window_size(windows_ - 1); }
    const uint8_t* counts_of(int64_t column) const { return const_cast<EqualRows*>(this)->counts_.data() + column * pitch_; }

    void take_row_tile(int64_t row_tile) {
        height_ = std::min(p_.rows, p_.a.items - row_tile * p_.rows);
        column_ = p_.columns + p_.starts[row_tile], columns_ = p_.stops[row_tile] - p_.starts[row_tile];
        needed_ = take_needed(p_, row_tile * p_.rows, height_, column_, columns_);
        p_.check_interrupt();
    }
    int64_t lane_of(int64_t i, int64_t first_tile, int64_t span) const { return (i / p_.cols - first_tile) * span + i % p_.cols; }
    int64_t outputs_of(int64_t i) const {
        int64_t outputs = 0;
        for (int64_t row = 0; row < height_; row++) outputs += needed_.row(row)[i >> 6] >> (i & 63) & 1;
        return outputs;
    }

    void run(const uint8_t* const* lanes, int64_t segment) {
        counted({segment, p_.lanes, p_.fifo_depth, p_.held_windows, lanes, p_.a.dropped ? streamed_.data() : nullptr, windows_, extra_.data(), starved_.data(),
                 pairs_.data()});
    }

    void begin_tile() { sums_ = Sums(); }
    void add_pes(int64_t outputs, int64_t extra, int64_t starved, int64_t pairs) {
        sums_.longest = std::max(sums_.longest, used_ + extra), sums_.outputs += outputs;
        sums_.busy += outputs * (used_ + extra), sums_.starved += outputs * starved, sums_.pairs += outputs * pairs;
    }
    void end_tile(int64_t row_tile, int64_t tile) {
        const int64_t index = p_.first_tile[row_tile] + tile, wide = std::min(p_.cols, columns_ - tile * p_.cols);
        totals_.cycles[index] = std::max(sums_.longest, used_), totals_.positions[index] = positions_;
        totals_.outputs[index] = sums_.outputs;
        totals_.busy[index] += sums_.busy, totals_.starved[index] += sums_.starved, totals_.pairs[index] += sums_.pairs;
        totals_.scanned[index] += height_ * wide * used_;
    }

    const ScanProblem& p_;
    const ScanTotals& totals_;
    int64_t windows_, pitch_;
    AlignedBuffer<uint8_t> counts_;   // [columns][pitch]: pairs of each window
    std::vector<uint8_t> streamed_;
    int64_t used_ = 0, positions_ = 0;  // windows and positions streamed, the same for all tiles
    AlignedBuffer<uint32_t> extra_, starved_, pairs_;
    int64_t height_ = 0, columns_ = 0;
    const int64_t* column_ = nullptr;
    BitMatrix needed_;
    Sums sums_;
};

}  // namespace

bool scan_equal_rows(const ScanProblem& p, const Aligned& a, const Aligned& b, const ScanTotals& totals) {
    if (p.b.dropped || p.cols > kLanes) return false;
    if (p.a.shown || p.a.dropped)
        for (int64_t row = 1; row < p.a.items; row++)
            if (memcmp(p.a.row(0), p.a.row(row), p.a.words * sizeof *p.a.bits)) return false;
    int64_t span = 1;
    while (span < p.cols) span *= 2;
    EqualRows(p, a, b, totals).run(span);
    return true;
}

}  // namespace accelsim
