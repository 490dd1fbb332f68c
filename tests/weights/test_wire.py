"""HTTP for downloads: certificates, proxies, redirects, connections that stall."""

import hashlib
import json
import os
import socket
import sys
import threading
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hearth.errors import ModelUnavailable, UsageError
from hearth.weights.fetch.partial import Ranges, done_of
from hearth.weights.fetch.plan import Plan, RemoteFile
from hearth.weights.fetch.pull import Puller
from hearth.weights.fetch.transfer import Tuning, next_piece
from hearth.weights.fetch.wire import Access, Broken, Line, origin_of, proxy_for
from hearth.weights.manifest import Origin
from hearth.weights.store import Store
from hub_server import HubServer
from web_proxy import CERTIFICATE, Proxy, SecureFile

DATA = os.urandom(300_000)
FAR = "http://models.example"

pytestmark = pytest.mark.usefixtures("plain_network")


def pull(models: Path, url: str, tuning: Tuning) -> bytes:
    file = RemoteFile(url, "a.gguf", len(DATA), hashlib.sha256(DATA).hexdigest())
    store = Store(models)
    Puller(models, store.publish, Access(FAR), lambda _: None, tuning=tuning).pull(
        Plan("m", Origin("url", url), (file,))
    )
    return (store.folder_of(store.manifests()[0]) / "a.gguf").read_bytes()


def test_a_certificate_must_be_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuning = Tuning(tries=1, piece_bytes=70_000)
    with SecureFile(DATA) as secure:
        url = f"https://localhost:{secure.port}/a.gguf"
        with pytest.raises(ModelUnavailable, match=r"the certificate of localhost:\d+ is not trusted"):
            pull(tmp_path / "one", url, tuning)
        # Elsewhere the system's own list decides, and no variable adds to it.
        if sys.platform == "linux":
            monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
            assert pull(tmp_path / "two", url, tuning) == DATA
            with Proxy() as proxy:
                monkeypatch.setenv("HTTPS_PROXY", f"http://me:p%40ss@127.0.0.1:{proxy.port}")
                assert pull(tmp_path / "three", url, tuning) == DATA
            assert proxy.lines[0].startswith(f"CONNECT localhost:{secure.port} HTTP/1.")
            assert proxy.passwords[0] == "Basic bWU6cEBzcw=="


def test_https_does_not_become_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: HubServer) -> None:
    with SecureFile(DATA, server.add_loose("a.gguf", DATA)) as secure:
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        with pytest.raises(ModelUnavailable, match=r"redirects from https to http|is not trusted"):
            pull(tmp_path, f"https://localhost:{secure.port}/away", Tuning(tries=1))
    assert not server.seen


def test_a_proxy_is_used_unless_it_should_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: HubServer
) -> None:
    url = server.add_loose("a.gguf", DATA)
    with Proxy() as proxy:
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy.port}")
        assert pull(tmp_path / "one", url, Tuning(connections=1)) == DATA
        assert proxy.lines == [f"GET {url} HTTP/1.1"]
        monkeypatch.setenv("no_proxy", "localhost")
        assert pull(tmp_path / "two", url, Tuning(connections=1)) == DATA
        assert len(proxy.lines) == 1


def test_which_proxy_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proxy_for("https://x.example/a") is None
    monkeypatch.setenv("ALL_PROXY", "http://all.example:3128")
    found = proxy_for("https://x.example/a")
    assert found
    assert (found.hostname, found.port) == ("all.example", 3128)
    monkeypatch.setenv("HTTPS_PROXY", "socks5://s.example:1080")
    with pytest.raises(UsageError, match=r"socks5://s\.example:1080 is of a kind that downloads cannot use"):
        proxy_for("https://x.example/a")
    for wrong in ("http://me:secret@p.example:port", "http://[::1", "http://me:secret@a..b", "https://p.example"):
        monkeypatch.setenv("HTTPS_PROXY", wrong)
        with pytest.raises(UsageError, match="set HTTPS_PROXY to http://host:port") as caught:
            proxy_for("https://x.example/a")
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example", "x." + "é" * 60, "[::1"])
def test_a_host_that_cannot_be_is_no_address(host: str) -> None:
    url = f"http://{host}/a?Signature=secret"
    assert origin_of(url) is None
    with pytest.raises(ModelUnavailable, match="is no http address") as caught:
        Line(Access()).ask(url, {})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("location", ["http://a..b/x", "http://[/x", "file:///etc/passwd", "", "http://h:99999/"])
def test_a_redirect_to_nowhere_is_an_error_of_ours(server: HubServer, location: str) -> None:
    server.add("local/model", {"a.gguf": b"hello"})
    server.storage_location = location
    with pytest.raises(ModelUnavailable, match="redirects to nowhere"):
        Line(Access(server.endpoint)).ask(f"{server.endpoint}/local/model/resolve/main/a.gguf", {})


def test_a_servers_words_cannot_steer_a_terminal(server: HubServer) -> None:
    server.reason = "Not \x1b[2J\x9b31m Found"
    answer = Line(Access(server.endpoint)).ask(f"{server.endpoint}/nobody/resolve/main/a", {})
    assert answer.reason == "Not ?[2J?31m Found"


def test_a_connection_that_the_server_closed_is_opened_anew(server: HubServer) -> None:
    server.add("local/model", {"a.txt": b"hello"})
    line = Line(Access(server.endpoint))
    url = f"{server.endpoint}/local/model/resolve/main/a.txt"
    assert line.ask(url, {}).read_all(10) == b"hello"
    line.cut()
    assert line.ask(url, {}).read_all(10) == b"hello"
    line.break_off()
    with pytest.raises(Broken):
        line.ask(url, {})
    line.close()


def test_a_connection_that_brings_next_to_nothing_is_replaced(tmp_path: Path) -> None:
    stop, asked = threading.Event(), []

    def serve(listener: socket.socket) -> None:
        while not stop.is_set():
            connection, _ = listener.accept()
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            request = connection.recv(1 << 16).decode()
            if not request:
                return
            asked.append(request)
            start, _, end = request.partition("Range: bytes=")[2].partition("\r\n")[0].partition("-")
            body = DATA[int(start) : int(end) + 1]
            connection.sendall(
                f"HTTP/1.1 206 OK\r\nContent-Range: bytes {start}-{end}/{len(DATA)}\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
            )
            if len(asked) > 1:
                connection.sendall(body)
                return
            # The first connection brings a byte now and then: never silent, never done.
            for byte in body:
                if stop.wait(0.01):
                    return
                connection.sendall(bytes([byte]))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/a.gguf"
        tuning = Tuning(connections=1, timeout_s=0.3, tick_s=0.01, backoff_s=0.0)
        try:
            assert pull(tmp_path, url, tuning) == DATA
        finally:
            stop.set()
            socket.create_connection(listener.getsockname()).close()
    assert len(asked) > 1


@pytest.mark.parametrize(
    ("missing", "active", "piece"),
    [
        ([(0, 100)], [], (0, 30)),
        ([(0, 100)], [(0, 30)], (30, 60)),
        ([(0, 100)], [(20, 50)], (0, 20)),
        ([(0, 100)], [(30, 60), (0, 30)], (60, 90)),
        ([(10, 20), (50, 60)], [(0, 30)], (50, 60)),
        ([(10, 20)], [(10, 15)], (15, 20)),
        ([(10, 20)], [(0, 100)], None),
        ([], [], None),
    ],
)
def test_the_next_piece(
    missing: list[tuple[int, int]], active: list[tuple[int, int]], piece: tuple[int, int] | None
) -> None:
    assert next_piece(missing, active, 30) == piece


def test_ranges_join_and_leave_gaps() -> None:
    ranges = Ranges([(10, 20), (30, 40), (20, 25)])
    assert ranges.all() == ((10, 25), (30, 40))
    assert (ranges.front, ranges.total) == (0, 25)
    assert ranges.gaps(0, 50) == [(0, 10), (25, 30), (40, 50)]
    assert ranges.gaps(12, 22) == []
    ranges.add(0, 35)
    assert (ranges.all(), ranges.front) == (((0, 40),), 40)
    ranges.add(5, 5)
    assert ranges.total == 40


SPANS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=8)


@settings(max_examples=100, deadline=None)
@given(SPANS, st.integers(0, 30), st.integers(0, 30))
def test_ranges_are_a_set_of_bytes(spans: list[tuple[int, int]], start: int, end: int) -> None:
    ranges = Ranges(spans)
    there = {byte for a, b in spans for byte in range(a, b)}
    assert {byte for a, b in ranges.all() for byte in range(a, b)} == there
    assert {byte for a, b in ranges.gaps(start, end) for byte in range(a, b)} == set(range(start, end)) - there
    assert ranges.total == len(there)
    assert all(b < c for (_, b), (c, _) in pairwise(ranges.all()))
    assert ranges.front == next(byte for byte in range(32) if byte not in there)


WRONG = st.one_of(st.binary(max_size=60), st.from_type(int), st.lists(st.tuples(st.integers(), st.integers())))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(WRONG, st.sampled_from(["version", "url", "etag", "size_bytes", "identity", "done", ""]))
def test_a_damaged_sidecar_claims_nothing(tmp_path: Path, wrong: object, place: str) -> None:
    file = RemoteFile("u", "a.gguf", 100, "0" * 64)
    part = tmp_path / "a.gguf.part"
    part.write_bytes(bytes(100))
    kept = {"version": 1, "url": "u", "etag": "", "size_bytes": 100, "identity": file.identity, "done": [[0, 10]]}
    data = wrong if isinstance(wrong, bytes) else json.dumps({**kept, place: wrong}).encode()
    part.with_name("a.gguf.part.json").write_bytes(data)
    claim = done_of(part, file)
    assert claim is None or claim.etag.isprintable()
    assert claim is None or all(0 <= start < end <= 100 for start, end in claim.done)
