"""An explanation as text for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from rich.console import Group, RenderableType
from rich.padding import Padding

from accelsim.array import Slots
from accelsim.explain.explanation import Explanation, PassExplanation, SlowestTile
from accelsim.explain.shapes import GemmShapes
from accelsim.memory.blocking import Blocking
from accelsim.results.quantities import share, times
from accelsim.results.row import speedup
from accelsim.show.console import literal
from accelsim.show.text_table import TextTable

_AXES = {
    ("forward", False): ("output channels", "images × output pixels", "taps × input channels"),
    ("input_grad", False): ("input channels", "images × pixels", "taps × output channels"),
    ("weight_grad", False): ("output channels", "taps × input channels", "images × output pixels"),
    ("forward", True): ("output channels", "images × pixels", "taps × input channels"),
    ("input_grad", True): ("input channels", "images × input pixels", "taps × output channels"),
    ("weight_grad", True): ("input channels", "taps × output channels", "images × input pixels"),
}
_SLOT_MEANINGS = {
    "effectual": "multiplied two non-zeros",
    "ineffectual": "multiplied, but an operand was zero",
    "edge": "PE without an output to compute",
    "barrier": "done, waiting for the tile's or pass's last",
    "sync": "held up by its group: full queue, or draining",
    "starved": "scanner moved on and found too little here",
    "port": "waiting for the buffers' ports",
    "skew": "operands on their way in, or results on their way out",
    "memory": "waiting for data or for room",
}
_BOUNDS = {
    "array": "the array's work",
    "bandwidth": "DRAM bandwidth",
    "latency": "DRAM latency",
}


def explanation_text(explanation: Explanation) -> RenderableType:
    """Everything `accelsim explain` prints."""
    parts: list[RenderableType] = [
        f"[bold]{literal(explanation.layer)}[/bold], step {explanation.step}, call {explanation.call}, on"
        f" {literal(explanation.machine)} ({explanation.pe_kind} PEs)",
        _tensors(explanation),
    ]
    for part in explanation.passes:
        parts += ["", *_pass(explanation, part)]
    return Group(*parts)


def _tensors(explanation: Explanation) -> RenderableType:
    table = TextTable("", ["tensor"], ["shape", "non-zero"], left=["shape"])
    for name, mask in explanation.masks.items():
        table.add_row(name, "×".join(map(str, mask.shape)), share(mask.density, 1))
    described = [
        f"{name} {'×'.join(map(str, getattr(explanation, name)))}" for name in ("stride", "padding", "dilation")
    ]
    groups = f", {explanation.groups} groups" if explanation.groups > 1 else ""
    table.add_row(f"{explanation.kind}: {', '.join(described)}{groups}")
    return Padding(table, (0, 0, 0, 2), expand=False)


def _pass(explanation: Explanation, part: PassExplanation) -> Iterator[RenderableType]:
    memory = part.memory
    faster = times(speedup(part.dense_cycles, memory.cycles))
    yield (
        f"[bold]{part.which}: {memory.cycles:,} cycles[/bold], {part.dense_cycles:,} without skipping and compression"
        f" ({faster})"
    )
    rows, columns, reduction = _AXES[part.which, explanation.kind == "conv_transpose"]
    yield from _section(
        "1 Products",
        f"O[M, N] = A[M, K] · B[K, N]. M: {rows}, N: {columns}, K: {reduction}.",
        _products(part),
        f"{part.effectual_macs:,} of {part.macs:,} pairs have two non-zeros ({share(part.effectual_macs, part.macs)}).",
    )
    yield from _section("2 Tiles", _tiles_note(explanation, part), _tiles(explanation, part))
    yield from _section("3 Without skipping", *_dense(explanation, part))
    if part.tiles is None:
        yield from _section("4 With skipping", "Nothing is left to compute.")
        return
    yield from _section("4 With skipping", *_skipping(explanation, part))
    yield from _section(
        "5 Slots",
        "PEs × lanes × cycles, by what became of them:",
        _slots(part.slots),
        *_row_order(explanation, part),
    )
    yield from _section("6 Memory", *_memory(part))


def _section(title: str, *parts: RenderableType) -> Iterator[RenderableType]:
    yield f"[bold]{title}[/bold]"
    for part in parts:
        yield Padding(part, (0, 0, 0, 2), expand=False)


def _products(part: PassExplanation) -> TextTable:
    phases = len({shapes.phase for shapes in part.shapes}) > 1
    first = part.shapes[0] if part.shapes else None
    kinds = (f"A {first.a_kind}", f"B {first.b_kind}") if first else ("A", "B")
    table = TextTable("", ["GEMMs", *(["phase"] if phases else [])], ["M", "N", "K", *kinds])
    for shapes in part.shapes:
        phase = [f"{shapes.phase[0]}, {shapes.phase[1]}"] if phases else []
        densities = (share(density, 1) for density in (shapes.a_density, shapes.b_density))
        table.add_row(_n(shapes.count), *phase, *map(_n, (shapes.m, shapes.n, shapes.k)), *densities)
    return table


def _tiles_note(explanation: Explanation, part: PassExplanation) -> str:
    if not part.shapes:
        return "None."
    width, segments = part.shapes[0].window_width, explanation.segments
    if not width:
        return "The array works in folds, not windows; the memory model sees tiles of outputs:"
    cut = f" Columns are cut into up to {segments} segments where that saves an eighth." if segments > 1 else ""
    return (
        f"A tile is up to {explanation.rows} × {explanation.cols} outputs, one a PE; it streams K in windows of {width}"
        f" position{'s' * (width > 1)}. Skipped outputs leave columns out, skipped blocks drop windows.{cut}"
    )


def _tiles(explanation: Explanation, part: PassExplanation) -> TextTable:
    columns = ("tiles run", "at edges", "columns run", "windows", "dropped")
    table = TextTable("", ["row × column tiles"], columns)
    for shapes in part.shapes:
        gemms = f"{shapes.count} × " if shapes.count > 1 else ""
        of = f" of {shapes.tile_rows} × {shapes.tile_cols}" if explanation.segments > 1 else ""
        table.add_row(
            f"{gemms}{shapes.row_tiles:,} × {shapes.column_tiles:,}{of}",
            _n(shapes.tiles),
            _n(shapes.edge_tiles),
            share(shapes.scheduled_columns, shapes.all_columns),
            _n(shapes.windows) if shapes.windows else "–",
            share(shapes.dropped_windows, shapes.windows),
        )
    return table


def _dense(explanation: Explanation, part: PassExplanation) -> Iterator[str]:
    """The closed form, a line a shape, and what ports and several arrays make of it."""
    for shapes in part.shapes:
        yield f"{shapes.dense_formula} = {shapes.dense_cycles:,}"
    total = sum(shapes.dense_cycles for shapes in part.shapes)
    if len(part.shapes) > 1:
        yield f"together {total:,} cycles"
    if part.dense_array_cycles != total:
        shared = f" by the longest-working of {explanation.arrays} arrays" if explanation.arrays > 1 else ""
        shaped = " in tiles of the fastest shapes," if explanation.segments > 1 else ""
        yield f"{part.dense_array_cycles:,}{shared},{shaped} waiting for the buffers' ports included"
    if part.dense_cycles != part.dense_array_cycles:
        yield f"{part.dense_cycles:,} with memory"


def _skipping(explanation: Explanation, part: PassExplanation) -> Iterator[RenderableType]:
    tiles = part.tiles
    if tiles is None:
        return
    if part.slowest is None:
        yield f"Nothing is skipped: {part.memory.array_cycles:,} array cycles."
        return
    yield (
        f"{_n(tiles.tiles)} tiles: fastest {_n(tiles.fastest)} cycles, median {tiles.median:,.1f},"
        f" mean {tiles.mean:,.1f}, slowest {_n(tiles.slowest)}; {part.memory.array_cycles:,} array cycles in all."
    )
    yield from _slowest(explanation, part.slowest, part.shapes)


def _slowest(explanation: Explanation, tile: SlowestTile, shapes: tuple[GemmShapes, ...]) -> Iterator[RenderableType]:
    lanes = explanation.lanes
    where = [f"group {tile.group}"] if explanation.groups > 1 else []
    where += [f"phase {tile.phase}"] if len({part.phase for part in shapes}) > 1 else []
    gap = "" if tile.last_column - tile.first_column + 1 == tile.columns else f" ({tile.columns} scheduled ones)"
    by_density = {"density": " as sorted by density", "packed": " as packed"}.get(explanation.row_order, "")
    where.append(f"rows {tile.first_row}–{tile.first_row + tile.rows - 1}{by_density}")
    where.append(f"columns {tile.first_column}–{tile.last_column}{gap}")
    yield f"The slowest tile ({', '.join(where)}), {_n(tile.cycles)} cycles:"
    for line in _why(tile, lanes):
        yield Padding(line, (0, 0, 0, 2), expand=False)


def _why(tile: SlowestTile, lanes: int) -> Iterator[str]:
    """What a tile's cycles are made of."""
    yield f"{_n(tile.windows)} windows{f', {_n(tile.dropped)} more dropped' if tile.dropped else ''}"
    yield from tile.account.sentences
    if tile.port_cycles:
        yield f"{_n(tile.port_cycles)} more cycles until its words have come through the buffers' ports"
    if tile.drain_cycles:
        yield f"{_n(tile.drain_cycles)} more cycles until results have left through the columns"
    yield (
        f"at best {_n(tile.lower_bound)} cycles: its busiest PE has {_n(tile.most_effectual)} pairs of two non-zeros"
        f" for {lanes} lane{'s' * (lanes > 1)}"
    )


def _slots(slots: Slots) -> TextTable:
    table = TextTable("", ["slots"], ["number", "share", "which"], left=["which"])
    for part in fields(Slots):
        if count := getattr(slots, part.name):
            table.add_row(part.name, _n(count), share(count, slots.total), _SLOT_MEANINGS[part.name])
    return table


def _row_order(explanation: Explanation, part: PassExplanation) -> Iterator[str]:
    if part.natural_array_cycles is not None and explanation.row_order == "packed":
        saved = part.natural_array_cycles - part.memory.array_cycles
        verb = "saves" if saved >= 0 else "costs"
        yield (
            f"Packing rows by the outputs that they want {verb} {_n(abs(saved))} of {_n(part.natural_array_cycles)}"
            " array cycles."
        )
    elif part.natural_barrier is not None:
        saved = part.natural_barrier - part.slots.barrier
        verb = "saves" if saved >= 0 else "costs"
        yield f"Sorting rows by density {verb} {_n(abs(saved))} of {_n(part.natural_barrier)} barrier slots."


def _memory(part: PassExplanation) -> Iterator[str]:
    memory = part.memory
    yield (
        f"{memory.dram_read_bytes:,} bytes read, {memory.dram_write_bytes:,} written, in {memory.macro_tiles:,}"
        " macro-tile steps."
    )
    for blocking, gemms in memory.blockings:
        yield _mapping(blocking, gemms)
    if memory.bound is None:
        yield f"Memory is ideal: the pass takes the array's {memory.array_cycles:,} cycles."
        return
    yield (
        f"{memory.array_cycles:,} array cycles become {memory.cycles:,}. The pass is bound by {_BOUNDS[memory.bound]}."
    )
    if memory.overlaps:
        yield (
            "That is the pass by itself; in a run its first loads are in flight while the pass before it runs and"
            " drains (memory.overlap)."
        )
    rows = memory.rows
    if rows is None:
        yield (
            f"Without array work it would take {memory.without['array']:,}, with unlimited bandwidth"
            f" {memory.without['bandwidth']:,}, without latency {memory.without['latency']:,}."
        )
        return
    yield (
        f"Without array work it would take {memory.without['array']:,}, with DRAM that takes no time"
        f" {memory.without['bandwidth']:,}, with its peak bandwidth throughout {memory.without['latency']:,}."
    )
    yield (
        f"While transfers are under way, DRAM moves {rows.efficiency:.0%} of its peak; {rows.hit_rate:.1%} of"
        f" {rows.bursts:,} bursts find their row open."
    )


def _mapping(blocking: Blocking, gemms: int) -> str:
    """How some GEMMs are cut, in words."""
    window = f" (windows of {_n(blocking.window_width)} of each line)" if blocking.window_width else ""
    kernel = ""
    if blocking.kernel_rows:
        kernel = f" (blocks of {_n(blocking.kernel_rows)} kernel rows × {_n(blocking.block_channels)} channels)"
    outermost, stays = {"rows": ("blocks of rows", "A"), "columns": ("blocks of columns", "B")}[blocking.order]
    sentence = (
        f"{_n(gemms)} {'GEMM' if gemms == 1 else 'GEMMs'} in macro-tiles of {_n(blocking.row_tiles)} row tiles"
        f" × {_n(blocking.columns)} columns{window} × {_n(blocking.chunk)} positions of K{kernel}"
    )
    gathered = ", elements of B one by one" if blocking.gathered else ""
    if blocking.spills:
        return f"{sentence}{gathered}; chunks of K outermost, then {outermost}: sums leave after each and come back."
    return f"{sentence}{gathered}; {outermost} outermost{f', {stays} stays for all of K' if blocking.stays else ''}."


def _n(count: int) -> str:
    return f"{count:,}"
