"""HTTP for downloads: a connection that asks for bytes, through proxies and redirects.

The standard library's, because it reads into a buffer of ours: at a gigabyte a second every copy counts. The owner's
token goes to the hub and to nobody else, whatever a redirect says.
"""

from __future__ import annotations

import http.client
import platform
import re
import socket
import ssl
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from hearth import __version__
from hearth.errors import Denied, ModelUnavailable, UsageError

HUB: Final = "https://huggingface.co"
MOST_REDIRECTS: Final = 5
AGENT: Final = f"hearth/{__version__} python/{platform.python_version()}"

_REDIRECTS = (301, 302, 303, 307, 308)
_LONGEST_WORDS = 200
_DEFAULT_PORTS = {"http": 80, "https": 443}
# What RFC 3986 lets stand in an address, and the percent sign: what is quoted already stays so.
_PLAIN = "%/:=&?~#+!$,;'@()*[]"


class Broken(Exception):
    """A request failed in a way that another try may mend. ``after_s`` is what the server asked to wait, 0 if it did
    not."""

    def __init__(self, why: str, after_s: float = 0.0) -> None:
        super().__init__(why)
        self.after_s = after_s


@dataclass(frozen=True, slots=True)
class Access:
    """How the network may be used: whether at all, where the hub is, and the token that only the hub is told."""

    endpoint: str = HUB
    token: str = field(default="", repr=False)
    offline: bool = False

    def __post_init__(self) -> None:
        # Neither error repeats what is wrong: it may hold a secret.
        if origin_of(self.endpoint) is None or "@" in urlsplit(self.endpoint).netloc:
            what = "no http address, or holds a name or password"
            raise UsageError(f"HF_ENDPOINT is {what}: {host_of(self.endpoint)!r}", f"unset it, or set it to {HUB}")
        if not re.fullmatch(r"[!-~]*", self.token):
            raise UsageError(
                "the hub's token holds a line break, a blank or a letter that no token has",
                f"set HF_TOKEN to one from {self.endpoint}/settings/tokens, or unset it",
            )

    def check(self, what: str) -> None:
        """Raises Denied when nothing may be fetched; ``what`` says what was wanted."""
        if self.offline:
            raise Denied(
                f"{what} would be fetched, and the network is not to be used",
                "run it without --offline (and HF_HUB_OFFLINE)",
            )

    def is_hub(self, url: str) -> bool:
        """Whether the address is the hub's own: the same scheme, host and port."""
        return origin_of(url) == origin_of(self.endpoint)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, after redirects. ``url`` is where from; ``headers`` by lower-case name, of the last answer;
    ``hub_headers`` are those that the hub gave before it sent us on, the same as ``headers`` when it did not."""

    url: str
    status: int
    reason: str
    headers: Mapping[str, str]
    hub_headers: Mapping[str, str]
    response: http.client.HTTPResponse

    def read_into(self, view: memoryview) -> int:
        """Read until the buffer is full or the body ends: bytes read. Raises Broken."""
        try:
            return self.response.readinto(view)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Broken(say(error)) from error

    def read_all(self, most: int) -> bytes:
        """The body. Raises Broken, also for a body of more than ``most`` bytes."""
        try:
            data = self.response.read(most + 1)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Broken(say(error)) from error
        if len(data) > most:
            raise Broken(f"an answer of more than {most:,} bytes")
        return data


def origin_of(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None for what is no http(s) address."""
    try:
        parts = urlsplit(url)
        port = parts.port
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            return None
        # As the system's resolver gets it: an empty or overlong word between the dots is refused.
        parts.hostname.encode("idna")
    except ValueError:
        return None
    return parts.scheme, parts.hostname, port or _DEFAULT_PORTS[parts.scheme]


def host_of(url: str) -> str:
    """The host and port, as an error names it: never the path, which may carry a signature."""
    try:
        return plain(urlsplit(url).netloc.rpartition("@")[2])
    except ValueError:
        return ""


def plain(text: str) -> str:
    """Words of a server as a terminal may show them: on one line, without control characters, not long."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_LONGEST_WORDS])


def without_query(url: str) -> str:
    """The address without what follows its path: that is where signatures and tokens are."""
    return urlsplit(url)._replace(query="", fragment="").geturl()


class Line:
    """One connection at a time, kept between requests to the same host.

    For one thread; only ``break_off`` and ``cut`` may be called by another. Close it after use.
    """

    def __init__(self, access: Access, timeout_s: float = 30.0) -> None:
        """``timeout_s`` is for connecting, and for each wait for bytes."""
        self._access = access
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None
        self._origin: tuple[str, str, int] | None = None
        self._proxy: SplitResult | None = None
        self._socket: socket.socket | None = None
        self._broken_off = False

    def ask(self, url: str, headers: Mapping[str, str], method: str = "GET") -> Answer:
        """Send the request, follow redirects. The body must be read to its end, or ``close`` called.

        Raises Denied when offline, before any socket; Broken when another try may help; ModelUnavailable for a
        certificate that is not trusted and for redirects that go nowhere.
        """
        self._access.check(f"a file of {host_of(url)}")
        first: dict[str, str] = {}
        for _ in range(MOST_REDIRECTS + 1):
            response = self._send(url, headers, method)
            told = {name.lower(): value for name, value in response.getheaders()}
            if self._access.is_hub(url):
                first = told
            if response.status not in _REDIRECTS:
                return Answer(url, response.status, plain(response.reason), told, first or told, response)
            url = _next(url, told.get("location", ""))
            self._drain(response)
        raise ModelUnavailable(f"more than {MOST_REDIRECTS} redirects, the last to {host_of(url)}", "try again later")

    def break_off(self) -> None:
        """End what the thread of this line waits for, and let it ask nothing more."""
        self._broken_off = True
        self.cut()

    def cut(self) -> None:
        """End the answer that the thread of this line reads, as a network does that breaks."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection. Another request opens a new one."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _send(self, url: str, headers: Mapping[str, str], method: str) -> http.client.HTTPResponse:
        sent = {"User-Agent": AGENT, "Accept": "*/*", **headers}
        if self._access.token and self._access.is_hub(url):
            sent["Authorization"] = f"Bearer {self._access.token}"
        kept = self._connection is not None and self._origin == origin_of(url)
        try:
            return self._send_once(url, sent, method)
        except (OSError, http.client.HTTPException) as error:
            # A kept connection may have been closed by the server meanwhile: that is no failure.
            self.close()
            _judge_certificate(url, error)
            if not kept or isinstance(error, TimeoutError):
                raise Broken(f"{host_of(url)}: {say(error)}") from error
        try:
            return self._send_once(url, sent, method)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            _judge_certificate(url, error)
            raise Broken(f"{host_of(url)}: {say(error)}") from error

    def _send_once(self, url: str, headers: dict[str, str], method: str) -> http.client.HTTPResponse:
        if self._broken_off:
            raise Broken("stopped")
        connection = self._connect(url)
        parts = urlsplit(quote(url, safe=_PLAIN))
        target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
        if self._proxy is not None and parts.scheme == "http":
            target = parts._replace(fragment="").geturl()
            headers = {**headers, **_proxy_headers(self._proxy)}
        connection.request(method, target, headers=headers)
        self._socket = connection.sock
        return connection.getresponse()

    def _connect(self, url: str) -> http.client.HTTPConnection:
        origin = origin_of(url)
        if origin is None:
            raise ModelUnavailable(f"{host_of(url)!r} is no http address", "give another address")
        if self._connection is not None and self._origin == origin:
            return self._connection
        self.close()
        scheme, host, port = origin
        self._origin, self._proxy = origin, proxy_for(url)
        at, at_port = (host, port) if self._proxy is None else (self._proxy.hostname or "", self._proxy.port or 80)
        if scheme == "http":
            self._connection = http.client.HTTPConnection(at, at_port, timeout=self._timeout_s)
        else:
            secure = http.client.HTTPSConnection(at, at_port, timeout=self._timeout_s, context=_trust())
            if self._proxy is not None:
                secure.set_tunnel(host, port, _proxy_headers(self._proxy))
            self._connection = secure
        return self._connection

    def _drain(self, response: http.client.HTTPResponse) -> None:
        # A redirect has a short text for people; the connection is used again after it.
        try:
            rest = response.read(1 << 16)
        except (OSError, http.client.HTTPException):
            rest = b""
        if len(rest) == 1 << 16 or not response.isclosed():
            self.close()


def proxy_for(url: str) -> SplitResult | None:
    """The proxy for this address by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY (and macOS's own settings).

    Raises UsageError for a proxy that does not speak HTTP.
    """
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or urllib.request.proxy_bypass(host_of(url)):
        return None
    address = proxy if "://" in proxy else f"http://{proxy}"
    if origin_of(address) is None or not address.startswith("http:"):
        # It may hold a password.
        raise UsageError(
            f"the proxy {address.partition('://')[0]}://{host_of(address)} is of a kind that downloads cannot use",
            f"set {parts.scheme.upper()}_PROXY to http://host:port",
        )
    return urlsplit(address)


def say(error: BaseException) -> str:
    """An error of the network in words."""
    match error:
        case TimeoutError():
            return "no answer in time"
        case http.client.IncompleteRead() | http.client.RemoteDisconnected():
            return "the connection was cut"
        case socket.gaierror():
            return "the host's name is not known"
        case OSError() if error.strerror:
            return error.strerror
    return str(error) or type(error).__name__


def _next(url: str, location: str) -> str:
    try:
        target = urljoin(url, location)
    except ValueError:  # brackets that are no address
        target = ""
    if not location or origin_of(target) is None:
        raise ModelUnavailable(f"{host_of(url)} redirects to nowhere: {location[:100]!r}", "try again later")
    if url.startswith("https:") and not target.startswith("https:"):
        raise ModelUnavailable(f"{host_of(url)} redirects from https to http", "fetch it from elsewhere")
    return target


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": "Basic " + b64encode(pair.encode()).decode()}


def _trust() -> ssl.SSLContext:
    # The system's own certificates, as huggingface_hub does it; its requirement, and only needed for https.
    import truststore

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _judge_certificate(url: str, error: Exception) -> None:
    if isinstance(error, ssl.SSLCertVerificationError):
        raise ModelUnavailable(
            f"the certificate of {host_of(url)} is not trusted: {error.verify_message}",
            "add your network's certificate to the system's; on Linux SSL_CERT_FILE may name it",
        ) from error
