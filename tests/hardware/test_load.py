"""Every bad hardware file is refused in one sentence a problem, with file, line, key and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from accelsim.errors import HardwareError
from accelsim.hardware.load import load_hardware
from accelsim.hardware.model import Hardware

CONFIGS = sorted((Path(__file__).parents[2] / "hw_configs").glob("*.yaml"))
GOOD = "name: a\narray: {rows: 2, cols: 2}\n"


@pytest.fixture
def complaint(tmp_path: Path):
    """Load a text as a file and return its error, its lines without the folder."""

    def load(text: str | bytes) -> str:
        path = tmp_path / "hw.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(HardwareError) as caught:
            load_hardware(path)
        return str(caught.value).replace(f"{path}", "hw.yaml")

    return load


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configurations_load_and_say_what_they_are(path: Path) -> None:
    hardware = load_hardware(path)
    assert hardware.name == path.stem
    assert path.read_text().startswith("# ")
    assert Hardware.model_validate(yaml.safe_load(path.read_text())) == hardware


def test_the_promised_configurations_ship() -> None:
    assert {path.stem for path in CONFIGS} >= {"pe16x16", "dense16x16", "pe32x32", "tensorcore8", "edge8x8"}


def test_pe16x16_is_the_documented_example() -> None:
    everything = ["weight", "activation", "gradient"]
    assert load_hardware(next(path for path in CONFIGS if path.stem == "pe16x16")) == Hardware.model_validate(
        {
            "name": "pe16x16",
            "clock_mhz": 500,
            "array": {"rows": 16, "cols": 16, "lanes": 1},
            "skipping": {
                "tensors": everything,
                "scan_width": 16,
                "fifo_depth": 16,
                "sync": "array",
                "blocks": ["weight"],
                "outputs": True,
            },
            "precision": {"operand_bits": 16, "accumulator_bits": 32},
            "memory": {
                "dram": {"bytes_per_cycle": 32, "latency_cycles": 100},
                "buffers": {"weight_kib": 128, "input_kib": 128, "output_kib": 64},
                "compression": everything,
            },
            "energy": "horowitz-45nm",
        }
    )


def test_dense_configuration_is_the_dense_machine() -> None:
    dense = load_hardware(next(path for path in CONFIGS if path.stem == "dense16x16"))
    assert not dense.skips
    assert dense.dense() == dense


def test_of_many_problems_the_first_twenty_are_said(complaint) -> None:
    lines = complaint(GOOD + "".join(f"k{number}: 1\n" for number in range(5000))).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "hw.yaml: and 4980 more"


SENTENCES = {
    "an integer of 100,000 digits": (
        GOOD + "clock_mhz: " + "9" * 100_000 + "\n",
        "hw.yaml:3: '999999999999999999999999999999999999 ...' is not a valid int",
    ),
    "the same in hexadecimal": (
        f"name: a\narray: {{rows: 0x{'f' * 5000}, cols: 2}}\n",
        "hw.yaml:2: '0xffffffffffffffffffffffffffffffffff ...' is not a valid int",
    ),
    "an integer beyond floats": (
        f"name: a\narray: {{rows: {'9' * 320}, cols: 2}}\n",
        "hw.yaml:2: key 'array.rows' is an integer of 1064 bits, expected at most 4096",
    ),
    "not finite": (GOOD + "clock_mhz: .nan\n", "hw.yaml:3: key 'clock_mhz' is nan, expected a finite number"),
    "an escaped control character": (
        'name: "a\\e[2J"\narray: {rows: 2, cols: 2}\n',
        r"hw.yaml:1: 'a\x1b[2J' holds a control character or half a surrogate pair",
    ),
    "an escaped control character in a key": (
        GOOD + '"k\\a": 1\n',
        r"hw.yaml:3: 'k\x07' holds a control character or half a surrogate pair",
    ),
    "half a surrogate pair": (
        'name: "\\ud800"\narray: {rows: 2, cols: 2}\n',
        r"hw.yaml:1: '\ud800' holds a control character or half a surrogate pair",
    ),
    "unknown, near": (
        "name: a\narray:\n  rowz: 2\n  rows: 2\n  cols: 2\n",
        "hw.yaml:3: key 'array.rowz' is unknown, did you mean 'rows'?",
    ),
    "unknown, near at another level": (
        GOOD + "scan_widht: 3\n",
        "hw.yaml:3: key 'scan_widht' is unknown, did you mean 'skipping.scan_width'?",
    ),
    "unknown, near at the top level": (
        "name: a\narray:\n  rows: 2\n  cols: 2\n  clock_mhz: 5\n",
        "hw.yaml:5: key 'array.clock_mhz' is unknown, did you mean 'clock_mhz'?",
    ),
    "unknown, near nothing": (
        "name: a\narray: {rows: 2, cols: 2}\nqqq: 1\n",
        "hw.yaml:3: key 'qqq' is unknown, expected one of name, clock_mhz, array, skipping, precision, memory, vector,"
        " mapping, energy",
    ),
    "duplicate": (
        GOOD + "array: {rows: 4, cols: 4}\n",
        "hw.yaml:3: key 'array' was given on line 2 already, keep one of them",
    ),
    "duplicate, nested": (
        "name: a\narray:\n  rows: 1\n  cols: 1\n  rows: 1\n",
        "hw.yaml:5: key 'array.rows' was given on line 3 already, keep one of them",
    ),
    "text for a number": (
        'name: a\narray:\n  rows: "16"\n  cols: 1\n',
        "hw.yaml:3: key 'array.rows' is the text '16', expected a whole number",
    ),
    "fraction": (
        "name: a\narray: {rows: 1.5, cols: 1}\n",
        "hw.yaml:2: key 'array.rows' is 1.5, expected a whole number",
    ),
    "truth for a number": (
        "name: a\narray: {rows: true, cols: 1}\n",
        "hw.yaml:2: key 'array.rows' is true, expected a whole number",
    ),
    "number for a truth": (
        GOOD + "skipping: {outputs: 1}\n",
        "hw.yaml:3: key 'skipping.outputs' is 1, expected true or false",
    ),
    "zero rows": ("name: a\narray: {rows: 0, cols: 1}\n", "hw.yaml:2: key 'array.rows' is 0, expected at least 1"),
    "absurd rows": (
        "name: a\narray: {rows: 9999999, cols: 1}\n",
        "hw.yaml:2: key 'array.rows' is 9999999, expected at most 4096",
    ),
    "infinite clock": (GOOD + "clock_mhz: .inf\n", "hw.yaml:3: key 'clock_mhz' is inf, expected a finite number"),
    "shallow queue": (
        GOOD + "skipping:\n  scan_width: 16\n  fifo_depth: 4\n",
        "hw.yaml:5: key 'skipping.fifo_depth' is 4: a full window of scan_width 16 pairs would never fit,"
        " make it at least 16",
    ),
    "queue shallow": (
        GOOD + "skipping:\n  scan_width: 64\n  fifo_depth: 16\n",
        "hw.yaml:5: key 'skipping.fifo_depth' is 16: a full window of scan_width 64 pairs would never fit,"
        " make it at least 64",
    ),
    "format and width": (
        GOOD + "precision: {operand_bits: 16, format: int8}\n",
        "hw.yaml:3: key 'precision.format' is the text 'int8': that format does not have the 16 bits of operand_bits",
    ),
    "choice": (
        GOOD + "skipping:\n  tensors:\n    - weight\n    - gradiant\n",
        "hw.yaml:6: key 'skipping.tensors[1]' is the text 'gradiant', expected 'weight', 'activation' or 'gradient':"
        " did you mean 'gradient'?",
    ),
    "twice": (
        GOOD + "skipping: {blocks: [weight, weight]}\n",
        "hw.yaml:3: key 'skipping.blocks' is a list: a tensor is listed twice: weight, weight",
    ),
    "list wanted": (
        GOOD + "memory: {compression: weight}\n",
        "hw.yaml:3: key 'memory.compression' is the text 'weight', expected a list",
    ),
    "mapping wanted": (
        "name: a\narray: 16\n",
        "hw.yaml:2: key 'array' is 16, expected a mapping with keys such as rows, cols, lanes, dataflow",
    ),
    "missing": (
        "name: a\narray:\n  rows: 1\n",
        "hw.yaml:2: key 'array.cols' is missing (C, columns of PEs; a tile takes C columns of operand B)",
    ),
    "missing at the top": ("# a comment\nname: a\n", "hw.yaml:2: key 'array' is missing (the PE array)"),
    "list at the top": (
        "- a\n",
        "hw.yaml:1: the file is a list, expected a mapping with keys such as name, clock_mhz, array, skipping",
    ),
    "empty": ("# nothing\n", "hw.yaml: the file is empty, expected 'key: value' lines"),
    "two documents": (
        GOOD + "---\n" + GOOD,
        "hw.yaml:3: not valid YAML: expected a single document in the stream but found another document",
    ),
    "object": (
        "name: !!python/object/apply:os.system ['true']\n",
        "hw.yaml:1: tag !!python/object/apply:os.system is not supported, expected text, numbers, lists and mappings",
    ),
    "alias": ("name: &n a\nenergy: *n\n", "hw.yaml:2: not valid YAML: alias *n is not supported, write its value out"),
    "recursion": ("name: &n [*n]\n", "hw.yaml:1: not valid YAML: alias *n is not supported, write its value out"),
    "deep": ("name: " + "[" * 5000, "hw.yaml:1: not valid YAML: nested deeper than 32 levels"),
    "list as key": ("? [a, b]\n: c\n", "hw.yaml:1: a list or mapping stands where a key belongs"),
    "control character": ("name: a\nenergy: \x07\n", "hw.yaml:2: a control character stands here, expected text"),
    "binary": (b"\x89PNG\0\0", "hw.yaml: is binary or UTF-16, expected UTF-8 text"),
    "Latin-1": ("name: a\nenergy: ä\n".encode("latin-1"), "hw.yaml:2: byte 0xe4 is not UTF-8 text"),
    "impossible number": (
        GOOD + "clock_mhz: " + "9" * 5000 + "\n",
        "hw.yaml:3: '" + "9" * 36 + " ...' is not a valid int",
    ),
}


@pytest.mark.parametrize(("text", "sentence"), SENTENCES.values(), ids=SENTENCES.keys())
def test_sentence(complaint, text: str | bytes, sentence: str) -> None:
    assert complaint(text) == sentence


def test_missing_comma_names_its_line(complaint) -> None:
    assert complaint("name: a\narray: {rows: 1 cols: 2}\n").startswith("hw.yaml:2: not valid YAML: ")


def test_all_problems_come_at_once_in_the_order_of_the_file(complaint) -> None:
    lines = complaint("name: 3\narray: {rows: 0, colz: 1}\narray: {}\nmemory: {dram: {latency_cycles: -1}}\n").split(
        "\n"
    )
    assert [line.split(":")[1] for line in lines] == ["1", "2", "2", "3", "4", "4"]


@pytest.mark.parametrize("name", ["no/such.yaml", ".", "a\0b"])
def test_unreadable_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(HardwareError, match=r"directory|cannot be read"):
        load_hardware(tmp_path / name)


def test_large_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_text("# " + "x" * (1 << 20))
    with pytest.raises(HardwareError, match="larger than 256 KiB"):
        load_hardware(path)


def test_numbers_follow_yaml_1_2(tmp_path: Path) -> None:
    path = tmp_path / "hw.yaml"
    path.write_text("name: yes\nclock_mhz: 1e3\narray: {rows: 010, cols: 0x10}\n")
    hardware = load_hardware(path)
    assert (hardware.name, hardware.clock_mhz, hardware.array.rows, hardware.array.cols) == ("yes", 1000, 10, 16)


def test_own_energy_table_is_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "hw.yaml").write_text(GOOD + "energy: mine.yaml\n")
    assert load_hardware(tmp_path / "hw.yaml").energy == str(tmp_path / "mine.yaml")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=12,
    )
)
def test_any_yaml_gives_a_machine_or_sentences(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(yaml.safe_dump(value, allow_unicode=True), encoding="utf-8", errors="surrogatepass")
    with pytest.raises(HardwareError) as caught:
        load_hardware(path)
    assert all(line.startswith(str(path)) for line in str(caught.value).split("\n"))
