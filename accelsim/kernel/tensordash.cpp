#include "tensordash.h"

#include <algorithm>
#include <cstdint>
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

// A port that some lines (rows of A or columns of B) share evenly.
struct Port {
    int64_t words, lines;  // words in a cycle; 0: as many as are asked for

    int64_t full() const { return lines * kTensorDashLanes; }  // words of a whole window, of all lines
    bool narrow() const { return words && words < full(); }
};

// What a port has read of the windows of one line. One of at least a whole window's words lets the line's schedules take the
// windows from the slowest schedule's next one on. A narrower one reads that, and at most one window ahead of it.
class Line {
public:
    // A cycle begins: the slowest schedule's next window has `size` positions, the one before had a whole window's.
    void begin(const Port& port, int64_t slowest, int64_t size) {
        if (port.narrow()) {
            if (slowest != slowest_) slack_ -= port.full();
            needed_ = port.lines * size;
            slack_ = std::min(slack_ + port.words, needed_ + port.full());
        }
        slowest_ = slowest;
    }
    // How many windows a schedule can take from its next one on.
    int64_t grants(const Port& port, int64_t next) const {
        if (!port.words) return kMostStages;
        if (port.narrow()) return next == slowest_ && slack_ >= needed_;
        return std::max<int64_t>(0, slowest_ + port.words / port.full() - next);
    }

private:
    int64_t slowest_ = 0, slack_ = 0, needed_ = 0;
};

// Schedules that wait for each other, or for the same ports, and what they do; a tile's, or just one.
struct Run {
    std::vector<int64_t> schedules;          // rows of the scheduled operand
    std::shared_ptr<const Windows> windows;  // that are streamed
    Port own, partner;                       // of the scheduled operand and the other one; without words where nobody can wait for it
    std::vector<int64_t> pairs, sync, starved, waited, end;  // of each schedule; `end`: the cycle in which it ended
    std::vector<int32_t> entered;            // [schedule][window]: in which cycle it came, where schedules advance alone

    bool is(const std::vector<int64_t>& rows, const std::shared_ptr<const Windows>& streamed, const Port& a, const Port& b) const {
        return schedules == rows && own.words == a.words && own.lines == a.lines && partner.words == b.words && partner.lines == b.lines &&
               (windows == streamed || *windows == *streamed);
    }
    bool waits() const { return own.words || partner.words; }
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
            for (auto* sums : {&runs[i].pairs, &runs[i].sync, &runs[i].starved, &runs[i].waited, &runs[i].end}) sums->assign(runs[i].schedules.size(), 0);
            runs[i].entered.resize(p_.together ? 0 : runs[i].schedules.size() * runs[i].windows->size());
        }
        vectors_ = std::max<int64_t>(1, ceil_div(most, span_)), pitch_ = vectors_ * kSchedules;
        stage(runs, count, longest);
        const bool follows = !p_.together || std::any_of(runs, runs + count, [](const Run& run) { return run.waits(); });
        follows ? run_staged<true>(runs, count) : run_staged<false>(runs, count);
        for (const Schedule& schedule : ended_) {
            Run& run = runs[schedule.run];
            run.sync[schedule.member] = schedule.sync, run.starved[schedule.member] = schedule.starved;
            run.waited[schedule.member] = schedule.waited, run.end[schedule.member] = schedule.end;
        }
        ended_.clear();
    }

private:
    struct Schedule {
        int64_t run, member, place;
        uint16_t* at;               // its first window
        const uint16_t* stop;       // where its windows end
        int64_t sync = 0, starved = 0, waited = 0, end = 0;
        int64_t next = 0, staged = 0;  // where windows are followed: the next one to come, and how many have come and not left
        Line line = {};
    };

    // `follows`: windows are followed into the staging registers; else these are always full.
    template <bool follows>
    void run_staged(Run* runs, int64_t count) {
        for (int64_t cycle = 1; !live_.empty(); cycle++) {
            if (follows) let_in(runs, count, cycle);
            fetch<follows>();
            for (int64_t vector = 0; vector < vectors_; vector++) consume_all(vector * kSchedules);
            for (size_t i = 0; follows && i < live_.size(); i++)
                lead_[live_[i].place] = std::min(lead_[live_[i].place], static_cast<uint16_t>(live_[i].staged));
            if (p_.together) advance_together(count);
            advance<follows>(runs, cycle);
        }
    }

    // Lay the windows out as [window][vector][schedule], with empty ones after the last; count the pairs.
    void stage(Run* runs, int64_t count, int64_t longest) {
        staged_.assign((longest + 2 * kMostStages) * pitch_, 0), least_.resize(count), slowest_.resize(count), partners_.assign(count, Line());
        for (auto* values : {&busy_, &one_, &two_, &lead_}) values->assign(pitch_, 0);
        for (int64_t i = 0; i < count; i++)
            for (int64_t member = 0; member < static_cast<int64_t>(runs[i].schedules.size()); member++) {
                const uint16_t* row = p_.windows + runs[i].schedules[member] * p_.window_pitch;
                const int64_t place = member / span_ * kSchedules + i * span_ + member % span_;
                uint16_t* to = staged_.data() + place;
                int64_t pairs = 0;
                for (const int32_t window : *runs[i].windows) *to = row[window], pairs += __builtin_popcount(row[window]), to += pitch_;
                runs[i].pairs[member] = pairs;
                if (!runs[i].windows->empty()) live_.push_back({i, member, place, staged_.data() + place, to});
            }
    }

    // Windows come as far as there is room and the ports have them.
    void let_in(Run* runs, int64_t count, int64_t cycle) {
        std::fill_n(slowest_.data(), count, INT64_MAX);
        for (const Schedule& schedule : live_) slowest_[schedule.run] = std::min(slowest_[schedule.run], schedule.next);
        for (int64_t i = 0; i < count; i++)
            if (slowest_[i] < INT64_MAX) partners_[i].begin(runs[i].partner, slowest_[i], size_of(runs[i], slowest_[i]));
        for (Schedule& schedule : live_) {
            Run& run = runs[schedule.run];
            const int64_t windows = run.windows->size();
            schedule.line.begin(run.own, schedule.next, size_of(run, schedule.next));
            const int64_t granted = std::min(schedule.line.grants(run.own, schedule.next), partners_[schedule.run].grants(run.partner, schedule.next));
            const int64_t come = std::min({granted, p_.stages - schedule.staged, windows - schedule.next});
            if (!p_.together) std::fill_n(run.entered.data() + schedule.member * windows + schedule.next, come, static_cast<int32_t>(cycle));
            schedule.next += come, schedule.staged += come;
        }
    }
    int64_t size_of(const Run& run, int64_t window) const {
        return window < static_cast<int64_t>(run.windows->size()) ? p_.size_of((*run.windows)[window]) : 0;
    }

    // What each schedule sees: its first window, which its lanes take from first, and those ahead.
    template <bool follows>
    void fetch() {
        for (const Schedule& schedule : live_) {
            const int64_t seen = follows ? schedule.staged : p_.stages;
            busy_[schedule.place] = seen > 0 ? schedule.at[0] : 0;
            one_[schedule.place] = seen > 1 ? schedule.at[pitch_] : 0, two_[schedule.place] = seen > 2 ? schedule.at[2 * pitch_] : 0;
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

    template <bool follows>
    void advance(const Run* runs, int64_t cycle) {
        size_t kept = 0;
        for (Schedule& schedule : live_) {
            const int64_t place = schedule.place, idle = kTensorDashLanes - busy_[place], lead = lead_[place];
            const int64_t moved = p_.together ? least_[schedule.run] : lead, seen = follows ? schedule.staged : p_.stages;
            if (follows && seen < p_.stages && schedule.next < static_cast<int64_t>(runs[schedule.run].windows->size())) schedule.waited += idle;
            else (lead > moved ? schedule.sync : schedule.starved) += idle;  // it could have moved on, but waits for another
            if (seen > 1) schedule.at[pitch_] = one_[place];
            if (seen > 2) schedule.at[2 * pitch_] = two_[place];
            schedule.at += moved * pitch_, schedule.staged -= follows ? moved : 0;
            if (schedule.at >= schedule.stop) schedule.end = cycle, ended_.push_back(schedule);
            else if (&live_[kept++] != &schedule) live_[kept - 1] = schedule;
        }
        live_.erase(live_.begin() + static_cast<int64_t>(kept), live_.end());
    }

    const TensorDashProblem& p_;
    int64_t span_ = 1;          // places of a run in a vector, a power of two
    int64_t vectors_ = 1, pitch_ = 0;
    std::vector<uint16_t> staged_, busy_, one_, two_;
    std::vector<uint16_t> lead_, least_;  // windows by which each schedule could move on; the least of each run
    std::vector<int64_t> slowest_;        // of each run, the least of its schedules' next windows
    std::vector<Line> partners_;          // of each run, a line of the operand that is not scheduled
    std::vector<Schedule> live_, ended_;
};

// Walks through the tiles. Many have schedules in common, one for each row or column of PEs, and with masked outputs neighbours
// differ by which of them have an output: what is known from another tile is not run again.
class TensorDash {
public:
    TensorDash(const TensorDashProblem& p, TensorDashTotals& totals)
        : p_(p), totals_(totals), window_count_(ceil_div(p.k, kTensorDashLanes)), coupled_(p.together || (p.by_column ? p.a_words : p.b_words)),
          gang_(p, !coupled_ ? 1 : p.by_column ? p.tiles.cols : p.tiles.rows) {
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
                if (tiles_.size() >= kMostTiles || full()) finish();
            }
        finish();
    }

private:
    static constexpr size_t kMostTiles = 4096, kMostRuns = 2048;
    static constexpr int64_t kMostFollowed = 1 << 24;

    bool full() const { return runs_.size() >= kMostRuns || followed_ > kMostFollowed; }

    // A schedule of a tile: in which run it is, at which place, and how many outputs follow it.
    struct Member { int64_t run, place, partners; };
    struct Tile {
        int64_t index, height, width;
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
        Tile tile = {p_.first_tile[row_tile] + column_tile, height, wide, streamed(row_tile, columns, wide), {}};
        for (size_t i = 0; i < partners_.size(); i++)
            if (partners_[i]) {
                schedules_.push_back(p_.by_column ? columns[i] : row + static_cast<int64_t>(i));
                tile.members.push_back({0, static_cast<int64_t>(tile.members.size()), partners_[i]});
            }
        if (coupled_) {
            const int64_t run = find_run(schedules_, tile);
            for (Member& member : tile.members) member.run = run;
        } else {
            for (size_t i = 0; i < tile.members.size(); i++) tile.members[i].run = find_run({schedules_[i]}, tile), tile.members[i].place = 0;
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

    // The ports of a tile's scheduled operand and of the other one.
    Port own_port(const Tile& tile) const { return p_.by_column ? Port{p_.b_words, tile.width} : Port{p_.a_words, tile.height}; }
    Port partner_port(const Tile& tile) const { return p_.by_column ? Port{p_.a_words, tile.height} : Port{p_.b_words, tile.width}; }

    // A port for which schedules can wait, or none: who reads a line alone takes no more than all stages at once.
    Port limiting(const Port& port, bool shared) const { return port.words && (shared || port.words < p_.stages * port.full()) ? port : Port{}; }

    int64_t find_run(const std::vector<int64_t>& schedules, const Tile& tile) {
        const Port own = limiting(own_port(tile), false), partner = limiting(partner_port(tile), !p_.together);
        uint64_t hash = tile.windows->size();
        for (const int64_t schedule : schedules) hash = (hash ^ static_cast<uint64_t>(schedule)) * 0x9E3779B97F4A7C15, hash ^= hash >> 29;
        const auto alike = numbers_.equal_range(hash);
        for (auto found = alike.first; found != alike.second; ++found)
            if (runs_[found->second].is(schedules, tile.windows, own, partner)) return found->second;
        const int64_t number = static_cast<int64_t>(runs_.size());
        numbers_.emplace(hash, number), runs_.push_back({schedules, tile.windows, own, partner, {}, {}, {}, {}, {}, {}});
        followed_ += p_.together ? 0 : schedules.size() * tile.windows->size();
        return number;
    }

    // Run what has not been run, and add up the tiles that were looked at.
    void finish() {
        p_.check_interrupt();
        for (; ran_ < static_cast<int64_t>(runs_.size()); ran_ += std::min<int64_t>(gang_.places(), runs_.size() - ran_))
            gang_.run(runs_.data() + ran_, std::min<int64_t>(gang_.places(), runs_.size() - ran_));
        for (const Tile& tile : tiles_) account(tile);
        tiles_.clear();
        if (full()) runs_.clear(), numbers_.clear(), counted_.clear(), taken_ = ran_ = 0, followed_ = 0;
    }

    // Add a tile to the totals; each schedule counts for every PE that follows it.
    void account(const Tile& tile) {
        const int64_t windows = tile.windows->size();
        int64_t outputs = 0, busy = 0, cycles = 0;
        for (const Member& member : tile.members) {
            const Run& run = runs_[member.run];
            totals_.pairs += run.pairs[member.place] * member.partners, totals_.sync += run.sync[member.place] * member.partners;
            totals_.starved += run.starved[member.place] * member.partners, totals_.waited += run.waited[member.place] * member.partners;
            cycles = std::max(cycles, run.end[member.place]), busy += run.end[member.place] * member.partners, outputs += member.partners;
        }
        totals_.barrier += kTensorDashLanes * (cycles * outputs - busy);
        totals_.working += kTensorDashLanes * cycles * outputs;
        totals_.outputs += outputs, totals_.scanned += windows * static_cast<int64_t>(tile.members.size());
        totals_.cycles[tile.index] = cycles;
        totals_.positions[tile.index] = windows * kTensorDashLanes;
        if (windows && tile.windows->back() == window_count_ - 1)  // the last window may hold fewer positions
            totals_.positions[tile.index] -= window_count_ * kTensorDashLanes - p_.k;
        count_reads(tile, totals_.positions[tile.index]);
    }

    // Together all schedules read each window once. Alone each reads its own line; those that take a window of a partner's line in
    // the same cycle share the read, and a narrow port keeps the window until all have it.
    void count_reads(const Tile& tile, int64_t positions) {
        const Port partner = partner_port(tile);
        int64_t own = p_.together ? own_port(tile).lines * positions : static_cast<int64_t>(tile.members.size()) * positions, other = positions;
        if (!p_.together && !partner.narrow()) other = count_taken(tile);
        (p_.by_column ? totals_.b_reads : totals_.a_reads) += own;
        (p_.by_column ? totals_.a_reads : totals_.b_reads) += other * partner.lines;
    }

    // Positions of windows, each as often as there are cycles in which some schedule of the tile takes it. Mostly they are those
    // of the tile before.
    int64_t count_taken(const Tile& tile) {
        const auto same = [](const Member& one, const Member& other) { return one.run == other.run && one.place == other.place; };
        if (std::equal(tile.members.begin(), tile.members.end(), counted_.begin(), counted_.end(), same)) return taken_;
        const int64_t count = tile.windows->size();
        taken_ = 0;
        for (int64_t i = 0; i < count; i++) {
            cycles_.clear();
            for (const Member& member : tile.members) cycles_.push_back(runs_[member.run].entered[member.place * count + i]);
            std::sort(cycles_.begin(), cycles_.end());
            taken_ += (std::unique(cycles_.begin(), cycles_.end()) - cycles_.begin()) * p_.size_of((*tile.windows)[i]);
        }
        counted_ = tile.members;
        return taken_;
    }

    const TensorDashProblem& p_;
    TensorDashTotals& totals_;
    int64_t window_count_;
    bool coupled_;                  // schedules of a tile are run together
    Gang gang_;
    std::shared_ptr<const Windows> all_windows_;
    std::vector<int64_t> partners_, schedules_;  // of the tile that is looked at
    std::vector<Tile> tiles_;       // that were looked at
    std::vector<Run> runs_;
    int64_t ran_ = 0;               // how many of them were run
    int64_t followed_ = 0;          // windows of them whose cycles are kept
    std::vector<int32_t> cycles_;
    std::vector<Member> counted_;   // of the tile of which `taken_` was counted
    int64_t taken_ = 0;
    std::unordered_multimap<uint64_t, int64_t> numbers_;  // runs by a hash of what they are
};

}  // namespace

void run_tensordash(const TensorDashProblem& p, TensorDashTotals& totals) { TensorDash(p, totals).run(); }

}  // namespace accelsim
