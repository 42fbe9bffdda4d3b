// input_grad after batch norm: columns of a gradient without a zero are of some nine kinds, around an image's border.
#include <algorithm>
#include <utility>
#include <vector>

#include "few_rows.h"
#include "inner_join.h"

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

// A kind whose bits are among another's never offers more pairs in a window, so its queue is never the fuller one, nor has it
// more left of the oldest window that it holds.
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

// A tile's columns by kind, and what its rows need; for several tiles of a row tile.
struct Look {
    std::vector<uint64_t> of_kind;   // [tiles][kinds]: columns of each kind
    std::vector<uint64_t> need;      // [tiles][span]: columns at which each row has an output
    std::vector<Kinds> takes_part;   // [tiles][span]: kinds that decide when each row's pointer waits
    std::vector<int64_t> outcome;    // [tiles]: which outcome each has
    std::vector<Kinds> present;      // [tiles]: kinds that a tile has
};

// What one PE for each row and kind did, for sets of kinds that take part in each row.
struct Outcomes {
    static constexpr int64_t kMost = 4096;         // that are kept

    void clear(int64_t kind_count, int64_t lanes, int64_t most) {
        kinds = kind_count, span = lanes, count = ran = 0;
        takes_part.clear(), places.assign(static_cast<size_t>(4 * std::min(most, 2 * kMost)), -1);
    }
    // The number of the outcome for these sets; a new one has yet to be run.
    int64_t find(const Kinds* sets) {
        uint64_t hash = 0;
        for (int64_t row = 0; row < span; row++) hash = (hash ^ sets[row]) * 0x9E3779B97F4A7C15, hash ^= hash >> 29;
        size_t place = hash % places.size();
        while (places[place] >= 0 && memcmp(takes_part.data() + places[place] * span, sets, span * sizeof *sets)) place = (place + 1) % places.size();
        if (places[place] < 0) places[place] = count++, takes_part.insert(takes_part.end(), sets, sets + span);
        return places[place];
    }
    void make_room() {
        if (static_cast<int64_t>(extra.size()) < count * kinds * span) extra.resize(2 * count * kinds * span), starved.resize(extra.size());
    }
    int64_t at(int64_t outcome, int64_t kind) const { return (outcome * kinds + kind) * span; }

    int64_t kinds = 0, span = 0;
    int64_t count = 0, ran = 0;                    // outcomes asked for, and run
    std::vector<Kinds> takes_part;                 // [outcomes][span]
    std::vector<uint32_t> extra, starved;          // [outcomes][kinds][span]
    std::vector<int64_t> places;                   // a hash table of outcomes
};

// What the PEs of a tile did, by row. A row has up to 64 columns, so its sums fit 32 bits: see `scan_equal_columns`.
struct Sums {
    static constexpr int64_t kRows = 8;  // added side by side
    typedef uint32_t Rows __attribute__((vector_size(4 * kRows)));
    typedef uint64_t Needs __attribute__((vector_size(8 * kRows)));
    Rows outputs, longest, extra, starved, pairs;

    // Add the PEs of some columns, in each row as many as have an output; rows beyond the last have none.
    void add(const uint64_t* need, uint64_t columns, const uint32_t* extra_of, const uint32_t* starved_of, const uint32_t* pairs_of) {
        Needs left;
        memcpy(&left, need, sizeof left);
        left &= columns;
        left -= left >> 1 & 0x5555555555555555;
        left = (left & 0x3333333333333333) + (left >> 2 & 0x3333333333333333);
        left = (left + (left >> 4)) & 0x0F0F0F0F0F0F0F0F;
        left += left >> 8, left += left >> 16, left += left >> 32;
        const Rows count = __builtin_convertvector(left & 127, Rows);
        Rows more, starving, paired;
        memcpy(&more, extra_of, sizeof more), memcpy(&starving, starved_of, sizeof starving), memcpy(&paired, pairs_of, sizeof paired);
        const Rows reached = count ? more : Rows{};
        outputs += count, longest = longest > reached ? longest : reached;
        extra += count * more, starved += count * starving, pairs += count * paired;
    }
    static int64_t total(const Rows& rows) {
        int64_t sum = 0;
        for (int64_t row = 0; row < kRows; row++) sum += rows[row];
        return sum;
    }
};

constexpr int64_t kTogether = 256;  // tiles that are looked at, run and added up together

class EqualColumns {
public:
    EqualColumns(const ScanProblem& p, const Aligned& a, const Aligned& b, const WindowGrid& grid,
                 const KindsOfColumns& kinds, const ScanTotals& totals)
        : p_(p), a_(a), b_(b), grid_(grid), kinds_(kinds), totals_(totals), span_(8),
          rows_planes_(grid.pitch * kLanes), wanted_(kMostKinds * kLanes), kind_planes_(kMostKinds * grid.pitch),
          loop_planes_(kMostKinds * grid.pitch), extra_(kMostKinds * kLanes), starved_(kMostKinds * kLanes), pairs_(kLanes),
          queues_(kMostKinds * kLanes), arrivals_(kMostKinds * kLanes * std::max<int64_t>(2, p.held_windows)) {
        while (span_ < p.rows) span_ *= 2;
        for (int64_t kind = 0; kind < kinds.count(); kind++)
            lay_out_row(kind_planes_.data() + kind * grid.pitch, grid.planes, b.seen(kinds.first[kind]), b.seen_words());
        const int64_t together = std::min(kTogether, ceil_div(p.b.items, p.cols));
        look_.of_kind.resize(together * kinds.count()), look_.need.resize(together * span_);
        look_.takes_part.resize(together * span_), look_.outcome.resize(together), look_.present.resize(together);
    }

    void run() {
        for (int64_t row_tile = 0; row_tile < p_.row_tiles; row_tile++) {
            take_row_tile(row_tile);
            for (int64_t first = 0; first < tiles(); first += kTogether) {
                const int64_t count = std::min(kTogether, tiles() - first);
                if (outcomes_.count > Outcomes::kMost) forget_outcomes();
                look_at_columns(first, count), look_at_rows(first, count), ask(count);
                run_asked();
                for (int64_t i = 0; i < count; i++) account(p_.first_tile[row_tile] + first + i, i, width(first + i));
            }
            p_.check_interrupt();
        }
    }

private:
    int64_t tiles() const { return ceil_div(columns_, p_.cols); }
    int64_t width(int64_t tile) const { return std::min(p_.cols, columns_ - tile * p_.cols); }
    void forget_outcomes() {
        outcomes_.clear(kinds_.count(), span_, std::max<int64_t>(tiles(), 1));
    }

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
        forget_outcomes();
    }

    // Which of each tile's columns are of each kind.
    void look_at_columns(int64_t first, int64_t count) {
        std::fill_n(look_.of_kind.begin(), count * kinds_.count(), 0);
        for (int64_t tile = 0; tile < count; tile++) {
            uint64_t* of_kind = look_.of_kind.data() + tile * kinds_.count();
            const int64_t* column = column_ + (first + tile) * p_.cols;
            look_.present[tile] = 0;
            for (int64_t i = 0; i < width(first + tile); i++) {
                const uint8_t kind = kinds_.of_row[p_.b.row_of ? p_.b.row_of[column[i]] : column[i]];
                of_kind[kind] |= 1ull << i, look_.present[tile] |= static_cast<Kinds>(1 << kind);
            }
        }
    }

    // What each row needs, and which kinds take part in it.
    void look_at_rows(int64_t first, int64_t count) {
        std::fill_n(look_.need.begin(), height_ < span_ ? count * span_ : 0, 0);
        for (int64_t row = 0; row < height_; row++)
            for (int64_t tile = 0; tile < count; tile++)
                look_.need[tile * span_ + row] = read_bits(needed_.row(row), (first + tile) * p_.cols, width(first + tile));
        std::fill_n(look_.takes_part.begin(), count * span_, 0);
        for (int64_t tile = 0; tile < count; tile++) {
            const uint64_t* need = look_.need.data() + tile * span_;
            Kinds* sets = look_.takes_part.data() + tile * span_;
            for (Kinds left = look_.present[tile]; left; left &= static_cast<Kinds>(left - 1)) {
                const int kind = __builtin_ctz(left);
                const uint64_t columns = look_.of_kind[tile * kinds_.count() + kind];
                for (int64_t row = 0; row < span_; row++) sets[row] |= static_cast<Kinds>((need[row] & columns ? 1 : 0) << kind);
            }
            for (int64_t row = 0; row < span_; row++) sets[row] = effective(sets[row]);
        }
    }
    Kinds effective(Kinds set) const {
        return set ? kinds_.beside[set] : Kinds{0};
    }

    // What a tile's PEs do depends on the kinds of all its rows.
    void ask(int64_t count) {
        for (int64_t tile = 0; tile < count; tile++) look_.outcome[tile] = outcomes_.find(look_.takes_part.data() + tile * span_);
    }

    // Run what was asked for, side by side where the same kinds take part.
    void run_asked() {
        outcomes_.make_room();
        std::vector<std::pair<Kinds, int64_t>> order;
        for (; outcomes_.ran < outcomes_.count; outcomes_.ran++) {
            Kinds all = 0;
            for (int64_t row = 0; row < height_; row++) all |= outcomes_.takes_part[outcomes_.ran * span_ + row];
            order.push_back({all, outcomes_.ran});
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
                std::copy_n(kind_planes_.data() + kind * grid_.pitch, grid_.planes, loop_planes_.data() + loop * grid_.pitch);
                kind_of[loop++] = kind;
            }
        memset(wanted_.data(), 0, kMostKinds * kLanes);
        for (int64_t i = 0; i < count; i++)
            for (int64_t row = 0; row < height_; row++)
                for (int64_t at = 0; at < loop; at++)
                    if (outcomes_.takes_part[chosen[i].second * span_ + row] >> kind_of[at] & 1) wanted_.data()[at * kLanes + i * span_ + row] = 255;
        const Block block = {1, loop, span_, p_.lanes, p_.fifo_depth, grid_.window_planes, p_.scan_width,
                             rows_planes_.data(), loop_planes_.data(), grid_.pitch, nullptr, wanted_.data(), windows_.data(),
                             static_cast<int64_t>(windows_.size()), extra_.data(), starved_.data(), pairs_.data(),
                             queues_.data(), arrivals_.data()};
        p_.held_windows ? inner_join_each(block, p_.held_windows) : over_loop_each(block);
        for (int64_t i = 0; i < count; i++)
            for (int64_t at = 0; at < loop; at++) {
                const int64_t to = outcomes_.at(chosen[i].second, kind_of[at]);
                std::copy_n(extra_.data() + i * span_, span_, outcomes_.extra.data() + to);
                std::copy_n(starved_.data() + at * kLanes + i * span_, span_, outcomes_.starved.data() + to);
            }
    }

    // Add up what a tile's PEs did: each row and kind counts as often as it has an output.
    void account(int64_t index, int64_t tile, int64_t wide) {
        const int64_t used = static_cast<int64_t>(windows_.size());
        totals_.positions[index] = positions_, totals_.scanned[index] += height_ * wide * used;
        uint32_t longest = 0;
        for (int64_t row = 0; row < span_; row += Sums::kRows) {
            const Sums sums = add_rows(tile, row);
            const int64_t outputs = Sums::total(sums.outputs);
            totals_.outputs[index] += outputs, totals_.busy[index] += Sums::total(sums.extra) + outputs * used;
            totals_.starved[index] += Sums::total(sums.starved), totals_.pairs[index] += Sums::total(sums.pairs);
            for (int64_t i = 0; i < Sums::kRows; i++) longest = std::max(longest, sums.longest[i]);
        }
        totals_.cycles[index] = used + longest;
    }

    // Add up eight rows of a tile.
    Sums add_rows(int64_t tile, int64_t first_row) const {
        Sums sums = {};
        const int64_t at = tile * span_ + first_row;
        for (Kinds left = look_.present[tile]; left; left &= static_cast<Kinds>(left - 1)) {
            const int kind = __builtin_ctz(left);
            const uint64_t columns = look_.of_kind[tile * kinds_.count() + kind];
            const int64_t own = outcomes_.at(look_.outcome[tile], kind) + first_row;
            sums.add(look_.need.data() + at, columns, outcomes_.extra.data() + own, outcomes_.starved.data() + own, pairs_of_[kind] + first_row);
        }
        return sums;
    }

    const ScanProblem& p_;
    const Aligned& a_;
    const Aligned& b_;
    const WindowGrid& grid_;
    const KindsOfColumns& kinds_;
    const ScanTotals& totals_;
    int64_t span_;  // lanes of a tile's rows
    AlignedBuffer<uint8_t> rows_planes_, wanted_;
    AlignedBuffer<Looped> kind_planes_, loop_planes_;
    AlignedBuffer<uint32_t> extra_, starved_, pairs_;
    AlignedBuffer<uint8_t> queues_, arrivals_;
    // of a row tile
    int64_t height_ = 0, columns_ = 0, positions_ = 0;
    const int64_t* column_ = nullptr;
    BitMatrix needed_;
    std::vector<int32_t> windows_;
    uint32_t pairs_of_[kMostKinds][kLanes];
    Outcomes outcomes_;
    Look look_;                    // at some of its tiles
};

}  // namespace

bool scan_equal_columns(const ScanProblem& p, const Aligned& a, const Aligned& b, const WindowGrid& grid,
                        const ScanTotals& totals) {
    if (p.b.dropped || (p.a.dropped && !p.a.shown) || p.rows > kLanes || p.cols > 64) return false;
    if (p.k * std::max(p.lanes, p.scan_width) >= int64_t{1} << 26) return false;
    KindsOfColumns kinds;
    if (!find_kinds(p.b, kinds)) return false;
    find_contained(b, kinds);
    EqualColumns(p, a, b, grid, kinds, totals).run();
    return true;
}

}  // namespace accelsim
