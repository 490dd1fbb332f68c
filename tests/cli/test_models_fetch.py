"""The verbs of ``hearth models`` that ask, and the offer of ``hearth run``, against a hub on this machine."""

import hashlib
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hearth.cli.main import main
from hearth.cli.models.offer import offer_model
from hearth.cli.models.progress import Bar, progress_line
from hearth.cli.models.text import memory_text, span_text, table
from hearth.errors import ModelUnavailable
from hearth.paths import resolve_paths
from hearth.weights.fetch.progress import Notice, Progress
from hearth.weights.store import PILOT_FILE
from hub_server import HubServer

REPO = "local/tiny-GGUF"
CATALOGUE = f"""
["tiny:1b"]
aliases = ["tiny"]
family = "tiny"
profile = "standard"
good_for = ["agent"]
licence = "Apache-2.0"
sources = [{{ quant = "Q8_0", repo = "{REPO}", pattern = "tiny-Q8_0.gguf", size_bytes = {PILOT_FILE.stat().st_size} }}]

["tiny:1b".shape]
architecture = "lfm2"
layers = 6
embedding = 192
vocabulary = 1024
heads = 6
kv = [{{ layers = 3, kv_heads = 6, key_length = 32, value_length = 32 }}]
"""


@pytest.fixture
def hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub with one model, which the owner's catalogue knows."""
    (home / "config").mkdir(parents=True)
    (home / "config" / "models.toml").write_text(CATALOGUE)
    with HubServer() as server:
        server.add(REPO, {"tiny-Q8_0.gguf": PILOT_FILE, "README.md": b"# Tiny"})
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server


def test_a_model_is_pulled_shown_and_removed(home: Path, hub: HubServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "tiny"]) == 0
    said = capsys.readouterr().err
    assert "tiny:1b" in said
    assert "fits" in said
    assert "whole and verified" in said
    assert main(["models", "pull", "tiny:1b"]) == 0
    assert "here already" in capsys.readouterr().err
    assert main(["models", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert Path(rows["tiny:1b"]["path"]).read_bytes() == PILOT_FILE.read_bytes()
    assert main(["models", "show", "tiny:1b", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["architecture"], shown["tools"], shown["origin"]["where"]) == ("lfm2", "yes", REPO)
    assert shown["kv_bytes"] == 3 * 6 * 64 * 2
    assert main(["models", "show", "tiny:1b"]) == 0
    assert "its template knows tools" in capsys.readouterr().out
    assert main(["models", "remove", "tiny:1b"]) == 0
    assert "MB free" in capsys.readouterr().err
    assert main(["models", "show", "tiny:1b"]) == 4


def test_a_model_of_the_hub_is_judged_by_its_header_alone(hub: HubServer, capsys: pytest.CaptureFixture[str]) -> None:
    large = PILOT_FILE.read_bytes()
    assert main(["models", "fit", f"hf:{REPO}:Q8_0", "--json"]) == 0
    fit = json.loads(capsys.readouterr().out)
    assert (fit["known_from"], fit["measured"], fit["fits"]) == ("hub", False, True)
    assert fit["file_bytes"] == len(large)
    assert sum(end - start for start, end in (seen.range for seen in hub.of("storage") if seen.range)) < len(large)


def test_a_model_that_is_here_is_counted_by_the_engine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "fit", "pilot", "--slots", "2"]) == 0
    shown = capsys.readouterr().out
    assert "counted by the engine itself" in shown
    assert "in each of 2 slots" in shown
    assert main(["models", "fit", str(PILOT_FILE), "--ram", "8GiB"]) == 0
    assert "estimated from the file's header" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["fit", "no-such-model"], 4, "here or in the catalogue"),
        (["fit", "tiny:9b"], 4, "here or in the catalogue"),
        (["fit", "tiny:1b:Q2_K"], 4, "there are: Q8_0"),
        (["fit", "tiny", "--kv", "q9"], 2, "no KV type"),
        (["fit", "tiny", "--gpu-memory", "much"], 2, "16GiB"),
        (["pull", "tiny", "--offline"], 5, "--offline"),
        (["pull", "tiny", "--sha256", "0" * 64], 2, "leave it out"),
        (["pull", "https://127.0.0.1/a.gguf"], 2, "--sha256"),
        (["pull", "./a.gguf"], 2, "hearth models import"),
        (["pull", "two words"], 2, "name"),
        (["pull", "tiny", "--as", "pilot"], 2, "packaged"),
        (["remove", "pilot"], 2, "stays"),
        (["recommend", "-n", "0"], 2, "1 or more"),
        (["import", "nothing-such"], 4, "hearth models scan"),
        (["import", "~nobody-such/a.gguf"], 2, "somebody unknown"),
        (["import", f"/tmp/{'n' * 300}.gguf"], 4, "hearth models scan"),
        (["import", "a", "~nobody-such/b"], 2, "somebody unknown"),
        (["scan", "~nobody-such/b"], 2, "somebody unknown"),
    ],
)
def test_bad_input_is_one_line(
    hub: HubServer, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    assert main(["models", *arguments]) == code
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not hub.of("storage")


@pytest.mark.parametrize(("pin", "code"), [("0" * 64, 4), (hashlib.sha256(PILOT_FILE.read_bytes()).hexdigest(), 0)])
def test_a_model_that_its_owner_pinned_is_that_or_none(
    hub: HubServer, home: Path, capsys: pytest.CaptureFixture[str], pin: str, code: int
) -> None:
    source = f'{{ quant = "Q8_0", repo = "{REPO}", pattern = "TINY-Q8_0.gguf", sha256 = "{pin}" }}'
    (home / "config" / "models.toml").write_text(f'["tiny:1b"]\nsources = [{source}]\n')
    assert main(["models", "pull", "tiny:1b"]) == code
    assert ("is pinned to sha256 0000" in capsys.readouterr().err) == bool(code)
    assert bool(hub.of("storage")) != bool(code)


def test_what_is_said_of_an_address_holds_no_secret_and_can_be_typed(
    hub: HubServer, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = PILOT_FILE.read_bytes()
    url = hub.add_loose("my model.gguf", data).replace(" ", "%20")
    sha256 = hashlib.sha256(data).hexdigest()
    hub.pace_s = 0.01
    assert main(["models", "pull", f"{url}?token=secret", "--sha256", sha256]) == 0
    said = capsys.readouterr().err
    assert "run: hearth run -m 'my model'" in said
    assert "models fit" not in said
    assert main(["models", "list"]) == 0
    kept = b"".join(path.read_bytes() for path in (home / "data" / "models" / "manifests").iterdir()).decode()
    assert "secret" not in said + capsys.readouterr().out + kept
    next((home / "data" / "models" / "files").glob("*/my model.gguf")).unlink()
    assert main(["models", "show", "my model"]) == 4
    assert f"run: hearth models pull {url} --sha256 {sha256} --as 'my model'" in capsys.readouterr().err


def test_what_cannot_be_cleared_up_is_said_and_is_no_failure(
    hub: HubServer, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A folder where only remains of a file should be.
    (home / "data" / "models" / "manifests" / ".0123456789abcdef.tmp").mkdir(parents=True)
    for arguments, done in ((["pull", "tiny"], "whole and verified"), (["remove", "tiny:1b"], "removed tiny:1b")):
        assert main(["models", *arguments]) == 0
        said = capsys.readouterr().err
        assert "not all was cleared up" in said
        assert done in said


def test_a_refused_connection_does_not_repeat_the_signature(
    capsys: pytest.CaptureFixture[str], free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hearth.weights.fetch.hub._TRIES", 1)
    assert main(["models", "pull", f"http://127.0.0.1:{free_port}/a.gguf?s=secret", "--sha256", "0" * 64]) == 4
    said = capsys.readouterr().err
    assert "/a.gguf" in said
    assert "secret" not in said


def test_places_that_cannot_be_are_told(
    hub: HubServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["models", "scan", f"/tmp/{'n' * 300}", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == []
    assert "File name too long" in shown.err
    monkeypatch.setenv("HF_HOME", f"/tmp/{'n' * 300}")
    assert main(["models", "scan", "--json"]) == 0
    json.loads(capsys.readouterr().out)


def test_no_network_is_used_to_list_recommend_or_judge_by_the_catalogue(
    hub: HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["list"], ["recommend"], ["fit", "tiny"], ["scan"], ["show", "pilot"]):
        assert main(["models", *arguments]) == 0
    assert not hub.seen


def test_a_ranking_says_what_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "recommend", "--gpu-memory", "24GiB", "--ram", "64GiB", "--json", "-n", "3"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found) == 3
    assert all(each["why"] and each["context"] and not each["measured"] for each in found)
    assert main(["models", "recommend", "--gpu-memory", "24GiB", "--ram", "64GiB", "-n", "3"]) == 0
    shown = capsys.readouterr()
    assert all(each["name"] in shown.out for each in found)
    assert "estimates" in shown.err


def test_headless_a_missing_model_is_the_command_that_fetches_it(
    hub: HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "-m", "tiny:1b", "--output-format", "json", "hello"]) == 4
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["fix"] == "run: hearth models pull tiny:1b"
    assert "Q8_0" in error["message"]
    assert not hub.seen


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["n\n", "y\n"])
def test_on_a_terminal_the_pull_is_offered(hub: HubServer, home: Path, answer: str) -> None:
    ours, theirs = pty.openpty()
    # In a folder of its own, and allowed nothing: what the model will say to "hello" is not what is tried here.
    options = ["-C", str(home), "--mode", "plan", "--max-steps", "1"]
    command = [sys.executable, "-m", "hearth", "run", *options, "-m", "tiny:1b", "hello"]
    child = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, env=os.environ.copy())
    os.close(theirs)
    os.write(ours, answer.encode())
    said = b""
    while True:
        try:
            data = os.read(ours, 4096)
        except OSError:
            break
        if not data:
            break
        said += data
    child.communicate()
    os.close(ours)
    text = said.decode()
    assert "is not here" in text
    assert "MB" in text
    assert "fits" in text
    there = list((home / "data" / "models" / "manifests").glob("*.json"))
    if answer == "y\n":
        assert len(there) == 1
    else:
        assert child.returncode == 4
        assert "hearth models pull tiny:1b" in text
        assert not there
        assert not hub.seen


def test_a_model_that_is_here_answers_to_its_alias(home: Path, hub: HubServer) -> None:
    paths = resolve_paths(os.environ)
    missing = ModelUnavailable("there is no model 'tiny'")
    with pytest.raises(ModelUnavailable, match="is not here"):
        offer_model("tiny", missing, paths, os.environ, None)
    assert main(["models", "pull", "tiny"]) == 0
    assert offer_model("tiny", missing, paths, os.environ, None) == "tiny:1b"


def test_progress_is_one_line() -> None:
    halfway = Progress("a.gguf", 1, 2, 6_000_000_000, 12_000_000_000, 250e6, 24.0)
    line = progress_line(halfway)
    assert "50%" in line
    assert "6.0 GB of 12.0 GB · 250.0 MB/s · about 24 s left · file 1 of 2" in line
    assert progress_line(Progress("a", 1, 1, 0, 0, 0.0, None)).endswith("0.0 MB of 0.0 MB")
    stream = io.StringIO()
    bar = Bar(stream)
    bar.show(halfway)
    bar.show(Notice("again"))
    bar.close()
    assert stream.getvalue() == "again\n"


def test_figures() -> None:
    assert (memory_text(3 << 30), memory_text(5 << 20)) == ("3.00 GiB", "5 MiB")
    assert (span_text(5), span_text(600), span_text(7300)) == ("5 s", "10 min", "2 h 1 min")
    assert table([("a", "1"), ("bb", "22")], frozenset({1})) == ["a    1", "bb  22"]
    assert table([]) == []
