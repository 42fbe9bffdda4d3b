"""Traffic beside the peers: the page shows what is computed now, and what the peers said follows from their rules."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from accelsim.validate import scalesim
from accelsim.validate.scalesim import Run, SramKiwords
from tests.oracle.scalesim_traffic import dram_words

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import peers_traffic as peers  # noqa: E402
import scalesim_peer  # noqa: E402

PAGE = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def rows() -> list[peers.Row]:
    return list(peers.zigzag_rows())


@pytest.mark.reference
def test_the_page_has_what_is_found_now(rows: list[peers.Row]) -> None:
    assert len(rows) == 30
    parts = [peers.zigzag_table(rows), peers.zigzag_summary(rows), peers.scalesim_table()]
    for part in parts:
        missing = set(part.splitlines()) - set(PAGE.splitlines())
        assert not missing, "refresh it: python benchmarks/peers_traffic.py --page docs/validation.md"


@pytest.mark.reference
def test_where_zigzag_moves_less_its_sums_spill(rows: list[peers.Row]) -> None:
    for row in rows:
        assert row.zigzag.total >= 0.995 * row.accelsim.total or row.zigzag.outputs > 1.5 * row.accelsim.outputs


@pytest.mark.reference
def test_searches_that_may_do_less_move_more(rows: list[peers.Row]) -> None:
    assert all(row.accelsim.total <= 1.05 * row.exhaustive for row in rows)
    assert all(row.exhaustive <= row.even <= row.padded for row in rows)


@pytest.mark.reference
def test_zigzag_counts_b_by_the_rule_that_the_page_states() -> None:
    hw, said = peers.machine(), peers.read_zigzag()
    for network, layer, which in peers.passes():
        problems = peers.problems(hw, peers.operation(network, layer), which)
        for (problem, _), chosen in zip(problems, said[network, layer, which], strict=True):
            assert chosen.b_counted(problem) == chosen.b_words


@pytest.mark.reference
def test_scalesims_reads_follow_from_its_rule() -> None:
    (row,) = (row for row in peers.read_scalesim() if row["layer"] == "layer2.0.downsample.0")
    run = Run(16, 16, "output_stationary", *(int(row[name]) for name in "mnk"), row["topology"])
    words = dram_words(run, scalesim_peer.SRAM)
    assert (words.ifmap, words.filter) == (int(row["ifmap_words"]), int(row["filter_words"]))


@pytest.mark.closed_form
def test_a_scratchpad_forgets_all_when_half_of_it_has_been_read() -> None:
    # 4 x 4 pixels of 64 words, 32 filters of 64 words: 1 fold of pixels, 2 of filters
    run = Run(16, 16, "output_stationary", 32, 16, 64, "conv 4 1 64 32 1")
    assert dram_words(run, SramKiwords(4, 4, 1)) == scalesim.DramWords(1024, 2048, 512)
    # half of 1 Ki is 50 sets of 10 words: the image's 1,024 words are read for both folds
    assert dram_words(run, SramKiwords(1, 4, 1)).ifmap == 2048


@pytest.mark.reference
@pytest.mark.skipif(not scalesim.is_installed(), reason="needs SCALE-Sim")
def test_the_installed_scalesim_reads_as_many_words() -> None:
    run = Run(16, 16, "output_stationary", 40, 36, 72, "conv 8 3 8 40 1")
    sram = SramKiwords(1, 1, 1)
    measured, expected = scalesim.measure_traffic(run, sram), dram_words(run, sram)
    assert (measured.ifmap, measured.filter) == (expected.ifmap, expected.filter)


@pytest.mark.smoke
def test_it_prints_both_tables(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["peers_traffic.py", "--layer", "resnet18 layer2.0.downsample.0"])
    peers.main()
    printed = capsys.readouterr().out
    assert printed.count("resnet18 layer2.0.downsample.0") == 4
