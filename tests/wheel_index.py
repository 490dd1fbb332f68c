"""An index of wheels on this machine (the simple API of PEP 503), and wheels for it: the engine's own, packed again
from what is installed here, and broken ones."""

from __future__ import annotations

import base64
import hashlib
import io
import threading
import time
import zipfile
from collections.abc import Mapping
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution, version
from pathlib import Path

VERSION = version("xllamacpp")
TAG = "cp310-abi3-manylinux2014_x86_64"
ANY = "py3-none-any"
_CHUNK = 64 << 10


class WheelIndex:
    """Starts on construction; use as a context. ``url`` is for --index-url.

    ``seen`` are the paths that were asked for. ``status`` other than 200 is the answer to all. ``cut`` ends each file
    after so many bytes, ``pace_s`` is the pause after each 64 KiB; ``hashes`` replaces what a page says of a file.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.seen: list[str] = []
        self.status = 200
        self.cut: int | None = None
        self.pace_s = 0.0
        self.hashes: dict[str, str] = {}
        self.sending = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.host = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.url = f"{self.host}/simple"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> WheelIndex:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening; may be called twice."""
        self._server.shutdown()
        self._server.server_close()

    def page(self) -> str:
        """The list of files, each with its hash."""
        links = []
        for name, data in self.files.items():
            digest = self.hashes.get(name) or hashlib.sha256(data).hexdigest()
            links.append(f'<a href="../../files/{name}#sha256={digest}">{name}</a>')
        return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>"


def _handler(index: WheelIndex) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            index.seen.append(self.path)
            name = self.path.removeprefix("/files/")
            if index.status != 200:
                self.send_error(index.status)
            elif self.path == "/simple/xllamacpp/":
                self._answer(index.page().encode(), "text/html")
            elif name in index.files:
                self._answer(index.files[name], "application/octet-stream", index.cut)
            else:
                self.send_error(404)

        do_HEAD = do_POST = do_CONNECT = do_GET

        def _answer(self, data: bytes, kind: str, cut: int | None = None) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            for start in range(0, len(data) if cut is None else cut, _CHUNK):
                self.wfile.write(data[start : start + _CHUNK])
                if kind != "text/html":
                    index.sending.set()
                    time.sleep(index.pace_s)
            self.close_connection = True

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    return Handler


def wheel_name(version: str = VERSION, tag: str = TAG) -> str:
    return f"xllamacpp-{version}-{tag}.whl"


def pack_wheel(files: Mapping[str, bytes], version: str = VERSION, tag: str = ANY) -> bytes:
    """A wheel of xllamacpp with this content; what is in it is not compressed."""
    info = f"xllamacpp-{version}.dist-info"
    held = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: xllamacpp\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: false\nTag: {tag}\n".encode(),
    }
    record = "".join(f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in held.items())
    held[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in held.items():
            archive.writestr(name, data)
    return packed.getvalue()


@cache
def engine_files() -> dict[str, bytes]:
    """The library as it is installed here."""
    files = distribution("xllamacpp").files or []
    kept = [file for file in files if file.parts[0] == "xllamacpp" and file.suffix != ".pyc"]
    return {str(file): Path(str(file.locate())).read_bytes() for file in kept}


@cache
def engine_wheel() -> bytes:
    """The wheel that the engine here came from, in content."""
    return pack_wheel(engine_files(), tag=TAG)


def leading_files() -> dict[str, bytes]:
    """A small package that is the engine all the same: it finds the library that is installed here."""
    folder = Path(str(distribution("xllamacpp").locate_file("xllamacpp")))
    first = f"__path__.append({str(folder)!r})\n".encode()
    return {"xllamacpp/__init__.py": first + engine_files()["xllamacpp/__init__.py"]}


def leading_wheel() -> bytes:
    """The wheel of that package."""
    return pack_wheel(leading_files())


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
