"""A proxy on this machine, and a server of one file over TLS: what downloads meet in companies."""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

CERTIFICATE = Path(__file__).with_name("data") / "localhost.pem"
"""For localhost and 127.0.0.1, with its key; signed by itself, good for nothing but tests."""


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Silent."""


class _Running:
    """A server in a thread, until the context ends."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that go away are no news
        self.port = self.server.server_address[1]

    def __enter__(self) -> _Running:
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


class Proxy(_Running):
    """``lines`` holds the first line of each request that came, ``passwords`` its Proxy-Authorization."""

    def __init__(self) -> None:
        lines: list[str] = []
        passwords: list[str | None] = []

        class Handler(_Quiet):
            def do_GET(self) -> None:
                lines.append(self.requestline)
                passwords.append(self.headers.get("Proxy-Authorization"))
                parts = urlsplit(self.path)
                upstream = http.client.HTTPConnection(parts.netloc)
                path = parts._replace(scheme="", netloc="").geturl()
                upstream.request("GET", path, headers={"Range": self.headers.get("Range", "")})
                answer = upstream.getresponse()
                body = answer.read()
                upstream.close()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("server", "date", "connection"):
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def do_CONNECT(self) -> None:
                lines.append(self.requestline)
                passwords.append(self.headers.get("Proxy-Authorization"))
                host, _, port = self.path.partition(":")
                with socket.create_connection((host, int(port))) as upstream:
                    self.send_response(200)
                    self.end_headers()
                    pass_on(self.connection, upstream)
                self.close_connection = True

        super().__init__(Handler)
        self.lines, self.passwords = lines, passwords


class SecureFile(_Running):
    """One file, over TLS, under every path; ``/away`` redirects to ``elsewhere``."""

    def __init__(self, data: bytes, elsewhere: str = "") -> None:
        class Handler(_Quiet):
            def do_GET(self) -> None:
                if self.path == "/away":
                    self.send_response(302)
                    self.send_header("Location", elsewhere)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                start, _, end = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
                first, last = int(start), min(int(end or len(data)), len(data) - 1)
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
                self.send_header("Content-Length", str(last + 1 - first))
                self.end_headers()
                self.wfile.write(data[first : last + 1])

        super().__init__(Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)


def pass_on(one: socket.socket, other: socket.socket) -> None:
    """Bytes in both directions until one side ends."""
    pairs = {one: other, other: one}
    while True:
        for ready in select.select(list(pairs), [], [])[0]:
            data = ready.recv(1 << 16)
            if not data:
                return
            pairs[ready].sendall(data)
