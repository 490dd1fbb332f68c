import json

import pytest

from hearth.llm.failures import failure_from_error, failure_from_status


@pytest.mark.parametrize(
    ("status", "source", "exit_code"),
    [
        (400, "engine", 1),
        (401, "gateway", 4),
        (403, "gateway", 5),
        (404, "gateway", 4),
        (429, "gateway", 4),
        (500, "engine", 4),
        (503, "engine", 4),
    ],
)
def test_a_status_names_its_source_and_exit_code(status: int, source: str, exit_code: int) -> None:
    failure = failure_from_status(status, b'{"error": {"message": "no luck", "code": 1, "type": "x"}}')
    assert (failure.source, failure.exit_code) == (source, exit_code)
    assert "no luck" in failure.reason
    assert "\n" not in failure.reason


def test_what_our_gateway_says_is_kept() -> None:
    error = {
        "message": "the engine of pilot broke off: killed",
        "source": "engine",
        "fix": "send it again",
        "code": "x",
    }
    failure = failure_from_status(502, json.dumps({"error": error}).encode())
    assert (failure.reason, failure.fix, failure.source) == (error["message"], "send it again", "engine")


def test_a_prompt_beyond_the_context_says_both_sizes() -> None:
    error = {"code": 400, "type": "exceed_context_size_error", "message": "…", "n_prompt_tokens": 41230, "n_ctx": 4096}
    failure = failure_from_status(400, json.dumps({"error": error}).encode())
    assert failure.reason == "the conversation has 41,230 tokens, the model's context holds 4,096"
    assert "HEARTH_CONTEXT" in failure.fix
    assert (failure.asked, failure.window) == (41230, 4096)
    assert failure.exit_code == 1


@pytest.mark.parametrize(
    ("said", "sizes"),
    [
        ("request (124071 tokens) exceeds the available context size (123904 tokens), try", (124071, 123904)),
        (
            "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (8000 in the "
            "messages, 1000 in the completion).",
            (8000, 8192),
        ),
        ("maximum context length is 4096 tokens. However, your request has 5000 input tokens.", (5000, 4096)),
        ("the model is loaded with context length of only 4096 tokens, which is not enough", (0, 4096)),
        ("out of memory at 4096 tokens", (0, 0)),
    ],
)
def test_the_sizes_of_a_request_that_is_too_long_are_read(said: str, sizes: tuple[int, int]) -> None:
    failure = failure_from_error(json.dumps({"message": said, "code": 400}).encode())
    assert (failure.asked, failure.window) == sizes


@pytest.mark.parametrize(
    "body", [b"", b"<html>gone</html>", b"\xff\xfe", b'{"error": "plain words"}', b'{"error": 3}', b"[]"]
)
def test_any_body_gives_a_failure(body: bytes) -> None:
    failure = failure_from_status(500, body)
    assert failure.reason
    assert failure.exit_code == 4


def test_a_string_is_an_error_too() -> None:
    assert "plain words" in failure_from_error(b'"plain words"').reason
