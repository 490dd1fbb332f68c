"""What the hub says of a model, and what is made of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.errors import ModelUnavailable, UsageError
from hearth.weights.fetch.choice import HubFile, choose, models_in, quant_of
from hearth.weights.fetch.hub import Hub, read_access
from hearth.weights.fetch.plan import Plan, RemoteFile
from hearth.weights.fetch.wire import HUB, Access
from hearth.weights.manifest import Origin
from hub_server import HubServer

REPO = "local/model"
SHA = "0" * 64

pytestmark = pytest.mark.usefixtures("plain_network")


def hub(server: HubServer, token: str = "") -> Hub:
    return Hub(Access(server.endpoint, token), lambda _: None)


def listed(*paths: str) -> list[HubFile]:
    return [HubFile(path, 1000, SHA) for path in paths]


UNSLOTH = listed(
    ".gitattributes", "README.md", "imatrix_unsloth.gguf_file", "mmproj-BF16.gguf", "mmproj-F16.gguf",
    "mmproj-F32.gguf", "GLM-Q4_K_M.gguf", "GLM-UD-Q4_K_XL.gguf", "GLM-UD-Q2_K_XL.gguf", "GLM-Q8_0.gguf",
    "BF16/GLM-BF16-00001-of-00002.gguf", "BF16/GLM-BF16-00002-of-00002.gguf", "mtp-GLM-Q8_0.gguf",
)  # fmt: skip


@pytest.mark.parametrize(
    ("quant", "names"),
    [
        ("", ["GLM-Q4_K_M.gguf"]),
        ("Q4_K_M", ["GLM-Q4_K_M.gguf"]),
        ("ud-q4_k_xl", ["GLM-UD-Q4_K_XL.gguf"]),
        ("Q4_K_XL", ["GLM-UD-Q4_K_XL.gguf"]),
        ("bf16", ["GLM-BF16-00001-of-00002.gguf", "GLM-BF16-00002-of-00002.gguf"]),
        ("GLM-Q8_0", ["GLM-Q8_0.gguf"]),
        ("glm-q8_0.gguf", ["GLM-Q8_0.gguf"]),
        ("GLM-BF16", ["GLM-BF16-00001-of-00002.gguf", "GLM-BF16-00002-of-00002.gguf"]),
    ],
)
def test_a_quantisation_names_its_files(quant: str, names: list[str]) -> None:
    chosen = choose(REPO, UNSLOTH, quant)
    assert [(file.name, role) for file, role in chosen] == [
        *((name, "part" if n else "model") for n, name in enumerate(names)),
        ("mmproj-F16.gguf", "mmproj"),
    ]


def test_side_files_come_when_they_are_wanted() -> None:
    def roles(mmproj: bool, draft: bool) -> list[str]:
        return [role for _, role in choose(REPO, UNSLOTH, "Q8_0", mmproj=mmproj, draft=draft)]

    assert roles(mmproj=False, draft=False) == ["model"]
    assert roles(mmproj=True, draft=True) == ["model", "mmproj", "draft"]


@pytest.mark.parametrize(
    ("files", "quant", "pattern", "what"),
    [
        (UNSLOTH, "Q9_9", "", "has no Q9_9 · there are: BF16, Q4_K_M, Q8_0, UD-Q2_K_XL, UD-Q4_K_XL"),
        (UNSLOTH, "", "nothing*", "has no nothing*"),
        (UNSLOTH, "", "GLM-*Q4*.gguf", "has several models for GLM-*Q4*.gguf"),
        (listed("model.safetensors", "config.json"), "", "", "has no GGUF"),
        (listed("a-Q4_0-00001-of-00003.gguf", "a-Q4_0-00003-of-00003.gguf"), "", "", "has 2 of 3 parts"),
        (listed("a-weird.gguf", "b-odd.gguf"), "", "", "has several models for this name · name one: a-weird, b-odd"),
        (
            listed("base-Q8_0.gguf", "chat-Q8_0.gguf"),
            "Q8_0",
            "",
            "has several models for Q8_0 · name one: base-Q8_0, chat",
        ),
        (listed("a-Q4_0-00001-of-00002.gguf", "a-Q4_0-00003-of-00002.gguf"), "", "", "has 2 of 2 parts of a-Q4_0"),
        (listed("\x1b[31m.gguf", "\x9b2J.gguf"), "", "", "has several models for this name · name one: ?[31m, ?2J"),
    ],
)
def test_what_cannot_be_chosen_names_what_there_is(files: list[HubFile], quant: str, pattern: str, what: str) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        choose(REPO, files, quant, pattern)
    assert str(caught.value).startswith(f"{REPO} {what}")


PIECES = st.sampled_from(["a", "/", "-", ".", "Q4_K_M", "UD-", "mmproj", "-00001-of-00002", ".gguf", "mtp-", "é", " "])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(PIECES, max_size=6).map("".join), max_size=6), st.sampled_from(["", "Q4_K_M", "x"]))
def test_whatever_files_a_repository_has_a_choice_is_whole_or_refused(paths: list[str], quant: str) -> None:
    try:
        chosen = choose(REPO, listed(*dict.fromkeys(paths)), quant, draft=True)
    except ModelUnavailable:
        return
    roles = [role for _, role in chosen]
    assert (roles[0], roles.count("model")) == ("model", 1)
    assert all(file.is_gguf for file, _ in chosen)


def test_a_pattern_of_the_catalogue_chooses_one_model() -> None:
    chosen = choose(REPO, UNSLOTH, pattern="BF16/*.gguf", mmproj=False)
    assert [role for _, role in chosen] == ["model", "part"]
    parts = listed("MXFP4/gpt-oss-120b-mxfp4-00001-of-00002.gguf", "MXFP4/gpt-oss-120b-mxfp4-00002-of-00002.gguf")
    assert len(choose(REPO, [*parts, *listed("gpt-oss-120b-F16.gguf")], "MXFP4", "gpt-oss-120b-MXFP4.gguf")) == 2
    both = listed("a-Q4_K_M.gguf", "a-UD-Q4_K_M.gguf")
    assert choose(REPO, both, "Q4_K_M", "*Q4_K_M*.gguf")[0][0].name == "a-Q4_K_M.gguf"
    whole = listed("config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    assert [role for _, role in choose(REPO, whole, pattern="*")] == ["model", "part", "part"]


@pytest.mark.parametrize(
    ("path", "quant"),
    [
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("Qwen3-Coder-Next-MXFP4_MOE.gguf", "MXFP4_MOE"),
        ("x/UD-IQ2_XXS/model-00001-of-00004.gguf", "UD-IQ2_XXS"),
        ("Qwen3.6-27B-MTP-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("codellama-34b.Q4_K_M.gguf", "Q4_K_M"),
        ("model.fp16.gguf", "FP16"),
        ("gemma-3-Q4.gguf", "Q4"),
        ("Q-star.gguf", ""),
    ],
)
def test_the_quantisation_is_read_from_the_name(path: str, quant: str) -> None:
    assert quant_of(path) == quant


def test_the_models_of_a_repository() -> None:
    assert [(model.quant, len(model.files)) for model in models_in(UNSLOTH)] == [
        ("Q4_K_M", 1), ("UD-Q4_K_XL", 1), ("UD-Q2_K_XL", 1), ("Q8_0", 1), ("BF16", 2),
    ]  # fmt: skip


def test_the_commit_is_pinned_and_long_lists_have_pages(server: HubServer) -> None:
    server.page_size = 3
    first = server.add(REPO, {f"x/a-Q{n}_0.gguf": b"%d" % n for n in range(2, 9)} | {"README.md": b"r"})
    second = server.add(REPO, {"b.gguf": b"new"})
    snapshot = hub(server).snapshot(REPO, first)
    assert (snapshot.revision, len(snapshot.files)) == (first, 8)
    assert {bool(file.sha256) for file in snapshot.files if file.is_gguf} == {True}
    assert [file.git_oid for file in snapshot.files if not file.is_gguf] != [""]
    plan = hub(server).plan("m", REPO, first, quant="q5_0")
    assert plan.origin == Origin("hub", REPO, first)
    assert plan.files[0].url == f"{server.endpoint}/{REPO}/resolve/{first}/x/a-Q5_0.gguf"
    assert hub(server).plan("m", REPO).origin.revision == second


def test_nothing_is_told_to_the_hub_but_what_it_must_know(server: HubServer) -> None:
    server.add(REPO, {"a.gguf": b"x"})
    server.tokens = {"hf_good"}
    server.page_size = 1
    server.add(REPO, {"a.gguf": b"x", "b.gguf": b"y"})
    server.next_page_host = server.storage
    with pytest.raises(ModelUnavailable):
        hub(server, "hf_good").snapshot(REPO)
    assert {seen.authorization for seen in server.of("hub")} == {"Bearer hf_good"}
    assert [seen.authorization for seen in server.of("storage")] == [None]
    assert all(seen.path.startswith(f"/api/models/{REPO}") for seen in server.seen)
    assert all(seen.agent.startswith("hearth/") and "torch" not in seen.agent for seen in server.seen)


@pytest.mark.parametrize(
    ("token", "repo", "revision", "what"),
    [
        (
            "",
            "local/none",
            "",
            "the hub has no model local/none, or hides it · check the name; if it is private, set HF_",
        ),
        ("hf_good", "local/none", "", "the hub has no model local/none, or hides it · check the name"),
        ("hf_bad", REPO, "", "the hub does not take the token (asked for local/model) · set HF_TOKEN to a valid one"),
        ("", REPO, "v9", "local/model has no such revision · see which there are at http"),
    ],
)
def test_the_hubs_refusals(server: HubServer, token: str, repo: str, revision: str, what: str) -> None:
    server.add(REPO, {"a.gguf": b"x"})
    server.tokens = {"hf_good"}
    with pytest.raises(ModelUnavailable) as caught:
        hub(server, token).snapshot(repo, revision)
    assert str(caught.value).startswith(what)


@pytest.mark.parametrize("name", ["no slash and spaces", "a/b/c", "a/..", ""])
def test_a_name_that_cannot_be_a_repository(server: HubServer, name: str) -> None:
    with pytest.raises((UsageError, ModelUnavailable)):
        hub(server).snapshot(name)


def test_a_hub_that_stumbles_is_asked_again(server: HubServer) -> None:
    server.add(REPO, {"a.gguf": b"x"})
    waits: list[float] = []
    server.faults.hub_error, server.faults.limit = 1.0, 2
    assert Hub(Access(server.endpoint), waits.append).snapshot(REPO).repo == REPO
    assert waits == [1.0, 2.0]
    server.faults.limit = 100
    with pytest.raises(ModelUnavailable, match="cannot be asked: it answers 500"):
        hub(server).snapshot(REPO)


def test_the_environment_says_where_and_who() -> None:
    assert read_access({"HF_TOKEN": " hf_x "}) == Access(HUB, "hf_x")
    assert read_access({"HF_ENDPOINT": "https://mirror.example/", "HF_TOKEN": "t"}).endpoint == "https://mirror.example"
    assert read_access({"HF_HUB_OFFLINE": "1"}).offline
    assert read_access({}, offline=True) == Access(HUB, "", True)
    assert "hf_x" not in repr(read_access({"HF_TOKEN": "hf_x"}))
    for endpoint in ("huggingface.co", "http://a..b", "https://me:hf_x@mirror.example", "foo://me:hf_x@mirror.example"):
        with pytest.raises(UsageError, match="HF_ENDPOINT is no http address") as caught:
            read_access({"HF_ENDPOINT": endpoint, "HF_TOKEN": "t"})
        assert "hf_x" not in str(caught.value)


@pytest.mark.parametrize("token", ["hf_x\nHost: y", "hf_x y", "hf_xö", "hf_x\x00"])
def test_what_cannot_be_a_token_is_neither_sent_nor_shown(token: str) -> None:
    with pytest.raises(UsageError, match="set HF_TOKEN") as caught:
        read_access({"HF_TOKEN": token})
    assert "hf_x" not in str(caught.value)


@pytest.mark.parametrize("sha", ["", "../../..", "main", 7])
def test_a_hub_that_does_not_pin_is_not_believed(
    server: HubServer, monkeypatch: pytest.MonkeyPatch, sha: object
) -> None:
    monkeypatch.setattr(server, "commit_of", lambda repo, revision: sha)
    server.repos[REPO] = {sha: {}}  # type: ignore[dict-item]  # that is what the hub gets wrong
    with pytest.raises(ModelUnavailable, match="does not tell the commit"):
        hub(server).snapshot(REPO)


@pytest.mark.parametrize(
    "entry", [{"size": "9"}, {"size": -1}, {"size": 1.5}, {"path": 7}, {"oid": None}, {"path": None}]
)
def test_a_list_that_makes_no_sense_is_refused(server: HubServer, entry: dict[str, object]) -> None:
    server.add(REPO, {"a-Q8_0.gguf": b"x", "README.md": b"y"})
    server.odd_entry = entry
    with pytest.raises(ModelUnavailable, match=r"the hub .* cannot be asked"):
        hub(server).snapshot(REPO)


def test_the_login_of_huggingface_hub_is_used(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_from_file\n")
    code = "import os; from hearth.weights.fetch.hub import read_access; print(read_access(os.environ).token)"
    environment = {**os.environ, "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "hf_from_file\n"


@pytest.mark.parametrize(
    "files",
    [
        (),
        (RemoteFile("u", "a.gguf", 1, SHA), RemoteFile("u", "A.gguf", 1, SHA)),
        (RemoteFile("u", "a.gguf", 1),),
        (RemoteFile("u", "a.gguf", 1, "abc"),),
        (RemoteFile("u", "a.gguf", -1, SHA),),
        (RemoteFile("u", ".hidden", 1, SHA),),
        (RemoteFile("u", "x" * 201, 1, SHA),),
    ],
)
def test_a_plan_that_could_not_be_kept_is_refused(files: tuple[RemoteFile, ...]) -> None:
    with pytest.raises(ModelUnavailable):
        Plan("m", Origin("url", "http://x"), files)
    with pytest.raises(UsageError):
        Plan("-m", Origin("url", "http://x"), (RemoteFile("u", "a.gguf", 1, SHA),))


def test_a_plan_is_known_by_its_content() -> None:
    def folder(name: str, url: str, sha256: str) -> str:
        return Plan(name, Origin("url", url), (RemoteFile(url, "a.gguf", 1, sha256),)).incoming_id

    assert folder("m", "http://x", SHA) == folder("n", "http://y", SHA)
    assert folder("m", "http://x", SHA) != folder("m", "http://x", "1" * 64)
