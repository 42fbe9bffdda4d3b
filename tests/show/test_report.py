"""The report, read as text and looked at by a browser."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from accelsim import TraceWriter, simulate
from accelsim.errors import AccelsimError
from accelsim.lowering import PASSES
from accelsim.show.figures.source import read_source
from accelsim.show.report import report_html
from accelsim.trace.unlowered import EVALUATION
from tests.show.browser import chromium, set_size
from tests.test_pipeline import layer, small

PHONE, DESK = 375, 1200


@pytest.fixture(scope="module")
def pages(results: dict[str, Path], sweep: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("pages")
    for name, source in (("run", results["small"]), ("sweep", sweep)):
        (base / f"{name}.html").write_text(report_html(read_source(source)), encoding="utf-8")
    return {name: base / f"{name}.html" for name in ("run", "sweep")}


def test_a_run_has_its_summary_tables_figures_configuration_and_explanations(
    pages: dict[str, Path], results: dict[str, Path]
) -> None:
    text = pages["run"].read_text()
    source = read_source(results["small"])
    assert source.result is not None
    total = source.result.summary["total"]
    for words in (f"{total['cycles']:,}", f"{total['speedup']:.2f}x", "Whole training, 40 steps", "How to read it"):
        assert words in text
    assert str(source.result.trace["sha256"]) in text
    assert "scan_width: 8" in text
    assert re.findall(r'<figure id="(\w+)"', text) == ["ratios", "training", "slots", "energy", "roofline", "layers"]
    assert "layer1.0.conv1 &lt;b&gt;&amp;" in text
    assert "<b>" not in text


def test_a_sweep_has_its_designs_and_says_what_it_cannot_draw(pages: dict[str, Path]) -> None:
    text = pages["sweep"].read_text()
    assert re.findall(r'<figure id="(\w+)"', text) == ["ratios", "granularity", "slots", "energy", "roofline", "pareto"]
    assert "Not drawn: speedup by layer and pass" in text
    assert "skipping.sync" in text


def test_what_was_not_recorded_is_named_with_its_share(tmp_path: Path) -> None:
    unlowered = {
        "attention <b>": {"count": 3, "macs": 12_700, "reason": "a fused kernel"},
        "rnn": {"count": 1, "macs": None, "reason": "no formula"},
        "conv": {"count": 7, "macs": 10**6, "reason": EVALUATION},
    }
    with TraceWriter(tmp_path / "run.pkl", meta={"unlowered": unlowered}) as writer:
        writer.write(layer("a"))
    recorded = 3 * 8 * 6 * 9 * 2 * 49
    for passes, share in (
        (PASSES, f"at most {100 * 12_700 / (recorded + 12_700):.1f}%"),
        (("forward",), "only a part"),
    ):
        simulate(small(), tmp_path / "run.pkl", passes=passes, workers=1).save(tmp_path / "out")
        text = report_html(read_source(tmp_path / "out"))
        rows = re.findall(r"<tr>(.*?)</tr>", text.split("<h3>Not recorded</h3>")[1].split("</table>")[0], re.DOTALL)
        cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows[1:]]
        assert [row[0] for row in cells] == ["attention &lt;b&gt;", "rnn", "conv"]
        assert cells[0][1:3] == ["3", "12.7k"]
        assert cells[0][3].startswith(share)
        if passes == PASSES:
            assert [row[3] for row in cells[1:]] == ["unknown", "not part of the training"]
        assert "Not recorded, and so not counted: attention &lt;b&gt;, rnn; see the table." in text
    assert "Not recorded" not in report_html(read_source(_without_notes(tmp_path)))


def _without_notes(folder: Path) -> Path:
    simulate(small(), [layer("a")], workers=1).save(folder / "plain")
    return folder / "plain"


def test_the_caption_of_the_training_names_the_lines_that_are_there(pages: dict[str, Path]) -> None:
    text = pages["run"].read_text()
    caption = text.split('<figure id="training"')[1].split("<figcaption>")[1].split("</figcaption>")[0]
    assert "thin black line at 1 is the same machine without skipping" in caption
    assert "dashed grey line, where" in caption


@pytest.mark.parametrize("name", ["run", "sweep"])
def test_nothing_comes_from_elsewhere(pages: dict[str, Path], name: str) -> None:
    text = pages[name].read_text()
    links = re.findall(r'(?:src|href)="([^"]*)"|url\(([^)]*)\)', text)
    assert links
    assert all("".join(link).startswith("#") for link in links)
    identifiers = re.findall(r'\bid="([^"]+)"', text)
    assert len(identifiers) == len(set(identifiers))


@pytest.mark.parametrize("name", ["run", "sweep"])
def test_a_browser_shows_it_without_complaint_network_or_overflow(
    pages: dict[str, Path], name: str, tmp_path: Path
) -> None:
    address = f"file://{pages[name]}"
    with chromium(tmp_path) as driver:
        driver.execute_cdp_cmd("Network.enable", {})
        driver.execute_cdp_cmd("Network.emulateNetworkConditions", _offline())
        driver.get_log("performance")  # of the empty tab
        for width in (PHONE, DESK):
            set_size(driver, width, 800)
            driver.get(address)
            assert driver.execute_script("return innerWidth") == width
            assert driver.execute_script("return document.documentElement.scrollWidth") <= width
            drawn = driver.execute_script(
                "return [...document.querySelectorAll('figure svg')].map(svg => svg.getBoundingClientRect().height)"
            )
            assert drawn
            assert min(drawn) > 50
        assert driver.get_log("browser") == []
        messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
        asked = {one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"}
        assert {url for url in asked if not url.startswith("chrome")} == {address}


def test_tables_sort_by_number_and_by_name(pages: dict[str, Path], tmp_path: Path) -> None:
    with chromium(tmp_path) as driver:
        driver.get(f"file://{pages['run']}")
        table = "[...document.querySelectorAll('h3')].find(h => h.textContent == 'Layers').nextElementSibling"
        column = f"[...{table}.querySelectorAll('td:nth-child(%d)')].map(cell => cell.dataset.value)"
        click = f"{table}.querySelectorAll('th button')[%d].click();"
        cycles = [driver.execute_script(click % 4 + "return " + column % 5) for _ in range(2)]
        down = [float(value) for value in cycles[0]]
        assert down == sorted(down, reverse=True)
        assert down != sorted(down)
        assert [float(value) for value in cycles[1]] == sorted(down)
        names = driver.execute_script(click % 1 + "return " + column % 2)
        assert names == sorted(names)
        sorted_by = driver.execute_script(
            f"return [...{table}.querySelectorAll('th')].map(head => head.getAttribute('aria-sort'))"
        )
        assert [place for place, value in enumerate(sorted_by) if value] == [1]


def _offline() -> dict[str, object]:
    return {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}


def test_without_jinja2_one_sentence_says_so(results: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelsim.extras.find_spec", lambda name: None)
    with pytest.raises(AccelsimError, match=r"pip install 'accelsim\[report\]'"):
        report_html(read_source(results["small"]))
