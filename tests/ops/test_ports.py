"""Who holds a port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from hearth.ops.ports import port_holder

HOLDER = """
import socket, time
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
time.sleep(60)
"""


def test_our_own_port_names_us() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert f"pid {os.getpid()} (" in port_holder(listener.getsockname()[1])


def test_another_process_is_named_with_its_command() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        shown = port_holder(int(holder.stdout.readline()))
        holder.kill()
    assert f"pid {holder.pid} (" in shown
    assert "python" in shown
    assert len(shown) < 120


def test_a_free_port_has_no_name(free_port: int) -> None:
    assert port_holder(free_port) == "another process"


def test_a_connection_from_a_port_does_not_hold_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        assert port_holder(client.getsockname()[1]) == "another process"
