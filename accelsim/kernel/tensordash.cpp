#include "tensordash.h"

#include <algorithm>
#include <vector>

#include "bits.h"
#include "simd.h"

namespace accelsim {
namespace {

constexpr int kSchedules = kWidth / 2;     // that run side by side, 16 bits each
typedef Pairs16 Lanes;                     // of each schedule: a bit for each of its 16 lanes

// Lanes that choose at the same time; no two of a level share a candidate.
constexpr uint16_t kLevels[6] = {1 << 0 | 1 << 5 | 1 << 10, 1 << 1 | 1 << 6 | 1 << 11, 1 << 2 | 1 << 7 | 1 << 12,
                                 1 << 3 | 1 << 8 | 1 << 13, 1 << 4 | 1 << 9 | 1 << 14, 1 << 15};

// Let each lane see the position `across` lanes away.
template <int across>
inline Lanes reach(Lanes window) {
    constexpr int by = across & 15;
    return by ? window >> by | window << (16 - by) : window;
}

// Let the free lanes of a level take what they find `across` lanes away in a window ahead.
template <int across>
inline void take(Lanes& free, Lanes& window) {
    const Lanes taken = free & reach<across>(window);
    window &= ~reach<-across>(taken), free ^= taken;
}

// One cycle: `busy` comes as the first window and leaves as the lanes that got something. Candidates in order of preference:
// (windows ahead, lanes across) = (0, 0) (1, 0) (2, 0) (1, -1) (1, 1) (2, -2) (2, 2) (1, -3); the first is no other lane's.
inline void consume(Lanes& busy, Lanes& one, Lanes& two) {
    for (const uint16_t level : kLevels) {
        Lanes free = level & ~busy;
        take<0>(free, one), take<0>(free, two), take<-1>(free, one), take<1>(free, one);
        take<-2>(free, two), take<2>(free, two), take<-3>(free, one);
        busy |= level & ~free;
    }
}

inline Lanes count_bits(Lanes value) {
    value -= value >> 1 & 0x5555;
    value = (value & 0x3333) + (value >> 2 & 0x3333);
    value = (value + (value >> 4)) & 0x0F0F;
    return (value + (value >> 8)) & 0x1F;
}

// What the schedules of a tile did.
struct Outcome {
    int64_t cycles = 0;
    std::vector<int64_t> pairs, sync, starved, end;
};

// A tile to run: its schedules, and the windows that it streams.
struct Tile {
    std::vector<int64_t> schedules;  // rows of the scheduled operand
    std::vector<int64_t> partners;   // outputs of each
    std::vector<int32_t> windows;

    bool runs_like(const Tile& other) const { return schedules == other.schedules && windows == other.windows; }
};

// Runs tiles side by side, `span` schedules each.
class Gang {
public:
    Gang(const TensorDashProblem& p, int64_t across) : p_(p), span_(1) {
        while (span_ < std::min<int64_t>(across, kSchedules)) span_ *= 2;
    }
    int64_t places() const { return kSchedules / span_; }

    // A tile of more schedules than a vector holds runs in several vectors, which advance together.
    void run(const Tile* tiles, int64_t count, Outcome* outcomes) {
        int64_t most = 0, longest = 0;
        for (int64_t i = 0; i < count; i++) {
            most = std::max<int64_t>(most, tiles[i].schedules.size()), longest = std::max<int64_t>(longest, tiles[i].windows.size());
            outcomes[i] = Outcome();
            for (auto* sums : {&outcomes[i].pairs, &outcomes[i].sync, &outcomes[i].starved, &outcomes[i].end}) sums->assign(tiles[i].schedules.size(), 0);
        }
        vectors_ = std::max<int64_t>(1, ceil_div(most, span_));
        stage(tiles, count, longest, outcomes);
        step(tiles, count, outcomes);
    }

private:
    // Lay the windows out as [window][vector][schedule], with empty ones after the last; count the pairs.
    void stage(const Tile* tiles, int64_t count, int64_t longest, Outcome* outcomes) {
        pitch_ = vectors_ * kSchedules;
        staged_.assign((longest + kMostStages) * pitch_, 0), lead_.resize(pitch_);
        for (int64_t i = 0; i < count; i++)
            for (size_t member = 0; member < tiles[i].schedules.size(); member++) {
                const uint16_t* row = p_.windows + tiles[i].schedules[member] * p_.window_pitch;
                uint16_t* to = staged_.data() + place(i, member);
                for (size_t at = 0; at < tiles[i].windows.size(); at++) {
                    to[at * pitch_] = row[tiles[i].windows[at]];
                    outcomes[i].pairs[member] += __builtin_popcount(row[tiles[i].windows[at]]);
                }
            }
    }
    int64_t place(int64_t tile, int64_t member) const { return member / span_ * kSchedules + tile * span_ + member % span_; }

    // Every cycle: fetch what each schedule sees, let its lanes choose, then advance.
    void step(const Tile* tiles, int64_t count, Outcome* outcomes) {
        std::vector<int64_t> at(pitch_, 0);  // each schedule's first window
        int64_t left = 0;
        for (int64_t i = 0; i < count; i++) left += tiles[i].windows.empty() ? 0 : static_cast<int64_t>(tiles[i].schedules.size());
        std::vector<uint16_t> busy(pitch_), one(pitch_), two(pitch_);
        for (int64_t cycle = 1; left; cycle++) {
            fetch(tiles, count, at.data(), busy.data(), one.data(), two.data());
            for (int64_t vector = 0; vector < vectors_; vector++) {
                Lanes seen[3];
                uint16_t* arrays[3] = {busy.data() + vector * kSchedules, one.data() + vector * kSchedules, two.data() + vector * kSchedules};
                for (int i = 0; i < 3; i++) memcpy(&seen[i], arrays[i], kWidth);
                consume(seen[0], seen[1], seen[2]);
                seen[0] = count_bits(seen[0]);
                for (int i = 0; i < 3; i++) memcpy(arrays[i], &seen[i], kWidth);
            }
            for (int64_t i = 0; i < count; i++) left -= advance(tiles[i], i, cycle, at.data(), busy.data(), one.data(), two.data(), outcomes[i]);
        }
    }

    void fetch(const Tile* tiles, int64_t count, const int64_t* at, uint16_t* busy, uint16_t* one, uint16_t* two) const {
        for (int64_t i = 0; i < count; i++)
            for (size_t member = 0; member < tiles[i].schedules.size(); member++) {
                const int64_t to = place(i, member);
                const uint16_t* from = staged_.data() + std::min<int64_t>(at[to], tiles[i].windows.size()) * pitch_ + to;
                busy[to] = from[0], one[to] = p_.stages > 1 ? from[pitch_] : 0, two[to] = p_.stages > 2 ? from[2 * pitch_] : 0;
            }
    }

    // Move a tile's schedules on by the windows that are empty in front, 1 at least; returns how many of them have ended.
    int64_t advance(const Tile& tile, int64_t index, int64_t cycle, int64_t* at, const uint16_t* got, const uint16_t* one, const uint16_t* two,
                    Outcome& outcome) {
        const int64_t members = tile.schedules.size(), windows = tile.windows.size();
        int64_t least = p_.stages, ended = 0;
        std::vector<int64_t>& lead = lead_;
        for (int64_t member = 0; member < members; member++) {
            const int64_t to = place(index, member);
            if (at[to] >= windows) continue;
            uint16_t* from = staged_.data() + at[to] * pitch_ + to;
            if (p_.stages > 1) from[pitch_] = one[to];
            if (p_.stages > 2) from[2 * pitch_] = two[to];
            lead[member] = std::min<int64_t>(p_.stages, 1 + (one[to] == 0) * (1 + (two[to] == 0)));
            least = std::min(least, lead[member]);
        }
        for (int64_t member = 0; member < members; member++) {
            const int64_t to = place(index, member);
            if (at[to] >= windows) continue;
            const int64_t idle = kTensorDashLanes - got[to], moved = p_.together ? least : lead[member];
            (lead[member] > moved ? outcome.sync : outcome.starved)[member] += idle;  // it could have moved on, but waits for another
            if ((at[to] += moved) >= windows) outcome.end[member] = outcome.cycles = cycle, ended++;
        }
        return ended;
    }

    const TensorDashProblem& p_;
    int64_t span_;              // places of a tile in a vector
    int64_t vectors_ = 1, pitch_ = 0;
    std::vector<uint16_t> staged_;
    std::vector<int64_t> lead_;  // windows by which each schedule of a tile could move on
};

class TensorDashRun {
public:
    TensorDashRun(const TensorDashProblem& p, TensorDashTotals& totals)
        : p_(p), totals_(totals), window_count_(ceil_div(p.k, kTensorDashLanes)), gang_(p, p.by_column ? p.tiles.cols : p.tiles.rows) {}

    // Neighbours along the unscheduled operand mostly have the same schedules and windows: one run serves them all.
    void run() {
        int64_t column_tiles = 0;
        for (int64_t tile = 0; tile < p_.tiles.row_tiles; tile++) column_tiles = std::max(column_tiles, p_.first_tile[tile + 1] - p_.first_tile[tile]);
        const int64_t outer = p_.by_column ? column_tiles : p_.tiles.row_tiles, inner = p_.by_column ? p_.tiles.row_tiles : column_tiles;
        for (int64_t i = 0; i < outer; i++)
            for (int64_t j = 0; j < inner; j++) {
                const int64_t row_tile = p_.by_column ? j : i, column_tile = p_.by_column ? i : j;
                if (column_tile < p_.first_tile[row_tile + 1] - p_.first_tile[row_tile]) add(row_tile, column_tile);
            }
        flush();
    }

private:
    struct Served { int64_t index, run; std::vector<int64_t> partners; };

    void add(int64_t row_tile, int64_t column_tile) {
        Tile tile = look_at(row_tile, column_tile);
        if (tiles_.empty() || !tile.runs_like(tiles_.back())) {
            if (static_cast<int64_t>(tiles_.size()) == gang_.places()) flush();
            tiles_.push_back(tile);
        }
        served_.push_back({p_.first_tile[row_tile] + column_tile, static_cast<int64_t>(tiles_.size()) - 1, std::move(tile.partners)});
    }

    Tile look_at(int64_t row_tile, int64_t column_tile) const {
        const Tiles& t = p_.tiles;
        const int64_t row = row_tile * t.rows, height = std::min(t.rows, p_.m - row);
        const int64_t* columns = t.columns + t.starts[row_tile] + column_tile * t.cols;
        const int64_t wide = std::min(t.cols, t.stops[row_tile] - t.starts[row_tile] - column_tile * t.cols);
        std::vector<int64_t> wanted(p_.by_column ? wide : height, p_.needed ? 0 : p_.by_column ? height : wide);
        for (int64_t r = 0; p_.needed && r < height; r++)
            for (int64_t c = 0; c < wide; c++)
                wanted[p_.by_column ? c : r] += p_.needed[(row + r) * p_.needed_words + (columns[c] >> 6)] >> (columns[c] & 63) & 1;
        Tile tile;
        for (size_t i = 0; i < wanted.size(); i++)
            if (wanted[i]) tile.schedules.push_back(p_.by_column ? columns[i] : row + i), tile.partners.push_back(wanted[i]);
        for (int64_t window = 0; window < window_count_; window++) {
            bool streamed = !p_.present_a || p_.present_a[row_tile * window_count_ + window];
            if (streamed && p_.present_b)
                streamed = std::any_of(columns, columns + wide, [&](int64_t column) { return p_.present_b[column * window_count_ + window]; });
            if (streamed) tile.windows.push_back(static_cast<int32_t>(window));
        }
        return tile;
    }

    void flush() {
        p_.check_interrupt();
        outcomes_.resize(tiles_.size());
        gang_.run(tiles_.data(), tiles_.size(), outcomes_.data());
        for (const Served& served : served_) account(served, tiles_[served.run], outcomes_[served.run]);
        tiles_.clear(), served_.clear();
    }

    // Add a tile to the totals; each schedule counts for every PE that follows it.
    void account(const Served& served, const Tile& tile, const Outcome& outcome) {
        const int64_t windows = tile.windows.size();
        int64_t outputs = 0, busy = 0;
        for (size_t i = 0; i < served.partners.size(); i++) {
            const int64_t partners = served.partners[i];
            totals_.pairs += outcome.pairs[i] * partners, totals_.sync += outcome.sync[i] * partners;
            totals_.starved += outcome.starved[i] * partners, busy += outcome.end[i] * partners, outputs += partners;
        }
        totals_.barrier += kTensorDashLanes * (outcome.cycles * outputs - busy);
        totals_.working += kTensorDashLanes * outcome.cycles * outputs;
        totals_.outputs += outputs, totals_.scanned += windows * static_cast<int64_t>(served.partners.size());
        totals_.cycles[served.index] = outcome.cycles;
        totals_.positions[served.index] = windows * kTensorDashLanes;
        if (windows && tile.windows.back() == window_count_ - 1)  // the last window may hold fewer positions
            totals_.positions[served.index] -= window_count_ * kTensorDashLanes - p_.k;
    }

    const TensorDashProblem& p_;
    TensorDashTotals& totals_;
    int64_t window_count_;
    Gang gang_;
    std::vector<Tile> tiles_;       // to be run next
    std::vector<Outcome> outcomes_;
    std::vector<Served> served_;    // tiles, each by one of those
};

}  // namespace

void run_tensordash(const TensorDashProblem& p, TensorDashTotals& totals) { TensorDashRun(p, totals).run(); }

}  // namespace accelsim
