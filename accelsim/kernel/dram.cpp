#include "dram.h"

#include <cmath>

namespace accelsim {
namespace {

constexpr int64_t kLongAgo = -(int64_t{1} << 40);

struct Bank {
    int64_t row = -1;               // that is open; -1: none
    int64_t may_open = 0, may_access = 0, may_close = 0;
};

struct Group {
    int64_t opened = kLongAgo;      // the last activation
    int64_t may_access[2] = {kLongAgo, kLongAgo};  // by a read, by a write
};

// One channel, which serves bursts in order; rows of later ones are opened meanwhile.
class DramChannel {
public:
    explicit DramChannel(const DramModel& model)
        : m_(model), banks_(model.bank_groups * model.banks), groups_(model.bank_groups), columns_(model.queue), refresh_due_(model.refi) {}

    // Serve neighbouring bursts of one row of all bank groups in turn, asked for at `ready`, at least when the last ones were; returns
    // when their data has left the bus.
    int64_t serve(int64_t group, int64_t bank, int64_t row, int64_t count, bool write, int64_t ready) {
        int64_t stop = ready;
        while (count > 0) {
            int64_t last = 0;
            for (int64_t first = std::min(count, m_.bank_groups); first > 0; first--, count--) {
                last = serve_one(group, bank, row, write, ready);
                stop = given(last, group, bank, write);
                if (++group == m_.bank_groups) group = 0;
            }
            const int64_t steady = std::min(count, steady_bursts(bank, row, last));
            if (steady <= 0) continue;
            // Only the queue remembers all but the last ones.
            const int64_t quiet = std::max<int64_t>(0, steady - m_.bank_groups), kept = std::min(quiet, m_.queue);
            at_ = (at_ + quiet - kept) % m_.queue;
            for (int64_t i = quiet - kept + 1; i <= quiet; i++) remember(last + i * spacing_);
            bursts += quiet, group = (group + quiet) % m_.bank_groups;
            for (int64_t i = quiet + 1; i <= steady; i++) {
                stop = given(last + i * spacing_, group, bank, write);
                if (++group == m_.bank_groups) group = 0;
            }
            count -= steady;
        }
        return stop;
    }

    int64_t bursts = 0, activations = 0;

private:
    // When the command of one burst is given.
    int64_t serve_one(int64_t group_number, int64_t bank_number, int64_t row, bool write, int64_t ready) {
        // It enters the queue when the burst that is a queue's length before it has left.
        seen_ = std::max({seen_, ready, columns_[at_]});
        while (seen_ >= refresh_due_) refresh();
        Bank& bank = banks_[group_number * m_.banks + bank_number];
        Group& group = groups_[group_number];
        if (bank.row != row) open(bank, group, row);
        return std::max({seen_, bank.may_access, may_access_[write], group.may_access[write]});
    }

    // What a command leaves behind; returns when its data has left the bus.
    int64_t given(int64_t column, int64_t group_number, int64_t bank_number, bool write) {
        Bank& bank = banks_[group_number * m_.banks + bank_number];
        Group& group = groups_[group_number];
        remember(column);
        bursts++;
        may_access_[write] = column + m_.ccd_s, group.may_access[write] = column + m_.ccd_l;
        if (write) {
            const int64_t stop = column + m_.cwl + m_.burst;
            may_access_[0] = stop + m_.wtr_s, group.may_access[0] = stop + m_.wtr_l;
            bank.may_close = std::max(bank.may_close, stop + m_.wr);
            return stop;
        }
        may_access_[1] = column + m_.rtw;
        bank.may_close = std::max(bank.may_close, column + m_.rtp);
        return column + m_.cl + m_.burst;
    }

    void remember(int64_t column) {
        columns_[at_] = column;
        if (++at_ == m_.queue) at_ = 0;
    }

    // After one burst of each bank group, the last one at `last`: how many follow every `spacing_` clocks before a refresh is due.
    int64_t steady_bursts(int64_t bank, int64_t row, int64_t last) const {
        if (m_.bank_groups > 1 && m_.bank_groups * m_.ccd_s < m_.ccd_l) return 0;
        for (int64_t group = 0; group < m_.bank_groups; group++)
            if (banks_[group * m_.banks + bank].row != row) return 0;
        return (refresh_due_ - 1 - last) / spacing_;
    }

    void open(Bank& bank, Group& group, int64_t row) {
        int64_t opens = std::max({seen_, bank.may_open, opened_[(activation_ + 3) % 4] + m_.rrd_s, group.opened + m_.rrd_l, opened_[activation_] + m_.faw});
        if (bank.row >= 0) opens = std::max(opens, std::max(seen_, bank.may_close) + m_.rp);
        opened_[activation_] = group.opened = opens;
        activation_ = (activation_ + 1) % 4;
        activations++;
        bank = {row, opens + m_.rc, opens + m_.rcd, opens + m_.ras};
    }

    // Close all banks once the queue is empty, and refresh them.
    void refresh() {
        int64_t starts = std::max(refresh_due_, refreshed_), closes = refresh_due_;
        bool any = false;
        for (const Bank& bank : banks_)
            if (bank.row >= 0) any = true, closes = std::max(closes, bank.may_close);
        if (any) starts = closes + m_.rp_all;
        refreshed_ = starts + m_.rfc;
        for (Bank& bank : banks_) bank.row = -1, bank.may_open = refreshed_;
        seen_ = std::max(seen_, refreshed_);
        refresh_due_ += m_.refi;
    }

    const DramModel& m_;
    const int64_t spacing_ = m_.bank_groups > 1 ? m_.ccd_s : std::max(m_.ccd_s, m_.ccd_l);
    std::vector<Bank> banks_;
    std::vector<Group> groups_;
    std::vector<int64_t> columns_;  // when the last bursts' commands were given, a ring
    int64_t at_ = 0;
    int64_t opened_[4] = {kLongAgo, kLongAgo, kLongAgo, kLongAgo};  // a ring, too
    int64_t activation_ = 0;
    int64_t may_access_[2] = {0, 0};
    int64_t seen_ = 0, refresh_due_, refreshed_ = 0;
};

// Channels that share the addresses: neighbouring bursts lie in neighbouring channels, of a channel in neighbouring bank groups.
class DramChannels {
public:
    DramChannels(const DramModel& model, int64_t channels)
        : m_(model), count_(channels), stripe_(channels * model.bank_groups * (model.row_bytes / model.burst_bytes)), channels_(channels, DramChannel(model)) {}

    // Serve the bursts of one transfer; returns when the last data has left the bus.
    int64_t serve(const Region* regions, int64_t count, bool write, int64_t ready) {
        int64_t stop = ready, previous = -1;  // where the last run ended
        for (const Region* e = regions; e < regions + count; e++) {
            if (e->size <= 0) continue;
            const bool gapless = e->group_stride == e->run * e->runs && (e->runs == 1 || e->stride == e->run);
            const int64_t run = gapless ? e->start + e->size : e->run;
            int64_t index = e->start / run, offset = e->start % run, left = e->size;
            int64_t within = index % e->runs, group = index / e->runs;
            while (left > 0) {
                const int64_t address = e->base + group * e->group_stride + within * e->stride + offset, bytes = std::min(left, run - offset);
                // A burst that two runs share is moved once.
                const int64_t first = address / m_.burst_bytes + (address == previous && address % m_.burst_bytes);
                previous = address + bytes;
                stop = std::max(stop, serve_bursts(first, (previous - 1) / m_.burst_bytes + 1, write, ready));
                left -= bytes, offset = 0;
                if (++within == e->runs) within = 0, group++;
            }
        }
        return stop;
    }

    DramTotals totals() const {
        DramTotals sum = {};
        for (const DramChannel& channel : channels_) sum.bursts += channel.bursts, sum.activations += channel.activations;
        return sum;
    }

private:
    int64_t serve_bursts(int64_t first, int64_t stop, bool write, int64_t ready) {
        int64_t last = ready;
        while (first < stop) {
            const int64_t stripe = first / stripe_, end = std::min(stop, (stripe + 1) * stripe_);
            const int64_t row = stripe / m_.banks, bank = (stripe + row) % m_.banks;  // a column of blocks is spread over the banks
            for (int64_t channel = 0; channel < std::min(count_, end - first); channel++) {
                const int64_t burst = first + channel, own = (end - burst + count_ - 1) / count_;
                const int64_t group = burst / count_ % m_.bank_groups;
                last = std::max(last, channels_[burst % count_].serve(group, bank, row, own, write, ready));
            }
            first = end;
        }
        return last;
    }

    const DramModel& m_;
    int64_t count_, stripe_;        // bursts with one bank and row, in all channels and bank groups
    std::vector<DramChannel> channels_;
};

class Channel {
public:
    Channel(const MemorySteps& steps, const DramPass& pass) : steps_(steps), pass_(pass), dram_(*pass.model, pass.channels) {}

    int64_t load(int64_t step, int64_t ready) { return serve(pass_.regions + 3 * step, 2, false, ready, pass_.load_start[step]); }
    int64_t store(int64_t step, int64_t ready) { return serve(pass_.regions + 3 * step + 2, 1, true, ready, pass_.store_start[step]); }
    int64_t arrived(int64_t step) const { return steps_.load_stop[step]; }
    DramTotals totals() const { return dram_.totals(); }

private:
    int64_t serve(const Region* regions, int64_t count, bool write, int64_t ready, int64_t& start) {
        start = left_ = std::max(left_, ready);
        int64_t bytes = 0;
        for (int64_t i = 0; i < count; i++) bytes += std::max<int64_t>(0, regions[i].size);
        if (bytes) {
            const double asked = std::ceil(static_cast<double>(ready) * pass_.clocks_per_cycle);
            const int64_t stop = dram_.serve(regions, count, write, static_cast<int64_t>(asked));
            left_ = std::max(left_, static_cast<int64_t>(std::ceil(static_cast<double>(stop) / pass_.clocks_per_cycle)));
        }
        return left_;
    }

    const MemorySteps& steps_;
    const DramPass& pass_;
    DramChannels dram_;
    int64_t left_ = 0;
};

}  // namespace

DramTotals run_dram_transfers(const DramModel& model, int64_t channels, const DramTransfers& t) {
    DramChannels dram(model, channels);
    for (int64_t i = 0; i < t.count; i++) t.left[i] = dram.serve(t.regions + i, 1, t.write[i], t.asked[i]);
    return dram.totals();
}

int64_t run_dram_steps(const MemorySteps& steps, const DramPass& pass, DramTotals& totals) {
    Channel channel(steps, pass);
    const int64_t cycles = run_steps(steps, channel);
    totals = channel.totals();
    return cycles;
}

}  // namespace accelsim
