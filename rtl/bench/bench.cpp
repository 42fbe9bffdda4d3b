// Reads tiles from standard input, runs each on the array, and prints a line a tile: clocks from `start` to `done`, the
// counters, the R x C sums. With an argument it writes a waveform there.
//
// A tile, little-endian: int32 windows, schedule_b, show_a, show_b, drop_a, drop_b, then of the ports a_words, a_ahead, b_words, b_ahead, and
// overlapped (the drain); bytes rows_used [R], cols_used [C], needed [R * C];
// then for each window bytes positions [S], a_mask [R * S], b_mask [C * S], int32 a [R * S], b [C * S].

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "Vbench_top.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

namespace {

// Ports are as wide as the parameters make them: a C++ integer up to 64 bits, an array of 32-bit words beyond.
template <typename Port>
void put(Port& port, int at, uint64_t bit) {
    const Port one = static_cast<Port>(Port{1} << at);
    port = static_cast<Port>(bit ? port | one : port & ~one);
}
template <std::size_t Words>
void put(VlWide<Words>& port, int at, uint64_t bit) {
    const EData one = EData{1} << (at % 32);
    port[at / 32] = bit ? port[at / 32] | one : port[at / 32] & ~one;
}
template <typename Port>
uint64_t get(const Port& port, int at) {
    return (port >> at) & 1;
}
template <std::size_t Words>
uint64_t get(const VlWide<Words>& port, int at) {
    return (port[at / 32] >> (at % 32)) & 1;
}

template <typename Port>
void put_number(Port& port, int index, int width, int32_t value) {
    for (int bit = 0; bit < width; ++bit) put(port, index * width + bit, (static_cast<int64_t>(value) >> bit) & 1);
}
template <typename Port>
int64_t get_number(const Port& port, int index, int width) {
    uint64_t value = 0;
    for (int bit = 0; bit < width; ++bit) value |= get(port, index * width + bit) << bit;
    return static_cast<int64_t>(value);
}

template <typename Number>
std::vector<Number> read(std::size_t count) {
    std::vector<Number> numbers(count);
    if (std::fread(numbers.data(), sizeof(Number), count, stdin) != count) {
        std::fprintf(stderr, "the tiles end in the middle of one\n");
        std::exit(2);
    }
    return numbers;
}
template <typename Port>
void put_bits(Port& port, std::size_t count) {
    const auto bits = read<uint8_t>(count);
    for (std::size_t at = 0; at < count; ++at) put(port, static_cast<int>(at), bits[at]);
}
template <typename Port>
void put_numbers(Port& port, std::size_t count, int width) {
    const auto numbers = read<int32_t>(count);
    for (std::size_t at = 0; at < count; ++at) put_number(port, static_cast<int>(at), width, numbers[at]);
}

}  // namespace

int main(int argc, char** argv) {
    VerilatedContext context;
    Vbench_top top{&context};
    uint64_t time = 0;
#if VM_TRACE
    VerilatedVcdC waveform;
    context.traceEverOn(true);
    top.trace(&waveform, 99);
    if (argc > 1) waveform.open(argv[1]);
#else
    (void)argc, (void)argv;
#endif
    // Inputs change after a rising edge and are stable at the next: half a cycle low, half a cycle high.
    auto half = [&](int level) {
        top.clk = static_cast<CData>(level);
        top.eval();
#if VM_TRACE
        if (waveform.isOpen()) waveform.dump(time);
#endif
        time += 5;
    };
    auto clock = [&] {
        half(0);
        half(1);
    };
    std::vector<int64_t> before(ROWS * COLS, 0);
    long wrong = 0;
    top.rst_n = 0;
    clock();
    top.rst_n = 1;
    for (int32_t head[11]; std::fread(head, sizeof head, 1, stdin) == 1;) {
        top.schedule_b = head[1] != 0;
        top.show_a = head[2] != 0, top.show_b = head[3] != 0, top.drop_a = head[4] != 0, top.drop_b = head[5] != 0;
        top.a_words = static_cast<uint32_t>(head[6]), top.a_ahead = static_cast<uint32_t>(head[7]);
        top.b_words = static_cast<uint32_t>(head[8]), top.b_ahead = static_cast<uint32_t>(head[9]);
        top.overlapped = head[10] != 0;
        put_bits(top.rows_used, ROWS);
        put_bits(top.cols_used, COLS);
        put_bits(top.needed, ROWS * COLS);
        top.load_first = 1;
        clock();
        top.load_first = 0;
        top.load = 1;
        for (int32_t window = 0; window < head[0]; ++window) {
            put_bits(top.load_positions, WIDTH);
            put_bits(top.load_a_mask, ROWS * WIDTH);
            put_bits(top.load_b_mask, COLS * WIDTH);
            put_numbers(top.load_a, ROWS * WIDTH, BITS);
            put_numbers(top.load_b, COLS * WIDTH, BITS);
            clock();
        }
        top.load = 0;
        top.start = 1;
        long clocks = 0;
        int rows_left = 0;  // the array, of the tile before
        do {
            clock();
            top.start = 0;
            ++clocks;
            if (top.leaving && rows_left < ROWS)
                for (int c = 0; c < COLS; ++c)
                    if (get_number(top.leaving_row, c, SUM_BITS) != before[static_cast<std::size_t>(rows_left * COLS + c)]) ++wrong;
            rows_left += top.leaving;
        } while (!top.done);
        std::printf("%ld", clocks);
        for (int n = 0; n < 12; ++n) std::printf(" %lld", static_cast<long long>(get_number(top.counts, n, 40)));
        for (int n = 0; n < ROWS * COLS; ++n) {
            const auto sum = static_cast<uint64_t>(get_number(top.sums, n, SUM_BITS));
            before[static_cast<std::size_t>(n)] = static_cast<int64_t>(sum);
            std::printf(" %lld", static_cast<long long>(static_cast<int64_t>(sum << (64 - SUM_BITS)) >> (64 - SUM_BITS)));
        }
        std::printf("\n");
    }
    clock();
    top.final();
    if (wrong) {
        std::fprintf(stderr, "%ld results that left through the columns are not those of their tile\n", wrong);
        return 3;
    }
#if VM_TRACE
    waveform.close();
#endif
    return 0;
}
