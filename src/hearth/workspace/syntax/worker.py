"""Reads texts for ``SyntaxReader``, in a process that may die of one: grammars are C that meets whatever a file holds.

Run as ``python -m hearth.workspace.syntax.worker SECONDS``: a request and its answer in turn, over the two pipes, until
the end of the input. Each is MessagePack behind its length in four bytes. Over no text it takes longer than that many
seconds, also when nobody is left who would end it.
"""

from __future__ import annotations

import resource
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from hearth.workspace.syntax import enclosing, find_errors, find_new_errors, list_definitions, list_references, outline

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (enclosing, find_errors, find_new_errors, list_definitions, list_references, outline)
}
LENGTH_BYTES = 4


def answer(request: bytes) -> bytes:
    """What the named function says of its arguments; None for what it could not read. Texts come as bytes, since they
    may hold half a surrogate pair."""
    name, arguments = msgspec.msgpack.decode(request)
    try:
        found = FUNCTIONS[name](
            *(each.decode("utf-8", "surrogatepass") if isinstance(each, bytes) else each for each in arguments)
        )
        return msgspec.msgpack.encode(found)
    except Exception:  # Whatever is wrong with a text, the next one is read.
        return msgspec.msgpack.encode(None)


def main() -> None:
    """Answer until nobody asks any more."""
    longest_s = int(sys.argv[1])
    # Not by Python: it would wait for the end of what runs in C.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    # A crash is expected, and leaves no image of the memory.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    asked, answered = sys.stdin.buffer, sys.stdout.buffer
    while len(head := asked.read(LENGTH_BYTES)) == LENGTH_BYTES:
        request = asked.read(int.from_bytes(head, "big"))
        signal.alarm(longest_s)
        said = answer(request)
        signal.alarm(0)
        answered.write(len(said).to_bytes(LENGTH_BYTES, "big") + said)
        answered.flush()


if __name__ == "__main__":
    main()
