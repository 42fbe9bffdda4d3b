"""The shipped tables say for every number where it comes from; a user's table is checked like a hardware file."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.energy.load import load_table, table_names, table_of
from accelsim.errors import HardwareError
from accelsim.hardware.logic import FLIP_FLOP_EQUIVALENTS, cells
from accelsim.hardware.model import Hardware
from accelsim.hardware.parts import Precision

HOROWITZ = Path(__file__).parents[2] / "accelsim/energy/tables/horowitz-45nm.yaml"

# The sources' figures, typed a second time.
DRAM = {"dram.kinds.lpddr4": 8, "dram.kinds.gddr5": 14, "dram.kinds.hbm2": 3.9}
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
        "logic.flip_flop": 0.009,
        **DRAM,
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
        **DRAM,
    },
}


ADDER_GATES = cells("mac_lanes", L=1, W=8, ACC=64).gates - cells("mac_lanes", L=1, W=8, ACC=32).gates


def test_two_tables_ship() -> None:
    assert set(table_names()) == set(PAPERS)


@pytest.mark.parametrize("name", PAPERS)
def test_numbers_that_are_not_computed_are_the_papers(name: str) -> None:
    table = load_table(name)
    assert table.name == name
    stated = {key: q.value for key, q in table.quantities() if q.status in {"quoted", "recalled"}}
    assert stated == PAPERS[name]


def test_nothing_recalled_is_called_quoted() -> None:
    statuses = {q.status for key, q in load_table("jouppi-7nm").quantities() if not key.startswith("dram")}
    assert statuses == {"recalled", "derived", "estimate"}


def test_dram_costs_the_same_in_all_tables() -> None:
    one, other = (load_table(name).dram.kinds for name in table_names())
    assert {kind: other[kind] for kind in one} == dict(one)


@pytest.mark.parametrize("name", PAPERS)
def test_arithmetic_of_the_rules(name: str) -> None:
    q = {key: quantity.value for key, quantity in load_table(name).quantities()}
    for kind, pj in {"ddr3": (1300 + 2600) / 2, "ddr4": 1300}.items():
        assert q[f"dram.kinds.{kind}"] == pytest.approx(pj / 64, rel=0.01)
    assert q["multiply.int4"] == pytest.approx(q["multiply.int8"] / 4)
    assert q["multiply.fp8"] == pytest.approx(q["multiply.fp16"] / 4)
    if name == "horowitz-45nm":
        assert q["multiply.bf16"] == pytest.approx(1.1 * (8 / 11) ** 2, rel=0.01)
        assert q["add.bf16"] == pytest.approx(0.4 * 8 / 11, rel=0.01)
        assert q["logic.gate"] == pytest.approx(q["add.int32"] / ADDER_GATES, rel=0.01)
        assert q["leakage.sram"] == pytest.approx(0.07395 / 10 * 8192, rel=0.01)
        assert q["leakage.gate"] == pytest.approx(0.07395 / FLIP_FLOP_EQUIVALENTS, rel=0.01)
        low, high = load_table(name).leakage.gate.bounds
        multiplier = cells("mac_lanes", L=1, W=32, ACC=64)
        gates = multiplier.gates - 2 * ADDER_GATES  # without the sum of 64 bits
        assert low == pytest.approx(48.31 / (gates * multiplier.equivalents_per_gate), rel=0.05)
        assert high == pytest.approx(0.0174)
    else:
        old = {key: quantity.value for key, quantity in load_table("horowitz-45nm").quantities()}
        shrink = 0.34 / 1.1
        for key in (
            "logic.flip_flop",
            "leakage.sram",
            "leakage.gate",
        ):
            assert q[key] == pytest.approx(old[key] * shrink, rel=0.02), key
        assert q["logic.gate"] == pytest.approx(q["add.int32"] / ADDER_GATES, rel=0.01)
        assert q["dram.kinds.gddr6"] == pytest.approx((350 + 480) / 2 / 64, rel=0.01)
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
    line = line_of("ddr3: {")
    assert edited("{value: 30.5, unit: pJ/bit", "{value: 30.5, unit: pJ") == (
        f"{line}: key 'dram.kinds.ddr3': unit is 'pJ', expected 'pJ/bit'"
    )


def test_the_machine_names_the_dram(tmp_path: Path) -> None:
    def machine(**dram: object) -> Hardware:
        memory = {"dram": {"bytes_per_cycle": 8, **dram}}
        return Hardware.model_validate({"name": "m", "array": {"rows": 2, "cols": 2}, "memory": memory})

    assert machine().memory.dram is not None
    assert machine().memory.dram.kind == "lpddr4"
    assert table_of(machine()).dram_pj_per_bit("lpddr4") == 8
    assert table_of(machine(kind="hbm2")).dram_pj_per_bit("hbm2") == 3.9
    expected = "memory.dram.kind is 'hbm9', but the energy table horowitz-45nm has lpddr4, ddr3, ddr4, gddr5, hbm2"
    with pytest.raises(HardwareError, match=expected):
        table_of(machine(kind="hbm9"))
    table_of(Hardware.model_validate({"name": "m", "array": {"rows": 2, "cols": 2}}))  # no DRAM, no kind


def test_a_table_of_the_former_form_is_refused_in_one_sentence(tmp_path: Path) -> None:
    former = tmp_path / "mine.yaml"
    text = HOROWITZ.read_text().replace("logic: #", "queue: {register_access: 1}\nlogic: #")
    former.write_text(text.replace("dram: #", "dram:\n  use: middle #"))
    with pytest.raises(HardwareError) as caught:
        load_table(former)
    (sentence,) = str(caught.value).splitlines()
    assert "dram.use, queue are keys of the former form of energy tables: take" in sentence
    assert "horowitz-45nm.yaml and put your numbers into it" in sentence


def test_ranges(edited) -> None:
    table = load_table("horowitz-45nm")
    assert table.multiply.fp16.bounds == pytest.approx((1.1 / 1.25, 1.1 * 1.25))
    assert table.multiply.bf16.bounds == pytest.approx((0.58 / 1.5, 0.58 * 1.5))
    assert table.dram.kinds["lpddr4"].bounds == (4, 12)
    assert "the range from 4 to 7 must hold 8, and no 0 but that of a 0" in edited("range: [4, 12]", "range: [4, 7]")
    assert "the range from 0 to 12 must hold 8" in edited("range: [4, 12]", "range: [0, 12]")


def test_free_sram_is_refused(edited) -> None:
    assert "an access in sram costs 0 pJ, expected a number above 0" in edited(
        "value: 20, unit: pJ, status: quoted, source: horowitz, range: [7.23, 25]",
        "value: 0, unit: pJ, status: quoted, source: horowitz",
    )


def test_missing_rule(edited) -> None:
    message = edited('status: derived, source: horowitz, rule: "int8', 'status: derived, source: horowitz, note: "int8')
    assert "key 'multiply.int4.note' is unknown" in message
    assert "expected one of value, unit, status, source, rule, range" in message


def test_estimate_without_a_rule(edited) -> None:
    line = line_of("int8: {value: 0.2")
    assert edited("status: quoted", "status: estimate") == (
        f"{line}: key 'multiply.int8': status estimate needs a rule that says how the number was found"
    )


def test_unknown_source(edited) -> None:
    assert "multiply.int8 cites 'nobody', expected one of horowitz, accelergy, jouppi, aladdin" in edited(
        "status: quoted, source: horowitz", "status: quoted, source: nobody"
    )


def test_shrinking_capacities(edited) -> None:
    assert "the capacities in sram must grow, found 8, 4, 1024 KiB" in edited("kib: 32", "kib: 4")


def test_negative_energy(edited) -> None:
    assert "key 'dram.kinds.ddr3.value' is -1, expected at least 0" in edited("30.5, unit", "-1, unit")


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
