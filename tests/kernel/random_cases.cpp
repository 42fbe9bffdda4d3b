// Runs the kernels on random problems and prints a number that depends on every result: `random_cases SEED COUNT`.
//
// Built with sanitizers it shows that nothing is read or written outside its array; built for another processor, that the
// kernels count the same there. Arrays are allocated to the element, so that a sanitizer sees the first one too many.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "bits.h"
#include "counting.h"
#include "dram.h"
#include "lowering.h"
#include "scan.h"
#include "tensordash.h"

namespace {

using namespace accelsim;
using Words = std::vector<uint64_t>;
using Numbers = std::vector<int64_t>;

struct Random {
    std::mt19937_64 engine;
    int64_t between(int64_t least, int64_t most) { return least + static_cast<int64_t>(engine() % static_cast<uint64_t>(most - least + 1)); }
    bool chance(int percent) { return between(1, 100) <= percent; }
    int64_t one_of(std::initializer_list<int64_t> values) { return values.begin()[between(0, static_cast<int64_t>(values.size()) - 1)]; }
};

struct Digest {
    uint64_t value = 14695981039346656037ull;
    template <typename T>
    void add(const std::vector<T>& values) {
        for (const T& element : values) value = (value ^ static_cast<uint64_t>(element)) * 1099511628211ull;
    }
    void add(int64_t element) { add(std::vector<int64_t>{element}); }
};

Words random_bits(Random& random, int64_t rows, int64_t cols, int percent, bool alike = false) {
    const int64_t words = ceil_div(cols, 64);
    Words bits(rows * words);
    for (int64_t row = 0; row < rows; row++)
        for (int64_t col = 0; col < cols; col++) {
            const bool set = alike && row ? bits[col >> 6] >> (col & 63) & 1 : random.chance(percent);
            bits[row * words + (col >> 6)] |= static_cast<uint64_t>(set) << (col & 63);
        }
    return bits;
}

void never() {}

// A GEMM with its schedule, as Python would prepare it.
struct Gemm {
    explicit Gemm(Random& random) : m(random.between(1, 40)), n(random.between(1, 90)), k(random.one_of({1, 5, 37, 64, 100, 257, 600})),
          rows(random.one_of({1, 2, 3, 4, 8, 16, 20, 70})), cols(random.one_of({1, 2, 4, 5, 16, 17, 40, 70, 130})) {
        const bool a_alike = random.chance(30), b_alike = random.chance(20);  // arguments are evaluated in any order
        a = random_bits(random, m, k, random.one_of({0, 20, 60, 100}), a_alike);
        stored = random.chance(40) ? random.between(1, 9) : n;
        b = random_bits(random, stored, k, random.one_of({0, 30, 70, 100}), b_alike);
        if (stored < n && random.chance(50))  // a dense image's columns are among those of its middle
            for (int64_t i = ceil_div(k, 64); i < static_cast<int64_t>(b.size()); i++) b[i] &= b[i % ceil_div(k, 64)];
        for (int64_t i = 0; stored < n && i < n; i++) b_of.push_back(static_cast<int32_t>(random.between(0, stored - 1)));
        row_tiles = ceil_div(m, rows);
        masked = random.chance(60);
        const int64_t words = ceil_div(n, 64);
        if (masked) {
            needed = random_bits(random, m, n, random.one_of({3, 50, 95}));
            Words wanted(row_tiles * words);
            Numbers counts(row_tiles);
            want_columns(needed.data(), 1, m, words, rows, wanted.data(), counts.data());
            for (const int64_t count : counts) starts.push_back(stops.empty() ? 0 : stops.back()), stops.push_back(starts.back() + count);
            columns.resize(stops.back());
            list_columns(wanted.data(), row_tiles, words, columns.data());
        } else {
            for (int64_t i = 0; i < n; i++) columns.push_back(i);
            starts.assign(row_tiles, 0), stops.assign(row_tiles, n);
        }
        first_tile.push_back(0);
        for (int64_t i = 0; i < row_tiles; i++) first_tile.push_back(first_tile.back() + ceil_div(stops[i] - starts[i], cols));
    }
    Tiles tiles() const { return {columns.data(), starts.data(), stops.data(), row_tiles, rows, cols}; }
    int64_t m, n, k, rows, cols, stored, row_tiles;
    bool masked;
    Words a, b, needed;
    std::vector<int32_t> b_of;
    Numbers columns, starts, stops, first_tile;
};

void run_scan(Random& random, Digest& digest) {
    const Gemm g(random);
    ScanProblem p = {};
    p.k = g.k, p.rows = g.rows, p.cols = g.cols, p.lanes = random.one_of({1, 1, 2, 3, 7, 130});
    p.scan_width = random.one_of({1, 2, 3, 4, 5, 8, 12, 16, 31, 64, 100, 300});
    p.fifo_depth = p.scan_width + random.between(0, 40) + (random.chance(10) ? 100000 : 0);
    p.held_windows = random.one_of({0, 0, 1, 2, 4});
    p.sync = static_cast<Sync>(random.between(0, 3));
    p.a_words = random.one_of({0, 1, 7, 40, 300, 5000}), p.b_words = random.one_of({0, 1, 7, 40, 300, 5000});
    const int64_t words = ceil_div(g.k, 64);
    p.a = {g.a.data(), g.m, words, nullptr, g.m, random.chance(70), random.chance(30)};
    p.b = {g.b.data(), g.stored, words, g.b_of.empty() ? nullptr : g.b_of.data(), g.n, random.chance(70), random.chance(30)};
    p.needed = g.masked ? g.needed.data() : nullptr, p.needed_words = ceil_div(g.n, 64);
    p.columns = g.columns.data(), p.starts = g.starts.data(), p.stops = g.stops.data(), p.first_tile = g.first_tile.data();
    p.row_tiles = g.row_tiles, p.count_pairs = random.chance(50), p.check_interrupt = never;
    const int64_t tiles = g.first_tile.back();
    Numbers totals[10];
    for (Numbers& total : totals) total.resize(tiles);
    scan_gemm(p, {totals[0].data(), totals[1].data(), totals[2].data(), totals[3].data(), totals[4].data(), totals[5].data(), totals[6].data(),
                  totals[7].data(), totals[8].data(), totals[9].data()});
    for (const Numbers& total : totals) digest.add(total);
}

void run_schedules(Random& random, Digest& digest) {
    const Gemm g(random);
    const int64_t windows = ceil_div(g.k, kTensorDashLanes), words = ceil_div(g.k, 64);
    TensorDashProblem p = {};
    p.m = g.m, p.k = g.k, p.tiles = g.tiles(), p.first_tile = g.first_tile.data(), p.by_column = random.chance(50);
    const Words bits = p.by_column ? random_bits(random, g.n, g.k, 40) : g.a;
    p.windows = reinterpret_cast<const uint16_t*>(bits.data()), p.window_pitch = 4 * words;
    p.stages = random.between(1, 3), p.together = random.chance(50);
    p.a_words = random.one_of({0, 0, 7, 100, 600}), p.b_words = random.one_of({0, 0, 7, 100, 600});
    p.needed = g.masked ? g.needed.data() : nullptr, p.needed_words = ceil_div(g.n, 64);
    std::vector<uint8_t> present_a(g.row_tiles * windows), present_b(g.n * windows);
    for (auto* present : {&present_a, &present_b})
        for (uint8_t& flag : *present) flag = random.chance(70);
    p.present_a = random.chance(30) ? present_a.data() : nullptr, p.present_b = random.chance(30) ? present_b.data() : nullptr;
    p.check_interrupt = never;
    Numbers cycles(g.first_tile.back()), positions(g.first_tile.back());
    TensorDashTotals totals = {cycles.data(), positions.data()};
    run_tensordash(p, totals);
    digest.add(cycles), digest.add(positions);
    for (const int64_t total : {totals.pairs, totals.sync, totals.starved, totals.barrier, totals.waited, totals.working, totals.outputs, totals.scanned,
                                totals.a_reads, totals.b_reads}) digest.add(total);
}

void run_counting(Random& random, Digest& digest) {
    const Gemm g(random);
    const int64_t width = random.one_of({1, 3, 16, 70}), windows = ceil_div(g.k, width), words = ceil_div(g.k, 64);
    const Words b = random_bits(random, g.n, g.k, 30);
    std::vector<uint8_t> present_b(g.n * windows);
    find_windows(b.data(), g.n, g.k, width, present_b.data());
    Numbers cycles(g.first_tile.back()), positions(g.first_tile.back()), outputs(g.first_tile.back());
    const bool of_rows = random.chance(50), of_columns = random.chance(50);
    count_streamed(of_rows ? g.a.data() : nullptr, of_columns ? b.data() : nullptr, g.m, g.n, g.tiles(), g.k, width, cycles.data(), positions.data());
    digest.add(present_b), digest.add(cycles), digest.add(positions);
    if (!g.masked) return;
    count_outputs(g.needed.data(), g.m, ceil_div(g.n, 64), g.tiles(), outputs.data());
    digest.add(outputs), digest.add(effectual_where_needed(g.a.data(), g.m, {g.b.data(), g.stored, words, g.b_of.empty() ? nullptr : g.b_of.data(), g.n, true, false}, g.needed.data()));
}

void run_lowering(Random& random, Digest& digest) {
    const int64_t rows = random.between(1, 150), images = random.between(1, 3);
    const Extent image = {random.between(1, 20), random.between(1, 20)}, step = {random.between(1, 4), random.between(1, 4)};
    const int64_t bits = images * image.y * image.x, words = ceil_div(bits, 64);
    const Words source = random_bits(random, rows, bits, 50);
    Words turned(bits * ceil_div(rows, 64));
    transpose_rows(source.data(), 1, rows, bits, turned.data());
    Numbers counts(words * 64);
    count_columns(source.data(), rows, words, counts.data());
    digest.add(turned), digest.add(counts);
    const Extent phase = {random.between(0, step.y - 1), random.between(0, step.x - 1)};
    const Extent part = {ceil_div(std::max<int64_t>(0, image.y - phase.y), step.y), ceil_div(std::max<int64_t>(0, image.x - phase.x), step.x)};
    Words picked(rows * ceil_div(images * part.y * part.x, 64)), halved(rows * ((words + 1) / 2)), shifted(rows * words);
    pick_phase(source.data(), rows, images, image, step, phase, picked.data());
    every_other_column(source.data(), rows, words, random.chance(50), halved.data());
    const Words inside = random_bits(random, 1, bits, 80);
    shift_rows(source.data(), rows, words, random.between(-bits - 70, bits + 70), inside.data(), shifted.data());
    const Extent grid = {random.between(1, 20), random.between(1, 20)}, start = {random.between(-5, 9), random.between(-5, 9)};
    Words cut(rows * ceil_div(images * grid.y * grid.x, 64)), gathered;
    cut_rows(source.data(), rows, images, image, grid, start, cut.data());
    digest.add(picked), digest.add(halved), digest.add(shifted), digest.add(cut);
    const Numbers offset_y = {-1, 0, 3}, offset_x = {random.between(-3, 3), 1};
    const Words pixels = random_bits(random, bits, 64 * 3, 50);
    gathered.resize(images * grid.y * grid.x * 6 * 2);
    gather_words({images, image, grid, step, 3, 2, offset_y.data(), offset_x.data(), 3, 1, 2}, pixels.data(), gathered.data());
    std::vector<uint8_t> inside_y(grid.y * 3), inside_x(grid.x * 2);
    for (auto* flags : {&inside_y, &inside_x})
        for (uint8_t& flag : *flags) flag = random.chance(70);
    Words taps(6 * ceil_div(images * grid.y * grid.x, 64));
    tap_rows(inside_y.data(), inside_x.data(), images, grid, {3, 2}, taps.data());
    digest.add(gathered), digest.add(taps);
    const int64_t size = random.between(1, 130), count = random.between(1, 9), piece_words = ceil_div(size, 64);
    Words runs(4 * ceil_div(count * size, 64)), joined(4 * ceil_div(count * size, 64));
    std::vector<uint8_t> flags(4 * count);
    for (uint8_t& flag : flags) flag = random.chance(50);
    fill_runs(flags.data(), 4, count, size, runs.data());
    const Words pieces = random_bits(random, 4 * count, size, 50);
    join_runs(pieces.data(), 4, count, piece_words, size, joined.data());
    const int64_t channels = random.between(1, 5), area = image.y * image.x;
    const Words flat = random_bits(random, 1, images * channels * area, 50);
    Words by_channel(channels * ceil_div(images * area, 64));
    channel_rows(flat.data(), images, channels, area, by_channel.data());
    digest.add(runs), digest.add(joined), digest.add(by_channel), digest.add(all_set(flat.data(), images * channels * area));
}

void run_dram(Random& random, Digest& digest) {
    const int64_t burst_bytes = random.one_of({32, 64}), steps = random.between(1, 12), arrays = random.between(1, 3);
    const DramModel model = {burst_bytes, burst_bytes * random.one_of({1, 4, 32}), random.one_of({1, 4}), random.one_of({1, 2, 8}), 4, 16, 12, 4, 6, 16, 16, 16,
                             39, 55, 4, 6, 26, 9, 18, 3, 9, 10, 420, random.one_of({1000, 9360}), random.one_of({1, 5, 32})};
    std::vector<Region> regions(3 * steps);
    for (Region& r : regions) {
        const int64_t run = random.between(1, 3000);
        r = {random.between(0, 1 << 20), run, run + random.one_of({0, 100}), random.between(1, 5), 5 * run + random.between(0, 900), random.between(0, 9000), random.one_of({0, random.between(1, 20000)})};
    }
    Numbers work(steps * arrays), load_start(steps), store_start(steps), load_stop(steps), store_stop(steps), work_stop(steps * arrays);
    std::vector<uint8_t> finishes(steps), meets(steps);
    for (int64_t& cycles : work) cycles = random.one_of({0, 10, 30000});
    for (uint8_t& flag : finishes) flag = random.chance(50);
    for (uint8_t& flag : meets) flag = random.chance(20);
    DramTotals totals;
    const MemorySteps s = {steps, arrays, random.between(1, 2), work.data(), finishes.data(), meets.data(), load_stop.data(), store_stop.data(), work_stop.data()};
    digest.add(run_dram_steps(s, {&model, random.between(1, 5), 2.4, regions.data(), load_start.data(), store_start.data()}, totals));
    digest.add(totals.bursts), digest.add(totals.activations), digest.add(load_start), digest.add(store_start);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return fprintf(stderr, "usage: random_cases SEED COUNT\n"), 2;
    Digest digest;
    for (int64_t i = 0; i < atoll(argv[2]); i++) {
        Random random{std::mt19937_64(static_cast<uint64_t>(atoll(argv[1])) * 1000003 + static_cast<uint64_t>(i))};
        run_scan(random, digest), run_schedules(random, digest), run_counting(random, digest), run_lowering(random, digest), run_dram(random, digest);
    }
    printf("%016llx\n", static_cast<unsigned long long>(digest.value));
}
