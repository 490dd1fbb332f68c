"""What the hub says of a model: its commit, its files with size and hash. Through huggingface_hub, which knows the
owner's login; the transfer itself is ours, because it verifies."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from hearth import __version__
from hearth.errors import HearthError, ModelUnavailable, UsageError
from hearth.weights.fetch.choice import HubFile, choose
from hearth.weights.fetch.plan import Plan, RemoteFile
from hearth.weights.fetch.refusals import refusal
from hearth.weights.fetch.wire import HUB, Access, Broken, Line, host_of, origin_of, plain, without_query
from hearth.weights.manifest import Origin

_TIMEOUT_S = 30.0
_TRIES = 4
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SIZE = re.compile(r"[0-9]{1,18}")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_HUB_LINK = re.compile(r"/([^/]+/[^/]+)/(?:resolve|blob)/([^/]+)/(.+)")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A repository at one commit. ``revision`` is the full id of the commit: what it names never changes."""

    repo: str
    revision: str
    files: tuple[HubFile, ...]


def read_access(environment: Mapping[str, str], offline: bool = False) -> Access:
    """How to reach the hub: HF_ENDPOINT, HF_HUB_OFFLINE, and the token from HF_TOKEN or from huggingface_hub's login.

    Loads huggingface_hub (some 0.2 s) unless offline or HF_TOKEN is set. Raises UsageError for a wrong HF_ENDPOINT.
    """
    endpoint = (environment.get("HF_ENDPOINT") or HUB).rstrip("/")
    offline = offline or environment.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    token = (environment.get("HF_TOKEN") or "").strip()
    if not offline and not token and not environment.get("HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        token = _load_library().get_token() or ""
    return Access(endpoint, token, offline)


class Hub:
    """Asks the hub for metadata."""

    def __init__(self, access: Access, pause: Callable[[float], None] = time.sleep) -> None:
        """``pause`` waits between tries, in seconds."""
        self._access = access
        self._pause = pause

    def snapshot(self, repo: str, revision: str = "") -> Snapshot:
        """The repository's files at this branch, tag or commit (``main`` when none is named), pinned to the commit.

        Raises Denied when offline, before any socket; ModelUnavailable with what mends it otherwise.
        """
        self._access.check(repo)
        library = _load_library()
        client = library.HfApi(
            endpoint=self._access.endpoint,
            token=self._access.token or False,
            library_name="hearth",
            library_version=__version__,
        )
        self._prepare(library)
        info = self._try(library, repo, lambda: client.model_info(repo, revision=revision or None, timeout=_TIMEOUT_S))
        commit = info.sha
        if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
            raise self._unreachable(f"it does not tell the commit of {repo}")
        # For lists of several pages the library tries again by itself, for about 20 s.
        tree = self._try(library, repo, lambda: list(client.list_repo_tree(repo, revision=commit, recursive=True)), 1)
        files = [_hub_file(entry) for entry in tree if hasattr(entry, "size")]
        if not all(_is_sound(file) for file in files):
            raise self._unreachable(f"its list of the files of {repo} makes no sense")
        return Snapshot(repo, commit, tuple(files))

    def plan(
        self,
        name: str,
        repo: str,
        revision: str = "",
        *,
        quant: str = "",
        pattern: str = "",
        mmproj: bool = True,
        draft: bool = False,
    ) -> Plan:
        """What to fetch for this model, with the commit pinned. For ``quant`` and the like see ``choice.choose``."""
        found = self.snapshot(repo, revision)
        chosen = choose(repo, found.files, quant, pattern, mmproj, draft)
        files = tuple(
            RemoteFile(self.url(found, file.path), file.name, file.size_bytes, file.sha256, role, file.git_oid)
            for file, role in chosen
        )
        return Plan(name, Origin("hub", repo, found.revision), files)

    def url(self, snapshot: Snapshot, path: str) -> str:
        """The address of a file at that commit."""
        return f"{self._access.endpoint}/{snapshot.repo}/resolve/{snapshot.revision}/{quote(path)}"

    def plan_url(self, url: str, sha256: str = "", name: str = "") -> Plan:
        """What to fetch for an http(s) address. ``name`` is the file's without ``.gguf`` when it is empty.

        The address of a file on the hub, also of its page there, needs no ``sha256``: the hub tells it. Raises
        UsageError when another one has none, Denied when offline, ModelUnavailable when the server does not answer.
        """
        wanted = sha256.strip().lower().removeprefix("sha256:")
        if wanted and not _SHA256.fullmatch(wanted):
            raise UsageError(f"{sha256[:80]!r} is no sha256", "give 64 hexadecimal digits")
        parts = urlsplit(url)
        if origin_of(url) is None or parts.username or parts.password:
            raise UsageError(f"not an address to fetch from: {host_of(url)!r}", "give http(s)://host/path/file.gguf")
        file_name = unquote(parts.path.rpartition("/")[2])
        if self._access.is_hub(url) and (link := _HUB_LINK.fullmatch(parts.path)):
            repo, revision, path = (unquote(text) for text in link.groups())
            return self._plan_link(name or _stem(file_name), repo, revision, path, wanted)
        if not wanted:
            raise UsageError(
                f"nothing says what {plain(file_name)} must be: without its sha256 a damaged or replaced file would "
                "pass as the model",
                "add --sha256 with the 64 digits that its publisher gives",
            )
        self._access.check(url)
        size = self._size_of(url)
        file = RemoteFile(url, file_name, size, wanted)
        return Plan(name or _stem(file_name), Origin("url", without_query(url)), (file,))

    def _plan_link(self, name: str, repo: str, revision: str, path: str, wanted: str) -> Plan:
        found = self.snapshot(repo, revision)
        file = next((file for file in found.files if file.path == path), None)
        if file is None:
            raise ModelUnavailable(
                f"{repo} has no {path}", f"see its files at {self._access.endpoint}/{repo}/tree/main"
            )
        if wanted and wanted != file.sha256:
            raise UsageError(f"the hub has {path} with sha256 {file.sha256 or 'unknown'}", "check --sha256")
        remote = RemoteFile(self.url(found, path), file.name, file.size_bytes, file.sha256, "model", file.git_oid)
        return Plan(name, Origin("hub", repo, found.revision), (remote,))

    def _size_of(self, url: str) -> int:
        line = Line(self._access, _TIMEOUT_S)
        last: Broken | None = None
        try:
            for attempt in range(_TRIES):
                try:
                    answer = line.ask(url, {"Range": "bytes=0-0"})
                except Broken as error:
                    last = error
                else:
                    line.close()
                    told = answer.headers.get("content-range", "").rpartition("/")[2]
                    told = told if answer.status == 206 else answer.headers.get("content-length", "")
                    if answer.status in (200, 206) and _SIZE.fullmatch(told):
                        return int(told)
                    if answer.status < 500:
                        why = "does not tell its size" if answer.status < 400 else f"is answered with {answer.status}"
                        raise ModelUnavailable(f"the file at {host_of(url)} {why}", "check the address")
                    last = Broken(f"{host_of(url)} answers {answer.status}")
                self._pause(2.0**attempt)
        finally:
            line.close()
        raise ModelUnavailable(
            f"cannot fetch {without_query(url)}: {last}", "check the address and the network, then pull again"
        )

    def _prepare(self, library: SimpleNamespace) -> None:
        """Its clients, as ours: patient for half a minute, and with the token for the hub alone."""
        client = library.get_session()
        kind, kept = type(client), client.event_hooks.get("request", [])
        hooks = [*(hook for hook in kept if not isinstance(hook, _TokenGuard)), _TokenGuard(self._access)]
        library.set_client_factory(
            lambda: kind(event_hooks={"request": hooks}, follow_redirects=True, timeout=_TIMEOUT_S)
        )

    def _try(self, library: SimpleNamespace, repo: str, ask: Callable[[], Any], tries: int = _TRIES) -> Any:
        """What ``ask`` returns; tried again for what may pass, turned into our errors for what will not."""
        for attempt in range(1, tries + 1):
            try:
                return ask()
            except library.errors.HFValidationError as error:
                raise UsageError(f"{repo!r} is no model of the hub", "give owner/name") from error
            except OSError as error:
                status, code = _status_of(error)
                if found := refusal(status, code, repo, self._access):
                    raise found from error
                why = f"it answers {status}" if status else _short(error)
                if attempt == tries or (status and status not in (408, 429) and status < 500):
                    raise self._unreachable(why) from error
            except Exception as error:
                # Its transport is a library of its own, whose errors share no base with ours.
                if attempt == tries:
                    raise self._unreachable(_short(error)) from error
            self._pause(2.0 ** (attempt - 1))
        raise AssertionError("the last try returns or raises")

    def _unreachable(self, why: str) -> HearthError:
        host = host_of(self._access.endpoint)
        return ModelUnavailable(f"the hub {host} cannot be asked: {why}", "check the network, then pull again")


class _TokenGuard:
    """Takes the token off every request that does not go to the hub, such as a next page elsewhere."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def __call__(self, request: Any) -> None:
        if not self._access.is_hub(str(request.url)):
            request.headers.pop("authorization", None)


def _load_library() -> SimpleNamespace:
    # Slow to load. No telemetry: it would fetch a list of agents from the hub, and tell which one we are.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import HfApi, constants, errors, get_session, get_token, set_client_factory
    from huggingface_hub.utils import logging

    constants.HF_HUB_DISABLE_TELEMETRY = True
    quiet: Any = logging
    quiet.set_verbosity_error()
    return SimpleNamespace(
        HfApi=HfApi,
        errors=errors,
        get_session=get_session,
        get_token=get_token,
        set_client_factory=set_client_factory,
    )


def _hub_file(entry: Any) -> HubFile:
    if entry.lfs is None:
        return HubFile(entry.path, entry.size, git_oid=entry.blob_id)
    return HubFile(entry.path, entry.lfs.size, entry.lfs.sha256)


def _is_sound(file: HubFile) -> bool:
    # As the library gives them: unchecked, of any type.
    texts = (file.path, file.sha256, file.git_oid)
    return all(isinstance(text, str) for text in texts) and isinstance(file.size_bytes, int) and file.size_bytes >= 0


def _status_of(error: OSError) -> tuple[int, str]:
    response = getattr(error, "response", None)
    if response is None:
        return 0, ""
    return response.status_code, response.headers.get("X-Error-Code", "")


def _short(error: BaseException) -> str:
    return plain((str(error).strip().splitlines() or [type(error).__name__])[0])


def _stem(file_name: str) -> str:
    return file_name.removesuffix(".gguf")
