"""``hearth models fit`` and ``recommend`` with what owners really type, on machines that they really have."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gguf_models import write_llama
from hearth.cli.main import main
from hearth.cli.models.advice import bar, find_machine
from hearth.weights.fit import Part
from hearth.weights.hardware import Machine, describe_machine
from hearth.weights.hardware.gpu import Gpu

MIB, GIB = 1 << 20, 1 << 30
CARD = ["--gpu-memory", "16GiB", "--ram", "32GiB"]


@pytest.fixture(autouse=True)
def own_home(home: Path) -> None:
    """A home of its own for each."""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fit", "gpt-oss:20b", "--ctx", "0"], "at least 1"),
        (["fit", "gpt-oss:20b", "--ctx", "-1"], "at least 1"),
        (["fit", "gpt-oss:20b", "--slots", "0"], "at least 1"),
        (["fit", "gpt-oss:20b", "--slots", "65"], "at most 64 slots"),
        (["fit", "gpt-oss:20b", "--ctx", "9" * 30], "at most 64 slots, and 16,777,216 tokens"),
        (["fit", "gpt-oss:20b", "--ctx", "9000000", "--slots", "2"], "16,777,216 tokens"),
        (["fit", "gpt-oss:20b", "--kv", ""], "no KV type"),
        (["recommend", "--ctx", "0"], "at least 1"),
        (["recommend", "--ctx", "-5"], "at least 1"),
        (["recommend", "--ctx", "9" * 30], "16,777,216 tokens"),
    ],
)
def test_numbers_out_of_reach_are_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["models", *arguments, *CARD]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert (shown.out, shown.err.count("\n")) == ("", 1)


def test_the_type_of_a_cache_is_read_in_any_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "fit", "gpt-oss:20b", "--kv", "Q8_0", "--json", *CARD]) == 0
    assert json.loads(capsys.readouterr().out)["kv"] == "q8_0"


def test_facts_that_everybody_knows(capsys: pytest.CaptureFixture[str]) -> None:
    def verdict(name: str, card: str, *more: str) -> str:
        assert main(["models", "fit", name, "--gpu-memory", card, "--ram", "32GiB", "--json", *more]) == 0
        return str(json.loads(capsys.readouterr().out)["verdict"])

    assert verdict("gpt-oss:20b", "16GiB", "--ctx", "65536") == "fits"
    assert verdict("codellama:34b", "16GiB", "--slots", "1") == "runs with layers on CPU"
    assert verdict("glm-4.7-flash:UD-Q4_K_XL", "32GiB", "--ctx", "65536") == "fits"
    assert verdict("glm-4.7-flash:UD-Q4_K_XL", "24GiB", "--ctx", "65536") == "fits with q8_0 KV"
    assert verdict("glm-4.7-flash:UD-Q4_K_XL", "24GiB,2GiB", "--ctx", "65536") == "fits with q8_0 KV"
    assert verdict("glm-4.7-flash:UD-Q4_K_XL", "24GiB", "--ctx", "40960") == "fits"


def test_the_owners_limit_counts(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTH_MEMORY", "0.25")
    assert main(["models", "fit", "gpt-oss:20b", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["devices"][-1]["room"] <= 1 << 28
    assert "engine.memory_gib lets models take 0.25 GiB of the RAM" in told["notes"]


def test_a_context_that_is_asked_for_is_the_one_that_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "recommend", "--ctx", "100000", "--json", *CARD]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found
    assert {each["context"] for each in found} == {100_000}


def test_nothing_to_recommend_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "recommend", "--ctx", "10000000", *CARD]) == 0
    shown = capsys.readouterr()
    assert (shown.out, "with 10,000,000 tokens" in shown.err) == ("", True)
    assert main(["models", "recommend", "--for", "quick", "--gpu-memory", "none", "--ram", "1GiB"]) == 0
    assert "--for quick" not in capsys.readouterr().err
    assert main(["models", "recommend", "--gpu-memory", "none", "--ram", "1GiB"]) == 0
    assert "--for quick" in capsys.readouterr().err


def here(*gpus: Gpu) -> Machine:
    return Machine(gpus, 64 * GIB, 30 * GIB, 8, ("avx2",), any(gpu.shared for gpu in gpus), 50e9)


def asked(gpu_memory: str = "", ram: str = "") -> argparse.Namespace:
    return argparse.Namespace(gpu_memory=gpu_memory, ram=ram)


def test_a_part_that_is_not_described_is_this_machines() -> None:
    card = Gpu(0, "NVIDIA GeForce RTX 3090", "nvidia", 24 * GIB, 3 * GIB, bandwidth=936e9)
    machine = here(card)
    assert find_machine(asked(), lambda: machine) == (machine, False)
    assert find_machine(asked("16GiB", "32GiB"), lambda: machine) == (describe_machine((16 * GIB,), 32 * GIB), True)
    assert find_machine(asked("16GiB"), lambda: machine) == (describe_machine((16 * GIB,), 64 * GIB), True)
    more, described = find_machine(asked(ram="128GiB"), lambda: machine)
    assert described
    assert (more.ram_bytes, more.ram_free_bytes) == (128 * GIB, 128 * GIB)
    assert [(gpu.name, gpu.total_bytes, gpu.free_bytes, gpu.bandwidth) for gpu in more.gpus] == [
        (card.name, 24 * GIB, 24 * GIB, 936e9)
    ]
    none, _ = find_machine(asked("none"), lambda: machine)
    assert none.gpus == ()


def test_of_a_chip_that_shares_the_ram_only_the_ram_can_be_described() -> None:
    chip = Gpu(0, "Apple M4 Max", "apple", 48 * GIB, 20 * GIB, shared=True)
    machine, _ = find_machine(asked(ram="32GiB"), lambda: here(chip))
    assert (machine.gpus, machine.unified) == ((), False)


@pytest.mark.parametrize("columns", ["1", "20", "40", "80", "0", "x"])
def test_no_bar_is_wider_than_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    for name in ("gpt-oss:20b", "gpt-oss:120b"):
        assert main(["models", "fit", name, "--gpu-memory", "8GiB,8GiB", "--ram", "16GiB"]) == 0
        bars = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[")]
        assert len(bars) == 3
        assert {len(line) for line in bars} == {min(50, max(int(columns), 20)) if columns in ("1", "20", "40") else 50}


@settings(deadline=None)
@given(st.lists(st.integers(0, 1 << 60), min_size=6, max_size=6), st.integers(0, 1 << 60), st.integers(8, 200))
def test_a_bar_has_one_width(sizes: list[int], room: int, width: int) -> None:
    drawn = bar(Part(*sizes), room, width)
    assert (len(drawn), drawn[0]) == (width + 2, "[")
    assert (drawn[-1] == "]") == (sum(sizes) <= room)


def test_a_renamed_first_part_is_no_small_model(tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_llama(tmp_path / "split.gguf", tensors_a_part=5)
    parts = sorted(tmp_path.glob("split-*.gguf"))
    assert main(["models", "fit", str(parts[0]), "--json", *CARD]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert whole["file_bytes"] == sum(part.stat().st_size for part in parts)

    def refused(path: Path) -> str:
        assert main(["models", "fit", str(path), *CARD]) == 4
        shown = capsys.readouterr()
        assert (shown.out, shown.err.count("\n")) == ("", 1)
        return shown.err

    renamed = tmp_path / "model.gguf"
    renamed.write_bytes(parts[0].read_bytes())
    assert "part 1 of 5" in refused(renamed)
    models = home / "data" / "models"
    models.mkdir(parents=True)
    (models / "model.gguf").write_bytes(parts[0].read_bytes())
    assert main(["models", "show", "model"]) == 4
    assert "is part 1 of 5" in capsys.readouterr().err
    assert "part 3 of 5" in refused(parts[2])
    parts[1].write_bytes(parts[2].read_bytes())
    assert f"{parts[1]} is part 3 of 5" in refused(parts[0])
    parts[1].unlink()
    assert str(parts[1]) in refused(parts[0])


def test_the_home_of_nobody_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "fit", "~nobody-of-that-name/x.gguf", *CARD]) == 2
    shown = capsys.readouterr()
    assert ("somebody unknown" in shown.err, shown.err.count("\n")) == (True, 1)
