"""A model that another program has answers through the daemon, from that program's own file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hearth.errors import StateError
from hearth.llm.profile import PILOT
from hearth.ops.daemon import ensure_daemon, stop_daemon
from hearth.ops.local import ask
from hearth.paths import Paths, resolve_paths
from hearth.settings import Settings
from hearth.weights.importers import import_model, scan, usual_places
from hearth.weights.store import PILOT_FILE, Store
from other_stores import Ollama


@pytest.fixture
def paths(home: Path) -> Paths:
    found = resolve_paths({"HEARTH_HOME": str(home)})
    found.ensure()
    return found


async def answer_of(paths: Paths, model: str) -> str:
    messages = [{"role": "system", "content": PILOT.system}, {"role": "user", "content": "hello"}]
    question: dict[str, Any] = {"model": model, "messages": messages, "temperature": 0.0, "max_tokens": 32}
    answer = await ask(paths.socket, "POST", "/v1/chat/completions", question, timeout_s=120)
    assert answer.status == 200, answer.data
    return str(answer.data["choices"][0]["message"]["content"])


async def test_the_imported_pilot_answers_as_the_packaged_one_does(paths: Paths, tmp_path: Path) -> None:
    weights = PILOT_FILE.read_bytes()
    Ollama(tmp_path / ".ollama/models").model("registry.ollama.ai/library/helmsman/7m", ("model", weights))
    studio = tmp_path / ".lmstudio/models/somebody/Helmsman-GGUF/Helmsman-7M-Q8_0.gguf"
    studio.parent.mkdir(parents=True)
    studio.write_bytes(weights)
    store = Store(paths.models)
    found = {each.name: each for each in scan(usual_places({}, tmp_path, tmp_path))}
    assert set(found) == {"helmsman:7m", "Helmsman-7M-Q8_0"}
    linked = import_model(found["helmsman:7m"], store)
    assert store.path_of(linked).samefile(found["helmsman:7m"].files[0].path)
    import_model(found["Helmsman-7M-Q8_0"], store, how="reference")

    await ensure_daemon(paths, Settings(), os.environ, lambda line: None)
    try:
        listed = await ask(paths.socket, "GET", "/v1/models")
        assert {"pilot", *found} <= {each["id"] for each in listed.data["data"]}
        expected = await answer_of(paths, "pilot")
        assert expected
        for name in found:
            assert await answer_of(paths, name) == expected
        status = await ask(paths.socket, "GET", "/hearth/status")
        loaded = [each["model"] for each in status.data["engines"]]
        assert set(found) <= set(loaded)
        with pytest.raises(StateError, match="is loaded"):
            store.remove("Helmsman-7M-Q8_0", loaded)
        assert (await ask(paths.socket, "POST", "/hearth/models/unload", {"model": "Helmsman-7M-Q8_0"})).status == 200
        # A blob that vanished is told over HTTP as anywhere.
        studio.unlink()
        question = {"model": "Helmsman-7M-Q8_0", "messages": [{"role": "user", "content": "hello"}]}
        gone = await ask(paths.socket, "POST", "/v1/chat/completions", question)
        assert gone.status == 503
        assert "is gone; it lay in the store of lm-studio" in gone.data["error"]["message"]
        assert "hearth models import" in gone.data["error"]["fix"]
    finally:
        await stop_daemon(paths, lambda line: None)
