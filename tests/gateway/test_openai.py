"""What the gateway reads of a request, as a table."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.gateway.openai import list_models, read_chat, unknown_model
from hearth.gateway.refusal import Refusal, from_engine
from hearth.weights.template import read_template

MESSAGES = [{"role": "user", "content": "hello"}]


def read(**fields: Any) -> Any:
    body = json.dumps({"messages": MESSAGES, **fields}).encode()
    chat = read_chat(body, default_model="default", trusted=True)
    assert chat.body == body
    return chat


@pytest.mark.parametrize(
    ("fields", "model", "stream"),
    [
        ({}, "default", False),
        ({"model": ""}, "default", False),
        ({"model": None, "stream": None}, "default", False),
        ({"model": "m", "stream": True}, "m", True),
        ({"messages": [{"role": "tool", "content": None}, {"role": "assistant"}]}, "default", False),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "http://x"}]}]}, "default", False),
        ({"messages": [{"role": "user", "content": ["plain", 5, None]}]}, "default", False),
    ],
)
def test_what_is_read(fields: dict[str, Any], model: str, stream: bool) -> None:
    chat = read(**fields)
    assert (chat.model, chat.stream) == (model, stream)


@pytest.mark.parametrize("url", ["http://x/y.png", "https://x", "file:///etc/passwd", "/etc/passwd", "DATA:x"])
@pytest.mark.parametrize("nested", [True, False])
def test_media_by_url_is_refused(url: str, nested: bool) -> None:
    part = {"type": "image_url", "image_url": {"url": url} if nested else url}
    with pytest.raises(Refusal) as caught:
        read(messages=[{"role": "user", "content": [{"type": "text", "text": "look"}, part]}])
    assert caught.value.status == 400


def test_an_escaped_name_does_not_hide_a_refused_field() -> None:
    with pytest.raises(Refusal, match="n_discard"):
        read_chat(b'{"messages":[{"content":"x"}],"n_disc\\u0061rd":-5}', default_model="d", trusted=True)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with suppress(Refusal):
        assert read_chat(body, default_model="d", trusted=False).model


def test_the_list_and_the_error_name_the_models() -> None:
    listed = list_models(["a", "b"], {"a": 4096}, ["a"], {"b": read_template("{{ tools }}<tool_call>")})
    assert [(each["id"], each["context_length"], each["loaded"]) for each in listed["data"]] == [
        ("a", 4096, True),
        ("b", None, False),
    ]
    assert listed["data"][0]["hearth"] is None
    about = listed["data"][1]["hearth"]
    assert about["markers"] == ("tools", "<tool_call>", "tool_call")
    assert (about["tools"], about["reasoning"], about["vision"]) == (True, False, False)
    assert "there are: a, b" in json.loads(unknown_model("c", ["a", "b"]).envelope())["error"]["fix"]
    assert "hearth models list" in json.loads(unknown_model("c", []).envelope())["error"]["fix"]


@pytest.mark.parametrize(
    ("status", "body", "told", "message"),
    [
        (500, b'{"error":{"message":"m","type":"t","code":500}}', 500, "m"),
        (503, b'{"error":"plain words"}', 503, "plain words"),
        (500, b"<html>", 500, "<html>"),
        (500, b"", 500, "HTTP 500 without a word"),
        (500, b'{"error":null}', 500, '{"error":null}'),
        (401, b'{"error":{"message":"Invalid API Key"}}', 502, "Invalid API Key"),
    ],
)
def test_what_an_engine_refuses_keeps_its_words(status: int, body: bytes, told: int, message: str) -> None:
    refusal = from_engine(status, body)
    error = json.loads(refusal.envelope())["error"]
    assert (refusal.status, error["message"], error["source"]) == (told, message, "engine")
