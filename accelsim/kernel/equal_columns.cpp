// input_grad after batch norm: columns of a gradient without a zero are of some nine kinds, around an image's border.
#include <string>
#include <unordered_map>

#include "few_rows.h"

namespace accelsim {
namespace {

constexpr int64_t kMostKinds = 10;
using Kinds = uint16_t;  // a set of them

// The different rows of an operand.
struct KindsOfColumns {
    std::vector<int64_t> first;      // a column of each kind
    std::vector<uint8_t> of_row;     // the kind of each stored row
    std::vector<Kinds> beside;       // [2^kinds]: for each set, all kinds that change nothing beside it, itself included

    int64_t count() const { return static_cast<int64_t>(first.size()); }
};

// Tell the columns apart; false if they are of too many kinds.
bool find_kinds(const Operand& b, KindsOfColumns& kinds) {
    kinds.of_row.resize(b.rows);
    std::vector<int64_t> rows;
    for (int64_t row = 0; row < b.rows; row++) {
        size_t kind = 0;
        while (b.shown && kind < rows.size() && memcmp(b.bits + rows[kind] * b.words, b.bits + row * b.words, b.words * sizeof *b.bits)) kind++;
        if (kind == rows.size()) {
            if (kind == kMostKinds) return false;
            rows.push_back(row);
        }
        kinds.of_row[row] = static_cast<uint8_t>(kind);
    }
    kinds.first.assign(rows.size(), -1);
    for (int64_t item = b.items - 1; item >= 0; item--) kinds.first[kinds.of_row[b.row_of ? b.row_of[item] : item]] = item;
    return !std::count(kinds.first.begin(), kinds.first.end(), -1);
}

// A kind whose bits are among another's never offers more pairs in a window, so its queue is never the fuller one.
void find_contained(const Aligned& b, KindsOfColumns& kinds) {
    kinds.beside.assign(size_t{1} << kinds.count(), 0);
    for (int64_t kind = 0; kind < kinds.count(); kind++) {
        Kinds contained = 0;
        for (int64_t other = 0; other < kinds.count(); other++) {
            bool among = true;
            for (int64_t word = 0; word < b.seen_words(); word++)
                among &= !(b.seen(kinds.first[other])[word] & ~b.seen(kinds.first[kind])[word]);
            contained |= static_cast<Kinds>(among << other);
        }
        for (size_t set = size_t{1} << kind; set < size_t{2} << kind; set++)
            kinds.beside[set] = kinds.beside[set ^ size_t{1} << kind] | contained;
    }
}

class EqualColumns {
public:
    EqualColumns(const ScanProblem& p, const Aligned& a, const Aligned& b, const WindowGrid& grid,
                 const KindsOfColumns& kinds, const ScanTotals& totals)
        : p_(p), a_(a), b_(b), grid_(grid), kinds_(kinds), totals_(totals), span_(1),
          rows_planes_(grid.pitch * kLanes), kind_planes_(kMostKinds * grid.pitch), loop_planes_(kMostKinds * grid.pitch),
          wanted_(kMostKinds * kLanes), extra_(kMostKinds * kLanes), starved_(kMostKinds * kLanes), pairs_(kLanes),
          queues_(kMostKinds * kLanes), arrivals_(2 * kMostKinds * kLanes) {
        while (span_ < p.rows) span_ *= 2;
        for (int64_t kind = 0; kind < kinds.count(); kind++)
            lay_out_row(kind_planes_.data() + kind * grid.pitch, grid.planes, b.seen(kinds.first[kind]), b.seen_words());
    }

    void run() {
        for (int64_t row_tile = 0; row_tile < p_.row_tiles; row_tile++) {
            take_row_tile(row_tile);
            for (int64_t tile = 0; tile < tiles(); tile++) look_at(tile), ask(tile);
            run_asked();
            for (int64_t tile = 0; tile < tiles(); tile++) look_at(tile), account(row_tile, tile);
            p_.check_interrupt();
        }
    }

private:
    // What one PE for each row and kind did, for sets of kinds that take part in each row.
    struct Outcome {
        std::vector<Kinds> takes_part;        // [rows]
        std::vector<uint32_t> extra, starved; // [kinds][span]
    };

    int64_t tiles() const { return ceil_div(columns_, p_.cols); }

    void take_row_tile(int64_t row_tile) {
        const int64_t first_row = row_tile * p_.rows;
        height_ = std::min(p_.rows, p_.a.items - first_row);
        column_ = p_.columns + p_.starts[row_tile], columns_ = p_.stops[row_tile] - p_.starts[row_tile];
        needed_ = take_needed(p_, first_row, height_, column_, columns_);
        const uint64_t* rows[kLanes] = {};
        std::vector<int64_t> items(height_);
        for (int64_t row = 0; row < height_; row++) items[row] = first_row + row;
        for (int64_t lane = 0; lane < kLanes; lane++)
            if (lane % span_ < height_) rows[lane] = a_.seen(first_row + lane % span_);
        lay_out_lanes(rows_planes_.data(), kLanes, grid_.planes, rows, a_.seen_words());
        std::vector<uint8_t> present(grid_.windows, 255);
        if (p_.a.dropped) a_.find_present(present.data(), items.data(), height_);
        windows_.clear(), positions_ = 0;
        for (int64_t window = 0; window < grid_.windows; window++)
            if (present[window]) windows_.push_back(static_cast<int32_t>(window)), positions_ += p_.window_size(window);
        for (int64_t kind = 0; kind < kinds_.count(); kind++)  // no pair of a row lies in a window that is not streamed
            for (int64_t row = 0; row < height_; row++) {
                pairs_of_[kind][row] = 0;
                for (int64_t word = 0; word < a_.words(); word++)
                    pairs_of_[kind][row] += __builtin_popcountll(a_.seen(first_row + row)[word] & b_.seen(kinds_.first[kind])[word]);
            }
        outcomes_.clear(), by_parts_.clear(), of_tile_.assign(tiles(), 0);
        of_set_.assign(size_t{1} << kinds_.count(), -1);
    }

    // Which of a tile's columns are of each kind, and what its rows need.
    void look_at(int64_t tile) {
        const int64_t start = tile * p_.cols;
        wide_ = std::min(p_.cols, columns_ - start);
        std::fill(of_kind_, of_kind_ + kMostKinds, 0);
        for (int64_t i = 0; i < wide_; i++) {
            const int64_t column = column_[start + i];
            of_kind_[kinds_.of_row[p_.b.row_of ? p_.b.row_of[column] : column]] |= 1ull << i;
        }
        present_.clear();
        for (int64_t kind = 0; kind < kinds_.count(); kind++)
            if (of_kind_[kind]) present_.push_back(kind);
        for (int64_t row = 0; row < height_; row++) {
            need_[row] = read_bits(needed_.row(row), start, wide_);
            takes_part_[row] = 0;
            for (const int64_t kind : present_) takes_part_[row] |= static_cast<Kinds>((need_[row] & of_kind_[kind]) != 0) << kind;
        }
    }

    // A row's PEs depend on the row's kinds, under array sync on those of all rows, with pointers of their own on none.
    void ask(int64_t tile) {
        if (p_.sync == Sync::array) {
            std::string parts(reinterpret_cast<const char*>(takes_part_), height_ * sizeof *takes_part_);
            const auto found = by_parts_.try_emplace(std::move(parts), static_cast<int64_t>(outcomes_.size()));
            if (found.second) outcomes_.push_back({{takes_part_, takes_part_ + height_}, {}, {}});
            of_tile_[tile] = found.first->second;
            return;
        }
        for (int64_t row = 0; row < height_; row++) {
            const Kinds set = effective(takes_part_[row]);
            if (!set || of_set_[set] >= 0) continue;
            of_set_[set] = static_cast<int64_t>(outcomes_.size());
            outcomes_.push_back({std::vector<Kinds>(height_, set), {}, {}});
        }
    }
    Kinds effective(Kinds set) const {
        if (!set) return 0;
        return p_.sync == Sync::pe ? static_cast<Kinds>((1 << kinds_.count()) - 1) : kinds_.beside[set];
    }
    const Outcome& outcome(int64_t tile, int64_t row) const {
        return outcomes_[p_.sync == Sync::array ? of_tile_[tile] : of_set_[effective(takes_part_[row])]];
    }

    // Run what was asked for, side by side where the same kinds take part.
    void run_asked() {
        std::vector<std::pair<Kinds, int64_t>> order;
        for (size_t i = 0; i < outcomes_.size(); i++) {
            Kinds all = 0;
            for (const Kinds part : outcomes_[i].takes_part) all |= part;
            order.push_back({all, static_cast<int64_t>(i)});
        }
        std::sort(order.begin(), order.end());
        const size_t together = static_cast<size_t>(kLanes / span_);
        for (size_t first = 0, stop; first < order.size(); first = stop) {
            for (stop = first; stop < order.size() && stop < first + together && order[stop].first == order[first].first;) stop++;
            run_side_by_side(order.data() + first, static_cast<int64_t>(stop - first), order[first].first);
        }
    }

    void run_side_by_side(const std::pair<Kinds, int64_t>* chosen, int64_t count, Kinds all) {
        int64_t loop = 0, kind_of[kMostKinds];
        for (int64_t kind = 0; kind < kinds_.count(); kind++)
            if (all >> kind & 1) {
                memcpy(loop_planes_.data() + loop * grid_.pitch, kind_planes_.data() + kind * grid_.pitch, grid_.planes);
                kind_of[loop++] = kind;
            }
        memset(wanted_.data(), 0, kMostKinds * kLanes);
        for (int64_t i = 0; i < count; i++)
            for (int64_t row = 0; row < height_; row++)
                for (int64_t at = 0; at < loop; at++)
                    if (outcomes_[chosen[i].second].takes_part[row] >> kind_of[at] & 1) wanted_.data()[at * kLanes + i * span_ + row] = 255;
        const bool alone = p_.sync == Sync::pe;
        const Block block = {1, loop, p_.sync == Sync::array ? span_ : 1, p_.lanes, p_.fifo_depth, grid_.nibbles, p_.scan_width,
                             rows_planes_.data(), loop_planes_.data(), grid_.pitch, nullptr, wanted_.data(), windows_.data(),
                             static_cast<int64_t>(windows_.size()), extra_.data(), starved_.data(), pairs_.data(),
                             queues_.data(), arrivals_.data()};
        alone ? per_row_each(block) : over_loop_each(block);
        for (int64_t i = 0; i < count; i++) {
            Outcome& outcome = outcomes_[chosen[i].second];
            outcome.extra.resize(kMostKinds * span_), outcome.starved.resize(kMostKinds * span_);
            for (int64_t at = 0; at < loop; at++)
                for (int64_t row = 0; row < height_; row++) {
                    const int64_t lane = i * span_ + row, to = kind_of[at] * span_ + row;
                    outcome.extra[to] = extra_.data()[(alone ? at * kLanes : 0) + lane];
                    outcome.starved[to] = starved_.data()[at * kLanes + lane];
                }
        }
    }

    void account(int64_t row_tile, int64_t tile) {
        const int64_t used = static_cast<int64_t>(windows_.size()), index = p_.first_tile[row_tile] + tile;
        int64_t longest = used;
        for (int64_t row = 0; row < height_; row++) {
            if (!need_[row]) continue;
            const Outcome& did = outcome(tile, row);
            for (const int64_t kind : present_) {
                const int64_t outputs = __builtin_popcountll(need_[row] & of_kind_[kind]), at = kind * span_ + row;
                if (!outputs) continue;
                const int64_t ended = used + did.extra[at];
                longest = std::max(longest, ended);
                totals_.outputs[index] += outputs, totals_.busy[index] += outputs * ended;
                totals_.starved[index] += outputs * did.starved[at], totals_.pairs[index] += outputs * pairs_of_[kind][row];
            }
        }
        totals_.cycles[index] = longest, totals_.positions[index] = positions_;
        totals_.scanned[index] += height_ * wide_ * used;
    }

    const ScanProblem& p_;
    const Aligned& a_;
    const Aligned& b_;
    const WindowGrid& grid_;
    const KindsOfColumns& kinds_;
    const ScanTotals& totals_;
    int64_t span_;  // lanes of a tile's rows
    AlignedBuffer<uint8_t> rows_planes_, kind_planes_, loop_planes_, wanted_;
    AlignedBuffer<uint32_t> extra_, starved_, pairs_;
    AlignedBuffer<uint8_t> queues_, arrivals_;
    // of a row tile
    int64_t height_ = 0, columns_ = 0, positions_ = 0;
    const int64_t* column_ = nullptr;
    BitMatrix needed_;
    std::vector<int32_t> windows_;
    int64_t pairs_of_[kMostKinds][kLanes];
    std::vector<Outcome> outcomes_;
    std::unordered_map<std::string, int64_t> by_parts_;
    std::vector<int64_t> of_tile_, of_set_;
    // of a tile
    int64_t wide_ = 0;
    uint64_t of_kind_[kMostKinds], need_[kLanes];
    Kinds takes_part_[kLanes];
    std::vector<int64_t> present_;
};

}  // namespace

bool scan_equal_columns(const ScanProblem& p, const Aligned& a, const Aligned& b, const WindowGrid& grid,
                        const ScanTotals& totals) {
    if (p.sync == Sync::column || p.b.dropped || (p.a.dropped && !p.a.shown) || p.rows > kLanes || p.cols > 64) return false;
    if (!fits_bytes(p.fifo_depth, p.scan_width, p.lanes, kMostKinds)) return false;
    KindsOfColumns kinds;
    if (!find_kinds(p.b, kinds)) return false;
    find_contained(b, kinds);
    EqualColumns(p, a, b, grid, kinds, totals).run();
    return true;
}

}  // namespace accelsim
