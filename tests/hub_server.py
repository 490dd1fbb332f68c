"""A hub on this machine that speaks the protocol of the real one, with faults that a seed switches on.

Two ports: the hub itself (its API and ``resolve``) and the storage that it redirects to, as two hosts. The storage
refuses whoever shows it a token, like the real one. ``python tests/hub_server.py FOLDER`` serves the files of a folder
as ``local/model`` without faults and with sendfile; its first line of output is the endpoint.
"""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from hub_faults import Content, Faults

LFS = (".gguf", ".safetensors", ".bin")
CHUNK = 16 << 10


@dataclass
class Seen:
    """A request that came. ``range`` is what was asked for: from, up to and not including; None for the whole file."""

    host: str
    method: str
    path: str
    authorization: str | None
    range: tuple[int, int] | None = None
    if_range: str | None = None
    status: int = 0
    sent: int = 0
    agent: str = ""


class HubServer:
    """Starts on construction; use as a context. ``endpoint`` is for HF_ENDPOINT."""

    def __init__(self, page_size: int = 1000) -> None:
        self.page_size = page_size
        self.repos: dict[str, dict[str, dict[str, Content]]] = {}
        self.branches: dict[str, dict[str, str]] = {}
        self.gated: dict[str, set[str]] = {}
        self.tokens: set[str] = set()
        self.loose: dict[str, Content] = {}
        self.etag_of_loose = True
        self.faults = Faults()
        self.seen: list[Seen] = []
        self.sent_bytes = 0
        self.when_sent: tuple[int, Callable[[], None]] | None = None
        self.next_page_host = ""
        self.odd_entry: dict[str, Any] = {}
        self.storage_location: str | None = None
        self.reason: str | None = None
        self.pace_s = 0.0
        # Of each answer in turn: where it is cut, and which byte is wrong; -1 for neither.
        self.script: list[tuple[int, int]] = []
        self.loops = False
        self._lock = threading.Lock()
        self._servers = [_Server(("127.0.0.1", 0), handler, self) for handler in (_Hub, _Storage)]
        hub, storage = (server.server_address[1] for server in self._servers)
        self.endpoint = f"http://127.0.0.1:{hub}"
        self.storage = f"http://localhost:{storage}"
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> HubServer:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def add(self, repo: str, files: Mapping[str, bytes | Path], branch: str = "main") -> str:
        """A new commit on the branch with these files: its id."""
        contents = {path: Content.of(data) for path, data in files.items()}
        commit = hashlib.sha1(repr([(path, c.sha256) for path, c in contents.items()]).encode()).hexdigest()
        self.repos.setdefault(repo, {})[commit] = contents
        self.branches.setdefault(repo, {})[branch] = commit
        return commit

    def add_loose(self, path: str, data: bytes) -> str:
        """A file that is no part of any repository: its address, on the storage's host."""
        self.loose[path] = Content.of(data)
        return f"{self.storage}/files/{path}"

    def commit_of(self, repo: str, revision: str) -> str | None:
        """The commit that a branch or commit names."""
        revision = self.branches.get(repo, {}).get(revision, revision)
        return revision if revision in self.repos.get(repo, {}) else None

    def find(self, sha256: str) -> Content | None:
        """The content with this hash, of whichever repository."""
        every = (files.values() for commits in self.repos.values() for files in commits.values())
        return next((content for contents in every for content in contents if content.sha256 == sha256), None)

    def of(self, host: str) -> list[Seen]:
        """The requests that came to ``hub`` or ``storage``."""
        return [seen for seen in self.seen if seen.host == host]

    def count(self, sent: int) -> None:
        """Bytes of files that went out; what waits for so many is done."""
        with self._lock:
            self.sent_bytes += sent
            if self.when_sent is None or self.sent_bytes < self.when_sent[0]:
                return
            (_, act), self.when_sent = self.when_sent, None
        act()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], hub: HubServer) -> None:
        super().__init__(address, handler)
        self.hub = hub

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are what this is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    host = ""

    @property
    def hub(self) -> HubServer:
        return self.server.hub  # type: ignore[attr-defined]  # it is a _Server

    def log_message(self, *_: object) -> None:
        """Silent."""

    def do_GET(self) -> None:
        self._note()
        self.answer()

    do_HEAD = do_GET

    def answer(self) -> None:
        raise AssertionError

    def _note(self) -> None:
        asked = self.headers.get("Range", "")
        start, _, end = asked.removeprefix("bytes=").partition("-")
        self.note = Seen(
            self.host,
            self.command,
            self.path,
            self.headers.get("Authorization"),
            (int(start), int(end) + 1) if start and end else None,
            self.headers.get("If-Range"),
            agent=self.headers.get("User-Agent", ""),
        )
        self.hub.seen.append(self.note)

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        self.note.status = status
        self.send_response(status, self.hub.reason)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def reply(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.begin(status, {"Content-Length": str(len(body)), **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(body)

    def reply_json(self, value: object, headers: Mapping[str, str] | None = None) -> None:
        self.reply(200, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def refuse(self, status: int, code: str = "", message: str = "") -> None:
        told = {"X-Error-Code": code} if code else {}
        body = json.dumps({"error": message or code or str(status)}).encode()
        self.reply(status, body, {**told, "X-Error-Message": message or code, "Content-Type": "application/json"})


class _Hub(_Handler):
    """The API and the files' front door."""

    host = "hub"

    def answer(self) -> None:
        # Not the list of files: huggingface_hub sleeps for seconds before it asks for that again.
        if "/tree/" not in self.path and self.hub.faults.strikes("hub_error"):
            return self.refuse(500, message="Internal Error - We're working hard to fix this as soon as possible!")
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        sent = (self.note.authorization or "").removeprefix("Bearer ")
        if self.note.authorization and sent not in self.hub.tokens:
            return self.refuse(401, message="Invalid username or password.")
        if path.startswith("/api/models/"):
            return self._api(unquote(parts.path).removeprefix("/api/models/"), query)
        repo, found, rest = path[1:].partition("/resolve/")
        if found and repo in self.hub.repos:
            return self._resolve(repo, *rest.split("/", 1), sent)
        return self.refuse(401 if not sent else 404, "RepoNotFound", "Repository not found")

    def _api(self, path: str, query: Mapping[str, str]) -> None:
        words = path.split("/")
        repo, verb, revision = "/".join(words[:2]), *[*words[2:], "revision", "main"][:2]
        revision = "/".join(words[3:]) or revision
        if repo not in self.hub.repos:
            return self.refuse(401 if not self.note.authorization else 404, "RepoNotFound", "Repository not found")
        commit = self.hub.commit_of(repo, revision)
        if commit is None:
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        files = self.hub.repos[repo][commit]
        if verb == "tree":
            return self._tree(repo, commit, files, int(query.get("cursor", "0")))
        siblings = [{"rfilename": path} for path in files]
        gated = "manual" if repo in self.hub.gated else False
        return self.reply_json(
            {"_id": "1", "id": repo, "modelId": repo, "sha": commit, "siblings": siblings, "private": False,
             "gated": gated, "disabled": False, "downloads": 0, "likes": 0, "tags": ["gguf"],
             "createdAt": "2026-08-22T10:00:00.000Z", "lastModified": "2026-08-22T10:00:00.000Z"}
        )  # fmt: skip

    def _tree(self, repo: str, commit: str, files: Mapping[str, Content], start: int) -> None:
        entries: list[dict[str, Any]] = []
        for folder in sorted({str(PurePosixPath(path).parent) for path in files} - {"."}):
            entries.append({"type": "directory", "oid": "0" * 40, "size": 0, "path": folder})
        for path, content in sorted(files.items()):
            entry: dict[str, Any] = {"type": "file", "oid": content.git_oid, "size": content.size, "path": path}
            if path.endswith(LFS):
                entry["lfs"] = {"oid": content.sha256, "size": content.size, "pointerSize": 135}
                entry["xetHash"] = content.sha256[::-1]
            entries.append({**entry, **self.hub.odd_entry})
        end = start + self.hub.page_size
        host = self.hub.next_page_host or self.hub.endpoint
        link = f'<{host}/api/models/{repo}/tree/{commit}?recursive=True&cursor={end}>; rel="next"'
        self.reply_json(entries[start:end], {"Link": link} if end < len(entries) else {})

    def _resolve(self, repo: str, revision: str, path: str, token: str) -> None:
        commit = self.hub.commit_of(repo, revision)
        if commit is None:
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        content = self.hub.repos[repo][commit].get(path)
        if content is None:
            return self.refuse(404, "EntryNotFound", "Entry not found")
        if repo in self.hub.gated and token not in self.hub.gated[repo]:
            text = (
                f"Access to model {repo} is restricted. You must have access to it and be authenticated to access it."
            )
            return self.refuse(403 if token else 401, "GatedRepo", text)
        told = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if self.hub.loops:
            return self.reply(302, b"", {**told, "Location": self.path})
        if path.endswith(LFS):
            etag = f'"{content.sha256}"'
            told |= {"X-Linked-Size": str(content.size), "X-Linked-ETag": etag, "ETag": etag}
            place = f"{self.hub.storage}/{content.sha256}?Signature={content.sha256[:8]}&name={quote(path, safe='')}"
            place = place if self.hub.storage_location is None else self.hub.storage_location
            return self.reply(302, b"Found. Redirecting", {**told, "Location": place})
        data = content.data if isinstance(content.data, bytes) else content.data.read_bytes()
        return self.reply(200, data, {**told, "ETag": f'"{content.git_oid}"'})


class _Storage(_Handler):
    """Where the bytes are."""

    host = "storage"

    def answer(self) -> None:
        faults, parts = self.hub.faults, urlsplit(self.path)
        if self.note.authorization is not None:
            return self.refuse(400, message="Only one auth mechanism allowed")
        if parts.path.startswith("/files/"):
            content = self.hub.loose.get(unquote(parts.path.removeprefix("/files/")))
            signed = True
        else:
            content = self.hub.find(parts.path[1:])
            signed = f"Signature={parts.path[1:9]}" in parts.query
        if content is None or not signed or faults.strikes("expired"):
            return self.refuse(404 if content is None else 403, message="Request has expired")
        if faults.strikes("error"):
            return self.refuse((500, 502, 503, 504)[faults.number(4)], message="Internal Server Error")
        if faults.moves:
            faults.moves = False
            for repo, branches in self.hub.branches.items():
                files = self.hub.repos[repo][branches["main"]]
                self.hub.add(repo, {path: b"moved " * 1000 + path.encode() for path in files})
        return self._send_content(content)

    def _send_content(self, content: Content) -> None:
        faults = self.hub.faults
        etag = f'"{content.sha256[:32]}"'
        if faults.strikes("new_etag"):
            etag = f'"{faults.number(1 << 30):032x}"'
        told = {"ETag": etag, "Accept-Ranges": "bytes", "Last-Modified": formatdate(0, usegmt=True)}
        if not self.hub.etag_of_loose and self.path.startswith("/files/"):
            del told["ETag"]
        start, end = 0, content.size
        same = self.note.if_range in (None, etag)
        if self.note.range is not None and same and not faults.strikes("ignore_range"):
            start, end = self.note.range[0], min(self.note.range[1], content.size)
            if start >= content.size:
                return self.reply(416, b"", {"Content-Range": f"bytes */{content.size}"})
            told["Content-Range"] = f"bytes {start}-{end - 1}/{content.size}"
        told["Content-Length"] = str(end - start)
        self.begin(206 if "Content-Range" in told else 200, told)
        if self.command == "HEAD":
            return None
        if isinstance(content.data, Path):
            return self._send_file(content.data, start, end)
        return self._send_bytes(bytearray(content.data[start:end]))

    def _send_file(self, path: Path, start: int, end: int) -> None:
        with path.open("rb") as file:
            self.connection.sendfile(file, start, end - start)
        self.hub.count(end - start)

    def _send_bytes(self, data: bytearray) -> None:
        faults = self.hub.faults
        stop = len(data)
        if faults.strikes("wrong"):
            data[faults.number(len(data))] ^= 1 + faults.number(255)
        if faults.strikes("cut"):
            stop = faults.number(len(data))
        if self.hub.script:
            cut, wrong = self.hub.script.pop(0)
            stop = cut if cut >= 0 else stop
            data[wrong] ^= wrong >= 0
        slow = faults.strikes("trickle")
        # Each answer at a pace of its own, so that what comes first is not there first.
        pace_s = self.hub.pace_s * faults.number(10)
        at = 0
        while at < stop:
            step = min(1 + faults.number(900) if slow else CHUNK // 4 if self.hub.pace_s else CHUNK, stop - at)
            self.wfile.write(data[at : at + step])
            self.note.sent += step
            self.hub.count(step)
            at += step
            if pace_s:
                time.sleep(pace_s)
            if slow:
                time.sleep(0.0005)
                slow = at < 20_000
        if stop < len(data):
            self.close_connection = True
            if faults.number(2):
                # A reset instead of an end: what the client has not read yet is lost as well.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def main(folder: Path) -> None:
    """Serve a folder until the standard input ends."""
    with HubServer() as server:
        server.add("local/model", {path.name: path for path in folder.iterdir()})
        print(server.endpoint, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
