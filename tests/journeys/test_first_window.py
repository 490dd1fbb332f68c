"""The window that a session begins with, before its model was ever loaded: what the engine then gives."""

import json
import subprocess
from pathlib import Path

import pytest
from running_daemon import hearth, start_in_background, status

import gguf_models
from hearth.ops.daemon import stop_daemon
from hearth.ops.local import ask
from hearth.paths import resolve_paths

TRAINED = 4_096


def begun_with(done: subprocess.CompletedProcess[str]) -> int:
    """The window that the first line of a turn tells."""
    first = json.loads(done.stdout.splitlines()[0])
    assert first["type"] == "session", done.stdout + done.stderr
    return int(first["context_length"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "wished", "given"),
    [("pilot", 0, 8_192), ("pilot", 3_000, 3_000), ("small", 0, TRAINED), ("small", 60_000, TRAINED)],
)
async def test_the_first_session_knows_what_the_engine_will_give(
    home: Path, tmp_path: Path, model: str, wished: int, given: int
) -> None:
    paths = resolve_paths({"HEARTH_HOME": str(home)})
    paths.ensure()
    gguf_models.write_llama(paths.models / "small.gguf", context=TRAINED)
    paths.config_file.write_text(f"[engine]\ncontext = {wished}\n" if wished else "")
    await start_in_background(paths)
    try:
        assert (await status(paths))["engines"] == []
        told = [
            begun_with(hearth("run", "hello", "-C", str(tmp_path), "-m", model, "--output-format", "stream-json"))
            for _ in range(2)
        ]
        (engine,) = (await status(paths))["engines"]
        entry = (await ask(paths.socket, "GET", f"/v1/models/{model}")).data
    finally:
        await stop_daemon(paths, print)
    assert told == [given, given] == [engine["context"]] * 2
    assert (entry["context_length"], entry["context_planned"], entry["loaded"]) == (given, None, True)
