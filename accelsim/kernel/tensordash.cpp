#include "tensordash.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <unordered_map>
#include <utility>
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

using Windows = std::vector<int32_t>;

// Schedules that advance together, and what they do; a tile's, or where each advances alone just one.
struct Run {
    std::vector<int64_t> schedules;          // rows of the scheduled operand
    std::shared_ptr<const Windows> windows;  // that are streamed
    std::vector<int64_t> pairs, sync, starved, end;  // of each schedule; `end`: the cycle in which it ended

    bool is(const std::vector<int64_t>& rows, const std::shared_ptr<const Windows>& streamed) const {
        return schedules == rows && (windows == streamed || *windows == *streamed);
    }
};

// Runs of schedules side by side, `span` places each; a run of more schedules than a vector holds takes the same places of
// several vectors.
class Gang {
public:
    Gang(const TensorDashProblem& p, int64_t across) : p_(p) {
        while (span_ < std::min<int64_t>(across, kSchedules)) span_ *= 2;
    }
    int64_t places() const { return kSchedules / span_; }

    void run(Run* runs, int64_t count) {
        int64_t most = 0, longest = 0;
        for (int64_t i = 0; i < count; i++) {
            most = std::max<int64_t>(most, runs[i].schedules.size()), longest = std::max<int64_t>(longest, runs[i].windows->size());
            for (auto* sums : {&runs[i].pairs, &runs[i].sync, &runs[i].starved, &runs[i].end}) sums->assign(runs[i].schedules.size(), 0);
        }
        vectors_ = std::max<int64_t>(1, ceil_div(most, span_)), pitch_ = vectors_ * kSchedules;
        stage(runs, count, longest);
        for (int64_t cycle = 1; !live_.empty(); cycle++) {
            fetch();
            for (int64_t vector = 0; vector < vectors_; vector++) consume_all(vector * kSchedules);
            if (p_.together) advance_together(count);
            advance(cycle);
        }
        for (const Schedule& schedule : ended_) {
            Run& run = runs[schedule.run];
            run.sync[schedule.member] = schedule.sync, run.starved[schedule.member] = schedule.starved, run.end[schedule.member] = schedule.end;
        }
        ended_.clear();
    }

private:
    struct Schedule {
        int64_t run, member, place;
        uint16_t* at;               // its first window
        const uint16_t* stop;       // where its windows end
        int64_t sync, starved, end;
    };

    // Lay the windows out as [window][vector][schedule], with empty ones after the last; count the pairs.
    void stage(Run* runs, int64_t count, int64_t longest) {
        staged_.assign((longest + 2 * kMostStages) * pitch_, 0), least_.resize(count);
        for (auto* values : {&busy_, &one_, &two_, &lead_}) values->assign(pitch_, 0);
        for (int64_t i = 0; i < count; i++)
            for (int64_t member = 0; member < static_cast<int64_t>(runs[i].schedules.size()); member++) {
                const uint16_t* row = p_.windows + runs[i].schedules[member] * p_.window_pitch;
                const int64_t place = member / span_ * kSchedules + i * span_ + member % span_;
                uint16_t* to = staged_.data() + place;
                int64_t pairs = 0;
                for (const int32_t window : *runs[i].windows) *to = row[window], pairs += __builtin_popcount(row[window]), to += pitch_;
                runs[i].pairs[member] = pairs;
                if (!runs[i].windows->empty()) live_.push_back({i, member, place, staged_.data() + place, to, 0, 0, 0});
            }
    }

    // What each schedule sees: its first window, which its lanes take from first, and those ahead.
    void fetch() {
        for (const Schedule& schedule : live_) {
            busy_[schedule.place] = schedule.at[0];
            one_[schedule.place] = p_.stages > 1 ? schedule.at[pitch_] : 0, two_[schedule.place] = p_.stages > 2 ? schedule.at[2 * pitch_] : 0;
        }
    }

    // A cycle of a vector of schedules: what is left of the windows ahead, how many lanes got something, and by how many windows
    // each could move on: by those that are empty in front, 1 at least.
    void consume_all(int64_t first) {
        Lanes busy, one, two;
        memcpy(&busy, busy_.data() + first, kWidth), memcpy(&one, one_.data() + first, kWidth), memcpy(&two, two_.data() + first, kWidth);
        consume(busy, one, two);
        const Lanes first_empty = one == 0 ? Lanes{} + 1 : Lanes{}, both_empty = two == 0 ? first_empty : Lanes{};
        Lanes lead = Lanes{} + 1;
        if (p_.stages > 1) lead += first_empty;
        if (p_.stages > 2) lead += both_empty;
        busy = count_bits(busy);
        memcpy(busy_.data() + first, &busy, kWidth), memcpy(one_.data() + first, &one, kWidth), memcpy(two_.data() + first, &two, kWidth);
        memcpy(lead_.data() + first, &lead, kWidth);
    }

    // The least that any schedule of a run could move on.
    void advance_together(int64_t count) {
        std::fill_n(least_.data(), count, static_cast<uint16_t>(p_.stages));
        for (const Schedule& schedule : live_) least_[schedule.run] = std::min(least_[schedule.run], lead_[schedule.place]);
    }

    void advance(int64_t cycle) {
        size_t kept = 0;
        for (Schedule& schedule : live_) {
            const int64_t place = schedule.place, idle = kTensorDashLanes - busy_[place], lead = lead_[place];
            const int64_t moved = p_.together ? least_[schedule.run] : lead;
            (lead > moved ? schedule.sync : schedule.starved) += idle;  // it could have moved on, but waits for another
            if (p_.stages > 1) schedule.at[pitch_] = one_[place];
            if (p_.stages > 2) schedule.at[2 * pitch_] = two_[place];
            schedule.at += moved * pitch_;
            if (schedule.at >= schedule.stop) schedule.end = cycle, ended_.push_back(schedule);
            else live_[kept++] = schedule;
        }
        live_.resize(kept);
    }

    const TensorDashProblem& p_;
    int64_t span_ = 1;          // places of a run in a vector, a power of two
    int64_t vectors_ = 1, pitch_ = 0;
    std::vector<uint16_t> staged_, busy_, one_, two_;
    std::vector<uint16_t> lead_, least_;  // windows by which each schedule could move on; the least of each run
    std::vector<Schedule> live_, ended_;
};

// Walks through the tiles. Many have schedules in common, one for each row or column of PEs, and with masked outputs neighbours
// differ by which of them have an output: what is known from another tile is not run again.
class TensorDash {
public:
    TensorDash(const TensorDashProblem& p, TensorDashTotals& totals)
        : p_(p), totals_(totals), window_count_(ceil_div(p.k, kTensorDashLanes)), gang_(p, !p.together ? 1 : p.by_column ? p.tiles.cols : p.tiles.rows) {
        Windows all(window_count_);
        std::iota(all.begin(), all.end(), 0);
        all_windows_ = std::make_shared<const Windows>(std::move(all));
    }

    // Neighbours along the unscheduled operand mostly have the same schedules: they are looked at one after another.
    void run() {
        int64_t column_tiles = 0;
        for (int64_t tile = 0; tile < p_.tiles.row_tiles; tile++) column_tiles = std::max(column_tiles, p_.first_tile[tile + 1] - p_.first_tile[tile]);
        const int64_t outer = p_.by_column ? column_tiles : p_.tiles.row_tiles, inner = p_.by_column ? p_.tiles.row_tiles : column_tiles;
        for (int64_t i = 0; i < outer; i++)
            for (int64_t j = 0; j < inner; j++) {
                const int64_t row_tile = p_.by_column ? j : i, column_tile = p_.by_column ? i : j;
                if (column_tile < p_.first_tile[row_tile + 1] - p_.first_tile[row_tile]) look_at(row_tile, column_tile);
                if (tiles_.size() >= kMostTiles || runs_.size() >= kMostRuns) finish();
            }
        finish();
    }

private:
    static constexpr size_t kMostTiles = 4096, kMostRuns = 2048;

    // A schedule of a tile: in which run it is, at which place, and how many outputs follow it.
    struct Member { int64_t run, place, partners; };
    struct Tile {
        int64_t index;
        std::shared_ptr<const Windows> windows;
        std::vector<Member> members;
    };

    void look_at(int64_t row_tile, int64_t column_tile) {
        const Tiles& t = p_.tiles;
        const int64_t row = row_tile * t.rows, height = std::min(t.rows, p_.m - row);
        const int64_t* columns = t.columns + t.starts[row_tile] + column_tile * t.cols;
        const int64_t wide = std::min(t.cols, t.stops[row_tile] - t.starts[row_tile] - column_tile * t.cols);
        partners_.assign(p_.by_column ? wide : height, p_.needed ? 0 : p_.by_column ? height : wide);
        for (int64_t r = 0; p_.needed && r < height; r++)
            for (int64_t c = 0; c < wide; c++)
                partners_[p_.by_column ? c : r] += p_.needed[(row + r) * p_.needed_words + (columns[c] >> 6)] >> (columns[c] & 63) & 1;
        schedules_.clear();
        Tile tile = {p_.first_tile[row_tile] + column_tile, streamed(row_tile, columns, wide), {}};
        for (size_t i = 0; i < partners_.size(); i++)
            if (partners_[i]) {
                schedules_.push_back(p_.by_column ? columns[i] : row + static_cast<int64_t>(i));
                tile.members.push_back({0, static_cast<int64_t>(tile.members.size()), partners_[i]});
            }
        if (p_.together) {
            const int64_t run = find_run(schedules_, tile.windows);
            for (Member& member : tile.members) member.run = run;
        } else {
            for (size_t i = 0; i < tile.members.size(); i++) tile.members[i].run = find_run({schedules_[i]}, tile.windows), tile.members[i].place = 0;
        }
        tiles_.push_back(std::move(tile));
    }

    std::shared_ptr<const Windows> streamed(int64_t row_tile, const int64_t* columns, int64_t wide) const {
        if (!p_.present_a && !p_.present_b) return all_windows_;
        Windows windows;
        for (int64_t window = 0; window < window_count_; window++) {
            bool some = !p_.present_a || p_.present_a[row_tile * window_count_ + window];
            if (some && p_.present_b)
                some = std::any_of(columns, columns + wide, [&](int64_t column) { return p_.present_b[column * window_count_ + window]; });
            if (some) windows.push_back(static_cast<int32_t>(window));
        }
        return static_cast<int64_t>(windows.size()) == window_count_ ? all_windows_ : std::make_shared<const Windows>(std::move(windows));
    }

    int64_t find_run(const std::vector<int64_t>& schedules, const std::shared_ptr<const Windows>& windows) {
        uint64_t hash = windows->size();
        for (const int64_t schedule : schedules) hash = (hash ^ static_cast<uint64_t>(schedule)) * 0x9E3779B97F4A7C15, hash ^= hash >> 29;
        const auto alike = numbers_.equal_range(hash);
        for (auto found = alike.first; found != alike.second; ++found)
            if (runs_[found->second].is(schedules, windows)) return found->second;
        const int64_t number = static_cast<int64_t>(runs_.size());
        numbers_.emplace(hash, number), runs_.push_back({schedules, windows, {}, {}, {}, {}});
        return number;
    }

    // Run what has not been run, and add up the tiles that were looked at.
    void finish() {
        p_.check_interrupt();
        for (; ran_ < static_cast<int64_t>(runs_.size()); ran_ += std::min<int64_t>(gang_.places(), runs_.size() - ran_))
            gang_.run(runs_.data() + ran_, std::min<int64_t>(gang_.places(), runs_.size() - ran_));
        for (const Tile& tile : tiles_) account(tile);
        tiles_.clear();
        if (runs_.size() >= kMostRuns) runs_.clear(), numbers_.clear(), ran_ = 0;
    }

    // Add a tile to the totals; each schedule counts for every PE that follows it.
    void account(const Tile& tile) {
        const int64_t windows = tile.windows->size();
        int64_t outputs = 0, busy = 0, cycles = 0;
        for (const Member& member : tile.members) {
            const Run& run = runs_[member.run];
            totals_.pairs += run.pairs[member.place] * member.partners, totals_.sync += run.sync[member.place] * member.partners;
            totals_.starved += run.starved[member.place] * member.partners;
            cycles = std::max(cycles, run.end[member.place]), busy += run.end[member.place] * member.partners, outputs += member.partners;
        }
        totals_.barrier += kTensorDashLanes * (cycles * outputs - busy);
        totals_.working += kTensorDashLanes * cycles * outputs;
        totals_.outputs += outputs, totals_.scanned += windows * static_cast<int64_t>(tile.members.size());
        totals_.cycles[tile.index] = cycles;
        totals_.positions[tile.index] = windows * kTensorDashLanes;
        if (windows && tile.windows->back() == window_count_ - 1)  // the last window may hold fewer positions
            totals_.positions[tile.index] -= window_count_ * kTensorDashLanes - p_.k;
    }

    const TensorDashProblem& p_;
    TensorDashTotals& totals_;
    int64_t window_count_;
    Gang gang_;
    std::shared_ptr<const Windows> all_windows_;
    std::vector<int64_t> partners_, schedules_;  // of the tile that is looked at
    std::vector<Tile> tiles_;       // that were looked at
    std::vector<Run> runs_;
    int64_t ran_ = 0;               // how many of them were run
    std::unordered_multimap<uint64_t, int64_t> numbers_;  // runs by a hash of what they are
};

}  // namespace

void run_tensordash(const TensorDashProblem& p, TensorDashTotals& totals) { TensorDash(p, totals).run(); }

}  // namespace accelsim
