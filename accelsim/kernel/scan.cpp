// Times a GEMM on scanning or inner-join PEs: cuts it into blocks of PEs, runs them, and adds up what each tile's PEs did.
#include "scan.h"

#include <new>

#include "few_rows.h"
#include "inner_join.h"
#include "windows.h"

namespace accelsim {
namespace {

// Row tiles that schedule the same columns, laid out together.
struct Strip {
    int64_t row_tile, row_tiles;   // the first one, and how many
    int64_t first_row, rows;
    const int64_t* columns;
    int64_t column_count;
};

// One operand's items in a strip: the rows or the scheduled columns.
struct Side {
    const Aligned& operand;
    int64_t tile;                  // items of a tile
    std::vector<int64_t> items;

    int64_t count() const { return static_cast<int64_t>(items.size()); }
    int64_t in_tile(int64_t index) const { return std::min(tile, count() - index * tile); }
};

// How the array is laid out in blocks.
struct Layout {
    explicit Layout(const ScanProblem& p)
        : rows_along_lanes(p.sync == Sync::row), by_row(p.sync == Sync::pe), plain(reads_at_once(p)), span(1) {
        while (span < (rows_along_lanes ? p.rows : p.cols)) span *= 2;
        segment = p.sync == Sync::array ? span : 1;
        parts = std::max<int64_t>(1, span / kLanes);
    }
    // Whether one group takes a window in every cycle, and what its PEs have waiting fits bytes.
    static bool reads_at_once(const ScanProblem& p) {
        const int64_t waiting = p.held_windows ? (p.held_windows - 1) * p.scan_width : p.fifo_depth;  // pairs, beside a new window's
        return p.sync == Sync::array && (!p.a_words || p.a_words >= p.rows * p.scan_width) &&
               (!p.b_words || p.b_words >= p.cols * p.scan_width) && fits_bytes(waiting, p.scan_width, p.lanes, p.rows);
    }
    bool rows_along_lanes;  // A's rows lie along the lanes, and B's columns are looped over; else the other way round
    bool by_row;            // each PE is a group
    bool plain;             // `over_loop` or `inner_join` can run it
    int64_t span;           // lanes from one tile to the next
    int64_t segment;        // lanes that share a pointer
    int64_t parts;          // of a block
};

// Outputs that must be computed, turned around where the rows lie along the lanes: bits [loop items][lane items].
BitMatrix turn_needed(BitMatrix rows, int64_t row_count, int64_t column_count, bool rows_along_lanes) {
    if (!rows_along_lanes) return rows;
    BitMatrix turned(ceil_div(column_count, 64) * 64, row_count);
    for (int64_t word = 0; word * 64 < column_count; word++)
        for (int64_t first = 0; first < row_count; first += 64) {
            uint64_t square[64] = {};
            for (int64_t i = 0; i < std::min<int64_t>(64, row_count - first); i++) square[i] = rows.row(first + i)[word];
            transpose_square(square);
            for (int64_t i = 0; i < 64; i++) turned.row(word * 64 + i)[first >> 6] = square[i];
        }
    return turned;
}

// Each bit of a byte as a byte of 255 or 0.
struct ByteMasks {
    uint64_t of[256];
    ByteMasks() {
        for (uint64_t value = 0; value < 256; value++) {
            of[value] = 0;
            for (int bit = 0; bit < 8; bit++)
                if (value >> bit & 1) of[value] |= 255ull << (8 * bit);
        }
    }
};
const ByteMasks kMasks;

class StripRun {
public:
    StripRun(const ScanProblem& p, const WindowGrid& grid, const Layout& layout, Side& lanes, Side& loop,
             const Strip& strip, const ScanTotals& totals)
        : p_(p), grid_(grid), layout_(layout), lanes_(lanes), loop_(loop), strip_(strip), totals_(totals),
          block_lanes_(layout.parts * kLanes), span_(layout.span), tiles_(ceil_div(lanes.count(), lanes.tile)),
          lane_count_(tiles_ * span_),
          loop_planes_(std::min(loop.tile, loop.count()) * grid.pitch), windows_(grid.windows), loop_present_(grid.windows),
          wanted_(loop.tile * block_lanes_), extra_(loop.tile * block_lanes_), starved_(block_lanes_), pairs_(block_lanes_),
          lane_rows_(block_lanes_), queues_(loop.tile * block_lanes_), arrivals_(loop.tile * block_lanes_ * std::max<int64_t>(1, p.held_windows - 1)),
          lanes_of_(block_lanes_ / span_), lost_(block_lanes_), lane_reads_(lanes_of_.size()), loop_reads_(lanes_of_.size()) {
        if (p.needed)
            needed_ = turn_needed(take_needed(p, strip.first_row, strip.rows, strip.columns, strip.column_count), strip.rows,
                                  strip.column_count, layout.rows_along_lanes);
        find_live_tiles();
    }

    // Blocks are laid out a few at a time: as many as stay in the second-level cache.
    void run() {
        const int64_t blocks = ceil_div(lane_count_, block_lanes_);
        const int64_t bunch = std::max<int64_t>(1, std::min(blocks, (1 << 18) / (grid_.pitch * block_lanes_)));
        AlignedBuffer<uint8_t> planes(bunch * grid_.pitch * block_lanes_);
        AlignedBuffer<uint8_t> live(any_dropped_ ? bunch * grid_.windows * block_lanes_ : 0);
        for (int64_t first = 0; first < blocks; first += bunch) {
            const int64_t here = std::min(bunch, blocks - first);
            for (int64_t i = 0; i < here; i++)
                lay_out(first + i, planes.data() + i * grid_.pitch * block_lanes_, live.data() + i * grid_.windows * block_lanes_);
            for (int64_t tile = 0; tile * loop_.tile < loop_.count(); tile++) {
                take_loop_tile(tile);
                for (int64_t i = 0; i < here; i++)
                    run_block(first + i, tile, planes.data() + i * grid_.pitch * block_lanes_,
                              any_dropped_ ? live.data() + i * grid_.windows * block_lanes_ : nullptr);
            }
        }
    }

private:
    // Which windows each tile along the lanes streams.
    void find_live_tiles() {
        any_dropped_ = false;
        if (!lanes_.operand.dropped()) return;
        live_tiles_.resize(tiles_ * grid_.windows);
        for (int64_t tile = 0; tile < tiles_; tile++)
            any_dropped_ |= !lanes_.operand.find_present(live_tiles_.data() + tile * grid_.windows,
                                                         lanes_.items.data() + tile * lanes_.tile, lanes_.in_tile(tile));
    }

    void lay_out(int64_t block, uint8_t* planes, uint8_t* live) {
        const int64_t first = block * block_lanes_, stop = std::min(first + block_lanes_, lane_count_);
        std::vector<const uint64_t*>& rows = lane_rows_;
        std::fill(rows.begin(), rows.end(), nullptr);  // lanes in which no item lies
        for (int64_t lane = first; lane < stop;) {
            const int64_t tile = lane / span_, inside = lane % span_, end = std::min(stop, (tile + 1) * span_);
            const int64_t count = std::min(end - lane, lanes_.in_tile(tile) - inside);
            for (int64_t i = 0; i < count; i++) rows[lane - first + i] = lanes_.operand.seen(lanes_.items[tile * lanes_.tile + inside + i]);
            lane = end;
        }
        lay_out_lanes(planes, block_lanes_, grid_.planes, rows.data(), lanes_.operand.seen_words());
        if (!any_dropped_) return;
        for (int64_t lane = 0; lane < block_lanes_; lane++) {
            const uint8_t* of_tile = live_tiles_.data() + (block * block_lanes_ + lane) / span_ * grid_.windows;
            for (int64_t window = 0; window < grid_.windows; window++)
                live[window * block_lanes_ + lane] = rows[lane] ? of_tile[window] : 0;
        }
        for (int64_t plane = 0; plane < grid_.planes; plane++)  // nothing is seen of a window that is not streamed
            for (int64_t lane = 0; lane < block_lanes_; lane++)
                planes[plane * block_lanes_ + lane] &= live[plane / grid_.window_planes * block_lanes_ + lane];
    }

    // Lay out a tile's rows of the loop, and list the windows that it streams.
    void take_loop_tile(int64_t tile) {
        const int64_t* items = loop_.items.data() + tile * loop_.tile;
        for (int64_t i = 0; i < loop_.in_tile(tile); i++)
            lay_out_row(loop_planes_.data() + i * grid_.pitch, grid_.planes, loop_.operand.seen(items[i]), loop_.operand.seen_words());
        if (loop_.operand.dropped()) loop_.operand.find_present(loop_present_.data(), items, loop_.in_tile(tile));
        window_count_ = 0, positions_ = 0;
        for (int64_t window = 0; window < grid_.windows; window++)
            if (!loop_.operand.dropped() || loop_present_[window]) {
                windows_[window_count_++] = static_cast<int32_t>(window);
                positions_ += p_.window_size(window);
            }
    }

    // Outputs that 64 lanes need beside one row of the loop.
    uint64_t needed_bits(const uint64_t* row, int64_t first_lane) const {
        uint64_t bits = 0;
        for (int64_t lane = first_lane; lane < std::min(first_lane + 64, lane_count_);) {
            const int64_t tile = lane / span_, inside = lane % span_, stop = std::min((tile + 1) * span_, first_lane + 64);
            const int64_t count = std::min(stop - lane, lanes_.in_tile(tile) - inside);
            bits |= read_bits(row, tile * lanes_.tile + inside, count) << (lane - first_lane);
            lane = stop;
        }
        return bits;
    }

    // Every PE of a tile has an output.
    void mark_all(int64_t rows) {
        memset(wanted_.data(), 0, rows * block_lanes_);
        for (int64_t row = 0; row < rows; row++)
            for (size_t tile = 0; tile < lanes_of_.size(); tile++) memset(wanted_.data() + row * block_lanes_ + tile * span_, 255, lanes_of_[tile]);
    }

    void mark_wanted(int64_t block, int64_t first_row, int64_t rows) {
        for (int64_t row = 0; row < rows; row++)
            for (int64_t part = 0; part < layout_.parts; part++) {
                const uint64_t bits = needed_bits(needed_.row(first_row + row), block * block_lanes_ + part * kLanes);
                uint8_t* to = wanted_.data() + row * block_lanes_ + part * kLanes;
                for (int byte = 0; byte < 8; byte++) memcpy(to + 8 * byte, &kMasks.of[bits >> (8 * byte) & 255], 8);
            }
    }

    void run_block(int64_t block_index, int64_t loop_tile, const uint8_t* planes, const uint8_t* live) {
        const int64_t rows = loop_.in_tile(loop_tile), first_tile = block_index * block_lanes_ / span_;
        for (size_t i = 0; i < lanes_of_.size(); i++)
            lanes_of_[i] = first_tile + static_cast<int64_t>(i) < tiles_ ? lanes_.in_tile(first_tile + static_cast<int64_t>(i)) : 0;
        if (p_.needed) mark_wanted(block_index, loop_tile * loop_.tile, rows);
        else if (!layout_.plain || p_.count_pairs) mark_all(rows);
        const bool counts = p_.needed || p_.count_pairs || !layout_.plain;
        const Block block = {layout_.parts, rows, layout_.segment, p_.lanes, p_.fifo_depth, grid_.window_planes, p_.scan_width,
                             planes, loop_planes_.data(), grid_.pitch, live, counts ? wanted_.data() : nullptr,
                             windows_.data(), window_count_, extra_.data(), starved_.data(), pairs_.data(),
                             queues_.data(), arrivals_.data()};
        if (layout_.plain && p_.held_windows) inner_join(block, p_.held_windows);
        else if (layout_.plain) over_loop(block);
        else {
            const PortedBlock with_ports = {block, layout_.by_row, p_.needed || p_.count_pairs, span_, lanes_of_.data(), grid_.windows, p_.window_size(grid_.windows - 1),
                    layout_.rows_along_lanes ? p_.a_words : p_.b_words, layout_.rows_along_lanes ? p_.b_words : p_.a_words, p_.held_windows,
                    lost_.data(), lane_reads_.data(), loop_reads_.data()};
            if (takes_in_step(with_ports)) in_step(with_ports);
            else if (!takes_each_in_step(with_ports) || !each_in_step(with_ports)) ported(with_ports);
        }
        add_up(block, layout_.by_row, lane_totals_);
        account(block_index * block_lanes_, loop_tile, rows);
        work_ += rows * block_lanes_ * window_count_;
        if (work_ > int64_t{1} << 26) work_ = 0, p_.check_interrupt();
    }

    // Whether groups have one lane each, what they have waiting fits bytes, and at most the looped operand makes them wait.
    bool takes_in_step(const PortedBlock& t) const {
        if (!scans_in_bytes() || t.by_row || t.pes.segment > 1 || (t.loop_words && !holds_one_window(t.loop_words, t.pes.loop))) return false;
        for (int64_t lanes : lanes_of_)
            if (t.lane_words && t.lane_words < lanes * p_.scan_width) return false;
        return true;
    }
    // Whether all PEs are groups, and two stalls fit a byte.
    bool takes_each_in_step(const PortedBlock& t) const {
        if (!scans_in_bytes() || !t.by_row || span_ > kLanes || loop_.tile > 256 || 2 * (p_.scan_width + p_.lanes) > 128) return false;
        for (int64_t lanes : lanes_of_)
            if (lanes && !holds_one_window(t.lane_words, lanes)) return false;
        return holds_one_window(t.loop_words, t.pes.loop);
    }
    bool scans_in_bytes() const {
        return !p_.held_windows && fits_bytes(p_.fifo_depth, p_.scan_width, p_.lanes, loop_.tile) && p_.scan_width + p_.lanes <= 255;
    }
    bool holds_one_window(int64_t words, int64_t lines) const { return words / (lines * p_.scan_width) == 1; }

    // Add what the lanes of a block did to their tiles.
    void account(int64_t first_lane, int64_t loop_tile, int64_t rows) {
        const int64_t end = std::min(first_lane + block_lanes_, lane_count_);
        for (int64_t lane = first_lane; lane < end;) {
            const int64_t tile = lane / span_, stop = std::min(end, (tile + 1) * span_);
            const int64_t last = std::min(stop, tile * span_ + lanes_.in_tile(tile));
            const int64_t row_tile = strip_.row_tile + (layout_.rows_along_lanes ? tile : loop_tile);
            const int64_t index = p_.first_tile[row_tile] + (layout_.rows_along_lanes ? loop_tile : tile);
            int64_t scanned = window_count_, positions = positions_;
            if (any_dropped_) count_streamed(tile, scanned, positions);
            int64_t longest = 0, busy = 0, outputs = 0, starved = 0, pairs = 0;
            for (int64_t at = lane - first_lane; at < last - first_lane; at++) {
                longest = std::max<int64_t>(longest, lane_totals_.longest[at]);
                busy += lane_totals_.busy[at], outputs += lane_totals_.outputs[at], starved += starved_.data()[at];
                if (p_.needed || p_.count_pairs) pairs += pairs_.data()[at];
            }
            const int64_t pes = std::max<int64_t>(0, last - lane) * rows;
            if (pes) totals_.cycles[index] = std::max(totals_.cycles[index], scanned + longest), totals_.positions[index] = positions;
            totals_.outputs[index] += outputs;
            totals_.busy[index] += busy + scanned * outputs;
            totals_.starved[index] += starved - (layout_.plain ? p_.lanes * scanned * (pes - outputs) : 0);  // there, PEs without an output starve
            if (!layout_.plain) account_ports(index, lane - first_lane, last - first_lane, (lane - first_lane) / span_);
            totals_.scanned[index] += scanned * pes;
            totals_.pairs[index] += pairs;
            lane = stop;
        }
    }

    void account_ports(int64_t index, int64_t first, int64_t last, int64_t tile) {
        for (int64_t at = first; at < last; at++) totals_.waited[index] += lost_[at];
        totals_.a_reads[index] += layout_.rows_along_lanes ? lane_reads_[tile] : loop_reads_[tile];
        totals_.b_reads[index] += layout_.rows_along_lanes ? loop_reads_[tile] : lane_reads_[tile];
    }

    void count_streamed(int64_t tile, int64_t& scanned, int64_t& positions) const {
        scanned = positions = 0;
        for (int64_t i = 0; i < window_count_; i++)
            if (live_tiles_[tile * grid_.windows + windows_[i]]) scanned++, positions += p_.window_size(windows_[i]);
    }

    const ScanProblem& p_;
    const WindowGrid& grid_;
    const Layout& layout_;
    Side& lanes_;
    Side& loop_;
    const Strip& strip_;
    const ScanTotals& totals_;
    int64_t block_lanes_;
    int64_t span_;        // lanes from one tile to the next
    int64_t tiles_;       // along the lanes
    int64_t lane_count_;
    AlignedBuffer<Looped> loop_planes_;
    std::vector<int32_t> windows_;
    std::vector<uint8_t> loop_present_;
    AlignedBuffer<uint8_t> wanted_;
    AlignedBuffer<uint32_t> extra_, starved_, pairs_;
    std::vector<const uint64_t*> lane_rows_;
    AlignedBuffer<uint8_t> queues_, arrivals_;
    BitMatrix needed_;
    std::vector<uint8_t> live_tiles_;
    bool any_dropped_;
    std::vector<int64_t> lanes_of_, lost_, lane_reads_, loop_reads_;  // of a block
    int64_t window_count_ = 0, positions_ = 0, work_ = 0;
    LaneTotals lane_totals_;
};

// Without masks all row tiles schedule the same columns; with masks, neighbours that happen to.
int64_t strip_end(const ScanProblem& p, int64_t first) {
    if (!p.needed) return p.row_tiles;
    const int64_t count = p.stops[first] - p.starts[first];
    int64_t end = first + 1;
    while (end < p.row_tiles && p.stops[end] - p.starts[end] == count &&
           std::equal(p.columns + p.starts[first], p.columns + p.stops[first], p.columns + p.starts[end]))
        end++;
    return end;
}

}  // namespace

BitMatrix take_needed(const ScanProblem& p, int64_t first_row, int64_t rows, const int64_t* columns, int64_t column_count) {
    struct Word { int64_t at; Compression selection; };
    std::vector<Word> words;
    for (int64_t i = 0; i < column_count;) {
        const int64_t at = columns[i] >> 6;
        uint64_t mask = 0;
        for (; i < column_count && columns[i] >> 6 == at; i++) mask |= 1ull << (columns[i] & 63);
        words.push_back({at, Compression(mask)});
    }
    BitMatrix taken(rows, column_count);
    for (int64_t row = 0; row < rows; row++) {
        const uint64_t* needed = p.needed + (first_row + row) * p.needed_words;
        int64_t filled = 0;
        for (const Word& word : words) {
            or_bits(taken.row(row), filled, word.selection.apply(needed[word.at]), word.selection.count);
            filled += word.selection.count;
        }
    }
    return taken;
}

void scan_gemm(const ScanProblem& p, const ScanTotals& totals) {
    const Layout layout(p);
    const WindowGrid grid(p);
    const Aligned a(p.a, grid), b(p.b, grid);
    const bool plain = layout.plain && p.needed;
    if (plain && p.b.row_of && scan_equal_columns(p, a, b, grid, totals)) return;
    if (plain && (scan_equal_rows(p, a, b, totals) || scan_equal_columns(p, a, b, grid, totals))) return;
    for (int64_t tile = 0; tile < p.row_tiles;) {
        const int64_t end = strip_end(p, tile), first_row = tile * p.rows;
        const Strip strip = {tile, end - tile, first_row, std::min(end * p.rows, p.a.items) - first_row,
                             p.columns + p.starts[tile], p.stops[tile] - p.starts[tile]};
        tile = end;
        if (!strip.column_count) continue;
        Side rows = {a, p.rows, {}}, columns = {b, p.cols, {}};
        for (int64_t i = 0; i < strip.rows; i++) rows.items.push_back(first_row + i);
        columns.items.assign(strip.columns, strip.columns + strip.column_count);
        Side& lanes = layout.rows_along_lanes ? rows : columns;
        Side& loop = layout.rows_along_lanes ? columns : rows;
        StripRun(p, grid, layout, lanes, loop, strip, totals).run();
    }
}

}  // namespace accelsim
