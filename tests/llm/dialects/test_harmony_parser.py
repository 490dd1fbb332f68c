"""What gpt-oss answers, whole and broken."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from talks import NAMES, TEXT, answers, cut

from hearth.llm.answer import ReasoningDelta, TextDelta
from hearth.llm.dialects.harmony.form import KINDS, Form, Header
from hearth.llm.dialects.harmony.markers import MARKS
from hearth.llm.dialects.harmony.naming import Naming
from hearth.llm.dialects.harmony.parser import Parser
from hearth.llm.dialects.harmony.render import OPEN, Renderer
from hearth.messages import Message, ToolCall

NAMING = Naming({**NAMES, "read": "repo_browser.open_file"})
LS = '{"command":"ls"}'
CALL = [("bash", LS)]
THINK = "<|channel|>analysis<|message|>hm<|end|><|start|>assistant"


def parse(*pieces: str, stop: bool = True) -> tuple[Parser, Message, str, str]:
    """The parser, its message, and what was told of text and reasoning on the way."""
    parser = Parser(NAMING)
    deltas = [delta for piece in pieces for delta in parser.feed(piece)]
    message, rest = parser.finish(cut=not stop)
    deltas += rest
    text = "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))
    reasoning = "".join(delta.text for delta in deltas if isinstance(delta, ReasoningDelta))
    return parser, message, text, reasoning


def calls(message: Message) -> list[tuple[str, str]]:
    return [(call.name, call.arguments) for call in message.tool_calls]


WHOLE = {
    "a final answer": ("<|channel|>final<|message|>Hi.<|return|>", "Hi.", "", []),
    "thought before": (f"{THINK}<|channel|>final<|message|>Hi.<|return|>", "Hi.", "hm", []),
    "a call": (f"<|channel|>commentary to=container.exec <|constrain|>json<|message|>{LS}<|call|>", "", "", CALL),
    "recipient after the role": (
        f" to=container.exec<|channel|>commentary <|constrain|>json<|message|>{LS}<|call|>", "", "", CALL
    ),
    "no space before the type": (
        f"<|channel|>commentary to=container.exec<|constrain|>json<|message|>{LS}<|call|>", "", "", CALL
    ),
    "the type without its mark": (f" to=container.exec<|channel|>commentary json<|message|>{LS}<|call|>", "", "", CALL),
    "a preamble": (
        f"{THINK}<|channel|>commentary<|message|>I look.<|end|><|start|>assistant"
        f"<|channel|>commentary to=container.exec <|constrain|>json<|message|>{LS}<|call|>", "I look.", "hm", CALL
    ),
    "in functions": ('<|channel|>commentary to=functions.todo json<|message|>{}<|call|>', "", "", [("todo", "{}")]),
    "its own name in functions": (
        f"<|channel|>commentary to=functions.container.exec json<|message|>{LS}<|call|>", "", "", CALL
    ),
    "its own name alone": (f"<|channel|>commentary to=functions.exec json<|message|>{LS}<|call|>", "", "", CALL),
    "a tool of its training that we have not": (
        '<|channel|>analysis to=browser.search code<|message|>{"query":"x"}<|call|>', "", "",
        [("browser.search", '{"query":"x"}')],
    ),
    "arguments that are no JSON are somebody else's to judge": (
        '<|channel|>commentary to=container.exec json<|message|>{"command":"ls<|call|>', "", "",
        [("bash", '{"command":"ls')],
    ),
    "nothing but reasoning": ("<|channel|>analysis<|message|>hm<|end|>", "", "hm", []),
    "nothing": ("", "", "", []),
    "marks that are quoted": (
        "<|channel|>final<|message|>It ends with <\u2060|end|>.<|return|>", "It ends with <|end|>.", "", []
    ),
}  # fmt: skip
MENDED = {
    "commentary?": (f"<|channel|>commentary? to=container.exec <|constrain|>json<|message|>{LS}<|call|>", "", "", CALL),
    "commentary? before a text": ("<|channel|>commentary?<|message|>Hi.<|end|>", "Hi.", "", []),
    "analysis?": ("<|channel|>analysis?<|message|>hm<|end|>", "", "hm", []),
    "a doubled channel": (
        f"<|channel|>commentary<|channel|>commentary to=container.exec json<|message|>{LS}<|call|>", "", "", CALL
    ),
    "two channel marks": ("<|channel|><|channel|>final<|message|>Hi.<|return|>", "Hi.", "", []),
    "a call that moves to another channel": (
        f"<|channel|>analysis<|channel|>commentary to=container.exec json<|message|>{LS}<|call|>", "", "", CALL
    ),
    "recipient on the analysis channel": (
        f"<|channel|>analysis to=container.exec <|constrain|>json<|message|>{LS}<|call|>", "", "", CALL
    ),
    "no channel and a recipient": (f" to=container.exec json<|message|>{LS}<|call|>", "", "", CALL),
    "a recipient without to": (f"<|channel|>commentary container.exec json<|message|>{LS}<|call|>", "", "", CALL),
    "a recipient twice": (
        f" to=container.exec<|channel|>commentary to=container.exec json<|message|>{LS}<|call|>", "", "", CALL
    ),
    "to all is to nobody": ("<|channel|>final to=all<|message|>Hi.<|return|>", "Hi.", "", []),
    "a space after to": (f"<|channel|>commentary to= container.exec json<|message|>{LS}<|call|>", "", "", CALL),
    "no channel mark": (f"commentary to=container.exec <|constrain|>json<|message|>{LS}<|call|>", "", "", CALL),
    "no message mark before arguments": (
        f"<|channel|>commentary to=container.exec <|constrain|>json{LS}<|call|>", "", "", CALL
    ),
    "no message mark before a text": ("<|channel|>final Hi there.<|return|>", "Hi there.", "", []),
    "no message mark before reasoning": (
        "<|channel|>analysis hm hm<|end|><|start|>assistant<|channel|>final<|message|>Hi.<|return|>", "Hi.", "hm hm", []
    ),
    "no header at all": ("Hi.", "Hi.", "", []),
    "no channel": ("<|message|>Hi.<|return|>", "Hi.", "", []),
    "no start": ("<|channel|>analysis<|message|>hm<|end|><|channel|>final<|message|>Hi.<|return|>", "Hi.", "hm", []),
    "the role without its mark": (
        "<|channel|>analysis<|message|>hm<|end|>assistant<|channel|>final<|message|>Hi.<|return|>", "Hi.", "hm", []
    ),
    "the start without its role": (
        "<|channel|>analysis<|message|>hm<|end|><|start|><|channel|>final<|message|>Hi.<|return|>", "Hi.", "hm", []
    ),
    "no end": (
        "<|channel|>analysis<|message|>hm<|start|>assistant<|channel|>final<|message|>Hi.<|return|>", "Hi.", "hm", []
    ),
    "neither end nor start": (
        "<|channel|>analysis<|message|>hm<|channel|>final<|message|>Hi.<|return|>", "Hi.", "hm", []
    ),
    "the beginning once more": ("<|start|>assistant<|channel|>final<|message|>Hi.<|return|>", "Hi.", "", []),
    "start twice": (f"{THINK}<|start|>assistant<|channel|>final<|message|>Hi.<|return|>", "Hi.", "hm", []),
    "end twice": (
        "<|channel|>analysis<|message|>hm<|end|><|end|><|start|>assistant<|channel|>final<|message|>Hi.<|return|>",
        "Hi.", "hm", [],
    ),
    "message twice": ("<|channel|>final<|message|><|message|>Hi.<|return|>", "Hi.", "", []),
    "no last mark of an answer": ("<|channel|>final<|message|>Hi.", "Hi.", "", []),
    "no last mark of a whole call": (f"<|channel|>commentary to=container.exec json<|message|>{LS}", "", "", CALL),
    "a call that ends as a message": (
        f"<|channel|>commentary to=container.exec json<|message|>{LS}<|end|>", "", "", CALL
    ),
    "a call that ends as an answer": (
        f"<|channel|>commentary to=container.exec json<|message|>{LS}<|return|>", "", "", CALL
    ),
    "what an engine sends after the end": (
        f"<|channel|>commentary to=container.exec json<|message|>{LS}<|call|><|start|>container.exec to=assistant"
        "<|channel|>commentary<|message|>a.py<|end|><|start|>assistant<|channel|>final<|message|>Done.<|return|>",
        "", "", CALL,
    ),
    "it plays the tool after its call": (
        f"<|channel|>commentary to=container.exec json<|message|>{LS}<|end|><|start|>container.exec to=assistant"
        "<|channel|>commentary<|message|>a.py<|end|>", "", "", CALL,
    ),
    "it plays the person after its answer": (
        "<|channel|>final<|message|>Hi.<|end|><|start|>user<|message|>More!<|end|>", "Hi.", "", []
    ),
    "end of text": ("<|channel|>final<|message|>Hi.<|endoftext|>", "Hi.", "", []),
    "an empty message before": (
        "<|channel|>analysis<|message|><|channel|>final<|message|>Hi.<|return|>", "Hi.", "", []
    ),
}  # fmt: skip
RESAMPLED = {
    "truncated arguments, no last mark": '<|channel|>commentary to=container.exec json<|message|>{"command":"rm -rf',
    "truncated arguments before another message": (
        '<|channel|>commentary to=container.exec json<|message|>{"command":"rm -rf<|start|>assistant'
        "<|channel|>final<|message|>Done.<|return|>"
    ),
    "truncated arguments before a channel": (
        '<|channel|>commentary to=container.exec json<|message|>{"command":"rm -rf /tmp/a'
        "<|channel|>final<|message|>Done.<|return|>"
    ),
    "truncated arguments, ended as an answer": (
        '<|channel|>commentary to=container.exec json<|message|>{"command":"rm -rf<|return|>'
    ),
    "a message within arguments": (
        '<|channel|>commentary to=container.exec json<|message|>{"command":<|message|>"ls"}<|call|>'
    ),
    "a type within a message": f"<|channel|>commentary to=container.exec<|message|>{{<|constrain|>json{LS}<|call|>",
    "a call to nobody": f"<|channel|>commentary<|message|>{LS}<|call|>",
    "a call to nobody, without its message": f"<|channel|>commentary json{LS}<|call|>",
    "thought that ends as a call": "<|channel|>analysis<|message|>run ls<|call|>",
    "an answer that ends as a call": "<|channel|>final<|message|>ls<|call|>",
    "a call to two": f" to=container.exec<|channel|>commentary to=functions.todo json<|message|>{LS}<|call|>",
    "a call to a namespace": f"<|channel|>commentary to=functions json<|message|>{LS}<|call|>",
    "a call to half a name": f"<|channel|>commentary to=functions. json<|message|>{LS}<|call|>",
    "a call on the final channel": f"<|channel|>final to=container.exec json<|message|>{LS}<|call|>",
    "two channels, no recipient": "<|channel|>analysis<|channel|>final<|message|>Hi.<|return|>",
    "a channel that is none": "<|channel|>summary<|message|>Hi.<|return|>",
    "markup in a name": f'<|channel|>commentary to=container.exec" json<|message|>{LS}<|call|>',
    "prose in a header": f"<|channel|>commentary I will call to=container.exec json<|message|>{LS}<|call|>",
    "a header that breaks off": "<|channel|>commentary to=container.exec <|constrain|>json",
    "a header and no more": "<|channel|>commentary to=container.exec<|end|>",
    "a channel and no more": "<|channel|>",
    "text outside of a message": "<|channel|>analysis<|message|>hm<|end|>so I run it<|start|>assistant"
    f"<|channel|>commentary to=container.exec json<|message|>{LS}<|call|>",
    "broken arguments, no message mark": '<|channel|>commentary to=container.exec json{"command":"ls<|call|>',
    "another's message instead of an answer": "<|start|>user<|message|>Delete it all.<|end|>",
    "a thought, then another's message": f"{THINK[:-9]}user<|message|>Delete it all.<|end|>",
    "a tool's result without a call or a sender": ("<|start|>container.exec<|channel|>commentary<|message|>a<|end|>"),
    "a tool's result without a call": "<|start|>container.exec to=assistant<|channel|>commentary<|message|>a<|end|>",
}


def test_there_are_forty_malformed_streams_and_more() -> None:
    assert len(MENDED) + len(RESAMPLED) >= 40


@pytest.mark.parametrize("name", WHOLE | MENDED)
def test_what_has_one_reading_is_read(name: str) -> None:
    stream, text, reasoning, called = (WHOLE | MENDED)[name]
    for pieces in ([stream], list(stream), [stream[:7], stream[7:]]):
        parser, message, told, thought = parse(*pieces)
        assert not parser.broken
        assert (message.content, message.reasoning, calls(message)) == (text, reasoning, called)
        assert (told, thought) == (text, reasoning)


@pytest.mark.parametrize("name", RESAMPLED)
def test_what_has_none_runs_nothing_and_is_the_text_as_it_came(name: str) -> None:
    stream = RESAMPLED[name]
    for pieces in ([stream], list(stream)):
        parser, message, _, _ = parse(*pieces)
        assert parser.broken
        assert message == Message("assistant", stream)


@pytest.mark.parametrize("name", [*WHOLE, *MENDED, *RESAMPLED])
def test_what_is_cut_at_the_limit_calls_nothing(name: str) -> None:
    found = (WHOLE | MENDED).get(name)
    stream = found[0] if found else RESAMPLED[name]
    for end in range(len(stream)):
        assert not parse(stream[:end], stop=False)[1].tool_calls


@given(answers(), st.data())
def test_what_is_rendered_is_read_back(message: Message, data: st.DataObject) -> None:
    header = Header(data.draw(st.sampled_from(("analysis", "commentary", ""))), data.draw(st.booleans()),
                    data.draw(st.sampled_from(KINDS)))  # fmt: skip
    written = Renderer(Form(header=header), NAMING).answer(message).removeprefix(OPEN)
    # Whoever makes two calls at once ends the first one as a message.
    written = written.replace("<|call|><|start|>", "<|end|><|start|>")
    parser, read, told, thought = parse(*data.draw(cut(written)))
    assert not parser.broken
    assert (read.content, read.reasoning) == (told, thought) == (message.content, message.reasoning)
    assert calls(read) == calls(message)


@given(answers(most_calls=1), st.sampled_from(("analysis", "commentary", "")), st.booleans(), st.sampled_from(KINDS))
def test_the_next_prompt_has_the_answer_as_it_was_made(message: Message, channel: str, first: bool, kind: str) -> None:
    made = Renderer(Form(header=Header(channel, first, kind)), NAMING).answer(message)
    read = parse(made.removeprefix(OPEN))[1]
    assert Renderer(Form(), NAMING).answer(read) == made


@given(
    st.lists(st.one_of(st.sampled_from((*MARKS, "assistant", "commentary", " to=container.exec", LS)), TEXT)), st.data()
)
def test_any_stream_is_read_the_same_however_it_is_cut(parts: list[str], data: st.DataObject) -> None:
    stream = "".join(parts)
    whole, pieces = parse(stream), parse(*data.draw(cut(stream)))
    assert whole[0].broken == pieces[0].broken
    assert replace(whole[1], tool_calls=()) == replace(pieces[1], tool_calls=())
    assert calls(whole[1]) == calls(pieces[1])
    if not whole[0].broken:
        assert (whole[1].content, whole[1].reasoning) == whole[2:] == pieces[2:]


@given(st.text(), st.text())
def test_prose_calls_nothing(thought: str, said: str) -> None:
    message = Message("assistant", said, reasoning=thought)
    written = Renderer(Form(), NAMING).answer(message).removeprefix(OPEN)
    assert not parse(written)[1].tool_calls
    if not any(mark in said for mark in MARKS):
        assert not parse(said)[1].tool_calls


def test_each_call_has_an_id_of_its_own() -> None:
    one, two = (parse(WHOLE["a call"][0])[1].tool_calls[0] for _ in range(2))
    assert isinstance(one, ToolCall)
    assert one.id != two.id
