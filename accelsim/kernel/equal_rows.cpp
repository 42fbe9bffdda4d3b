// weight_grad after batch norm: rows of a gradient without a zero are all alike, so what a PE gets depends on its column only.
#include "few_rows.h"

namespace accelsim {
namespace {

constexpr int64_t kNeighbours = 16;  // lanes among whose counts a PE can pick

class EqualRows {
public:
    EqualRows(const ScanProblem& p, const Aligned& a, const Aligned& b, const WindowGrid& grid, bool wide, const ScanTotals& totals)
        : p_(p), a_(a), b_(b), grid_(grid), totals_(totals), wide_(wide), windows_(p.windows()),
          pitch_(ceil_div(p.windows(), 16) * 16 + 16), counts_(wide ? 0 : p.b.items * pitch_), streamed_(p.a.dropped ? windows_ : 0),
          extra_(kLanes), starved_(kLanes), pairs_(kLanes) {
        if (!wide) count_columns(a, b);
        used_ = windows_, positions_ = p.k;
        for (int64_t window = 0; p.a.dropped && window < windows_; window++) {
            streamed_[window] = any_non_zero(a.non_zeros(0), window);
            if (!streamed_[window]) used_--, positions_ -= p.window_size(window);
        }
    }

    // Each column's PEs do the same in every tile: they are run once for the whole GEMM.
    void run_columns_alone() {
        std::vector<uint32_t> extra(p_.b.items), starved(p_.b.items), pairs(p_.b.items);
        for (int64_t first = 0; first < p_.b.items; first += kLanes) {
            const int64_t count = std::min(kLanes, p_.b.items - first);
            const uint8_t* lanes[kLanes] = {};
            for (int64_t i = 0; i < count && !wide_; i++) lanes[i] = counts_of(first + i);
            if (wide_) run_wide(first, count);
            else run(lanes, 1, nullptr, 1);
            std::copy_n(extra_.data(), count, extra.begin() + first), std::copy_n(starved_.data(), count, starved.begin() + first);
            std::copy_n(pairs_.data(), count, pairs.begin() + first);
        }
        for (int64_t row_tile = 0; row_tile < p_.row_tiles; row_tile++) {
            take_row_tile(row_tile);
            for (int64_t tile = 0; tile * p_.cols < columns_; tile++) {
                begin_tile();
                for (int64_t i = tile * p_.cols; i < std::min((tile + 1) * p_.cols, columns_); i++)
                    add_pes(outputs_of(i), extra[column_[i]], starved[column_[i]], pairs[column_[i]]);
                end_tile(row_tile, tile);
            }
        }
    }

    // All PEs of a tile share a pointer: one PE for each column, the tile's columns side by side in `span` lanes.
    void run_tiles(int64_t span) {
        const int64_t together = kLanes / span;
        for (int64_t row_tile = 0; row_tile < p_.row_tiles; row_tile++) {
            take_row_tile(row_tile);
            for (int64_t first = 0; first * p_.cols < columns_; first += together) {
                const int64_t stop = std::min(first + together, ceil_div(columns_, p_.cols));
                const uint8_t* lanes[kLanes] = {};
                for (int64_t i = first * p_.cols; i < std::min(stop * p_.cols, columns_); i++) lanes[lane_of(i, first, span)] = counts_of(column_[i]);
                run(lanes, span, nullptr, 1);
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

    // The PEs of a row share a pointer. A lane is a row of a tile, and holds only the PEs that have an output: sixteen lanes
    // carry the counts of a tile's columns, and each PE picks its own column's.
    void run_rows() {
        const int64_t row_parts = ceil_div(p_.rows, kNeighbours), together = kLanes / kNeighbours;
        AlignedBuffer<uint8_t> picks(p_.cols * kLanes);
        for (int64_t row_tile = 0; row_tile < p_.row_tiles; row_tile++) {
            take_row_tile(row_tile);
            const int64_t tiles = ceil_div(columns_, p_.cols);
            std::vector<Sums> sums(tiles);
            for (int64_t first = 0; first < tiles * row_parts; first += together) {
                const uint8_t* lanes[kLanes] = {};
                int64_t held[kLanes] = {}, chosen[kLanes] = {};  // PEs of each lane; PEs that see each lane's column
                memset(picks.data(), 128, p_.cols * kLanes);
                const int64_t stop = std::min(first + together, tiles * row_parts);
                for (int64_t group = first; group < stop; group++)
                    pick(group / row_parts, group % row_parts, (group - first) * kNeighbours, lanes, held, chosen, picks.data());
                const int64_t slots = *std::max_element(held, held + kLanes);
                if (!slots) continue;
                run(lanes, 1, picks.data(), slots);
                for (int64_t group = first; group < stop; group++)
                    for (int64_t lane = (group - first) * kNeighbours; lane < (group - first + 1) * kNeighbours; lane++)
                        add_lane(sums[group / row_parts], lane, held[lane], chosen[lane], slots);
            }
            for (int64_t tile = 0; tile < tiles; tile++) sums_ = sums[tile], end_tile(row_tile, tile);
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

    // Give sixteen lanes to rows of a tile, and let each PE with an output pick its column.
    void pick(int64_t tile, int64_t row_part, int64_t lane, const uint8_t** lanes, int64_t* held, int64_t* chosen,
              uint8_t* picks) const {
        const int64_t start = tile * p_.cols, wide = std::min(p_.cols, columns_ - start);
        for (int64_t i = 0; i < wide; i++) lanes[lane + i] = counts_of(column_[start + i]);
        for (int64_t row = row_part * kNeighbours; row < std::min((row_part + 1) * kNeighbours, height_); row++) {
            const int64_t at = lane + row % kNeighbours;
            for (uint64_t left = read_bits(needed_.row(row), start, wide); left; left &= left - 1) {
                const int column = __builtin_ctzll(left);
                picks[held[at]++ * kLanes + at] = static_cast<uint8_t>(column), chosen[lane + column]++;
            }
        }
    }

    void add_lane(Sums& sums, int64_t lane, int64_t outputs, int64_t chosen, int64_t slots) {
        const int64_t ended = used_ + extra_.data()[lane];
        if (outputs) sums.longest = std::max(sums.longest, ended);
        sums.outputs += outputs, sums.busy += outputs * ended, sums.pairs += chosen * pairs_.data()[lane];
        sums.starved += starved_.data()[lane] - p_.lanes * used_ * (slots - outputs);  // free slots starve in every window
    }

    void run(const uint8_t* const* lanes, int64_t segment, const uint8_t* picks, int64_t slots) {
        const CountedBlock block = {segment, p_.lanes, p_.fifo_depth, lanes, p_.a.dropped ? streamed_.data() : nullptr, windows_,
                                    slots, picks, extra_.data(), starved_.data(), pairs_.data(), queues(slots)};
        counted(block);
    }
    // Columns whose queues need 32 bits, beside one row.
    void run_wide(int64_t first, int64_t count) {
        AlignedBuffer<uint8_t> planes(grid_.pitch * kLanes), wanted(kLanes);
        AlignedBuffer<Looped> row(grid_.pitch);
        AlignedBuffer<uint32_t> queue(kLanes), arrivals(kLanes);
        const uint64_t* columns[kLanes] = {};
        for (int64_t i = 0; i < count; i++) columns[i] = b_.seen(first + i);
        lay_out_lanes(planes.data(), kLanes, grid_.planes, columns, b_.seen_words());
        lay_out_row(row.data(), grid_.planes, a_.seen(0), a_.seen_words());
        memset(wanted.data(), 255, kLanes);
        std::vector<int32_t> windows;
        for (int64_t window = 0; window < windows_; window++)
            if (!p_.a.dropped || streamed_[window]) windows.push_back(static_cast<int32_t>(window));
        const Block block = {1, 1, 1, p_.lanes, p_.fifo_depth, grid_.window_planes, p_.scan_width, planes.data(), row.data(), grid_.pitch,
                             nullptr, wanted.data(), windows.data(), static_cast<int64_t>(windows.size()), extra_.data(), starved_.data(),
                             pairs_.data(), queue.data(), arrivals.data()};
        wide(block, true, false);
    }
    uint8_t* queues(int64_t slots) {
        if (slots > room_) room_ = slots, queues_.reset(new AlignedBuffer<uint8_t>(slots * kLanes));
        return queues_->data();
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
    const Aligned& a_;
    const Aligned& b_;
    const WindowGrid& grid_;
    const ScanTotals& totals_;
    bool wide_;                       // queues need 32 bits
    int64_t windows_, pitch_;
    AlignedBuffer<uint8_t> counts_;   // [columns][pitch]: pairs of each window
    std::vector<uint8_t> streamed_;
    int64_t used_ = 0, positions_ = 0;  // windows and positions streamed, the same for all tiles
    AlignedBuffer<uint32_t> extra_, starved_, pairs_;
    std::unique_ptr<AlignedBuffer<uint8_t>> queues_;
    int64_t room_ = 0;
    int64_t height_ = 0, columns_ = 0;
    const int64_t* column_ = nullptr;
    BitMatrix needed_;
    Sums sums_;
};

}  // namespace

bool scan_equal_rows(const ScanProblem& p, const Aligned& a, const Aligned& b, const WindowGrid& grid, const ScanTotals& totals) {
    const bool wide = !fits_bytes(p.fifo_depth, p.scan_width, p.lanes, std::max(p.rows, p.cols));
    if (p.b.dropped) return false;
    if (p.a.shown || p.a.dropped)
        for (int64_t row = 1; row < p.a.items; row++)
            if (memcmp(p.a.row(0), p.a.row(row), p.a.words * sizeof *p.a.bits)) return false;
    int64_t span = 1;
    while (span < p.cols) span *= 2;
    const bool alone = p.sync == Sync::pe || p.sync == Sync::column;
    if (!alone && (wide || span > (p.sync == Sync::array ? kLanes : kNeighbours))) return false;
    EqualRows equal(p, a, b, grid, wide, totals);
    if (alone) equal.run_columns_alone();
    else if (p.sync == Sync::array) equal.run_tiles(span);
    else equal.run_rows();
    return true;
}

}  // namespace accelsim
