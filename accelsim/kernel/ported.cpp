// PEs whose groups share the ports of the buffers, or whose pairs do not fit a byte: the rules of docs/timing.md, one window
// after the other, on plain arrays that a compiler turns into vectors. Inner-join PEs have their pairs of the windows that they
// hold where scanning PEs have a queue.
#include <algorithm>
#include <climits>
#include <vector>

#include "bits.h"
#include "pairs.h"

namespace accelsim {
namespace {

constexpr int64_t kMostPlanes = 31;       // whose pairs fit a byte
constexpr int32_t kAtOnce = INT_MIN / 2;  // a window for which nobody waits

// Add the pairs of some planes of 64 lanes beside a few rows of the loop to wider counts.
template <int rows>
inline void count_planes(const Block& b, const Bytes* planes, const Looped* looped, int64_t plane_count, int32_t* arrivals) {
    const int64_t vectors = b.parts * kPart, lanes = b.parts * kLanes, pitch = b.pitch;
    Bytes n[rows][kPart] = {};
    for (int64_t plane = 0; plane < plane_count; plane++)
        for (int row = 0; row < rows; row++)
            for (int v = 0; v < kPart; v++) n[row][v] += pairs_of(looped[row * pitch + plane], planes[plane * vectors + v]);
    for (int row = 0; row < rows; row++) {
        const uint8_t* counts = reinterpret_cast<const uint8_t*>(n[row]);
        for (int64_t lane = 0; lane < kLanes; lane++) arrivals[row * lanes + lane] += counts[lane];
    }
}

// Pairs of one window for every PE of a block, with windows of any width.
void count_window(const Block& b, int64_t window, int32_t* arrivals) {
    const int64_t vectors = b.parts * kPart, lanes = b.parts * kLanes;
    const Bytes* planes = reinterpret_cast<const Bytes*>(b.lane_planes) + window * b.window_planes * vectors;
    memset(arrivals, 0, b.loop * lanes * sizeof *arrivals);
    for (int64_t part = 0; part < b.parts; part++)
        for (int64_t first = 0; first < b.window_planes; first += kMostPlanes) {
            const Bytes* of_part = planes + first * vectors + part * kPart;
            const Looped* looped = b.loop_planes + window * b.window_planes + first;
            const int64_t count = std::min(kMostPlanes, b.window_planes - first);
            int32_t* to = arrivals + part * kLanes;
            int64_t row = 0;
            for (; row + 4 <= b.loop; row += 4) count_planes<4>(b, of_part, looped + row * b.pitch, count, to + row * lanes);
            for (; row < b.loop; row++) count_planes<1>(b, of_part, looped + row * b.pitch, count, to + row * lanes);
        }
    for (int64_t i = 0; i < b.loop * lanes; i++) arrivals[i] &= b.wanted[i] ? -1 : 0;
    for (int64_t row = 0; row < b.loop; row++)
        for (int64_t lane = 0; lane < lanes; lane++) b.pairs[lane] += static_cast<uint32_t>(arrivals[row * lanes + lane]);
}

// Give each of `segment` neighbouring lanes the largest of them.
void spread_largest(int32_t* values, int64_t lanes, int64_t segment) {
    for (int64_t first = 0; segment > 1 && first < lanes; first += segment) {
        const int32_t most = *std::max_element(values + first, values + first + segment);
        std::fill(values + first, values + first + segment, most);
    }
}

// How many different cycles there are among some.
int64_t count_different(std::vector<int32_t>& cycles) {
    if (cycles.size() < 2) return static_cast<int64_t>(cycles.size());
    const auto [least, most] = std::minmax_element(cycles.begin(), cycles.end());
    if (*most - *least < 64) {
        uint64_t seen = 0;
        for (int32_t cycle : cycles) seen |= 1ull << (cycle - *least);
        return __builtin_popcountll(seen);
    }
    std::sort(cycles.begin(), cycles.end());
    return std::unique(cycles.begin(), cycles.end()) - cycles.begin();
}

// Some lines of one operand, and what their port has done. Each line has its share of the port's words: lines that take
// their windows at their own pace (`pointers` of them stand side by side) are told apart.
//
// A port of at least a window's words lets all groups on a line read the P windows from the slowest group's on. A narrower
// one reads the slowest group's window, and at most one window ahead of it.
class Lines {
public:
    Lines(int64_t lines, int64_t window_words, int64_t port_words, bool shared, int64_t pointers, int64_t window_count)
        : lines_(lines), full_(window_words), words_(port_words), pointers_(pointers), latest_(pointers, -1), ready_(pointers, kAtOnce) {
        narrow_ = words_ && words_ < full_;
        ahead_ = words_ && !narrow_ && shared ? words_ / std::max<int64_t>(full_, 1) : 0;
        if (ahead_ >= window_count) ahead_ = 0;  // as many as there are
        if (narrow_) slack_.assign(pointers, 0);
        if (ahead_) history_.assign(ahead_ * pointers, -1);
    }
    bool waits() const { return narrow_ || ahead_; }
    bool narrow() const { return narrow_; }
    int32_t ready(int64_t pointer) const { return ready_[pointer]; }
    int64_t lines() const { return lines_; }

    // When a window of `size` positions can be taken, at the earliest.
    void find_ready(int64_t size) {
        if (narrow_)
            for (int64_t i = 0; i < pointers_; i++)
                ready_[i] = latest_[i] + static_cast<int32_t>(std::max<int64_t>(1, ceil_div(lines_ * size - slack_[i], words_)));
        if (ahead_ && count_ >= ahead_)
            for (int64_t i = 0; i < pointers_; i++) ready_[i] = history_[count_ % ahead_ * pointers_ + i] + 1;
    }
    // The slowest group on a line took the window of `size` positions in a cycle.
    void took(int64_t pointer, int64_t size, int32_t cycle) {
        if (narrow_) {
            const int64_t words = slack_[pointer] + static_cast<int64_t>(cycle - latest_[pointer]) * words_;
            slack_[pointer] = std::min(words, lines_ * size + full_) - lines_ * size;
        }
        latest_[pointer] = cycle;
        if (ahead_) history_[count_ % ahead_ * pointers_ + pointer] = cycle;
    }
    void next() { count_++; }

private:
    int64_t lines_, full_, words_, pointers_;
    bool narrow_;
    int64_t ahead_, count_ = 0;         // P, 0: any number; windows taken
    std::vector<int32_t> latest_;       // when the last window was taken
    std::vector<int64_t> slack_;        // words of the next window that were read by then
    std::vector<int32_t> history_;      // [P][pointers]
    std::vector<int32_t> ready_;
};

class PortedRun {
public:
    explicit PortedRun(const PortedBlock& ported)
        : t_(ported), b_(ported.pes), lanes_(b_.parts * kLanes), rows_(b_.loop), tiles_(lanes_ / ported.span), pointer_rows_(ported.by_row ? rows_ : 1),
          queue_(rows_ * lanes_), arrived_(rows_ * lanes_), kept_(std::max<int64_t>(0, ported.held_windows - 1) * rows_ * lanes_), beyond_(ported.held_windows ? rows_ * lanes_ : 0), last_(pointer_rows_ * lanes_, -1), ready_(pointer_rows_ * lanes_), full_(rows_ * lanes_),
          fullest_(lanes_), active_(pointer_rows_ * lanes_), taken_(tiles_) {
        const bool rows_share = ported.by_row && rows_ > 1, lanes_share = b_.segment < ported.span;
        for (int64_t tile = 0; tile < tiles_; tile++) {
            // A group that spans the tile's lanes takes all of their lines at once, one that spans the loop all of its lines.
            const int64_t lane_pointers = lanes_share ? ported.span : 1, loop_pointers = ported.by_row ? rows_ : 1;
            lane_lines_.emplace_back(t_.lanes_of[tile], t_.lanes_of[tile] * b_.scan_width, t_.lane_words, rows_share, lane_pointers, b_.window_count);
            loop_lines_.emplace_back(rows_, rows_ * b_.scan_width, t_.loop_words, lanes_share, loop_pointers, b_.window_count);
        }
        find_active();
        std::fill_n(b_.pairs, lanes_, 0), std::fill_n(b_.starved, lanes_, 0);
        std::fill_n(t_.lost, lanes_, 0), std::fill_n(t_.lane_reads, tiles_, 0), std::fill_n(t_.loop_reads, tiles_, 0);
    }

    void run() {
        for (int64_t i = 0; i < b_.window_count; i++) {
            window_ = b_.windows[i];
            size_ = window_ + 1 == t_.windows ? t_.last_size : b_.scan_width;
            count_window(b_, window_, arrived_.data());
            find_ready();
            if (t_.by_row)
                for (int64_t row = 0; row < rows_; row++) wait(row, row + 1), push(row, row + 1);
            else
                wait(0, rows_), push(0, rows_);
            for (int64_t tile = 0; tile < tiles_; tile++)
                if (streams(tile)) taken_[tile]++, follow(tile);
        }
        drain();
    }

private:
    bool streams(int64_t tile) const { return t_.lanes_of[tile] && (!b_.live || b_.live[window_ * lanes_ + tile * t_.span]); }
    int64_t pointer(int64_t row, int64_t lane) const { return (t_.by_row ? row : 0) * lanes_ + lane; }

    // Groups with an output.
    void find_active() {
        for (int64_t row = 0; row < rows_; row++)
            for (int64_t lane = 0; lane < lanes_; lane++) active_[pointer(row, lane)] |= b_.wanted[row * lanes_ + lane] ? 1 : 0;
        for (int64_t row = 0; row < pointer_rows_; row++) spread_largest(active_.data() + row * lanes_, lanes_, b_.segment);
    }

    // In which cycle each group can take the window: not before the last one, nor before the ports have it.
    void find_ready() {
        for (int64_t tile = 0; tile < tiles_; tile++) {
            Lines &lane_lines = lane_lines_[tile], &loop_lines = loop_lines_[tile];
            if (!t_.lanes_of[tile]) continue;
            lane_lines.find_ready(size_), loop_lines.find_ready(size_);
            const int32_t step = streams(tile) ? 1 : 0;
            for (int64_t row = 0; row < pointer_rows_; row++) {
                const int64_t first = row * lanes_ + tile * t_.span;
                int32_t *__restrict ready = ready_.data() + first, *__restrict last = last_.data() + first;
                for (int64_t lane = 0; lane < t_.span; lane++) ready[lane] = last[lane] + step;
                if (!step) continue;
                if (lane_lines.waits())
                    for (int64_t lane = 0; lane < t_.span; lane++)
                        ready[lane] = std::max(ready[lane], lane_lines.ready(b_.segment < t_.span ? lane : 0));
                if (loop_lines.waits())
                    for (int64_t lane = 0; lane < t_.span; lane++) ready[lane] = std::max(ready[lane], loop_lines.ready(t_.by_row ? row : 0));
                if (b_.segment > 1 && lane_lines.waits()) spread_largest(ready, t_.span, b_.segment);
            }
        }
    }

    // Let some rows of PEs consume until their groups can take the window, and find how long each group's fullest PE still has to
    // make room for it: of a queue, or of the oldest window.
    void wait(int64_t first, int64_t stop) {
        const int32_t consumed = static_cast<int32_t>(b_.lanes_per_pe);
        int32_t* __restrict fullest = fullest_.data();
        std::fill_n(fullest, lanes_, 0);
        for (int64_t row = first; row < stop; row++) {
            const int64_t at = pointer(row, 0), own = row * lanes_;
            const int32_t *__restrict ready = ready_.data() + at, *__restrict last = last_.data() + at;
            const int32_t* __restrict coming = (t_.held_windows ? beyond_ : arrived_).data() + own;
            int32_t *__restrict queue = queue_.data() + own, *__restrict full = full_.data() + own;
            int32_t waited = 0;
            for (int64_t lane = 0; lane < lanes_; lane++) waited |= (ready[lane] - last[lane]) >> 1;
            if (waited) wait_for_ports(row, ready, last, queue);
            for (int64_t lane = 0; lane < lanes_; lane++) {
                full[lane] = queue[lane] + coming[lane];
                fullest[lane] = fullest[lane] > full[lane] ? fullest[lane] : full[lane];
            }
        }
        spread_largest(fullest, lanes_, b_.segment);
        const int32_t depth = t_.held_windows ? 0 : static_cast<int32_t>(b_.fifo_depth);
        for (int64_t lane = 0; lane < lanes_; lane++) fullest[lane] = fullest[lane] > depth ? fullest[lane] - depth : 0;
        if (consumed > 1)
            for (int64_t lane = 0; lane < lanes_; lane++) fullest[lane] = (fullest[lane] + consumed - 1) / consumed;
        for (int64_t lane = 0; t_.held_windows && b_.live && lane < lanes_; lane++)  // what does not come needs no room
            fullest[lane] &= b_.live[window_ * lanes_ + lane] ? -1 : 0;
    }
    void wait_for_ports(int64_t row, const int32_t* __restrict ready, const int32_t* __restrict last, int32_t* __restrict queue) {
        const uint8_t* wanted = b_.wanted + row * lanes_;
        for (int64_t lane = 0; lane < lanes_; lane++) {
            const int64_t waited = std::max(ready[lane] - last[lane] - 1, 0), could = waited * b_.lanes_per_pe;
            const int64_t gone = could < queue[lane] ? could : queue[lane];
            t_.lost[lane] += wanted[lane] ? could - gone : 0;
            queue[lane] -= static_cast<int32_t>(gone);
        }
    }

    // Let some rows of PEs consume while their groups' queues are too full (`fullest_` says how long), then push the window.
    void push(int64_t first, int64_t stop) {
        const int32_t consumed = static_cast<int32_t>(b_.lanes_per_pe);
        const int32_t* __restrict stalls = fullest_.data();
        const uint8_t* live = b_.live ? b_.live + window_ * lanes_ : nullptr;
        for (int64_t row = first; row < stop; row++) {
            const int64_t own = row * lanes_;
            const int32_t* __restrict arrived = arrived_.data() + own;
            int32_t* __restrict queue = queue_.data() + own;
            const uint8_t* __restrict wanted = b_.wanted + own;
            for (int64_t lane = 0; lane < lanes_; lane++) {
                const int32_t gone = stalls[lane] * consumed, eats = live && !live[lane] ? 0 : consumed;
                const int32_t held = (queue[lane] > gone ? queue[lane] - gone : 0) + arrived[lane];
                b_.starved[lane] += static_cast<uint32_t>(wanted[lane] && eats > held ? eats - held : 0);
                queue[lane] = held > eats ? held - eats : 0;
            }
            if (t_.held_windows > 1) note_window(own, live);
        }
        const int64_t at = pointer(first, 0);
        for (int64_t lane = 0; lane < lanes_; lane++) last_[at + lane] = ready_[at + lane] + stalls[lane];
    }

    // Remember a row's pairs of this window, and of the windows that may stay when the next one enters: the youngest V - 1.
    void note_window(int64_t own, const uint8_t* live) {
        const int64_t count = t_.held_windows - 1, pes = rows_ * lanes_;
        for (int64_t lane = 0, at = own; lane < lanes_; lane++, at++) {
            if (live && !live[lane]) continue;
            beyond_[at] += kept_[(count - 1) * pes + at] - arrived_[at];
            for (int64_t i = count - 1; i > 0; i--) kept_[i * pes + at] = kept_[(i - 1) * pes + at];
            kept_[at] = arrived_[at];
        }
    }

    // What a tile's window means for the lines: when the slowest group took it, and how often it was read.
    void follow(int64_t tile) {
        const int64_t first = tile * t_.span, used = t_.lanes_of[tile];
        const bool lanes_share = b_.segment < t_.span;
        Lines &lane_lines = lane_lines_[tile], &loop_lines = loop_lines_[tile];
        for (int64_t lane = 0; lane < (lanes_share ? used : 1); lane++) {
            gather(first + lane, lanes_, pointer_rows_);
            const int64_t lines = lanes_share ? 1 : used;
            t_.lane_reads[tile] += lines * size_ * reads(lane_lines);
            if (!cycles_.empty()) lane_lines.took(lane, size_, *std::max_element(cycles_.begin(), cycles_.end()));
        }
        for (int64_t row = 0; row < pointer_rows_; row++) {
            gather(row * lanes_ + first, 1, lanes_share ? used : 1);
            const int64_t lines = t_.by_row ? 1 : rows_;
            t_.loop_reads[tile] += lines * size_ * reads(loop_lines);
            if (!cycles_.empty()) loop_lines.took(row, size_, *std::max_element(cycles_.begin(), cycles_.end()));
        }
        lane_lines.next(), loop_lines.next();
    }
    // The cycles in which the groups on a line took the window.
    void gather(int64_t from, int64_t stride, int64_t count) {
        cycles_.clear();
        for (int64_t i = 0; i < count; i++)
            if (active_[from + i * stride]) cycles_.push_back(last_[from + i * stride]);
    }
    int64_t reads(const Lines& lines) { return lines.narrow() ? !cycles_.empty() : count_different(cycles_); }

    // Cycles until each group's queues are empty, beyond one for each window.
    void drain() {
        const int32_t consumed = static_cast<int32_t>(b_.lanes_per_pe);
        for (int64_t first = 0; first < rows_; first += t_.by_row ? 1 : rows_) {
            std::fill(fullest_.begin(), fullest_.end(), 0);
            for (int64_t row = first; row < (t_.by_row ? first + 1 : rows_); row++)
                for (int64_t lane = 0; lane < lanes_; lane++) fullest_[lane] = std::max(fullest_[lane], queue_[row * lanes_ + lane]);
            spread_largest(fullest_.data(), lanes_, b_.segment);
            const int64_t at = pointer(first, 0);
            for (int64_t lane = 0; lane < lanes_; lane++) {
                const int64_t taken = taken_[lane / t_.span];
                const int64_t extra = last_[at + lane] + 1 + (fullest_[lane] + consumed - 1) / consumed - taken;
                b_.extra_cycles[at + lane] = static_cast<uint32_t>(active_[at + lane] ? extra : 0);
            }
        }
    }

    const PortedBlock& t_;
    const Block& b_;
    int64_t lanes_, rows_, tiles_, pointer_rows_;
    std::vector<int32_t> queue_, arrived_;      // [loop][lane]
    std::vector<int32_t> kept_, beyond_;        // inner-join PEs: pairs of the youngest windows [V - 1][loop][lane]; less their sum
    std::vector<int32_t> last_, ready_;         // [pointer row][lane]: when each group took the last window, and can take this one
    std::vector<int32_t> full_, fullest_;
    std::vector<int32_t> active_;               // [pointer row][lane]: whether the group has an output
    std::vector<int64_t> taken_;                // [tile]: windows streamed so far
    std::vector<Lines> lane_lines_, loop_lines_;  // [tile]
    std::vector<int32_t> cycles_;
    int64_t window_ = 0, size_ = 0;
};

}  // namespace

void ported(const PortedBlock& block) { PortedRun(block).run(); }

}  // namespace accelsim
