"""Who may ask over TCP: the Host and Origin that a browser cannot forge, and the key.

A page in the owner's browser can send requests to 127.0.0.1 by rebinding its own name to that address; its Host
header then still carries that name. Programs on this machine carry a loopback name or the address they dialled.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from hearth.gateway.keys import ApiKey
from hearth.gateway.refusal import Refusal

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def check_browser(host: str, origin: str, fetch_site: str, ours: frozenset[str]) -> Refusal | None:
    """Refuse a foreign ``Host`` (421) and requests that a foreign page makes (403). ``ours`` are further names."""
    names = LOOPBACK | ours
    if host_name(host) not in names:
        return Refusal(
            421,
            "invalid_request_error",
            "foreign_host",
            f"this is not {host[:100] or 'a request with a Host header'}",
            fix="use http://127.0.0.1 and the port that hearth status names",
        )
    if fetch_site == "cross-site" or (origin and _origin_name(origin) not in names):
        return Refusal(403, "permission_error", "foreign_origin", "web pages of other sites may not ask")
    return None


def check_key(key: ApiKey, authorization: str, x_api_key: str) -> Refusal | None:
    """Refuse a request without the key (401)."""
    if key.matches(authorization, x_api_key):
        return None
    said = "wrong" if authorization or x_api_key else "missing"
    return Refusal(
        401,
        "authentication_error",
        "invalid_api_key",
        f"the API key is {said}",
        fix="send Authorization: Bearer KEY; hearth status names the file that holds the key",
        headers=((b"www-authenticate", b"Bearer"),),
    )


def host_name(host: str) -> str:
    """The name in a Host header, without port, brackets and a trailing dot, in lower case."""
    name = host.strip().lower()
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    elif name.count(":") == 1:
        name = name.partition(":")[0]
    return name.removesuffix(".")


def _origin_name(origin: str) -> str:
    try:
        return urlsplit(origin).hostname or ""
    except ValueError:
        return ""
