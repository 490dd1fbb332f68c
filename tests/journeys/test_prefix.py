"""A long session through the command line and the real engine: nothing that was read is read again."""

from functools import partial
from pathlib import Path

import pytest
from bench.prefix import clients, script
from bench.prefix.front import Front
from bench.words import learn_words
from running_daemon import start_in_background

import gguf_models
from hearth.ops.daemon import stop_daemon
from hearth.paths import resolve_paths

TURNS = 50
CONTEXT = 65_536


@pytest.mark.slow
async def test_fifty_turns_read_nothing_twice(home: Path, tmp_path: Path) -> None:
    paths = resolve_paths({"HEARTH_HOME": str(home)})
    paths.ensure()
    words, _ = learn_words()
    gguf_models.write_llama(paths.models / f"{clients.MODEL}.gguf", context=CONTEXT, blocks=1, words=words)
    paths.config_file.write_text(f"[engine]\ncontext = {CONTEXT}\n")
    await start_in_background(paths)
    project = tmp_path / "project"
    project.mkdir()
    script.write_project(project)
    front = Front(paths.socket, clients.MODEL, CONTEXT, partial(script.answer, folder=project))
    try:
        async with front.serve():
            agent = clients.hearth(front.url, tmp_path / "home")
            for turn in range(TURNS):
                await agent.say(script.prompt(turn), project, first=turn == 0)
    finally:
        await stop_daemon(paths, print)
    assert front.reading.requests == 2 * TURNS
    assert front.reading.share >= 0.99
