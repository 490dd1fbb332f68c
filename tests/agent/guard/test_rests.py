"""Answers that end a turn rightly, and those that only say what would come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.agent.guard.rests import NUDGES, announces, asks_for_change, judge_rest
from hearth.messages import Message


@pytest.mark.parametrize(
    "prompt",
    [
        "fix the bug in calc.py",
        "Please rename `total` to `amount` everywhere.",
        "Can you add a test for the parser?",
        "The tests fail. Make them pass.",
        "test_b fails since yesterday, please look into it and fix it",
        "I want you to refactor the loader",
        "1. Read the spec\n2. Implement it",
        "- update the docs",
        "Hi, could you please just remove the debug prints?",
        "The limit should be 30, not 20.",
        "write a function that adds two numbers",
        "Let's move the helpers into one file",
    ],
)
def test_tasks_that_want_a_change(prompt: str) -> None:
    assert asks_for_change(prompt)


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "What does this project do?",
        "how is the cache filled",
        "Why does test_b fail?",
        "explain the loop in calc.py",
        "List all functions that use the database.",
        "Where is the fix for issue 12?",
        "Which files would I change to add a flag?",
        "write a summary of this project",
        "Make me a short list of the modules",
        "Find the bug and tell me where it is. Do not change anything.",
        "Fix nothing, only look: read-only review please",
        "Should the limit be 30?",
        "Look at this:\n```\nadd(1, 2)\nfix me\n```\nWhat does it print?",
        "Was ist das?",
    ],
)
def test_tasks_that_ask(prompt: str) -> None:
    assert not asks_for_change(prompt)


@pytest.mark.parametrize(
    "text",
    [
        "I will now look at the file.",
        "I'll start by reading the tests.",
        "Let me check the parser:",
        "The tests fail because of the loop. Let me fix that.",
        "Okay, now I'm going to run the tests.",
        "I found the bug.\n\nNext, I will edit `calc.py`:",
        "First, let's take a look at the project",
        "**Now let me update the tests**",
        "I need to see the file first.",
    ],
)
def test_announcements(text: str) -> None:
    assert announces(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I fixed the loop in calc.py and all 4 tests pass.",
        "Let me know if you want me to change the docs too.",
        "Let me know what you think.",
        "Should I run the tests?",
        "Shall we? I will fix it if you say so?",
        "I will need the password to go on.",
        "I will not change the tests, as you asked.",
        "I'll leave the rest as it is.",
        "I will fix the other one once you confirm.",
        "Let me explain: the cache is filled on the first read.",
        "I will now look at the file.\n\nDone: it holds three functions.",
        "The function `let me check` is called twice.",
        "To fix it, run `make test`.",
        "You can now run the program:\n\n```\npython a.py\nI will run\n```",
        "If the file is missing, I will create it when you tell me its name.",
        "The program prints 'I will now look'.",
        "Next steps: write documentation.",
    ],
)
def test_what_is_an_answer(text: str) -> None:
    assert not announces(text)


def said(text: str, reasoning: str = "") -> Message:
    return Message("assistant", text, reasoning=reasoning)


@pytest.mark.parametrize(
    ("message", "asks", "acted", "rest"),
    [
        (said(""), True, True, "empty"),
        (said(" \n"), False, False, "empty"),
        (said("", "the loop is wrong"), True, True, "thought"),
        (said("", " "), True, True, "empty"),
        (said("done"), True, True, "answer"),
        (said("I will now fix it."), True, False, "announced"),
        (said("I will now fix it."), True, True, "announced"),
        (said("Let me look at it."), False, False, "announced"),
        # Whoever asked a question may be told what could be done.
        (said("It is in calc.py. I'll fix it."), False, True, "answer"),
    ],
)
def test_rests(message: Message, asks: bool, acted: bool, rest: str) -> None:
    assert judge_rest(message, asks, acted) == rest
    assert (rest in NUDGES) is (rest != "answer")


@given(st.text(max_size=300))
def test_any_text_is_judged(text: str) -> None:
    announces(text)
    asks_for_change(text)


def test_judging_takes_linear_time() -> None:
    for long in ("please " * 20_000, "now, " * 20_000 + "x", "```" * 30_000, "- " * 50_000, "I will now " * 10_000):
        announces(long)
        asks_for_change(long)
