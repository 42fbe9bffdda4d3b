// A macro-tile has whole tiles of the array. Along the grid of positions (the columns of forward and input_grad, K of weight_grad)
// it is a run, or the same part of each line of a run; along kernel and channels (the other axis) some rows of the kernel and some
// channels, whose lines are loaded exactly as read. All sizes are tried that make another number of blocks, and what fits is offered
// to a front that keeps the cuts no other beats.
#include "cuts.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>

namespace accelsim {
namespace {

using Sizes = std::vector<int64_t>;
constexpr int64_t kMany = 64;      // sizes of a block: up to here all are tried, of more those that make another number of blocks
constexpr int64_t kPositions = 64;  // gathered elements come in multiples of this many K positions

int64_t ceil_of(int64_t amount, int64_t size) { return (amount + size - 1) / size; }

// The least multiple of a unit that makes no more blocks than a size does: work on a short last block hides little of the load
// of the full block after it.
int64_t evenly(int64_t extent, int64_t size, int64_t unit = 1) {
    return std::min(size, ceil_of(ceil_of(extent, ceil_of(extent, size)), unit) * unit);
}

// The least size of a block for each number of blocks, from the smallest on; and all sizes up to `all`.
Sizes block_sizes(int64_t extent, int64_t all = 0) {
    Sizes sizes;
    for (int64_t size = 1; size <= std::min(all, extent); size++) sizes.push_back(size);
    for (int64_t size = sizes.empty() ? 1 : sizes.back() + 1; size <= extent;) {
        const int64_t blocks = ceil_of(extent, size), least = ceil_of(extent, blocks);
        if (least == size) sizes.push_back(size);
        size = blocks == 1 ? extent + 1 : std::max(size + 1, ceil_of(extent, blocks - 1));
    }
    return sizes;
}

// Source positions that grid positions [low, high) read along an axis, those between included.
int64_t reached(const Sliding& axis, int64_t low, int64_t high) {
    const auto [least, most] = std::minmax_element(axis.offsets, axis.offsets + axis.taps);
    const int64_t first = std::clamp<int64_t>(low * axis.step + *least, 0, axis.source);
    return std::max<int64_t>(std::clamp<int64_t>((high - 1) * axis.step + *most + 1, 0, axis.source) - first, 0);
}

// Source lines that runs of grid positions read through some rows of the kernel; a line counts once for each run. All images are
// read in the same way, so one of them is kept.
class Lines {
public:
    Lines(const Sliding& y, int64_t first_tap, int64_t last_tap) : own_(y.grid), fresh_(y.grid + 1) {
        const auto [least, most] = std::minmax_element(y.offsets + first_tap, y.offsets + last_tap);
        int64_t end = 0;
        for (int64_t line = 0; line < y.grid; line++) {
            const int64_t first = std::clamp<int64_t>(line * y.step + *least, 0, y.source);
            const int64_t last = std::max(first, std::clamp<int64_t>(line * y.step + *most + 1, 0, y.source));
            own_[line] = last - first;
            fresh_[line + 1] = fresh_[line] + last - std::min(std::max(first, end), last);
            end = std::max(end, last);
        }
    }
    // Lines that grid lines [low, high) read, counted over images.
    int64_t of(int64_t low, int64_t high) const {
        const int64_t grid = static_cast<int64_t>(own_.size());
        return own_[low % grid] + fresh_up_to(high, grid) - fresh_up_to(low + 1, grid);
    }

private:
    int64_t fresh_up_to(int64_t line, int64_t grid) const { return line / grid * fresh_[grid] + fresh_[line % grid]; }

    Sizes own_, fresh_;
};

// Lines that runs of one size read.
struct RunLines {
    int64_t every;    // of all runs and blocks of rows of the kernel
    int64_t largest;  // the most of one run and block
    int64_t run;      // the most of one run, summed over blocks
    int64_t kernel;   // the most of one block, summed over runs
};

RunLines count_lines(const CutProblem& p, const std::vector<Lines>& blocks, int64_t size) {
    const int64_t extent = p.grid_is_k ? p.k : p.n, width = p.x.grid, image = p.y.grid * width;
    const int64_t whole = extent / size, period = image / std::gcd(size, image);  // runs read alike again after whole images
    RunLines lines = {};
    Sizes of_block(blocks.size());
    const auto count = [&](int64_t start, int64_t stop, int64_t times) {
        int64_t run = 0;
        for (size_t block = 0; block < blocks.size(); block++) {
            const int64_t read = blocks[block].of(start / width, ceil_of(stop, width));
            run += read, of_block[block] += times * read;
            lines.largest = std::max(lines.largest, read);
        }
        lines.run = std::max(lines.run, run), lines.every += times * run;
    };
    for (int64_t number = 0; number < std::min(whole, period); number++)
        count(number * size, (number + 1) * size, ceil_of(whole - number, period));
    if (whole * size < extent) count(whole * size, extent, 1);
    lines.kernel = *std::max_element(of_block.begin(), of_block.end());
    return lines;
}

class Front {
public:
    explicit Front(int64_t enough) : enough_(enough) {}

    void offer(const CutFound& cut) {
        for (Entry& entry : entries_) {
            const CutFound& best = entry.fewest;
            if (best.a_words <= cut.a_words && best.b_words <= cut.b_words && best.spilled_sums <= cut.spilled_sums) {
                if (moves_alike(best, cut)) entry.take(cut, enough_);
                return;
            }
        }
        const auto beaten = [&](const Entry& entry) {
            const CutFound& old = entry.fewest;
            return cut.a_words <= old.a_words && cut.b_words <= old.b_words && cut.spilled_sums <= old.spilled_sums;
        };
        entries_.erase(std::remove_if(entries_.begin(), entries_.end(), beaten), entries_.end());
        entries_.push_back({cut, cut});
    }
    std::vector<CutFound> cuts() {
        std::sort(entries_.begin(), entries_.end(), [](const Entry& x, const Entry& y) {
            return x.fewest.a_words != y.fewest.a_words ? x.fewest.a_words < y.fewest.a_words : x.fewest.b_words < y.fewest.b_words;
        });
        std::vector<CutFound> found;
        for (const Entry& entry : entries_) {
            found.push_back(entry.fewest);
            if (entry.finer.steps >= enough_ && entry.finer.steps > entry.fewest.steps) found.push_back(entry.finer);
        }
        return found;
    }

private:
    struct Entry {
        CutFound fewest, finer;  // of the fewest steps; of the fewest from `enough` on, if there is one

        void take(const CutFound& cut, int64_t enough) {
            if (cut.steps < fewest.steps) fewest = cut;
            if (cut.steps >= enough && (finer.steps < enough || cut.steps < finer.steps)) finer = cut;
        }
    };
    static bool moves_alike(const CutFound& x, const CutFound& y) {
        return x.a_words == y.a_words && x.b_words == y.b_words && x.spilled_sums == y.spilled_sums;
    }

    int64_t enough_;
    std::vector<Entry> entries_;
};

// Which operand has all of its K positions on chip while the blocks of the other one pass.
enum class Stays { none, a, b };

class Search {
public:
    Search(const CutProblem& problem, int64_t enough) : p_(problem), front_(enough) {
        row_tiles_ = block_sizes(ceil_of(p_.m, p_.rows));
        for (const int64_t rows : block_sizes(p_.y.taps)) p_.grid_is_k ? along_k(rows) : along_columns(rows);
        gathered();
    }
    std::vector<CutFound> cuts() { return front_.cuts(); }

private:
    // A macro-tile's words, of its chunk and of all K positions, and what all macro-tiles load if each block is loaded once.
    struct Macro {
        CutFound cut;
        int64_t row_blocks, column_blocks, chunks, a_part, b_part, a_all, b_all, sums, b_sweep;
    };

    bool fits(int64_t a_words, int64_t b_words, int64_t sums) const {
        const int64_t a = a_words * p_.operand_bits, b = b_words * p_.operand_bits, own = sums * p_.accumulator_bits;
        return a <= p_.room.a && b <= p_.room.b && own <= p_.room.sums && a + b + own <= p_.room.total;
    }
    // The most units of K that fit, of which each takes some words of A and of B, unless all K positions of it stay.
    int64_t most_units(const Macro& macro, Stays stays, int64_t a_unit, int64_t b_unit) const {
        const int64_t a_words = stays == Stays::a ? macro.a_all : 0, b_words = stays == Stays::b ? macro.b_all : 0;
        if (a_words) a_unit = 0;
        if (b_words) b_unit = 0;
        if (!fits(a_words, b_words, macro.sums)) return 0;
        const int64_t bits = p_.operand_bits, left = p_.room.total - (a_words + b_words) * bits - macro.sums * p_.accumulator_bits;
        int64_t most = left / std::max<int64_t>((a_unit + b_unit) * bits, 1);
        if (a_unit) most = std::min(most, (p_.room.a / bits - a_words) / a_unit);
        if (b_unit) most = std::min(most, (p_.room.b / bits - b_words) / b_unit);
        return most;
    }
    int64_t most_sums() const { return std::min(p_.room.sums, p_.room.total) / p_.accumulator_bits; }
    int64_t rows_of(int64_t row_tiles) const { return std::min(row_tiles * p_.rows, p_.m); }

    void offer(const Macro& macro, Stays stays) {
        CutFound cut = macro.cut;
        const int64_t a_sweep = p_.m * p_.k, a_again = a_sweep * macro.column_blocks, b_again = macro.b_sweep * macro.row_blocks;
        const bool one = macro.chunks == 1;
        cut.steps = macro.row_blocks * macro.column_blocks * macro.chunks;
        cut.stays = stays != Stays::none, cut.by_columns = stays == Stays::b || !p_.by_rows;
        if (stays == Stays::a) {
            if (!p_.by_rows || !fits(macro.a_all, macro.b_part, macro.sums)) return;
            cut.a_words = a_sweep, cut.b_words = one && macro.column_blocks == 1 ? macro.b_sweep : b_again;
            front_.offer(cut);
        } else if (stays == Stays::b) {
            if (!p_.by_columns || !fits(macro.a_part, macro.b_all, macro.sums)) return;
            cut.a_words = one && macro.row_blocks == 1 ? a_sweep : a_again, cut.b_words = macro.b_sweep;
            front_.offer(cut);
        } else if (!one && fits(macro.a_part, macro.b_part, macro.sums)) {
            cut.a_words = a_again, cut.b_words = b_again;
            front_.offer(cut);
            if (!p_.may_spill || macro.row_blocks * macro.column_blocks == 1) return;
            // Chunk by chunk: sums leave and come back in each chunk but the first.
            cut.spills = 1, cut.spilled_sums = (macro.chunks - 1) * p_.m * p_.n;
            if (p_.by_rows) {
                cut.a_words = a_sweep, cut.b_words = macro.column_blocks == 1 ? macro.b_sweep : b_again;
                front_.offer(cut);
            }
            if (p_.by_columns) {
                cut.by_columns = 1;
                cut.a_words = macro.row_blocks == 1 ? a_sweep : a_again, cut.b_words = macro.b_sweep;
                front_.offer(cut);
            }
        }
    }

    std::vector<Lines> kernel_lines(int64_t kernel_rows) const {
        std::vector<Lines> blocks;
        for (int64_t low = 0; low < p_.y.taps; low += kernel_rows) blocks.emplace_back(p_.y, low, std::min(low + kernel_rows, p_.y.taps));
        return blocks;
    }

    // Columns are windows of grid positions; K is cut by rows of the kernel and by channels.
    void along_columns(int64_t kernel_rows) {
        const std::vector<Lines> blocks = kernel_lines(kernel_rows);
        run_lines_.clear();
        const int64_t most = most_sums() / std::min(p_.rows, p_.m), line = p_.x.grid;
        for (const int64_t run : column_runs(most)) window(kernel_rows, blocks, run, run, 0, 1, p_.x.source, p_.x.source);
        if (p_.y.taps * p_.x.taps == 1) return;  // blocks narrower than a line pay only where kernels overlap
        const Sizes heights = block_sizes(p_.images * p_.y.grid, kMany);
        for (const int64_t width : block_sizes(line)) {
            if (width == line) continue;
            int64_t pixels = 0, most_pixels = 0;
            for (int64_t start = 0; start < line; start += width) {
                const int64_t read = reached(p_.x, start, std::min(start + width, line));
                pixels += read, most_pixels = std::max(most_pixels, read);
            }
            for (const int64_t height : heights) {
                if (height * width > most) break;
                window(kernel_rows, blocks, height * line, height * width, width, ceil_of(line, width), pixels, most_pixels);
            }
        }
    }

    // Macro-tiles of `columns` columns, of which a run of positions has `parts`. `pixels`: of each source line, that all parts
    // read together, and the most of one.
    void window(int64_t kernel_rows, const std::vector<Lines>& blocks, int64_t run, int64_t columns, int64_t width, int64_t parts,
                int64_t pixels, int64_t most_pixels) {
        if (columns < std::min(p_.cols, p_.n)) return;  // less than a tile
        const auto [known, is_new] = run_lines_.try_emplace(run);
        if (is_new) known->second = count_lines(p_, blocks, run);
        const RunLines& lines = known->second;
        const int64_t taps = kernel_rows * p_.x.taps, largest = lines.largest * most_pixels;
        for (const int64_t tiles : row_tiles_) {
            const int64_t rows = rows_of(tiles), sums = rows * columns;
            if (!fits(0, 0, sums)) break;
            Macro macro = {};
            macro.cut.row_tiles = tiles, macro.cut.columns = columns, macro.cut.window_width = width, macro.cut.kernel_rows = kernel_rows;
            macro.row_blocks = ceil_of(p_.m, rows), macro.column_blocks = ceil_of(p_.n, run) * parts, macro.sums = sums;
            macro.a_all = rows * p_.k, macro.b_all = lines.run * most_pixels * p_.channels, macro.b_sweep = lines.every * pixels * p_.channels;
            for (const Stays stays : {Stays::none, Stays::a, Stays::b}) {
                const int64_t room = most_units(macro, stays, rows * taps, largest);
                if (room < 1) continue;
                // Smaller chunks load as many words, but the first one sooner.
                int64_t before = 0;
                for (const int64_t upper : {p_.channels, ceil_of(p_.channels, 4)}) {
                    const int64_t channels = evenly(p_.channels, std::min(room, upper));
                    if (channels == before) break;
                    before = channels;
                    macro.cut.block_channels = channels, macro.cut.chunk = taps * channels;
                    macro.chunks = static_cast<int64_t>(blocks.size()) * ceil_of(p_.channels, channels);
                    macro.a_part = rows * taps * channels, macro.b_part = largest * channels;
                    offer(macro, stays);
                }
            }
        }
    }

    // K is cut in runs of grid lines, or of each line of a run the same part; columns by rows of the kernel and by channels.
    void along_k(int64_t kernel_rows) {
        const std::vector<Lines> blocks = kernel_lines(kernel_rows);
        const int64_t line = p_.x.grid, grid_lines = p_.images * p_.y.grid;
        Sizes runs = block_sizes(grid_lines);
        for (int64_t size = p_.y.grid; size <= grid_lines; size += p_.y.grid) runs.push_back(size);
        std::sort(runs.begin(), runs.end());
        runs.erase(std::unique(runs.begin(), runs.end()), runs.end());
        std::vector<RunLines> lines;
        Sizes largest, best;  // of the runs up to each: the most lines of one, and the last of those that read the fewest in all
        for (const int64_t run : runs) {
            lines.push_back(count_lines(p_, blocks, run * line));
            const int64_t at = static_cast<int64_t>(lines.size()) - 1;
            largest.push_back(std::max(at ? largest.back() : 0, lines.back().largest));
            best.push_back(at && lines[best.back()].every < lines.back().every ? best.back() : at);
        }
        for (const int64_t width : block_sizes(line)) {
            int64_t pixels = 0, most_pixels = 0;
            for (int64_t start = 0; start < line; start += width) {
                const int64_t read = width == line ? p_.x.source : reached(p_.x, start, std::min(start + width, line));
                pixels += read, most_pixels = std::max(most_pixels, read);
            }
            const int64_t parts = ceil_of(line, width);
            for (const int64_t channels : block_sizes(p_.channels)) {
                const int64_t columns = kernel_rows * p_.x.taps * channels;
                if (columns < std::min(p_.cols, p_.n)) continue;
                for (const int64_t tiles : row_tiles_) {
                    const int64_t rows = rows_of(tiles), sums = rows * columns;
                    if (!fits(0, 0, sums)) break;
                    Macro macro = {};
                    macro.cut.row_tiles = tiles, macro.cut.columns = columns, macro.cut.window_width = width == line ? 0 : width;
                    macro.cut.kernel_rows = kernel_rows, macro.cut.block_channels = channels;
                    macro.row_blocks = ceil_of(p_.m, rows), macro.sums = sums, macro.a_all = rows * p_.k;
                    macro.column_blocks = static_cast<int64_t>(blocks.size()) * ceil_of(p_.channels, channels);
                    for (const Stays stays : {Stays::none, Stays::a, Stays::b}) {
                        if (stays != Stays::none && parts > 1) break;  // all of K fits: no need for narrow parts
                        const auto holds = [&](int64_t at) {
                            return fits(stays == Stays::a ? macro.a_all : rows * runs[at] * width,
                                        stays == Stays::b ? 0 : largest[at] * most_pixels * channels, sums);
                        };
                        int64_t low = 0, high = static_cast<int64_t>(runs.size());  // runs before `low` fit
                        while (low < high) {
                            const int64_t middle = (low + high) / 2;
                            holds(middle) ? low = middle + 1 : high = middle;
                        }
                        if (!low) continue;
                        for (const int64_t most : {low - 1, (low - 1) / 2}) {
                            const int64_t at = best[most];
                            macro.cut.chunk = runs[at] * width, macro.chunks = ceil_of(grid_lines, runs[at]) * parts;
                            macro.a_part = rows * macro.cut.chunk, macro.b_part = lines[at].largest * most_pixels * channels;
                            macro.b_all = lines[at].kernel * pixels * channels, macro.b_sweep = lines[at].every * pixels * p_.channels;
                            offer(macro, stays);
                            if (most == 0) break;
                        }
                    }
                }
            }
        }
    }

    // B's elements are loaded as the GEMM has them, one by one; K is cut in runs.
    void gathered() {
        const Sizes columns = column_runs(std::min(most_sums() / std::min(p_.rows, p_.m), p_.room.b / p_.operand_bits));
        for (const int64_t tiles : row_tiles_)
            for (const int64_t wide : columns) {
                const int64_t rows = rows_of(tiles), sums = rows * wide;
                if (!fits(0, 0, sums)) break;
                Macro macro = {};
                macro.cut.row_tiles = tiles, macro.cut.columns = wide, macro.cut.gathered = 1;
                macro.row_blocks = ceil_of(p_.m, rows), macro.column_blocks = ceil_of(p_.n, wide), macro.sums = sums;
                macro.a_all = rows * p_.k, macro.b_all = wide * p_.k, macro.b_sweep = p_.n * p_.k;
                for (const Stays stays : {Stays::none, Stays::a, Stays::b}) {
                    const int64_t room = most_units(macro, stays, rows, wide) / kPositions * kPositions;
                    const int64_t most = std::max(std::min(room, p_.k), std::min(kPositions, p_.k));
                    macro.cut.chunk = evenly(p_.k, most, kPositions), macro.chunks = ceil_of(p_.k, macro.cut.chunk);
                    macro.a_part = rows * macro.cut.chunk, macro.b_part = wide * macro.cut.chunk;
                    offer(macro, stays);
                }
            }
    }

    // Columns of a macro-tile, a tile's at least and no more than `most`: whole tiles, or whole lines of the grid.
    Sizes column_runs(int64_t most) const {
        Sizes columns;
        for (const int64_t count : block_sizes(ceil_of(p_.n, p_.cols), kMany)) columns.push_back(std::min(count * p_.cols, p_.n));
        if (!p_.grid_is_k)
            for (const int64_t count : block_sizes(p_.images * p_.y.grid, kMany)) columns.push_back(count * p_.x.grid);
        std::sort(columns.begin(), columns.end());
        columns.erase(columns.begin(), std::lower_bound(columns.begin(), columns.end(), std::min(p_.cols, p_.n)));
        columns.erase(std::unique(columns.begin(), columns.end()), columns.end());
        columns.erase(std::upper_bound(columns.begin(), columns.end(), most), columns.end());
        return columns;
    }

    const CutProblem& p_;
    Front front_;
    Sizes row_tiles_;
    std::unordered_map<int64_t, RunLines> run_lines_;  // of the blocks of rows of the kernel that are tried
};

}  // namespace

std::vector<CutFound> find_cuts(const CutProblem& problem, int64_t enough) { return Search(problem, enough).cuts(); }

}  // namespace accelsim
