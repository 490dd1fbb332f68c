"""Models of the owner's other engines, ``MODEL@NAME``, in the commands: listed, shown, run, loaded, pinned; refused
where only a model of this disk makes sense."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hearth.cli.main import main
from hearth.paths import resolve_paths
from hearth.runtime.pretend.script import Answer, Script
from hearth.runtime.pretend.vllm import PretendVllm

MODEL = "Qwen/Qwen3-4B@rack"


def write_settings(home: Path, text: str) -> None:
    paths = resolve_paths({"HEARTH_HOME": str(home)})
    paths.ensure()
    paths.config_file.write_text(text)


@pytest.fixture
def rack(home: Path) -> Iterator[None]:
    """A vLLM on a port of its own that the settings call ``rack``, and beside it one that is not there."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = PretendVllm(Script(otherwise=Answer(text="Hello from there.")), context=32_768)
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(30)
    write_settings(
        home,
        f'[engines.rack]\nkind = "vllm"\nurl = "{server.url}"\n[engines.gone]\nkind = "openai"\nurl = "http://127.0.0.1:9"\n',
    )
    yield
    main(["stop"])
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_they_are_listed_beside_the_others_and_who_is_silent_is_told(
    rack: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARTH_MODEL", MODEL)
    assert main(["models", "list"]) == 0
    shown = capsys.readouterr()
    assert "pilot" in shown.out
    line = next(line for line in shown.out.splitlines() if line.startswith(MODEL))
    assert "elsewhere  at http://127.0.0.1:" in line
    assert line.endswith("(vllm); the default")
    assert shown.err == "left out, the models of gone: nobody answers at http://127.0.0.1:9: Connection refused\n"
    assert main(["models", "list", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)[-1]
    assert (row["name"], row["path"], row["size_bytes"], row["default"]) == (MODEL, None, None, True)
    assert main(["models", "show", MODEL]) == 0
    assert "(vllm)" in capsys.readouterr().out


@pytest.mark.slow
def test_they_are_run_loaded_and_pinned_by_their_name(rack: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "-m", MODEL, "hello"]) == 0
    assert capsys.readouterr().out == "Hello from there.\n"
    assert main(["models", "load", MODEL]) == 0
    assert f"{MODEL} is loaded: context 32,768 tokens a request" in capsys.readouterr().err
    assert main(["models", "pin", MODEL]) == 0
    assert main(["models", "list"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("loaded, context 32,768 tokens; pinned")
    assert main(["models", "unload", MODEL]) == 0
    assert main(["run", "-m", "m@gone", "hello"]) == 4
    assert "nobody answers at http://127.0.0.1:9" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["models", "fit", "m@rack"], "it takes no memory here"),
        (["models", "remove", "m@rack"], "nothing of it is here"),
        (["bench", "speed", "m@rack"], "its speed is that engine's"),
    ],
)
def test_what_only_a_model_of_this_disk_can_is_refused(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    write_settings(home, '[engines.rack]\nkind = "vllm"\nurl = "http://127.0.0.1:9"\n')
    assert main(arguments) == 2
    assert f"m@rack is a model of another engine: {text}" in capsys.readouterr().err


def test_a_model_that_the_settings_leave_out_is_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_settings(home, '[engines.rack]\nkind = "vllm"\nurl = "http://127.0.0.1:9"\nmodels = ["a"]\n')
    for command in (["run", "-m", "b@rack", "hello"], ["models", "load", "b@rack"], ["models", "show", "b@rack"]):
        assert main(command) == 4
        assert "engines.rack.models does not name 'b' · there are: a@rack" in capsys.readouterr().err
