// Loader, arrays and store of one pass, or of several without a gap, in their fixed order of service: as many loads as buffers have
// halves (`ahead`), then after each step i load i + ahead and store i. How long a transfer takes is up to the channel.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace accelsim {

// Cycles; of work [steps][arrays].
struct MemorySteps {
    int64_t steps, arrays, ahead;
    const int64_t* work;
    const uint8_t* finishes;        // whether a step ends its macro-tile
    const uint8_t* meets;           // whether arrays wait for one another before a step: the first of a pass
    int64_t *load_stop, *store_stop, *work_stop;
};

// Run them; returns when all is done. A channel has load(step, ready) and store(step, ready), which say when the transfer has
// left it, in the order of service, and arrived(step), when a step's data can be used.
template <typename Channel>
int64_t run_steps(const MemorySteps& s, Channel& channel) {
    int64_t computed = 0, finished = 0, left = 0;
    for (int64_t first = 0; first < std::min(s.ahead, s.steps); first++) s.load_stop[first] = left = channel.load(first, 0);
    std::vector<int64_t> arrays(s.arrays);  // when each array is done with the steps so far
    std::vector<int64_t> room(s.ahead);     // when the stores of the last finished macro-tiles had left
    for (int64_t step = 0; step < s.steps; step++) {
        if (s.meets[step]) std::fill(arrays.begin(), arrays.end(), computed);
        const int64_t may_start = std::max(channel.arrived(step), room[finished % s.ahead]);
        for (int64_t array = 0; array < s.arrays; array++) {
            arrays[array] = std::max(arrays[array], may_start) + s.work[step * s.arrays + array];
            s.work_stop[step * s.arrays + array] = arrays[array];
            computed = std::max(computed, arrays[array]);  // what follows is served once this step is computed
        }
        if (step + s.ahead < s.steps) s.load_stop[step + s.ahead] = left = channel.load(step + s.ahead, computed);
        s.store_stop[step] = left = channel.store(step, computed);
        if (s.finishes[step]) room[finished++ % s.ahead] = left;
    }
    return std::max(left, computed);
}

}  // namespace accelsim
