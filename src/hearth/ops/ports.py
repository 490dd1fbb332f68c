"""Who holds a TCP port, as well as this machine tells."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

_LISTENING = "0A"


def port_holder(port: int) -> str:
    """The process that listens on a port, as ``pid 12 (python3 -m http.server)``; what is known of it otherwise.

    Linux: ``/proc/net/tcp`` gives the socket's inode, ``/proc/PID/fd`` its process (of other users only to root).
    macOS: ``lsof``. Never raises.
    """
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
        found = _from_proc(port) if sys.platform.startswith("linux") else _from_lsof(port)
        if found:
            return found
    return "another process"


def _from_proc(port: int) -> str:
    inodes: dict[str, str] = {}
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if table.exists():
            for row in table.read_text().splitlines()[1:]:
                field = row.split()
                if field[3] == _LISTENING and int(field[1].rpartition(":")[2], 16) == port:
                    inodes[f"socket:[{field[9]}]"] = field[7]
    for folder in Path("/proc").glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):
            if any(str(entry.readlink()) in inodes for entry in folder.iterdir()):
                return _describe(folder.parent)
    return f"a process of user id {next(iter(inodes.values()))}" if inodes else ""


def _describe(process: Path) -> str:
    command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    if len(command) > 80:
        command = f"{command[:77]}..."
    return f"pid {process.name} ({command})" if command else f"pid {process.name}"


def _from_lsof(port: int) -> str:
    shown = subprocess.run(
        ["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"], capture_output=True, text=True, timeout=5, check=False
    ).stdout
    fields = {line[:1]: line[1:] for line in shown.splitlines()}
    return f"pid {fields['p']} ({fields.get('c', '')})" if "p" in fields else ""
