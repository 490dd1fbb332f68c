"""Plays a chore as it should be done, through the real tools, and records every message.

Now and then it slips (a misspelt name, the wrong file, a wrong value, the same failing call again) and recovers; the
slip itself is marked as not to be learnt.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

from hearth.llm.profile import PILOT
from hearth.messages import Message, ToolCall
from hearth.pilot.functions import COMPARISONS, GUESSES, Function
from hearth.pilot.projects import Chore
from hearth.pilot.render import write_call
from hearth.tools.toolbox import Toolbox

RUN_TESTS = "python3 -m pytest -q --tb=short"
READ_LINES = 7
"""Lines that are read of a function: as many as the longest of the generated ones has."""
SLIPS = (70, 20, 10)
"""Of a hundred sessions, how many have no, one and two slips at most."""


class SpoiltError(Exception):
    """A slip had an effect that the oracle does not know how to undo: the session is thrown away."""


@dataclass(slots=True)
class Recording:
    """A session as it was played; ``learn[i]`` says whether message i is to be imitated."""

    messages: list[Message]
    learn: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.learn = [False] * len(self.messages)


class Oracle:
    """Plays one chore."""

    def __init__(self, chore: Chore, toolbox: Toolbox, rng: random.Random) -> None:
        self._chore = chore
        self._toolbox = toolbox
        self._rng = rng
        self._slips = rng.choices(range(len(SLIPS)), SLIPS)[0]
        self.recording = Recording([Message("system", PILOT.system), Message("user", chore.prompt)])

    async def play(self) -> Recording:
        """Do the chore to its end."""
        plays = {
            "fix": self._fix,
            "rename": self._rename,
            "constant": self._set_constant,
            "explain": self._explain,
            "other": self._greet,
        }
        await plays[self._chore.kind]()
        return self.recording

    async def _call(self, call: ToolCall, learn: bool = True) -> str:
        result = await self._toolbox.run(call)
        self._record(Message("assistant", "", (call,)), learn)
        self._record(Message("tool", result.for_model), False)
        return result.for_model

    def _say(self, text: str) -> None:
        self._record(Message("assistant", text), True)

    def _record(self, message: Message, learn: bool) -> None:
        self.recording.messages.append(message)
        self.recording.learn.append(learn)

    def _slip_now(self, chance: float = 0.35) -> bool:
        if self._slips and self._rng.random() < chance:
            self._slips -= 1
            return True
        return False

    def _misspell(self, text: str) -> str:
        places = [index for index, letter in enumerate(text) if letter.isalnum()]
        index = self._rng.choice(places)
        letters = "0123456789" if text[index].isdigit() else "abcdefghijklmnopqrstuvwxyz"
        letter = self._rng.choice(letters)
        letter = letter.upper() if text[index].isupper() else letter
        kind = self._rng.randrange(3)
        return text[:index] + ("" if kind == 0 else letter) + text[index + (1 if kind < 2 else 0) :]

    async def _grep(self, pattern: str) -> str:
        if self._slip_now():
            await self._call(write_call("grep", pattern=self._misspell(pattern)), learn=False)
        return await self._call(write_call("grep", pattern=pattern))

    async def _look_up(self, name: str) -> None:
        """Find a function and read it, and little more: what is not in sight cannot be mistaken for it."""
        found = await self._grep(f"def {name}")
        path, line, _ = found.split(":", 2)
        if self._slip_now():
            misspelt = self._mistake_path(path)
            await self._call(write_call("read", path=misspelt, offset=int(line), limit=READ_LINES), learn=False)
        await self._call(write_call("read", path=path, offset=int(line), limit=READ_LINES))

    def _mistake_path(self, path: str) -> str:
        others = [other for other in self._chore.files if other != path and other.endswith(".py")]
        return self._rng.choice(others) if others and self._rng.random() < 0.5 else self._misspell(path)

    def _mistake_part(self, path: str) -> str:
        """A letter that is wrong, or, as small models like it, a folder that is left out or said twice."""
        *folders, name = path.split("/")
        if not folders or self._rng.random() < 0.5:
            return self._misspell(path)
        place = self._rng.randrange(len(folders))
        again = [folders[place]] * self._rng.choice((0, 2))
        return "/".join([*folders[:place], *again, *folders[place + 1 :], name])

    async def _edit(self, path: str, old: str, new: str, **more: bool) -> str:
        if self._slip_now(0.6):
            await self._fail_to_edit(path, old, new, **more)
        return await self._call(write_call("edit", path=path, old=old, new=new, **more))

    async def _fail_to_edit(self, path: str, old: str, new: str, **more: bool) -> None:
        """An edit that is refused, now and then more than once: greedy decoding likes to say the same again."""
        kind = self._rng.choice(("old", "old", "old", "path", "same"))
        if kind == "old":
            call = write_call("edit", path=path, old=self._misspell(old), new=new, **more)
        elif kind == "path":
            call = write_call("edit", path=self._mistake_part(path), old=old, new=new, **more)
        else:
            call = write_call("edit", path=path, old=old, new=old, **more)
        await self._try_in_vain(call)

    async def _try_in_vain(self, call: ToolCall) -> None:
        """A call that is refused, now and then more than once."""
        for _ in range(self._rng.choice((1, 1, 2, 3))):
            result = await self._call(call, learn=False)
            if not result.startswith("not edited"):
                raise SpoiltError

    async def _edit_wrongly(self, path: str, old: str, new: str, wrong: str, **more: bool) -> None:
        """An edit that goes through with a wrong text, seen in its result and mended."""
        await self._call(write_call("edit", path=path, old=old, new=wrong, **more), learn=False)
        await self._call(write_call("edit", path=path, old=wrong, new=new, **more))

    async def _fix(self) -> None:
        output = await self._call(write_call("bash", command=RUN_TESTS))
        left = {function.name: (path, function, bug) for path, function, bug in self._chore.bugs}
        done: list[str] = []
        while left:
            name = min(left, key=lambda name: _first_mention(output, name))
            path, function, bug = left.pop(name)
            await self._look_up(name)
            output = await self._repair(path, function, bug)
            done.append(f"{name} in {path}")
        self._say(f"Fixed {' and '.join(done)}. All tests pass.")

    async def _repair(self, path: str, function: Function, bug: str) -> str:
        index, broken = function.wrong[bug]
        right = function.body[index].strip()
        current = broken.strip()
        guesses = (
            list_guesses(current, right) if not function.documented and bug in ("operator", "comparison") else [right]
        )
        output = ""
        if function.documented and self._slip_now(0.5):
            wrong = self._rng.choice(
                [bad.strip() for at, bad in function.wrong.values() if at == index] + [f"{current} + 1"]
            )
            if wrong not in (current, right):
                await self._call(write_call("edit", path=path, old=current, new=wrong), learn=False)
                output = await self._call(write_call("bash", command=RUN_TESTS))
                current = wrong
        for guess in guesses:
            await self._edit(path, current, guess)
            output = await self._call(write_call("bash", command=RUN_TESTS))
            current = guess
        return output

    async def _rename(self) -> None:
        old, new = self._chore.facts["old"], self._chore.facts["new"]
        found = await self._grep(old)
        paths = list(dict.fromkeys(line.split(":", 1)[0] for line in found.splitlines()))
        for number, path in enumerate(paths):
            if number and self._slip_now(0.5):
                # What small models do most: the file that is done, again and again.
                await self._try_in_vain(write_call("edit", path=paths[number - 1], old=old, new=new, all=True))
            if self._slip_now(0.2):
                await self._edit_wrongly(path, old, new, self._misspell(new), all=True)
            else:
                await self._edit(path, old, new, all=True)
        await self._call(write_call("grep", pattern=old))
        self._say(f"Renamed {old} to {new} in {len(paths)} {'file' if len(paths) == 1 else 'files'}.")

    async def _set_constant(self) -> None:
        facts = self._chore.facts
        name, before, after = facts["name"], facts["before"], facts["after"]
        # With the sign: files that import the constant say its name too, and are not to be edited.
        await self._grep(f"{name} =")
        current, wanted = f"{name} = {before}", f"{name} = {after}"
        users = [path for path, text in self._chore.files.items() if name in text and path != facts["path"]]
        if users and self._slip_now(0.6):
            await self._try_in_vain(write_call("edit", path=self._rng.choice(users), old=current, new=wanted))
        wrong = f"{name} = {self._misspell(after)}"
        if wrong not in (current, wanted) and self._slip_now(0.5):
            await self._edit_wrongly(facts["path"], current, wanted, wrong)
        else:
            await self._edit(facts["path"], current, wanted)
        self._say(f"Set {name} to {after} in {facts['path']}.")

    async def _explain(self) -> None:
        await self._look_up(self._chore.facts["name"])
        self._say(self._chore.answer)

    async def _greet(self) -> None:
        self._say(self._chore.answer)


def list_guesses(broken: str, right: str) -> list[str]:
    """The lines to try, in a fixed order, up to and with the right one: for a bug that only the tests can tell."""
    signs = GUESSES if any(f" {sign} " in broken or f" {sign}= " in broken for sign in GUESSES) else tuple(COMPARISONS)
    found = re.search("|".join(f" {re.escape(sign)}=? " for sign in sorted(signs, key=len, reverse=True)), broken)
    if not found:
        return [right]
    guesses = []
    for sign in signs:
        guess = broken.replace(found[0].strip().removesuffix("=") if signs is GUESSES else found[0].strip(), sign, 1)
        if guess != broken:
            guesses.append(guess)
        if guess == right:
            return guesses
    return [right]


def _first_mention(output: str, name: str) -> int:
    found = re.search(rf"in test_{re.escape(name)}\b", output) or re.search(rf"\b{re.escape(name)}\(", output)
    return found.start() if found else len(output)
