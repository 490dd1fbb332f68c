"""Loads the engine's library and tells what it is and which devices it sees.

Run as ``python -m hearth.runtime.builds.look_worker``, in the environment of a build. A library that cannot be loaded
ends this process, by an exception or by a signal.
"""

from __future__ import annotations

import importlib.metadata

import msgspec
import xllamacpp

from hearth.runtime.builds.trial import MARK, Device, Seen


def main() -> None:
    """Print one line."""
    devices = tuple(
        Device(told["name"], told["description"], told["memory_total"]) for told in xllamacpp.get_device_info()
    )
    seen = Seen(importlib.metadata.version("xllamacpp"), xllamacpp.__file__, devices)
    print(MARK + msgspec.json.encode(seen).decode(), flush=True)


if __name__ == "__main__":
    main()
