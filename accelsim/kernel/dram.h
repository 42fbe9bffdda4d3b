// DRAM with channels, banks and rows: what a transfer takes, given all before it. docs/memory.md has the rules.
#pragma once
#include <cstdint>

#include "memory_steps.h"

namespace accelsim {

// The whole numbers of accelsim.hardware.dram_models.DramModel in their order; times in clocks of the DRAM.
struct DramModel {
    int64_t burst_bytes, row_bytes, bank_groups, banks;
    int64_t burst, cl, cwl, ccd_s, ccd_l, rcd, rp, rp_all, ras, rc, rrd_s, rrd_l, faw, rtp, wr, wtr_s, wtr_l, rtw, rfc, refi;
    int64_t queue;
};

// Bytes [start, start + size) of runs of `run` bytes: `runs` of them every `stride` bytes from `base` on, then as many from
// base + group_stride on, and so on.
struct Region {
    int64_t base, run, stride, runs, group_stride, start, size;
};

struct DramPass {
    const DramModel* model;
    int64_t channels;
    double clocks_per_cycle;        // of the DRAM, in one of the arrays
    const Region* regions;          // [steps][3]: what a step loads of A and of B, what it stores
    int64_t *load_start, *store_start;
};

struct DramTotals {
    int64_t bursts, activations;
};

// Transfers of one region each, in clocks: when each is asked for, at least when the one before it was, and when its data has left.
struct DramTransfers {
    int64_t count;
    const Region* regions;
    const uint8_t* write;
    const int64_t* asked;
    int64_t* left;
};

DramTotals run_dram_transfers(const DramModel& model, int64_t channels, const DramTransfers& transfers);
int64_t run_dram_steps(const MemorySteps& steps, const DramPass& pass, DramTotals& totals);

}  // namespace accelsim
