"""Old observations behind placeholders."""

from hypothesis import given
from hypothesis import strategies as st

from conversations import conversations
from counting_model import check_roles
from hearth.agent.masking import KEPT, PLACEHOLDER, SHORTEST, choose_masked, kept_name, mask, saved_weight
from hearth.agent.steps import split_steps
from hearth.messages import Message, ToolCall


def step(number: int, text: str) -> list[Message]:
    call = ToolCall("c", "bash", f'{{"command": "make part{number}"}}')
    return [Message("assistant", "", (call,)), Message("tool", text, tool_call_id="c")]


def session(count: int, text: str = "x" * 900) -> list[Message]:
    return [Message("user", "go"), *(message for number in range(count) for message in step(number, text))]


def test_the_newest_stay_the_others_say_what_they_were() -> None:
    messages = session(30, "line\n" * 200 + "[exit 1]")
    kept: list[str] = []
    masked = mask(messages, choose_masked(messages, 10**6), lambda text: kept.append(text) or f"output:{len(kept)}")
    results = [message.content for message in masked if message.role == "tool"]
    assert results[-KEPT:] == ["line\n" * 200 + "[exit 1]"] * KEPT
    assert results[3] == (
        f"{PLACEHOLDER}the result of bash make part3, 201 lines; it ended with [exit 1]; the whole is in output:4]"
    )
    assert len(kept) == 20
    assert choose_masked(masked, 10**6) == []


def test_the_weight_bounds_what_stays_but_the_last_step_stays() -> None:
    messages = session(8)
    assert choose_masked(messages, 0) == [2, 4, 6, 8, 10, 12, 14]
    assert choose_masked(session(1), 0) == []
    assert choose_masked(session(8, "short"), 0) == []


def test_what_was_kept_at_birth_is_not_kept_again() -> None:
    text = "x" * 900 + "\n[25,600 characters; the whole is in output:7]\n"
    masked = mask(session(3, text), [2], lambda text: "never")
    assert "the whole is in output:7]" in masked[2].content
    assert kept_name("[output:7]") == ""
    assert "run it again" in mask(session(3), [2], lambda text: "")[2].content


@given(conversations(), st.integers(0, 5_000))
def test_no_pair_is_torn_and_only_old_results_change(messages: list[Message], most: int) -> None:
    chosen = choose_masked(messages, most)
    masked = mask(messages, chosen, lambda text: "output:1")
    check_roles(masked)
    assert len(masked) == len(messages)
    last = split_steps(messages)[-1]
    for index, (before, after) in enumerate(zip(messages, masked, strict=True)):
        if index in chosen:
            assert before.role == "tool"
            assert len(before.content) > SHORTEST
            assert before not in last or index < len(messages) - len(last)
            assert len(after.content) < len(before.content)
        else:
            assert after == before
    assert saved_weight(messages, chosen) >= 0


def test_a_text_full_of_brackets_is_looked_through_at_once() -> None:
    assert kept_name("[" * 200_000) == ""
    assert kept_name("[" * 200_000 + "[9,000 characters; the whole is in output:7]") == "output:7"
