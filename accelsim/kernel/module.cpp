// The Python module: checks arguments, gives up the interpreter's lock, calls the kernels. `_kernel.pyi` has the signatures.
#include <vector>

#include "arguments.h"
#include "bits.h"
#include "block.h"
#include "counting.h"
#include "cuts.h"
#include "dram.h"
#include "lowering.h"
#include "scan.h"
#include "tensordash.h"
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define ACCELSIM_NAME_(prefix, target) prefix##target
#define ACCELSIM_NAME(prefix, target) ACCELSIM_NAME_(prefix, target)
#define ACCELSIM_TEXT_(text) #text
#define ACCELSIM_TEXT(text) ACCELSIM_TEXT_(text)

namespace accelsim {
namespace {

using Bits = Array<const uint64_t>;
using Numbers = Array<const int64_t>;

// Check that row tiles' columns exist, and return each row tile's first tile.
std::vector<int64_t> check_tiles(const Tiles& tiles, const Numbers& columns, int64_t n) {
    std::vector<int64_t> first(tiles.row_tiles + 1);
    for (int64_t tile = 0; tile < tiles.row_tiles; tile++) {
        require(0 <= tiles.starts[tile] && tiles.starts[tile] <= tiles.stops[tile] && tiles.stops[tile] <= columns.size, "a row tile's columns are not there");
        first[tile + 1] = first[tile] + ceil_div(tiles.stops[tile] - tiles.starts[tile], tiles.cols);
    }
    for (int64_t i = 0; i < columns.size; i++) require(columns.data[i] >= 0 && columns.data[i] < n, "a scheduled column is not there");
    return first;
}

struct Schedule {
    Schedule(Arguments& in, int64_t m, int64_t n, int64_t stack = 1) {
        const Numbers columns = in.array<const int64_t>(), starts = in.array<const int64_t>(), stops = in.array<const int64_t>();
        tiles.rows = in.number(1), tiles.cols = in.number(1);
        tiles.row_tiles = stack * ceil_div(m, tiles.rows);
        tiles.columns = columns.data, tiles.starts = starts.of(tiles.row_tiles, "starts"), tiles.stops = stops.of(tiles.row_tiles, "stops");
        first_tile = check_tiles(tiles, columns, n);
    }
    int64_t count() const { return first_tile.back(); }
    Tiles tiles;
    std::vector<int64_t> first_tile;
};

// An operand of the first of some GEMMs that are stacked. Where columns are told by `row_of`, all have the same.
Operand operand(const Bits& bits, const Array<const int32_t>& row_of, int64_t stack, int64_t items, int64_t k, bool shown, bool dropped) {
    const int64_t words = ceil_div(k, 64), rows = row_of.data ? bits.size / words : items;
    Operand made = {bits.of((row_of.data ? 1 : stack) * rows * words, "an operand"), rows, words, row_of.of(items, "b_of"), items, shown, dropped};
    for (int64_t i = 0; row_of.data && i < items; i++) require(made.row_of[i] >= 0 && made.row_of[i] < rows, "b_of names a row that is not there");
    return made;
}

// A tile's cycles are counted in 32 bits: each window waits for its words and for room.
void require_cycles(const ScanProblem& p) {
    int64_t each = 1 + ceil_div(p.scan_width, p.lanes);
    if (p.a_words) each = std::max(each, each + ceil_div(p.rows * p.scan_width, p.a_words));
    if (p.b_words) each = std::max(each, each + ceil_div(p.cols * p.scan_width, p.b_words));
    require(p.windows() <= (int64_t{1} << 31) / (2 * each), "ports are so narrow that a tile may take 2^30 cycles");
}

// Scanning PEs, or inner-join PEs with windows that they hold in place of queues.
PyObject* take_windows(Arguments& in, bool queues) {
    ScanProblem p = {};
    const int64_t stack = in.number(1), m = in.number(1), n = in.number(1);
    p.k = in.number(1);
    const Bits a = in.array<const uint64_t>(), b = in.array<const uint64_t>();
    const auto b_of = in.array<const int32_t>();
    p.needed_words = ceil_div(n, 64), p.needed = in.array<const uint64_t>().of(stack * m * p.needed_words, "needed");
    const Schedule schedule(in, m, n, stack);
    p.rows = schedule.tiles.rows, p.cols = schedule.tiles.cols, p.row_tiles = ceil_div(m, p.rows);
    p.columns = schedule.tiles.columns, p.starts = schedule.tiles.starts, p.stops = schedule.tiles.stops, p.first_tile = schedule.first_tile.data();
    p.lanes = in.number(1), p.scan_width = in.number(1);
    (queues ? p.fifo_depth : p.held_windows) = in.number(queues ? p.scan_width : 1);
    require(queues || p.held_windows == 1 || p.held_windows == 2 || p.held_windows == 4, "windows is none of 1, 2 and 4");
    const int64_t sync = in.number();
    require(sync < 4, "sync is none of 0 to 3");
    p.sync = static_cast<Sync>(sync);
    require(std::max(p.rows, p.cols) <= kMostParts * kLanes, "an array has more than 4096 rows or columns");
    p.a_words = in.number(), p.b_words = in.number();
    require_cycles(p);
    const bool a_shown = in.flag(), b_shown = in.flag(), a_dropped = in.flag(), b_dropped = in.flag();
    p.count_pairs = in.flag();
    p.a = operand(a, {nullptr, 0}, stack, m, p.k, a_shown, a_dropped), p.b = operand(b, b_of, stack, n, p.k, b_shown, b_dropped);
    p.check_interrupt = check_interrupt;
    const int64_t tiles = schedule.count();
    int64_t* totals = in.array<int64_t>().of(10 * tiles, "totals");
    WithoutLock unlocked;
    for (int64_t gemm = 0; gemm < stack; gemm++) {
        scan_gemm(p, {totals, totals + tiles, totals + 2 * tiles, totals + 3 * tiles, totals + 4 * tiles, totals + 5 * tiles, totals + 6 * tiles,
                      totals + 7 * tiles, totals + 8 * tiles, totals + 9 * tiles});
        p.a.bits += m * p.a.words, p.b.bits += b_of.data ? 0 : n * p.b.words, p.needed += p.needed ? m * p.needed_words : 0;
        p.starts += p.row_tiles, p.stops += p.row_tiles, p.first_tile += p.row_tiles;
    }
    return nullptr;
}

PyObject* scan(Arguments& in) { return take_windows(in, true); }
PyObject* py_inner_join(Arguments& in) { return take_windows(in, false); }

PyObject* tensordash(Arguments& in) {
    TensorDashProblem p = {};
    p.m = in.number(1);
    const int64_t n = in.number(1);
    p.k = in.number(1);
    const auto windows = in.array<const uint16_t>();
    p.by_column = in.flag();
    const int64_t items = p.by_column ? n : p.m, count = ceil_div(p.k, kTensorDashLanes);
    p.window_pitch = windows.size / items, p.windows = windows.of(items * p.window_pitch, "windows");
    require(p.window_pitch >= count, "windows has too few of them");
    p.needed_words = ceil_div(n, 64), p.needed = in.array<const uint64_t>().of(p.m * p.needed_words, "needed");
    const Schedule schedule(in, p.m, n);
    p.tiles = schedule.tiles, p.first_tile = schedule.first_tile.data();
    p.stages = in.number(1);
    require(p.stages <= kMostStages, "a schedule sees at most three windows");
    p.together = in.flag();
    p.a_words = in.number(0), p.b_words = in.number(0);
    p.present_a = in.array<const uint8_t>().of(p.tiles.row_tiles * count, "present_a"), p.present_b = in.array<const uint8_t>().of(n * count, "present_b");
    p.check_interrupt = check_interrupt;
    TensorDashTotals t = {in.array<int64_t>().of(schedule.count(), "cycles"), in.array<int64_t>().of(schedule.count(), "positions")};
    {
        WithoutLock unlocked;
        run_tensordash(p, t);
    }
    return Py_BuildValue("LLLLLLLLLL", static_cast<long long>(t.pairs), static_cast<long long>(t.sync), static_cast<long long>(t.starved),
                         static_cast<long long>(t.barrier), static_cast<long long>(t.waited), static_cast<long long>(t.working),
                         static_cast<long long>(t.outputs), static_cast<long long>(t.scanned), static_cast<long long>(t.a_reads),
                         static_cast<long long>(t.b_reads));
}

// --- lowering ------------------------------------------------------------------------------------------------------------------

int64_t words_for(int64_t bits) { return ceil_div(bits, 64); }
Extent extent(Arguments& in, int64_t least = 0) {
    const int64_t y = in.number(least);
    return {y, in.number(least)};
}
int64_t area(Extent extent) { return extent.y * extent.x; }

PyObject* py_transpose_rows(Arguments& in) {
    const Bits source = in.array<const uint64_t>();
    const int64_t matrices = in.number(), rows = in.number(), cols = in.number();
    const auto target = in.array<uint64_t>();
    WithoutLock unlocked;
    transpose_rows(source.of(matrices * rows * words_for(cols), "rows"), matrices, rows, cols, target.of(matrices * cols * words_for(rows), "target"));
    return nullptr;
}

PyObject* py_count_columns(Arguments& in) {
    const Bits source = in.array<const uint64_t>();
    const int64_t rows = in.number(), words = in.number();
    const auto counts = in.array<int64_t>();
    WithoutLock unlocked;
    count_columns(source.of(rows * words, "rows"), rows, words, counts.of(words * 64, "counts"));
    return nullptr;
}

PyObject* py_all_set(Arguments& in) {
    const Bits source = in.array<const uint64_t>();
    const int64_t bits = in.number();
    require(words_for(bits) <= source.size, "there are fewer bits");
    return PyBool_FromLong(all_set(source.data, bits));
}

PyObject* py_fill_runs(Arguments& in) {
    const auto flags = in.array<const uint8_t>();
    const int64_t rows = in.number(), count = in.number(), size = in.number();
    const auto target = in.array<uint64_t>();
    WithoutLock unlocked;
    fill_runs(flags.of(rows * count, "flags"), rows, count, size, target.of(rows * words_for(count * size), "target"));
    return nullptr;
}

PyObject* py_join_runs(Arguments& in) {
    const Bits pieces = in.array<const uint64_t>();
    const int64_t rows = in.number(), count = in.number(), words = in.number(), size = in.number();
    require(size <= words * 64, "pieces are shorter than size");
    const auto target = in.array<uint64_t>();
    WithoutLock unlocked;
    join_runs(pieces.of(rows * count * words, "pieces"), rows, count, words, size, target.of(rows * words_for(count * size), "target"));
    return nullptr;
}

PyObject* py_channel_rows(Arguments& in) {
    const Bits source = in.array<const uint64_t>();
    const int64_t images = in.number(), channels = in.number(), pixels = in.number();
    require(words_for(images * channels * pixels) <= source.size, "there are fewer bits");
    const auto target = in.array<uint64_t>();
    WithoutLock unlocked;
    channel_rows(source.data, images, channels, pixels, target.of(channels * words_for(images * pixels), "target"));
    return nullptr;
}

PyObject* py_every_other_column(Arguments& in) {
    const Bits source = in.array<const uint64_t>();
    const int64_t rows = in.number(), words = in.number();
    const bool odd = in.flag();
    const auto target = in.array<uint64_t>();
    WithoutLock unlocked;
    every_other_column(source.of(rows * words, "rows"), rows, words, odd, target.of(rows * ((words + 1) / 2), "target"));
    return nullptr;
}

PyObject* py_pick_phase(Arguments& in) {
    const Bits source = in.array<const uint64_t>();
    const int64_t rows = in.number(), images = in.number();
    const Extent image = extent(in), step = extent(in, 1), phase = extent(in);
    require(phase.y < step.y && phase.x < step.x, "a phase is not below its step");
    const Extent part = {ceil_div(std::max<int64_t>(0, image.y - phase.y), step.y), ceil_div(std::max<int64_t>(0, image.x - phase.x), step.x)};
    const auto target = in.array<uint64_t>();
    WithoutLock unlocked;
    pick_phase(source.of(rows * words_for(images * area(image)), "rows"), rows, images, image, step, phase, target.of(rows * words_for(images * area(part)), "target"));
    return nullptr;
}

PyObject* py_shift_rows(Arguments& in) {
    const Bits source = in.array<const uint64_t>();
    const int64_t rows = in.number(), words = in.number(), distance = in.signed_number();
    const Bits inside = in.array<const uint64_t>();
    const auto target = in.array<uint64_t>();
    WithoutLock unlocked;
    shift_rows(source.of(rows * words, "rows"), rows, words, distance, inside.of(words, "inside"), target.of(rows * words, "target"));
    return nullptr;
}

PyObject* py_cut_rows(Arguments& in) {
    const Bits source = in.array<const uint64_t>();
    const int64_t rows = in.number(), images = in.number();
    const Extent image = extent(in), grid = extent(in);
    const int64_t y = in.signed_number(), x = in.signed_number();
    const auto target = in.array<uint64_t>();
    WithoutLock unlocked;
    cut_rows(source.of(rows * words_for(images * area(image)), "rows"), rows, images, image, grid, {y, x}, target.of(rows * words_for(images * area(grid)), "target"));
    return nullptr;
}

PyObject* py_gather_words(Arguments& in) {
    Gather g = {};
    const Bits pixels = in.array<const uint64_t>();
    g.pixel_words = in.number(), g.images = in.number(), g.image = extent(in), g.first = in.number(), g.count = in.number();
    g.grid = extent(in), g.step = extent(in);
    const Numbers offset_y = in.array<const int64_t>(), offset_x = in.array<const int64_t>();
    g.taps_y = offset_y.size, g.taps_x = offset_x.size, g.offset_y = offset_y.data, g.offset_x = offset_x.data;
    require(g.first + g.count <= g.pixel_words, "a pixel has fewer words");
    const auto target = in.array<uint64_t>();
    WithoutLock unlocked;
    gather_words(g, pixels.of(g.images * area(g.image) * g.pixel_words, "pixels"),
                 target.of(g.images * area(g.grid) * g.taps_y * g.taps_x * g.count, "target"));
    return nullptr;
}

PyObject* py_tap_rows(Arguments& in) {
    const auto inside_y = in.array<const uint8_t>(), inside_x = in.array<const uint8_t>();
    const int64_t images = in.number();
    const Extent grid = extent(in), taps = extent(in);
    const auto target = in.array<uint64_t>();
    WithoutLock unlocked;
    tap_rows(inside_y.of(grid.y * taps.y, "inside_y"), inside_x.of(grid.x * taps.x, "inside_x"), images, grid, taps,
             target.of(area(taps) * words_for(images * area(grid)), "target"));
    return nullptr;
}

// --- tiles and memory ----------------------------------------------------------------------------------------------------------

PyObject* py_want_columns(Arguments& in) {
    const Bits needed = in.array<const uint64_t>();
    const int64_t stack = in.number(), m = in.number(), words = in.number(), rows = in.number(1), row_tiles = stack * ceil_div(m, rows);
    const auto wanted = in.array<uint64_t>();
    const auto counts = in.array<int64_t>();
    WithoutLock unlocked;
    want_columns(needed.of(stack * m * words, "needed"), stack, m, words, rows, wanted.of(row_tiles * words, "wanted"), counts.of(row_tiles, "counts"));
    return nullptr;
}

PyObject* py_list_columns(Arguments& in) {
    const Bits wanted = in.array<const uint64_t>();
    const int64_t rows = in.number(), words = in.number();
    const auto columns = in.array<int64_t>();
    int64_t count = 0;
    wanted.of(rows * words, "wanted");
    for (int64_t i = 0; i < wanted.size; i++) count += __builtin_popcountll(wanted.data[i]);
    WithoutLock unlocked;
    list_columns(wanted.data, rows, words, columns.of(count, "columns"));
    return nullptr;
}

PyObject* py_count_outputs(Arguments& in) {
    const Bits needed = in.array<const uint64_t>();
    const int64_t stack = in.number(1), m = in.number(), n = in.number();
    const Schedule schedule(in, m, n, stack);
    const auto outputs = in.array<int64_t>();
    WithoutLock unlocked;
    count_outputs(needed.of(stack * m * words_for(n), "needed"), m, words_for(n), schedule.tiles, outputs.of(schedule.count(), "outputs"));
    return nullptr;
}

PyObject* py_find_windows(Arguments& in) {
    const Bits source = in.array<const uint64_t>();
    const int64_t rows = in.number(), k = in.number(1), width = in.number(1);
    const auto present = in.array<uint8_t>();
    WithoutLock unlocked;
    find_windows(source.of(rows * words_for(k), "rows"), rows, k, width, present.of(rows * ceil_div(k, width), "present"));
    return nullptr;
}

PyObject* py_count_streamed(Arguments& in) {
    const Bits a = in.array<const uint64_t>(), b = in.array<const uint64_t>();
    const int64_t stack = in.number(1), m = in.number(), n = in.number(), k = in.number(1), width = in.number(1);
    const bool alike = in.number() != 0;  // all GEMMs have the same columns
    const Schedule schedule(in, m, n, stack);
    const auto cycles = in.array<int64_t>(), positions = in.array<int64_t>();
    WithoutLock unlocked;
    count_streamed(a.of(stack * m * words_for(k), "a"), b.of((alike ? 1 : stack) * n * words_for(k), "b"), m, alike ? 0 : n, schedule.tiles, k, width,
                   cycles.of(schedule.count(), "cycles"), positions.of(schedule.count(), "positions"));
    return nullptr;
}

PyObject* py_count_effectual(Arguments& in) {
    const Bits a = in.array<const uint64_t>(), b = in.array<const uint64_t>();
    const int64_t stack = in.number(), m = in.number(), n = in.number(), words = in.number();
    a.of(stack * m * words, "a"), b.of(stack * n * words, "b");
    int64_t total;
    {
        WithoutLock unlocked;
        total = count_effectual(a.data, b.data, stack, m, n, words);
    }
    return PyLong_FromLongLong(total);
}

PyObject* py_effectual_where_needed(Arguments& in) {
    const Bits a = in.array<const uint64_t>(), b = in.array<const uint64_t>();
    const auto b_of = in.array<const int32_t>();
    const int64_t stack = in.number(1), m = in.number(), n = in.number(), words = in.number(1);
    const Bits needed = in.array<const uint64_t>();
    a.of(stack * m * words, "a"), needed.of(stack * m * words_for(n), "needed");
    Operand columns = operand(b, b_of, stack, n, words * 64, true, false);
    int64_t total = 0;
    {
        WithoutLock unlocked;
        for (int64_t gemm = 0; gemm < stack; gemm++) {
            total += effectual_where_needed(a.data + gemm * m * words, m, columns, needed.data + gemm * m * words_for(n));
            columns.bits += b_of.data ? 0 : n * words;
        }
    }
    return PyLong_FromLongLong(total);
}

void check_edges(const Numbers& edges, int64_t stop) {
    for (int64_t i = 0; i + 1 < edges.size; i++)
        require(0 <= edges.data[i] && edges.data[i] < edges.data[i + 1] && edges.data[i + 1] <= stop, "edges do not ascend inside the matrix");
}

PyObject* py_count_rectangles(Arguments& in) {
    const Bits source = in.array<const uint64_t>();
    const int64_t rows = in.number(), words = in.number();
    const Numbers row_edges = in.array<const int64_t>(), column_edges = in.array<const int64_t>();
    check_edges(row_edges, rows), check_edges(column_edges, words * 64);
    const int64_t row_blocks = std::max<int64_t>(0, row_edges.size - 1), column_blocks = std::max<int64_t>(0, column_edges.size - 1);
    const auto counts = in.array<int64_t>();
    WithoutLock unlocked;
    count_rectangles(source.of(rows * words, "rows"), words, row_edges.data, row_blocks, column_edges.data, column_blocks, counts.of(row_blocks * column_blocks, "counts"));
    return nullptr;
}

PyObject* py_deal_tiles(Arguments& in) {
    Deal d = {};
    const Numbers cycles = in.array<const int64_t>();
    const int64_t stack = in.number(1), m = in.number(1), n = in.number(1);
    const Schedule schedule(in, m, n, stack);
    d.columns = schedule.tiles.columns, d.starts = schedule.tiles.starts, d.stops = schedule.tiles.stops, d.cols = schedule.tiles.cols;
    d.row_tiles = schedule.tiles.row_tiles, d.gemm_row_tiles = ceil_div(m, schedule.tiles.rows), d.tile_cycles = cycles.of(schedule.count(), "tile_cycles");
    d.block_row_tiles = in.number(1), d.block_columns = in.number(1), d.first_tile = in.number(), d.arrays = in.number(1);
    d.row_blocks = ceil_div(d.gemm_row_tiles, d.block_row_tiles), d.column_blocks = ceil_div(n, d.block_columns);
    const auto worked = in.array<int64_t>();
    WithoutLock unlocked;
    deal_tiles(d, worked.of(stack * d.row_blocks * d.column_blocks * d.arrays, "worked"));
    return nullptr;
}

Sliding sliding(Arguments& in) {
    Sliding axis = {};
    axis.grid = in.number(1), axis.step = in.number(1), axis.source = in.number(1);
    const Numbers offsets = in.array<const int64_t>();
    require(offsets.size > 0, "an axis without taps");
    axis.offsets = offsets.data, axis.taps = offsets.size;
    return axis;
}

PyObject* py_find_cuts(Arguments& in) {
    CutProblem p = {};
    p.rows = in.number(1), p.cols = in.number(1), p.operand_bits = in.number(1), p.accumulator_bits = in.number(1);
    p.m = in.number(1), p.n = in.number(1), p.k = in.number(1), p.grid_is_k = in.flag(), p.by_rows = in.flag(), p.by_columns = in.flag(), p.may_spill = in.flag();
    p.images = in.number(1), p.channels = in.number(1);
    p.y = sliding(in), p.x = sliding(in);
    const int64_t grid = p.images * p.y.grid * p.x.grid, kernel = p.y.taps * p.x.taps * p.channels;
    require(p.n == (p.grid_is_k ? kernel : grid) && p.k == (p.grid_is_k ? grid : kernel), "extents that grid and kernel do not have");
    const auto room = in.array<const int64_t>();
    require(room.size == 4, "room is not that of A, B, sums and all");
    p.room = {room.data[0], room.data[1], room.data[2], room.data[3]};
    const int64_t enough = in.number(1);
    const auto to = in.array<int64_t>();
    std::vector<CutFound> cuts;
    {
        WithoutLock unlocked;
        cuts = find_cuts(p, enough);
        require(static_cast<int64_t>(cuts.size()) * kCutFields <= to.size, "more cuts than there is room for");
        memcpy(to.data, cuts.data(), cuts.size() * sizeof(CutFound));
    }
    return PyLong_FromSize_t(cuts.size());
}

// Work and times of steps, which follow the arguments of a channel.
MemorySteps memory_steps(Arguments& in, int64_t steps) {
    MemorySteps s = {};
    s.steps = steps;
    const Numbers work = in.array<const int64_t>();
    const auto finishes = in.array<const uint8_t>(), meets = in.array<const uint8_t>();
    s.arrays = in.number(1), s.ahead = in.number(1), s.work = work.of(steps * s.arrays, "work"), s.finishes = finishes.of(steps, "finishes");
    s.meets = meets.of(steps, "meets");
    s.load_stop = in.array<int64_t>().of(steps, "load_stop"), s.store_stop = in.array<int64_t>().of(steps, "store_stop");
    s.work_stop = in.array<int64_t>().of(steps * s.arrays, "work_stop");
    return s;
}

PyObject* py_run_memory_steps(Arguments& in) {
    const Numbers load = in.array<const int64_t>(), latency = in.array<const int64_t>(), store = in.array<const int64_t>();
    const ConstantPass pass = {load.data, latency.of(load.size, "latency"), store.of(load.size, "store")};
    const MemorySteps s = memory_steps(in, load.size);
    int64_t cycles;
    {
        WithoutLock unlocked;
        cycles = run_memory_steps(s, pass);
    }
    return PyLong_FromLongLong(cycles);
}

const DramModel& dram_model(Arguments& in) {
    constexpr int64_t fields = sizeof(DramModel) / sizeof(int64_t);
    static_assert(sizeof(DramModel) == fields * sizeof(int64_t), "plain numbers");
    const int64_t* numbers = in.array<const int64_t>().of(fields, "model");
    for (int64_t i = 0; i < fields; i++) require(numbers[i] > 0 && numbers[i] < in.kMost, "a number of the DRAM model is out of range");
    const DramModel& model = *reinterpret_cast<const DramModel*>(numbers);
    require(model.row_bytes % model.burst_bytes == 0, "a row is no whole number of bursts");
    return model;
}

// Regions of DRAM, `each` for one step or transfer; sets how many of those there are.
const Region* dram_regions(Arguments& in, int64_t each, int64_t& count) {
    constexpr int64_t fields = sizeof(Region) / sizeof(int64_t);
    static_assert(sizeof(Region) == fields * sizeof(int64_t), "plain numbers");
    const Numbers numbers = in.array<const int64_t>();
    count = numbers.size / (each * fields);
    const Region* regions = reinterpret_cast<const Region*>(numbers.of(count * each * fields, "regions"));
    for (const Region* r = regions; r < regions + count * each; r++) {
        require(r->run > 0 && r->runs > 0, "a region has no runs");
        require(r->base >= 0 && r->stride >= 0 && r->group_stride >= 0 && r->start >= 0, "a region begins before the first address");
    }
    return regions;
}

PyObject* py_run_dram_transfers(Arguments& in) {
    const DramModel& model = dram_model(in);
    const int64_t channels = in.number(1);
    DramTransfers t = {};
    t.regions = dram_regions(in, 1, t.count);
    t.write = in.array<const uint8_t>().of(t.count, "write"), t.asked = in.array<const int64_t>().of(t.count, "asked");
    t.left = in.array<int64_t>().of(t.count, "left");
    DramTotals totals;
    {
        WithoutLock unlocked;
        totals = run_dram_transfers(model, channels, t);
    }
    return Py_BuildValue("LL", static_cast<long long>(totals.bursts), static_cast<long long>(totals.activations));
}

PyObject* py_run_dram_steps(Arguments& in) {
    DramPass pass = {};
    pass.model = &dram_model(in);
    pass.channels = in.number(1), pass.clocks_per_cycle = in.fraction();
    int64_t steps;
    pass.regions = dram_regions(in, 3, steps);
    pass.load_start = in.array<int64_t>().of(steps, "load_start"), pass.store_start = in.array<int64_t>().of(steps, "store_start");
    const MemorySteps s = memory_steps(in, steps);
    DramTotals totals;
    int64_t cycles;
    {
        WithoutLock unlocked;
        cycles = run_dram_steps(s, pass, totals);
    }
    return Py_BuildValue("LLL", static_cast<long long>(cycles), static_cast<long long>(totals.bursts), static_cast<long long>(totals.activations));
}

// Instruction sets that this processor and its operating system can run, the fastest first.
PyObject* py_instruction_sets(PyObject*, PyObject*) {
    bool avx2 = false, avx512 = false;
#if defined(__x86_64__)
    unsigned a, b, c, d, low = 0, high = 0;
    if (__get_cpuid(1, &a, &b, &c, &d) && (c >> 27 & 1)) {  // XGETBV tells which registers are saved
        const bool popcount = c >> 23 & 1;
        __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
            avx2 = popcount && (b >> 3 & 1) && (b >> 5 & 1) && (b >> 8 & 1) && (low & 0x06) == 0x06;
            avx512 = avx2 && (b >> 16 & 1) && (b >> 30 & 1) && (b >> 31 & 1) && (c >> 12 & 1) && (c >> 14 & 1) && (low & 0xE6) == 0xE6;  // F, BW, VL, BITALG, VPOPCNTDQ
        }
    }
#endif
    return avx512 ? Py_BuildValue("sss", "avx512", "avx2", "base") : avx2 ? Py_BuildValue("ss", "avx2", "base") : Py_BuildValue("(s)", "base");
}

// Bindings without a result return null while they hold no lock; None is made once it is back.
template <PyObject* (*binding)(Arguments&)>
PyObject* then_none(Arguments& in) {
    binding(in);
    return none();
}

PyMethodDef methods[] = {
    {"scan", call<then_none<scan>>, METH_VARARGS, nullptr},
    {"inner_join", call<then_none<py_inner_join>>, METH_VARARGS, nullptr},
    {"tensordash", call<tensordash>, METH_VARARGS, nullptr},
    {"transpose_rows", call<then_none<py_transpose_rows>>, METH_VARARGS, nullptr},
    {"count_columns", call<then_none<py_count_columns>>, METH_VARARGS, nullptr},
    {"all_set", call<py_all_set>, METH_VARARGS, nullptr},
    {"fill_runs", call<then_none<py_fill_runs>>, METH_VARARGS, nullptr},
    {"join_runs", call<then_none<py_join_runs>>, METH_VARARGS, nullptr},
    {"channel_rows", call<then_none<py_channel_rows>>, METH_VARARGS, nullptr},
    {"every_other_column", call<then_none<py_every_other_column>>, METH_VARARGS, nullptr},
    {"pick_phase", call<then_none<py_pick_phase>>, METH_VARARGS, nullptr},
    {"shift_rows", call<then_none<py_shift_rows>>, METH_VARARGS, nullptr},
    {"cut_rows", call<then_none<py_cut_rows>>, METH_VARARGS, nullptr},
    {"gather_words", call<then_none<py_gather_words>>, METH_VARARGS, nullptr},
    {"tap_rows", call<then_none<py_tap_rows>>, METH_VARARGS, nullptr},
    {"want_columns", call<then_none<py_want_columns>>, METH_VARARGS, nullptr},
    {"list_columns", call<then_none<py_list_columns>>, METH_VARARGS, nullptr},
    {"count_outputs", call<then_none<py_count_outputs>>, METH_VARARGS, nullptr},
    {"find_windows", call<then_none<py_find_windows>>, METH_VARARGS, nullptr},
    {"count_streamed", call<then_none<py_count_streamed>>, METH_VARARGS, nullptr},
    {"count_effectual", call<py_count_effectual>, METH_VARARGS, nullptr},
    {"effectual_where_needed", call<py_effectual_where_needed>, METH_VARARGS, nullptr},
    {"count_rectangles", call<then_none<py_count_rectangles>>, METH_VARARGS, nullptr},
    {"deal_tiles", call<then_none<py_deal_tiles>>, METH_VARARGS, nullptr},
    {"find_cuts", call<py_find_cuts>, METH_VARARGS, nullptr},
    {"run_memory_steps", call<py_run_memory_steps>, METH_VARARGS, nullptr},
    {"run_dram_transfers", call<py_run_dram_transfers>, METH_VARARGS, nullptr},
    {"run_dram_steps", call<py_run_dram_steps>, METH_VARARGS, nullptr},
    {"instruction_sets", py_instruction_sets, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyModuleDef definition = {PyModuleDef_HEAD_INIT, ACCELSIM_TEXT(ACCELSIM_NAME(_, ACCELSIM_TARGET)), nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace
}  // namespace accelsim

PyMODINIT_FUNC ACCELSIM_NAME(PyInit__, ACCELSIM_TARGET)() { return PyModule_Create(&accelsim::definition); }
