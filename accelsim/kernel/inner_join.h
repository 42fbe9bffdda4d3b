// The inner loop of the inner-join PE: blocks of block.h whose groups hold windows of their operands instead of queues of pairs.
//
// A PE takes the pairs that it has left, L in a cycle, oldest window first: how many are left is all that must be known of them.
// The next window enters once the oldest of V has left, that is when no PE of the group has more left than its pairs in the
// younger V - 1 windows. docs/performance.md tells how a stall becomes one step.
#pragma once
#include "block.h"

namespace accelsim {

// Run a block of which one group takes a window in every cycle, and whose PEs' pairs fit bytes; `fifo_depth` plays no part.
// `windows`: that the group holds, 1, 2 or 4. `queues` has room for the pairs that each PE has left, `arrivals` for those of
// the last `windows` - 1 windows.
void inner_join(const Block&, int64_t windows);
void inner_join_each(const Block&, int64_t windows);  // with `starved` of each PE, for PEs of at most 64 lanes

}  // namespace accelsim
