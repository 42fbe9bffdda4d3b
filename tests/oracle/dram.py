"""A DRAM controller stepped clock by clock: each command is held against all that were given before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from accelsim.hardware.dram_models import DramModel


@dataclass(frozen=True)
class Place:
    """Where a burst lies."""

    channel: int
    group: int
    bank: int
    row: int


@dataclass(eq=False)
class Burst:
    place: Place
    write: bool
    ready: int
    stop: int = -1  # when its data has left the bus


@dataclass(frozen=True)
class Command:
    """ACT, PRE, READ and WRITE to a bank, PREA and REF to all of them (group and bank are -1)."""

    name: str
    clock: int
    group: int = -1
    bank: int = -1


def place_of(model: DramModel, channels: int, number: int) -> Place:
    """Where burst `number` of the addresses lies: channel, bank group, column, bank, row, from the lowest bits on."""
    number, channel = divmod(number, channels)
    number, group = divmod(number, model.bank_groups)
    number //= model.row_bytes // model.burst_bytes
    row, bank = divmod(number, model.banks)
    return Place(channel, group, (bank + row) % model.banks, row)


def bursts_of(model: DramModel, regions: np.ndarray) -> Iterator[int]:
    """The bursts of one transfer in order; one that two neighbouring runs share comes once."""
    previous = None
    for region in regions:
        position, end = int(region["start"]), int(region["start"] + region["size"])
        while position < end:
            run, offset = divmod(position, int(region["run"]))
            group, within = divmod(run, int(region["runs"]))
            address = (
                int(region["base"]) + group * int(region["group_stride"]) + within * int(region["stride"]) + offset
            )
            length = min(int(region["run"]) - offset, end - position)
            touched = sorted({byte // model.burst_bytes for byte in range(address, address + length)})
            if address == previous and (address - 1) // model.burst_bytes == touched[0]:
                touched = touched[1:]
            yield from touched
            position, previous = position + length, address + length


def run(model: DramModel, channels: int, transfers: list[tuple[int, bool, list[int]]]) -> tuple[list[int], int]:
    """Return when each transfer's last data has left the bus, and how many rows were opened.

    Args:
        transfers: when it is asked for, whether it writes, its bursts; in the order of service.
    """
    bursts = [
        [Burst(place_of(model, channels, number), write, ready) for number in numbers]
        for ready, write, numbers in transfers
    ]
    opened = 0
    for channel in range(channels):
        own = [burst for group in bursts for burst in group if burst.place.channel == channel]
        opened += Stepper(model, own).run()
    stops = [
        max((burst.stop for burst in group), default=ready)
        for group, (ready, _, _) in zip(bursts, transfers, strict=True)
    ]
    return stops, opened


@dataclass
class Stepper:
    """One channel.

    Attributes:
        history: the last commands.
    """

    model: DramModel
    waiting: list[Burst]
    queue: list[Burst] = field(default_factory=list)
    history: list[Command] = field(default_factory=list)
    opened: list[int] = field(default_factory=list)  # when rows were
    rows: dict[tuple[int, int], int] = field(default_factory=dict)  # of the banks that are open

    def run(self) -> int:
        """Serve all bursts; returns activations."""
        clock, self.due, self.refreshed = 0, self.model.t_refi_clocks, 0
        while self.waiting or self.queue:
            while self.step(clock):
                pass
            clock += 1
            if not self.queue and self.waiting and clock < self.due:  # nothing happens until then
                clock = max(clock, min(self.due, self.waiting[0].ready))
        return len(self.opened)

    def step(self, clock: int) -> bool:
        """Do one thing that may be done in a clock; whether there was any."""
        if self.queue and self.serve(clock, self.queue[0]):
            return True
        if clock >= self.due:
            if not self.queue and self.refresh(clock):
                return True
        elif (
            self.waiting
            and self.waiting[0].ready <= clock
            and self.refreshed <= clock
            and len(self.queue) < self.model.queue
        ):
            self.queue.append(self.waiting.pop(0))
            return True
        return self.open_rows(clock)

    def serve(self, clock: int, burst: Burst) -> bool:
        """Read or write the oldest burst."""
        place, m = burst.place, self.model
        if self.rows.get((place.group, place.bank)) != place.row:
            return False
        if not self.give(Command("WRITE" if burst.write else "READ", clock, place.group, place.bank)):
            return False
        burst.stop = clock + (m.t_cwl_clocks if burst.write else m.t_cl_clocks) + m.burst_clocks
        self.queue.pop(0)
        return True

    def open_rows(self, clock: int) -> bool:
        """Close and open rows for bursts of the queue whose bank no earlier one needs; rows are opened in order."""
        needed: set[tuple[int, int]] = set()
        in_order = True
        for burst in self.queue:
            bank = burst.place.group, burst.place.bank
            if bank not in needed and self.rows.get(bank) != burst.place.row:
                if bank in self.rows:
                    if self.give(Command("PRE", clock, *bank)):
                        del self.rows[bank]
                        return True
                elif in_order and self.give(Command("ACT", clock, *bank)):
                    self.rows[bank] = burst.place.row
                    return True
                in_order = False
            elif bank in needed and self.needs_row(burst, bank):
                in_order = False
            needed.add(bank)
        return False

    def needs_row(self, burst: Burst, bank: tuple[int, int]) -> bool:
        """Whether the burst before it of the same bank leaves another row open."""
        earlier = [
            other for other in self.queue[: self.queue.index(burst)] if (other.place.group, other.place.bank) == bank
        ]
        return earlier[-1].place.row != burst.place.row

    def refresh(self, clock: int) -> bool:
        if self.rows:
            if self.give(Command("PREA", clock)):
                self.rows = {}
                return True
            return False
        if not self.give(Command("REF", clock)):
            return False
        self.due += self.model.t_refi_clocks
        self.refreshed = clock + self.model.t_rfc_clocks
        return True

    def give(self, command: Command) -> bool:
        """Give a command if it keeps its distance from all before it."""
        if any(command.clock < before.clock + self.gap(before, command) for before in self.history):
            return False
        if command.name == "ACT":
            if len(self.opened) >= 4 and command.clock < self.opened[-4] + self.model.t_faw_clocks:
                return False
            self.opened.append(command.clock)
        reach = self.model.t_rfc_clocks + 200  # no distance is longer
        self.history = [before for before in self.history if before.clock + reach > command.clock]
        self.history.append(command)
        return True

    def gap(self, before: Command, after: Command) -> int:
        """Least clocks between two commands: of the channel, of one bank group, of one bank, whichever is most."""
        if (before.name, after.name) not in self.gaps:
            return 0
        anywhere, in_group, in_bank = self.gaps[before.name, after.name]
        group = before.group == after.group
        bank = (group and before.bank == after.bank) or before.bank < 0 or after.bank < 0
        return max(anywhere, in_group * group, in_bank * bank)

    @cached_property
    def gaps(self) -> dict[tuple[str, str], tuple[int, int, int]]:
        """Those of the standard."""
        m = self.model
        written = m.t_cwl_clocks + m.burst_clocks
        gaps = {("ACT", "ACT"): (m.t_rrd_s_clocks, m.t_rrd_l_clocks, m.t_rc_clocks)}
        gaps |= {("REF", "ACT"): (m.t_rfc_clocks, 0, 0), ("REF", "REF"): (m.t_rfc_clocks, 0, 0)}
        gaps |= {("PRE", "ACT"): (0, 0, m.t_rp_clocks), ("PREA", "REF"): (m.t_rp_all_clocks, 0, 0)}
        for access in ("READ", "WRITE"):
            gaps[access, access] = (m.t_ccd_s_clocks, m.t_ccd_l_clocks, 0)
            gaps["ACT", access] = (0, 0, m.t_rcd_clocks)
        gaps["READ", "WRITE"] = (m.t_rtw_clocks, 0, 0)
        gaps["WRITE", "READ"] = (written + m.t_wtr_s_clocks, written + m.t_wtr_l_clocks, 0)
        for closing in ("PRE", "PREA"):
            gaps["ACT", closing] = (0, 0, m.t_ras_clocks)
            gaps["READ", closing] = (0, 0, m.t_rtp_clocks)
            gaps["WRITE", closing] = (0, 0, written + m.t_wr_clocks)
        return gaps
