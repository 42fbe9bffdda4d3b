// GEMMs with masked outputs one operand of which has few different rows: gradients without a zero, above all.
//
// PEs of a group that see equal rows of both operands do the same if both have an output. So one of each kind is run, and the
// mask only says how often it counts.
#pragma once
#include "block.h"
#include "scan.h"
#include "windows.h"

namespace accelsim {

// A's rows are all alike (weight_grad): time the GEMM if this kernel can, and say whether it could.
bool scan_equal_rows(const ScanProblem& problem, const Aligned& a, const Aligned& b, const ScanTotals& totals);

// B's columns are of few kinds (input_grad): the same.
bool scan_equal_columns(const ScanProblem& problem, const Aligned& a, const Aligned& b, const WindowGrid& grid,
                        const ScanTotals& totals);

// The outputs that a row tile must compute, of its scheduled columns only: bits [rows][scheduled columns].
BitMatrix take_needed(const ScanProblem& problem, int64_t first_row, int64_t rows, const int64_t* columns, int64_t column_count);

}  // namespace accelsim
