"""Who may ask, what is there, and what is refused before an engine is asked."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from running_gateway import Start

import gguf_models
from hearth.gateway.asgi import BODY_LIMIT

CHAT = "/v1/chat/completions"


async def test_health_needs_no_key(start: Start) -> None:
    running = await start()
    answer = await running.remote.get(f"{running.url}/health")
    assert answer.status == 200
    assert (await answer.json()) == {"status": "ok", "version": "0", "models": []}


@pytest.mark.parametrize("path", ["/v1/models", "/hearth/status", "/nothing"])
async def test_tcp_needs_the_key(start: Start, path: str) -> None:
    running = await start()
    answer = await running.remote.get(running.url + path)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    error = (await answer.json())["error"]
    assert (error["type"], error["source"]) == ("authentication_error", "gateway")
    assert "missing" in error["message"]
    assert error["fix"]


async def test_a_wrong_key_is_called_wrong(start: Start) -> None:
    running = await start()
    for headers in ({"Authorization": "Bearer nonsense"}, {"x-api-key": "nonsense"}, {"Authorization": running.key}):
        answer = await running.remote.get(f"{running.url}/v1/models", headers=headers)
        assert answer.status == 401
        assert "wrong" in (await answer.json())["error"]["message"]


async def test_both_headers_carry_the_key(start: Start) -> None:
    running = await start()
    for headers in ({"Authorization": f"Bearer {running.key}"}, {"x-api-key": running.key}):
        answer = await running.remote.get(f"{running.url}/v1/models", headers=headers)
        assert answer.status == 200


async def test_the_unix_socket_needs_no_key_and_takes_any_host(start: Start) -> None:
    running = await start()
    answer = await running.local.get("http://whatever.example/v1/models", headers={"Origin": "https://evil.example"})
    assert answer.status == 200
    assert running.paths.socket.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8888", "127.0.0.1.evil.example", "", "localhost.evil"])
async def test_a_foreign_host_is_refused_even_with_the_key(start: Start, host: str) -> None:
    running = await start()
    headers = {"Host": host, "x-api-key": running.key}
    for path in ("/health", "/v1/models"):
        answer = await running.remote.get(running.url + path, headers=headers)
        assert answer.status == 421
        assert (await answer.json())["error"]["code"] == "foreign_host"


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "LOCALHOST.", "127.0.0.1:9999", "[::1]:8888"])
async def test_loopback_names_are_taken_with_any_port(start: Start, host: str) -> None:
    running = await start()
    assert (await running.remote.get(f"{running.url}/health", headers={"Host": host})).status == 200


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://["}, {"Sec-Fetch-Site": "cross-site"}],
)
async def test_pages_of_other_sites_are_refused(start: Start, headers: dict[str, str]) -> None:
    running = await start()
    answer = await running.remote.get(f"{running.url}/health", headers=headers)
    assert answer.status == 403
    assert "access-control-allow-origin" not in answer.headers


async def test_what_is_not_there_is_404_and_the_wrong_method_405(start: Start) -> None:
    running = await start()
    assert (await running.local.get("http://hearth/slots")).status == 404
    wrong = await running.local.get(f"http://hearth{CHAT}")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    preflight = await running.local.options(f"http://hearth{CHAT}", headers={"Origin": "https://evil.example"})
    assert preflight.status == 405
    assert not [name for name in preflight.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_json"),
        (b"", "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        (b'{"messages": [{"content": ' + b"[" * 100_000, "invalid_json"),
        (b'{"messages": [{"content": "x"}], "else": ' + b"[" * 100_000, "invalid_json"),
        (b"[]", "invalid_body"),
        (b"{}", "invalid_body"),
        (b'{"messages": []}', "invalid_body"),
        (b'{"messages": "hello"}', "invalid_body"),
        (b'{"messages": [{"content": "x"}], "model": 5}', "invalid_body"),
        (b'{"messages": [{"content": "x"}], "n_discard": -1}', "refused_field"),
        (
            b'{"messages": [{"content": [{"type": "image_url", "image_url": {"url": "http://10.0.0.1/x"}}]}]}',
            "refused_url",
        ),
        (b'{"messages": [{"content": [{"type": "image_url", "image_url": "file:///etc/passwd"}]}]}', "refused_url"),
    ],
)
async def test_a_request_that_is_off_is_refused_before_an_engine_starts(start: Start, body: bytes, code: str) -> None:
    running = await start()
    answer = await running.local.post(f"http://hearth{CHAT}", data=body)
    assert answer.status == 400
    error = (await answer.json())["error"]
    assert (error["code"], error["source"]) == (code, "gateway")
    assert running.engines == []


async def test_text_parts_and_inline_images_are_taken(start: Start) -> None:
    running = await start()
    parts = [
        {"type": "text", "text": "https://example.org is a URL in a text"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    answer = await running.chat(messages=[{"role": "user", "content": parts}])
    assert answer.status == 200


async def test_a_body_that_says_it_is_too_large_is_not_read(start: Start) -> None:
    running = await start()
    reader, writer = await asyncio.open_unix_connection(str(running.paths.socket))
    writer.write(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY_LIMIT + 1}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert json.loads(await reader.read())["error"]["code"] == "body_too_large"
    writer.close()


async def test_a_body_that_grows_too_large_is_cut_off(start: Start) -> None:
    running = await start()
    reader, writer = await asyncio.open_unix_connection(str(running.paths.socket))
    writer.write(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    block = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    for _ in range(BODY_LIMIT // 0x100000):
        writer.write(block)
        await writer.drain()
    writer.write(b"1\r\n \r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 413 ")
    writer.close()


async def test_an_unknown_model_is_404_and_names_those_that_exist(start: Start) -> None:
    running = await start()
    answer = await running.chat(model="huge")
    assert answer.status == 404
    error = (await answer.json())["error"]
    assert error["code"] == "model_not_found"
    assert "'huge'" in error["message"]
    assert "small" in error["fix"]


@pytest.mark.parametrize("model", ["", None, "small"])
async def test_no_model_is_the_default_model(start: Start, model: str | None) -> None:
    running = await start()
    answer = await running.chat(model=model)
    assert (await answer.json())["model"] == "small"


async def test_a_model_by_its_path_is_for_the_unix_socket(start: Start) -> None:
    running = await start()
    path = running.paths.data / "elsewhere.gguf"
    gguf_models.write_llama(path)
    assert (await (await running.chat(model=str(path))).json())["model"] == str(path)
    answer = await running.remote.post(
        running.url + CHAT,
        json={"model": str(path), "messages": [{"role": "user", "content": "hello"}]},
        headers={"x-api-key": running.key},
    )
    assert answer.status == 403
    assert (await answer.json())["error"]["code"] == "model_path"


@pytest.mark.parametrize("asked", [{}, {"model": "the path"}])
async def test_the_owners_default_may_be_a_path_for_everybody(start: Start, home: Path, asked: dict[str, str]) -> None:
    path = home / "elsewhere.gguf"
    gguf_models.write_llama(path)
    running = await start(model=str(path))
    listed = await (await running.remote.get(f"{running.url}/v1/models", headers={"x-api-key": running.key})).json()
    assert str(path) in [each["id"] for each in listed["data"]]
    body = {"messages": [{"role": "user", "content": "hello"}], **{name: str(path) for name in asked}}
    answer = await running.remote.post(running.url + CHAT, json=body, headers={"x-api-key": running.key})
    assert (await answer.json())["model"] == str(path)


@pytest.mark.parametrize("name", ["/gone/away.gguf", "/a\0b.gguf"])
async def test_a_file_that_is_not_there_is_said_to_be_so(start: Start, name: str) -> None:
    running = await start(real=True)
    answer = await running.chat(model=name)
    error = (await answer.json())["error"]
    assert (answer.status, error["code"]) == (503, "engine_not_available")
    assert "file" in error["message"] or "cannot read" in error["message"]


async def test_a_file_that_is_no_model_is_said_to_be_so(start: Start, home: Path) -> None:
    running = await start(real=True)
    (home / "text.gguf").write_bytes(b"this is a text")
    error = (await (await running.chat(model=str(home / "text.gguf"))).json())["error"]
    assert "is not a GGUF" in error["message"]


async def test_a_very_long_name_is_not_repeated(start: Start) -> None:
    running = await start()
    assert len(await (await running.chat(model="x" * 100_000)).read()) < 1_000


async def test_a_file_with_a_name_that_is_no_text_spoils_nothing(start: Start) -> None:
    running = await start()
    (running.paths.models / "bad\udcff.gguf").write_bytes(b"GGUF")
    assert (await running.local.get("http://hearth/v1/models")).status == 200
    assert (await running.chat(model="huge")).status == 404


async def test_the_list_says_the_context_only_once_it_is_known(start: Start) -> None:
    running = await start()
    listed = (await (await running.local.get("http://hearth/v1/models")).json())["data"]
    before = next(each for each in listed if each["id"] == "small")
    assert (before["id"], before["context_length"], before["loaded"]) == ("small", None, False)
    assert running.engines == []
    await (await running.chat()).read()
    listed = (await (await running.local.get("http://hearth/v1/models")).json())["data"]
    after = next(each for each in listed if each["id"] == "small")
    assert (after["context_length"], after["loaded"]) == (32_768, True)


async def test_a_model_that_is_not_loaded_is_told_with_what_is_planned_for_it(start: Start) -> None:
    running = await start()

    async def told(name: str) -> tuple[int | None, int | None, bool]:
        entry = await (await running.local.get(f"http://hearth/v1/models/{name}")).json()
        return entry["context_length"], entry["context_planned"], entry["loaded"]

    assert await told("small") == (None, 2_048, False)
    assert running.engines == []
    # Loaded, and asked nothing yet.
    await (await running.local.post("http://hearth/hearth/models/load", json={"model": "small"})).read()
    assert await told("small") == (32_768, None, True)
    await (await running.local.post("http://hearth/hearth/models/unload", json={"model": "small"})).read()
    assert (await told("small"))[1:] == (2_048, False)


async def test_nothing_is_planned_for_what_is_no_model(start: Start) -> None:
    running = await start()
    (running.paths.models / "broken.gguf").write_bytes(b"this is a text")
    answer = await running.local.get("http://hearth/v1/models/broken")
    entry = await answer.json()
    assert (answer.status, entry["context_length"], entry["context_planned"]) == (200, None, None)


async def test_one_model_is_told_with_what_its_template_shows(start: Start) -> None:
    running = await start()
    listed = (await (await running.local.get("http://hearth/v1/models")).json())["data"]
    assert {each["hearth"] for each in listed} == {None}
    entry = await (await running.local.get("http://hearth/v1/models/pilot")).json()
    assert (entry["id"], entry["owned_by"], entry["loaded"]) == ("pilot", "hearth", False)
    assert entry["hearth"]["tools"] is True
    assert {"<|im_start|>", "<tool_call>", "tools"} <= set(entry["hearth"]["markers"])
    listed = (await (await running.local.get("http://hearth/v1/models")).json())["data"]
    assert next(each for each in listed if each["id"] == "pilot")["hearth"] == entry["hearth"]
    missing = await running.local.get("http://hearth/v1/models/no/such")
    assert (missing.status, (await missing.json())["error"]["code"]) == (404, "model_not_found")
    assert (await running.remote.get(f"{running.url}/v1/models/pilot")).status == 401


async def test_status_says_what_runs(start: Start) -> None:
    running = await start()
    await (await running.chat()).read()
    status = await (await running.local.get("http://hearth/hearth/status")).json()
    assert (status["model"], status["requests"], status["version"]) == ("small", 0, "0")
    (engine,) = status["engines"]
    assert (engine["model"], engine["state"], engine["context"]) == ("small", "ready", 32_768)


async def test_the_daemon_is_stopped_over_its_socket_only(start: Start) -> None:
    running = await start()
    answer = await running.remote.post(f"{running.url}/hearth/stop", headers={"x-api-key": running.key})
    assert answer.status == 403
    assert not running.served.done()
    assert (await running.local.post("http://hearth/hearth/stop")).status == 200
    async with asyncio.timeout(20):
        await asyncio.shield(running.served)


async def test_an_idle_daemon_leaves_and_a_busy_one_stays(start: Start) -> None:
    running = await start(idle_exit_s=0.3)
    async with asyncio.timeout(20):
        await asyncio.shield(running.served)
    assert running.gateway.idle_s() >= 0.3
