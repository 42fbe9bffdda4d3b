"""The shipped tables say for every number where it comes from; a user's table is checked like a hardware file."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.energy.load import load_table, table_names
from accelsim.errors import HardwareError
from accelsim.hardware.parts import Precision

HOROWITZ = Path(__file__).parents[2] / "accelsim/energy/tables/horowitz-45nm.yaml"

# The papers' figures, typed a second time.
PAPERS = {
    "horowitz-45nm": {
        "multiply.int8": 0.2,
        "multiply.fp16": 1.1,
        "multiply.fp32": 3.7,
        "add.int16": 0.05,
        "add.int32": 0.1,
        "add.fp16": 0.4,
        "add.fp32": 0.9,
        "sram[0].access_64_bit": 10,
        "sram[1].access_64_bit": 20,
        "sram[2].access_64_bit": 100,
        "queue.register_access": 0.009,
        "leakage.register_bit": 0.07395,
    },
    "jouppi-7nm": {
        "multiply.int8": 0.07,
        "multiply.bf16": 0.21,
        "multiply.fp16": 0.34,
        "multiply.fp32": 1.31,
        "add.int32": 0.03,
        "add.bf16": 0.11,
        "add.fp16": 0.16,
        "add.fp32": 0.38,
        "sram[0].access_64_bit": 7.5,
        "sram[1].access_64_bit": 8.5,
        "sram[2].access_64_bit": 14,
    },
}


def test_two_tables_ship() -> None:
    assert set(table_names()) == set(PAPERS)


@pytest.mark.parametrize("name", PAPERS)
def test_numbers_that_are_not_computed_are_the_papers(name: str) -> None:
    table = load_table(name)
    assert table.name == name
    stated = {key: q.value for key, q in table.quantities() if q.status in {"quoted", "recalled"}}
    assert stated == PAPERS[name]


def test_nothing_recalled_is_called_quoted() -> None:
    statuses = {q.status for _, q in load_table("jouppi-7nm").quantities()}
    assert statuses == {"recalled", "derived", "estimate"}


@pytest.mark.parametrize("name", PAPERS)
def test_arithmetic_of_the_rules(name: str) -> None:
    q = {key: quantity.value for key, quantity in load_table(name).quantities()}
    assert q["multiply.int4"] == pytest.approx(q["multiply.int8"] / 4)
    assert q["multiply.fp8"] == pytest.approx(q["multiply.fp16"] / 4)
    if name == "horowitz-45nm":
        assert q["multiply.bf16"] == pytest.approx(1.1 * (8 / 11) ** 2, rel=0.01)
        assert q["add.bf16"] == pytest.approx(0.4 * 8 / 11, rel=0.01)
        assert q["queue.scan"] == pytest.approx(0.009 + 2 * 0.03 / 8)
        for kind, pj in {"low": 1300, "middle": 1950, "high": 2600}.items():
            assert q[f"dram.kinds.{kind}"] == pytest.approx(pj / 64, rel=0.01)
        assert q["leakage.sram"] == pytest.approx(0.07395 / 10 * 8192, rel=0.01)
        assert q["leakage.multiplier"] == pytest.approx(48.31 / 32**2, rel=0.01)
        assert q["leakage.adder"] == pytest.approx(2.381 / 32, rel=0.01)
    else:
        old = {key: quantity.value for key, quantity in load_table("horowitz-45nm").quantities()}
        shrink = 0.34 / 1.1
        for key in (
            "queue.register_access",
            "leakage.sram",
            "leakage.register_bit",
            "leakage.multiplier",
            "leakage.adder",
        ):
            assert q[key] == pytest.approx(old[key] * shrink, rel=0.02), key
        assert q["queue.scan"] == pytest.approx(q["queue.register_access"] + 2 * 0.007 / 8)
        for kind, pj in {"ddr4": 1300, "hbm2": (250 + 450) / 2, "gddr6": (350 + 480) / 2}.items():
            assert q[f"dram.kinds.{kind}"] == pytest.approx(pj / 64, rel=0.01)
        assert q["add.int16"] == q["add.int32"] / 2


def test_sram_energy_follows_capacity() -> None:
    table = load_table("horowitz-45nm")
    assert [table.sram_pj_per_bit(kib) * 64 for kib in (8, 32, 1024)] == pytest.approx([10, 20, 100])
    assert table.sram_pj_per_bit(16) * 64 == pytest.approx(10 * 2**0.5)  # halfway in log(capacity) from 10 to 20
    assert table.sram_pj_per_bit(2) * 64 == pytest.approx(5)  # beyond the first point, along its square-root law
    sizes = [2**power for power in range(16)]
    energies = [table.sram_pj_per_bit(kib) for kib in sizes]
    assert energies == sorted(energies)


def test_mac_is_a_product_and_a_sum_in_the_accumulators_format() -> None:
    table = load_table("horowitz-45nm")
    expected = {
        ("int8", 32): 0.2 + 0.1,
        ("int8", 16): 0.2 + 0.05,
        ("fp8", 16): 0.275 + 0.4,
        ("fp8", 32): 0.275 + 0.9,
        ("fp16", 32): 1.1 + 0.9,
        ("bf16", 16): 0.58 + 0.29,
        ("bf16", 32): 0.58 + 0.9,
        ("fp32", 32): 3.7 + 0.9,
    }
    for (number_format, bits), pj in expected.items():
        operand_bits = int(number_format.lstrip("bfintp"))
        precision = Precision.model_validate(
            {"operand_bits": operand_bits, "accumulator_bits": bits, "format": number_format}
        )
        assert table.mac_pj(precision) == pytest.approx(pj)


@pytest.fixture
def edited(tmp_path: Path):
    """Write the shipped table with one text replaced and return the error of loading it."""

    def load(old: str, new: str) -> str:
        text = HOROWITZ.read_text()
        assert old in text
        path = tmp_path / "mine.yaml"
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(HardwareError) as caught:
            load_table(path)
        return str(caught.value).split("mine.yaml:", 1)[1]

    return load


def line_of(text: str) -> int:
    return HOROWITZ.read_text().split(text)[0].count("\n") + 1


def test_a_users_copy_loads(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(HOROWITZ.read_text().replace("name: horowitz-45nm", "name: mine"))
    assert load_table(path).name == "mine"


def test_wrong_unit_names_its_line(edited) -> None:
    line = line_of("middle: {")
    assert edited("{value: 30.5, unit: pJ/bit", "{value: 1950, unit: pJ") == (
        f"{line}: key 'dram.kinds.middle': unit is 'pJ', expected 'pJ/bit'"
    )


def test_dram_is_chosen_in_the_table(tmp_path: Path, edited) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(HOROWITZ.read_text().replace("use: middle", "use: low"))
    assert load_table(path).dram_pj_per_bit == 20.3
    assert load_table("horowitz-45nm").dram_pj_per_bit == 30.5
    assert load_table("jouppi-7nm").dram_pj_per_bit == 5.47
    assert "key 'dram': use is 'hbm9', expected one of its kinds: low, middle, high" in edited(
        "use: middle", "use: hbm9"
    )


def test_free_sram_is_refused(edited) -> None:
    assert "an access in sram costs 0 pJ, expected a number above 0" in edited("value: 20, unit", "value: 0, unit")


def test_missing_rule(edited) -> None:
    message = edited('status: derived, source: horowitz, rule: "int8', 'status: derived, source: horowitz, note: "int8')
    assert "key 'multiply.int4.note' is unknown" in message
    assert "expected one of value, unit, status, source, rule" in message


def test_estimate_without_a_rule(edited) -> None:
    line = line_of("int8: {value: 0.2")
    assert edited("status: quoted", "status: estimate") == (
        f"{line}: key 'multiply.int8': status estimate needs a rule that says how the number was found"
    )


def test_unknown_source(edited) -> None:
    assert "multiply.int8 cites 'nobody', expected one of horowitz, aladdin" in edited(
        "status: quoted, source: horowitz", "status: quoted, source: nobody"
    )


def test_shrinking_capacities(edited) -> None:
    assert "the capacities in sram must grow, found 8, 4, 1024 KiB" in edited("kib: 32", "kib: 4")


def test_negative_energy(edited) -> None:
    assert "key 'dram.kinds.middle.value' is -1, expected at least 0" in edited("30.5, unit", "-1, unit")


def test_unknown_name_lists_the_shipped_tables() -> None:
    with pytest.raises(
        HardwareError, match=r"did you mean 'horowitz-45nm'\? Shipped tables: horowitz-45nm, jouppi-7nm"
    ):
        load_table("horowitz-45")
    with pytest.raises(HardwareError, match="'' is unknown, shipped tables: horowitz-45nm"):
        load_table("")


def test_missing_file() -> None:
    with pytest.raises(HardwareError, match=r"none\.yaml: cannot be read"):
        load_table("none.yaml")
