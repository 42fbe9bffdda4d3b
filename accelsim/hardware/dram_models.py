"""Kinds of DRAM with their banks and timing; `memory.dram.model` names one. A new one is an entry of `DRAM_MODELS`.

All times are whole clock cycles of the DRAM ("clocks"), names are those of the JEDEC standards: t_rcd is tRCD.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

CONSTANT = "constant"  # no model: the bandwidth and the latency that the machine says


@dataclass(frozen=True)
class DramModel:
    """One channel of one rank.

    Attributes:
        source: where the numbers come from.
        energy_kind: what an energy table calls it.
        clock_mhz: two data words are moved for each cycle of it.
        burst_bytes: of one access, the least that is moved.
        row_bytes: of one bank.
        bank_groups, banks: groups, and banks of each, both powers of two.
        burst_clocks: how long a burst holds the data bus.
        t_cl_clocks, t_cwl_clocks: from a read (write) command to its first data.
        t_ccd_s_clocks, t_ccd_l_clocks: between commands of one direction, in different and in the same bank group.
        t_rcd_clocks: from an activation to the first command.
        t_rp_clocks, t_rp_all_clocks: from closing a bank (all banks) to the next activation (a refresh).
        t_ras_clocks, t_rc_clocks: from an activation to closing the bank, and to its next activation.
        t_rrd_s_clocks, t_rrd_l_clocks: between activations, in different and in the same bank group.
        t_faw_clocks: in which no more than four activations begin.
        t_rtp_clocks: from a read to closing its bank.
        t_wr_clocks: from the last data of a write to closing its bank.
        t_wtr_s_clocks, t_wtr_l_clocks: from the last data of a write to a read, in another and in the same bank group.
        t_rtw_clocks: from a read to a write.
        t_rfc_clocks, t_refi_clocks: how long a refresh of all banks takes, and how often one is due.
        queue: bursts among which the controller looks ahead for rows to open.
    """

    source: str
    energy_kind: str
    clock_mhz: float
    burst_bytes: int
    row_bytes: int
    bank_groups: int
    banks: int
    burst_clocks: int
    t_cl_clocks: int
    t_cwl_clocks: int
    t_ccd_s_clocks: int
    t_ccd_l_clocks: int
    t_rcd_clocks: int
    t_rp_clocks: int
    t_rp_all_clocks: int
    t_ras_clocks: int
    t_rc_clocks: int
    t_rrd_s_clocks: int
    t_rrd_l_clocks: int
    t_faw_clocks: int
    t_rtp_clocks: int
    t_wr_clocks: int
    t_wtr_s_clocks: int
    t_wtr_l_clocks: int
    t_rtw_clocks: int
    t_rfc_clocks: int
    t_refi_clocks: int
    queue: int = 32

    @property
    def peak_bytes_per_clock(self) -> float:
        """Of one channel."""
        return self.burst_bytes / self.burst_clocks

    @property
    def read_clocks(self) -> int:
        """From the command that opens a row to the last data of a burst of it."""
        return self.t_rcd_clocks + self.t_cl_clocks + self.burst_clocks

    def numbers(self) -> list[int]:
        """The whole numbers in their order, as the kernels take them."""
        return [getattr(self, field.name) for field in fields(self) if field.type == "int"]


DRAM_MODELS = {
    "ddr4_2400": DramModel(
        source="JESD79-4, DDR4-2400R (16-16-16), eight chips of 8 Gb x8 on a channel of 64 bits; the same numbers, but"
        " for tRFC, are preset DDR4_2400R of Ramulator 2",
        energy_kind="ddr4",
        clock_mhz=1200,
        burst_bytes=64,
        row_bytes=8192,
        bank_groups=4,
        banks=4,
        burst_clocks=4,
        t_cl_clocks=16,
        t_cwl_clocks=12,
        t_ccd_s_clocks=4,
        t_ccd_l_clocks=6,
        t_rcd_clocks=16,
        t_rp_clocks=16,
        t_rp_all_clocks=16,
        t_ras_clocks=39,
        t_rc_clocks=55,
        t_rrd_s_clocks=4,
        t_rrd_l_clocks=6,
        t_faw_clocks=26,
        t_rtp_clocks=9,
        t_wr_clocks=18,
        t_wtr_s_clocks=3,
        t_wtr_l_clocks=9,
        t_rtw_clocks=16 + 4 + 2 - 12,
        t_rfc_clocks=420,  # 350 ns
        t_refi_clocks=9360,  # 7.8 us
    ),
    "lpddr4_3200": DramModel(
        source="JESD209-4, LPDDR4-3200, one channel of 16 bits of an 8 Gb die, latencies of set A; times in ns of its"
        " core timing table, rounded up to clocks of 0.625 ns",
        energy_kind="lpddr4",
        clock_mhz=1600,
        burst_bytes=32,
        row_bytes=2048,
        bank_groups=1,
        banks=8,
        burst_clocks=8,
        t_cl_clocks=28,
        t_cwl_clocks=14,
        t_ccd_s_clocks=8,
        t_ccd_l_clocks=8,
        t_rcd_clocks=29,  # 18 ns
        t_rp_clocks=29,  # 18 ns
        t_rp_all_clocks=34,  # 21 ns
        t_ras_clocks=68,  # 42 ns
        t_rc_clocks=97,  # tRAS + tRPpb
        t_rrd_s_clocks=16,  # 10 ns
        t_rrd_l_clocks=16,
        t_faw_clocks=64,  # 40 ns
        t_rtp_clocks=12,  # 7.5 ns
        t_wr_clocks=30,  # 18 ns, and one clock after the data
        t_wtr_s_clocks=17,  # 10 ns, likewise
        t_wtr_l_clocks=17,
        t_rtw_clocks=28 + 6 + 8 - 14 + 2,  # with tDQSCK of 3.5 ns at most
        t_rfc_clocks=288,  # 180 ns
        t_refi_clocks=6246,  # 3.904 us
    ),
    "hbm2": DramModel(
        source="JESD235, HBM2 at 2 Gb/s a pin, one pseudo channel of 64 bits, 4 Gb; numbers are those of preset"
        " HBM2_2000Mbps of Ramulator 2",
        energy_kind="hbm2",
        clock_mhz=1000,
        burst_bytes=32,
        row_bytes=1024,
        bank_groups=4,
        banks=4,
        burst_clocks=2,
        t_cl_clocks=14,
        t_cwl_clocks=5,
        t_ccd_s_clocks=2,
        t_ccd_l_clocks=4,
        t_rcd_clocks=14,
        t_rp_clocks=14,
        t_rp_all_clocks=14,
        t_ras_clocks=34,
        t_rc_clocks=48,
        t_rrd_s_clocks=4,
        t_rrd_l_clocks=4,
        t_faw_clocks=15,
        t_rtp_clocks=5,
        t_wr_clocks=16,
        t_wtr_s_clocks=6,
        t_wtr_l_clocks=8,
        t_rtw_clocks=14 + 2 + 2 - 5,
        t_rfc_clocks=260,
        t_refi_clocks=3900,
    ),
}
