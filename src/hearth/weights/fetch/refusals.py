"""What the hub's refusals mean for the owner, and what mends them."""

from __future__ import annotations

from hearth.errors import HearthError, ModelUnavailable
from hearth.weights.fetch.wire import Access


def refusal(status: int, code: str, repo: str, access: Access) -> HearthError | None:
    """The error for an answer of the hub; None when it refuses nothing.

    ``code`` is its ``X-Error-Code``, empty when it sent none. The hub answers 401 for what it hides from strangers,
    and for what does not exist.
    """
    page = f"{access.endpoint}/{repo}"
    if code == "GatedRepo":
        if access.token:
            return ModelUnavailable(
                f"{repo} is gated, and this token's account was not let in",
                f"accept the licence at {page} with the account of the token, then pull again",
            )
        return ModelUnavailable(
            f"{repo} is gated: its owners want a licence accepted",
            f"accept it at {page}, then set HF_TOKEN to a token from {access.endpoint}/settings/tokens",
        )
    if code == "RevisionNotFound":
        return ModelUnavailable(f"{repo} has no such revision", f"see which there are at {page}/tree/main")
    if code == "EntryNotFound":
        return ModelUnavailable(f"the file is no longer in {repo}", "pull again: the list of files is read anew")
    if status == 401 and access.token and code != "RepoNotFound":
        return ModelUnavailable(
            f"the hub does not take the token (asked for {repo})",
            f"set HF_TOKEN to a valid one from {access.endpoint}/settings/tokens, or unset it",
        )
    if code == "RepoNotFound" or status in (401, 404):
        hint = "check the name" + ("" if access.token else "; if it is private, set HF_TOKEN")
        return ModelUnavailable(f"the hub has no model {repo}, or hides it", hint)
    if status == 403:
        return ModelUnavailable(f"the hub refuses {repo} to this token", "use a token that may read it as HF_TOKEN")
    return None
