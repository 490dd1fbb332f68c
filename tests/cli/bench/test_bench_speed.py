"""``hearth bench speed`` as a person runs it, on a real engine with a tiny model."""

import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from gguf_models import write_llama
from hearth.cli.main import main
from hearth.ops.record import claim_home
from hearth.paths import Paths, resolve_paths
from hearth.runtime.speed.tuning import TuningBook, folder_of
from hearth.weights.store import Store


@pytest.fixture
def paths(home: Path) -> Paths:
    found = resolve_paths({"HEARTH_HOME": str(home)})
    found.ensure()
    write_llama(found.models / "tiny.gguf", context=2048)
    return found


def engines(paths: Paths) -> list[Path]:
    return list(paths.runtime.glob("engine-*"))


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["nothing"], 4, "there is no model 'nothing'"),
        (["tiny", "--minutes", "0"], 2, "--minutes 0: must be from 0.1 to 120"),
        (["tiny", "--minutes", "nan"], 2, "--minutes nan"),
        (["tiny", "--kv", "q9"], 2, "there is no KV type 'q9'"),
        (["tiny", "--plot", "/proc/no/plot.svg"], 2, "--plot /proc/no/plot.svg: no file can be written there"),
        (["tiny", "--plot", "/"], 2, "--plot /: no file can be written there"),
    ],
)
def test_what_cannot_be_is_refused(
    paths: Paths, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, text: str
) -> None:
    assert main(["bench", "speed", *arguments]) == code
    assert text in capsys.readouterr().err
    assert not folder_of(paths).exists()


def test_a_daemon_that_runs_is_in_the_way(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    claim = claim_home(paths)
    try:
        assert main(["bench", "speed", "tiny"]) == 1
    finally:
        claim.release()
    assert "a daemon runs" in capsys.readouterr().err


def test_an_engine_of_the_owners_is_not_tuned(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    paths.config_file.write_text('[engine]\nkind = "llama_server"\n')
    assert main(["bench", "speed", "tiny"]) == 2
    assert "only the embedded engine is tuned" in capsys.readouterr().err


def test_a_damaged_model_is_told_in_one_line(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    file = paths.models / "tiny.gguf"
    file.write_bytes(file.read_bytes()[:-1000])
    assert main(["bench", "speed", "tiny"]) == 4
    assert "cut short" in capsys.readouterr().err
    assert engines(paths) == []


@pytest.mark.slow
def test_a_model_is_measured_kept_and_forgotten(
    paths: Paths, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plot = tmp_path / "tiny.svg"
    command = ["bench", "speed", "tiny", "--minutes", "1", "--kv", "q8_0", "--force", "--plot", str(plot)]
    assert main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["base"]["launch"]["context"] == 2048
    assert [point["prefill_per_s"] > 0 < point["decode_per_s"] for point in report["base"]["points"]]
    assert {one["setting"] for one in report["tried"]} >= {"flash", "micro_batch", "speculation", "kv_type"}
    ET.fromstring(plot.read_text())
    card = Store(paths.models).resolve("tiny")
    assert (Store(paths.models).usage(card).decode_per_s or 0) > 0
    assert json.loads((folder_of(paths) / "tuning.json").read_bytes())["models"].keys() == {"tiny"}
    assert engines(paths) == []
    assert not paths.kv.exists()
    assert main(["bench", "speed", "tiny", "--reset"]) == 0
    assert main(["bench", "speed", "tiny", "--reset"]) == 0
    assert capsys.readouterr().err.endswith("forgot what was found for tiny\nnothing was kept\n")
    assert not TuningBook(folder_of(paths)).forget("tiny")


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_running_and_keeps_nothing(paths: Paths) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "hearth", "bench", "speed", "tiny"],
        env=dict(os.environ),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    assert any("trying" in line for line in child.stderr)
    assert engines(paths)
    child.send_signal(signal.SIGINT)
    assert child.wait(30) == 130
    child.stderr.close()
    deadline = time.monotonic() + 10
    while engines(paths) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert engines(paths) == []
    assert not (folder_of(paths) / "tuning.json").exists()
