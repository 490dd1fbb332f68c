"""Compare our rendering of gpt-oss conversations with llama.cpp's through the model's own chat template.

``python bench/harmony_template.py TEMPLATE [--write FILE]``: TEMPLATE is the Jinja file of the model (in llama.cpp's
repository ``models/templates/openai-gpt-oss-120b.jinja``). A tiny GGUF carries it, the engine of the package renders
through ``/apply-template``, and each prompt is compared byte for byte. ``--write`` keeps conversations and prompts:
``tests/data/harmony/template.json`` was made with it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import harmony_model  # noqa: E402  # a script is no package: its folder must be on the path first
from hearth.llm.dialects.harmony.form import template_form  # noqa: E402  # the same
from hearth.llm.dialects.harmony.naming import Naming  # noqa: E402  # the same
from hearth.llm.dialects.harmony.render import Renderer  # noqa: E402  # the same
from hearth.messages import Message, ToolSpec  # noqa: E402  # the same
from hearth.paths import resolve_paths  # noqa: E402  # the same
from hearth.runtime.launch import Launch  # noqa: E402  # the same
from hearth.runtime.llama.embedded import EmbeddedEngine  # noqa: E402  # the same
from hearth.weights.card import card_of_file  # noqa: E402  # the same

Json = dict[str, Any]
CONVERSATIONS = 120
WORDS = [
    "read",
    "the",
    "file\n",
    "ümlaut",
    "日本",
    "{brace}",
    '"quote"',
    "back\\slash",
    "tab\tstop",
    "<tag>",
    "# head",
    "🔥",
]
TYPES: list[Json] = [
    {"type": "string"},
    {"type": "integer"},
    {"type": "number"},
    {"type": "boolean"},
    {"type": "string", "enum": ["celsius", "fahrenheit"]},
    {"type": "array", "items": {"type": "string"}},
    {"type": "array", "items": {"type": "integer"}, "description": "a list of numbers"},
    {"type": "string", "description": "a path such as src/a.py"},
    {"type": "object"},
]


def talk(seed: int) -> Json:
    """One conversation that the template can express: tools, one call a message, reasoning before it."""
    dice = random.Random(seed)

    def words(least: int = 1) -> str:
        return " ".join(dice.choices(WORDS, k=dice.randint(least, 8)))

    tools = [tool(dice, number, words) for number in range(dice.randint(1, 4))]
    names = [each["function"]["name"] for each in tools]
    messages: list[Json] = [{"role": "system", "content": words()}] if dice.random() < 0.7 else []
    for turn in range(dice.randint(0, 2)):
        messages.append({"role": "user", "content": words()})
        if turn % 2 == 0:
            messages.append({"role": "assistant", "content": words()})
    messages.append({"role": "user", "content": words()})
    for number in range(dice.randint(0, 3)):
        arguments = json.dumps({"path": words(), "n": dice.randint(0, 9), "flag": True}, ensure_ascii=False)
        function = {"name": dice.choice(names), "arguments": arguments}
        call = {"id": f"call_{number}", "type": "function", "function": function}
        asked: Json = {"role": "assistant", "content": "", "tool_calls": [call]}
        if dice.random() < 0.8:
            asked["reasoning_content"] = words()
        messages += [asked, {"role": "tool", "tool_call_id": f"call_{number}", "content": words()}]
    return {"messages": messages, "tools": tools, "effort": dice.choice(("low", "medium", "high"))}


def tool(dice: random.Random, number: int, words: Any) -> Json:
    """A tool of random parameters."""
    fields = {f"field{index}": dice.choice(TYPES) for index in range(dice.randint(0, 5))}
    required = [name for name in fields if dice.random() < 0.5]
    parameters = {"type": "object", "properties": fields, "required": required}
    description = f"Does number {number} with care."
    return {
        "type": "function",
        "function": {"name": f"tool{number}", "description": description, "parameters": parameters},
    }


def ours(asked: Json, date: str) -> str:
    """The prompt as we render it in the template's form."""
    tools = [
        ToolSpec(each["function"]["name"], each["function"]["description"], each["function"]["parameters"])
        for each in asked["tools"]
    ]
    messages = [Message.from_wire(each) for each in asked["messages"]]
    return Renderer(template_form(asked["effort"], date), Naming()).prompt(messages, tools)


async def theirs(talks: list[Json], template: str) -> list[str]:
    """The prompts as the engine renders them."""
    with tempfile.TemporaryDirectory() as folder:
        paths = resolve_paths({"HEARTH_HOME": folder})
        paths.ensure()
        path = harmony_model.write_harmony(paths.models / "m.gguf", template=template)
        engine = EmbeddedEngine(card_of_file("m", path), Launch(4096), paths)
        await engine.start(lambda _progress: None)
        connector = aiohttp.UnixConnector(str(engine.endpoint.socket), force_close=True)
        headers = {"Authorization": f"Bearer {engine.endpoint.api_key}"}
        prompts = []
        try:
            async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
                for each in talks:
                    body = {"messages": each["messages"], "tools": each["tools"]}
                    body["chat_template_kwargs"] = {"reasoning_effort": each["effort"]}
                    async with session.post("http://engine/apply-template", json=body) as response:
                        answer = await response.json()
                        prompts.append(answer.get("prompt") or json.dumps(answer))
        finally:
            await engine.stop()
        return prompts


def main() -> int:
    """Compare, and say how many are the same. Returns 1 when one is not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("template", type=Path)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    talks = [talk(seed) for seed in range(CONVERSATIONS)]
    prompts = asyncio.run(theirs(talks, options.template.read_text(encoding="utf-8")))
    date = prompts[0].partition("Current date: ")[2][:10]
    same = 0
    for asked, prompt in zip(talks, prompts, strict=True):
        mine = ours(asked, date)
        same += mine == prompt
        if mine != prompt:
            place = next((n for n, (a, b) in enumerate(zip(mine, prompt, strict=False)) if a != b), 0)
            for whose, text in (("ours  ", mine), ("theirs", prompt)):
                print(f"{whose} differs at {place}: {text[max(0, place - 60) : place + 80]!r}")
    if options.write:
        kept = [{**asked, "date": date, "prompt": prompt} for asked, prompt in zip(talks, prompts, strict=True)]
        options.write.write_text(json.dumps(kept, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    print(f"{same} of {len(talks)} prompts are the same, byte for byte")
    return int(same != len(talks))


if __name__ == "__main__":
    sys.exit(main())
