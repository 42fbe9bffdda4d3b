#include "counting.h"

#include <algorithm>
#include <vector>

#include "bits.h"
#include "lowering.h"

namespace accelsim {

namespace {

// Some columns of a bit matrix that lie in one word.
struct WordOfColumns {
    int64_t word;
    uint64_t mask;
};

void add_column(std::vector<WordOfColumns>& columns, int64_t column) {
    if (columns.empty() || columns.back().word != column >> 6) columns.push_back({column >> 6, 0});
    columns.back().mask |= 1ull << (column & 63);
}

// Set bits of a row in these columns.
int64_t count_columns_of(const uint64_t* row, const std::vector<WordOfColumns>& columns) {
    int64_t count = 0;
    for (const WordOfColumns& some : columns) count += __builtin_popcountll(row[some.word] & some.mask);
    return count;
}

}  // namespace

void want_columns(const uint64_t* needed, int64_t stack, int64_t m, int64_t words, int64_t rows, uint64_t* wanted, int64_t* counts) {
    const int64_t row_tiles = ceil_div(m, rows);
    std::fill(wanted, wanted + stack * row_tiles * words, 0);
    for (int64_t gemm = 0; gemm < stack; gemm++)
        for (int64_t row = 0; row < m; row++) {
            uint64_t* of_tile = wanted + (gemm * row_tiles + row / rows) * words;
            for (int64_t word = 0; word < words; word++) of_tile[word] |= needed[(gemm * m + row) * words + word];
        }
    for (int64_t tile = 0; tile < stack * row_tiles; tile++) {
        counts[tile] = 0;
        for (int64_t word = 0; word < words; word++) counts[tile] += __builtin_popcountll(wanted[tile * words + word]);
    }
}

void list_columns(const uint64_t* wanted, int64_t rows, int64_t words, int64_t* columns) {
    for (int64_t row = 0; row < rows; row++)
        for (int64_t word = 0; word < words; word++)
            for (uint64_t left = wanted[row * words + word]; left; left &= left - 1) *columns++ = word * 64 + __builtin_ctzll(left);
}

void count_outputs(const uint64_t* needed, int64_t m, int64_t words, const Tiles& tiles, int64_t* outputs) {
    std::vector<WordOfColumns> scheduled;
    for (int64_t tile = 0, index = 0; tile < tiles.row_tiles; tile++) {
        const int64_t first = tiles.first_row(tile, m), stop = tiles.stop_row(tile, m);
        for (int64_t low = tiles.starts[tile]; low < tiles.stops[tile]; low += tiles.cols, index++) {
            scheduled.clear();
            for (int64_t at = low; at < std::min(low + tiles.cols, tiles.stops[tile]); at++) add_column(scheduled, tiles.columns[at]);
            outputs[index] = 0;
            for (int64_t row = first; row < stop; row++) outputs[index] += count_columns_of(needed + row * words, scheduled);
        }
    }
}

namespace {

bool holds_some(const uint64_t* bits, int64_t first, int64_t stop) {
    uint64_t some = 0;
    for (int64_t at = first; at < stop; at += 64) some |= read_bits(bits, at, std::min<int64_t>(64, stop - at));
    return some != 0;
}

}  // namespace

void find_windows(const uint64_t* source, int64_t rows, int64_t k, int64_t width, uint8_t* present) {
    const int64_t words = ceil_div(k, 64), windows = ceil_div(k, width);
    for (int64_t row = 0; row < rows; row++)
        for (int64_t window = 0; window < windows; window++)
            present[row * windows + window] = holds_some(source + row * words, window * width, std::min(k, (window + 1) * width));
}

namespace {

// Rows of bits put together, then one bit for each window that holds a non-zero.
class Marks {
public:
    Marks(int64_t k, int64_t width) : words_(ceil_div(k, 64)), k_(k), width_(width), windows_(ceil_div(k, width)), any_(words_) {}
    int64_t size() const { return ceil_div(windows_, 64); }

    template <typename RowOf>
    void put(uint64_t* marks, const uint64_t* bits, int64_t first, int64_t stop, const RowOf& row_of) {
        std::fill(any_.begin(), any_.end(), 0);
        for (int64_t at = first; at < stop; at++) {
            const uint64_t* row = bits + row_of(at) * words_;
            for (int64_t word = 0; word < words_; word++) any_[word] |= row[word];
        }
        if (width_ == 1) return void(std::copy(any_.begin(), any_.end(), marks));
        std::fill_n(marks, size(), 0);
        for (int64_t window = 0; window < windows_; window++)
            if (holds_some(any_.data(), window * width_, std::min(k_, (window + 1) * width_))) marks[window >> 6] |= 1ull << (window & 63);
    }
    void put_all(uint64_t* marks) const {
        for (int64_t word = 0; word < size(); word++) marks[word] = ~0ull >> std::max<int64_t>(0, (word + 1) * 64 - windows_);
    }

private:
    int64_t words_, k_, width_, windows_;
    std::vector<uint64_t> any_;
};

}  // namespace

void count_streamed(const uint64_t* a, const uint64_t* b, int64_t m, int64_t n, const Tiles& tiles, int64_t k, int64_t width,
                    int64_t* cycles, int64_t* positions) {
    const int64_t windows = ceil_div(k, width), last = windows - 1;
    Marks marks(k, width);
    std::vector<uint64_t> of_rows(marks.size()), of_columns;
    for (int64_t tile = 0, index = 0; tile < tiles.row_tiles; tile++) {
        const int64_t start = tiles.starts[tile], stop = tiles.stops[tile], across = ceil_div(stop - start, tiles.cols);
        const int64_t gemm = tiles.gemm(tile, m);
        if (a)
            marks.put(of_rows.data(), a, tiles.first_row(tile, m), tiles.stop_row(tile, m), [](int64_t row) { return row; });
        else
            marks.put_all(of_rows.data());
        if (tile == 0 || start != tiles.starts[tile - 1] || stop != tiles.stops[tile - 1] || (n && gemm != tiles.gemm(tile - 1, m))) {
            of_columns.resize(across * marks.size());
            for (int64_t place = 0; place < across; place++) {
                uint64_t* of_tile = of_columns.data() + place * marks.size();
                const int64_t low = start + place * tiles.cols;
                if (b)
                    marks.put(of_tile, b, low, std::min(low + tiles.cols, stop), [&](int64_t at) { return gemm * n + tiles.columns[at]; });
                else
                    marks.put_all(of_tile);
            }
        }
        for (int64_t place = 0; place < across; place++, index++) {
            const uint64_t* of_tile = of_columns.data() + place * marks.size();
            int64_t some = 0;
            for (int64_t word = 0; word < marks.size(); word++) some += __builtin_popcountll(of_rows[word] & of_tile[word]);
            const bool short_one = of_rows[last >> 6] & of_tile[last >> 6] & 1ull << (last & 63);
            cycles[index] = some, positions[index] = some * width - (short_one ? windows * width - k : 0);
        }
    }
}

int64_t count_effectual(const uint64_t* a, const uint64_t* b, int64_t stack, int64_t m, int64_t n, int64_t words) {
    std::vector<int64_t> of_a(words * 64), of_b(words * 64);
    int64_t total = 0;
    for (int64_t gemm = 0; gemm < stack; gemm++) {
        std::fill(of_a.begin(), of_a.end(), 0), std::fill(of_b.begin(), of_b.end(), 0);
        count_columns(a + gemm * m * words, m, words, of_a.data()), count_columns(b + gemm * n * words, n, words, of_b.data());
        for (int64_t at = 0; at < words * 64; at++) total += of_a[at] * of_b[at];
    }
    return total;
}

int64_t effectual_where_needed(const uint64_t* a, int64_t m, const Operand& b, const uint64_t* needed) {
    // Columns that are alike are counted together, and rows of A that are like the row before see the same pairs.
    const int64_t words = b.words, needed_words = ceil_div(b.items, 64);
    std::vector<std::vector<WordOfColumns>> columns(b.rows);
    for (int64_t column = 0; column < b.items; column++) add_column(columns[b.row_of ? b.row_of[column] : column], column);
    std::vector<int64_t> pairs(b.rows), counted_for(b.rows, -1);
    int64_t total = 0, same_since = 0;
    for (int64_t row = 0; row < m; row++) {
        const uint64_t* own = a + row * words;
        if (row && memcmp(own, own - words, words * sizeof *own)) same_since = row;
        for (int64_t kind = 0; kind < b.rows; kind++) {
            const int64_t outputs = count_columns_of(needed + row * needed_words, columns[kind]);
            if (!outputs) continue;
            if (counted_for[kind] != same_since) {
                counted_for[kind] = same_since, pairs[kind] = 0;
                for (int64_t word = 0; word < words; word++) pairs[kind] += __builtin_popcountll(own[word] & b.bits[kind * words + word]);
            }
            total += outputs * pairs[kind];
        }
    }
    return total;
}

void count_rectangles(const uint64_t* source, int64_t words, const int64_t* row_edges, int64_t row_blocks, const int64_t* column_edges,
                      int64_t column_blocks, int64_t* counts) {
    std::fill(counts, counts + row_blocks * column_blocks, 0);
    for (int64_t block = 0; block < row_blocks; block++)
        for (int64_t row = row_edges[block]; row < row_edges[block + 1]; row++) {
            const uint64_t* bits = source + row * words;
            for (int64_t column_block = 0; column_block < column_blocks; column_block++) {
                const int64_t low = column_edges[column_block], high = column_edges[column_block + 1] - 1;
                const int64_t first = low >> 6, last = high >> 6;
                const uint64_t from = ~0ull << (low & 63), to = ~0ull >> (63 - (high & 63));
                int64_t count = __builtin_popcountll(bits[first] & from & (first == last ? to : ~0ull));
                for (int64_t word = first + 1; word < last; word++) count += __builtin_popcountll(bits[word]);
                if (first < last) count += __builtin_popcountll(bits[last] & to);
                counts[block * column_blocks + column_block] += count;
            }
        }
}

void deal_tiles(const Deal& deal, int64_t* worked) {
    int64_t tile = 0, array = deal.first_tile % deal.arrays;
    for (int64_t row_tile = 0; row_tile < deal.row_tiles; row_tile++) {
        const int64_t row_block = row_tile / deal.gemm_row_tiles * deal.row_blocks + row_tile % deal.gemm_row_tiles / deal.block_row_tiles;
        int64_t column_block = 0, end = deal.block_columns;
        for (int64_t at = deal.starts[row_tile]; at < deal.stops[row_tile]; at += deal.cols, tile++) {
            const int64_t last = deal.columns[std::min(at + deal.cols, deal.stops[row_tile]) - 1];
            for (; last >= end; end += deal.block_columns) column_block++;
            worked[(row_block * deal.column_blocks + column_block) * deal.arrays + array] += deal.tile_cycles[tile];
            array = array + 1 < deal.arrays ? array + 1 : 0;
        }
    }
}

namespace {

struct ConstantChannel {
    int64_t load(int64_t step, int64_t ready) { return free = std::max(free, ready) + pass.load[step]; }
    int64_t store(int64_t step, int64_t ready) { return free = std::max(free, ready) + pass.store[step]; }
    int64_t arrived(int64_t step) const { return steps.load_stop[step] + pass.latency[step]; }

    const MemorySteps& steps;
    const ConstantPass& pass;
    int64_t free;
};

}  // namespace

int64_t run_memory_steps(const MemorySteps& steps, const ConstantPass& pass) {
    ConstantChannel channel = {steps, pass, 0};
    return run_steps(steps, channel);
}

}  // namespace accelsim
