"""The page in docs is what the model says."""

from __future__ import annotations

from pathlib import Path

from accelsim.hardware.check import key_paths
from accelsim.hardware.model import Hardware
from accelsim.hardware.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "hardware.md"


def test_page_is_in_step() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), (
        "run: python -m accelsim.hardware.reference > docs/hardware.md"
    )


def test_every_key_has_a_row_with_values_default_and_meaning() -> None:
    rows = [line.strip("| ").split(" | ") for line in reference().splitlines() if line.startswith("| `")]
    assert sorted(row[0] for row in rows) == sorted(f"`{'.'.join(path)}`" for path in key_paths(Hardware))
    assert all(len(row) == 5 and row[1] and row[2] and row[4] for row in rows)


def test_rows_say_what_the_model_says() -> None:
    text = reference()
    assert "| `array.rows` | whole number, 1 to 4096 | required |  | R, rows" in text
    assert "| `skipping.sync` | `pe`, `row`, `column`, `array` | `row` |" in text
    assert "| `skipping.tensors` | list of `weight`, `activation`, `gradient` | `[]` |" in text
    assert "| `memory.buffers.output_kib` | whole number, 1 to 1048576 | `64` | KiB |" in text
    assert (
        "| `memory.buffers.input_words_per_cycle` | whole number, 1 to 1048576, or `window`, `unlimited` | `window` |"
        in text
    )
    assert "| `memory.dram` | mapping or `null` | `null` |" in text
    assert "| `precision.format` | `int4`, `int8`, `fp8`, `fp16`, `bf16`, `fp32` or `null` | `null` |" in text
    assert "| `clock_mhz` | number above 0, to 1e+09 | `500` | MHz |" in text
    assert "| `skipping.gate_zeros` | `true`, `false` | `false` |" in text
