"""What a raw prompt is found by."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from hearth.runtime.kv.chain import LONGEST_PIECE, Chain, read_chain, split_raw

MARKED = st.lists(
    st.one_of(
        st.sampled_from(
            ("<|start|>system<|message|>", "<|start|>user<|message|>", "<|end|>", "<|im_start|>assistant\n")
        ),
        st.text(max_size=30),
        st.integers(1, 3).map(lambda count: "word " * (count * LONGEST_PIECE // 4)),
    ),
    min_size=1,
    max_size=8,
).map("".join)


def chain(prompt: str, owner: str = "o", state: str = "s") -> Chain:
    return read_chain(state, owner, {"prompt": prompt})


@given(MARKED)
def test_the_pieces_are_the_prompt(prompt: str) -> None:
    assert "".join(split_raw(prompt)) == prompt


@given(MARKED, MARKED)
def test_a_prompt_that_grew_has_the_links_that_it_had(first: str, more: str) -> None:
    # What is one piece alone has a link for itself, though it is still open.
    assume(len(split_raw(first + "<|start|>assistant")) > 1)
    before, after = chain(first + "<|start|>assistant"), chain(first + "<|start|>assistant" + more)
    assert after.keys[: len(before.keys)] == before.keys
    assert after.base == before.base or before.base == len(before.keys)


def test_each_message_but_the_open_one_has_a_link() -> None:
    system, user = "<|start|>system<|message|>S<|end|>", "<|start|>user<|message|>U<|end|>"
    first = chain(f"{system}{user}<|start|>assistant")
    assert (len(first.keys), first.base) == (2, 1)
    grown = chain(f"{system}{user}<|start|>assistant<|channel|>final<|message|>A<|end|>{user}<|start|>assistant")
    assert len(grown.keys) == 4
    assert grown.keys[:2] == first.keys


def test_system_and_developer_are_the_base_however_long() -> None:
    system = "<|start|>system<|message|>" + "S" * (2 * LONGEST_PIECE) + "<|end|>"
    developer = "<|start|>developer<|message|>D<|end|>"
    found = chain(f"{system}{developer}<|start|>user<|message|>U<|end|><|start|>assistant")
    assert found.base == 4
    assert found.sizes[found.base - 1] - len(system + developer) < 100
    assert chain("plain text, " * 1000 + "<|start|>user").base == 0


def test_it_is_nobody_elses_and_no_chat() -> None:
    prompt = "<|start|>user<|message|>U<|end|><|start|>assistant"
    found = {chain(prompt).keys, chain(prompt, owner="p").keys, chain(prompt, state="t").keys}
    assert len(found) == 3
    chat = read_chain("s", "o", {"messages": [{"role": "user", "content": prompt}]})
    assert not set(chat.keys) & set(chain(prompt).keys)


def test_what_is_beyond_measure_has_no_chain() -> None:
    assert chain("<|start|>" * 10_001).keys == ()
    assert len(chain("a lone \ud800 half <|start|>").keys) == 1
