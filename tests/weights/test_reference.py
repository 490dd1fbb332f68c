"""What a person may write to name a model."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.errors import UsageError
from hearth.weights.reference import (
    FORMS,
    CatalogueRef,
    FileRef,
    HubRef,
    Reference,
    UrlRef,
    is_catalogue_name,
    is_repository,
    looks_like_quant,
    parse_reference,
)

GLM = "unsloth/GLM-4.7-Flash-GGUF"
COMMIT = "0d32489ecb9db6d2a4fc93bd27ef01519f95474d"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gpt-oss:20b", CatalogueRef("gpt-oss:20b")),
        ("gpt-oss", CatalogueRef("gpt-oss")),
        ("gpt-oss:20b:MXFP4", CatalogueRef("gpt-oss:20b", "MXFP4")),
        ("glm-4.7-flash:UD-Q4_K_XL", CatalogueRef("glm-4.7-flash", "UD-Q4_K_XL")),
        ("qwen3.6:35b-a3b:ud-iq4_nl_xl", CatalogueRef("qwen3.6:35b-a3b", "ud-iq4_nl_xl")),
        ("mixtral:8x7b", CatalogueRef("mixtral:8x7b")),
        (GLM, HubRef(GLM)),
        (f"{GLM}:UD-Q4_K_XL", HubRef(GLM, "UD-Q4_K_XL")),
        (f"hf:{GLM}:Q6_K@{COMMIT}", HubRef(GLM, "Q6_K", COMMIT)),
        (f"HF:{GLM}@refs/pr/3", HubRef(GLM, "", "refs/pr/3")),
        (f"hf.co/{GLM}:Q8_0", HubRef(GLM, "Q8_0")),
        (f"https://huggingface.co/{GLM}/", HubRef(GLM)),
        (f"https://huggingface.co/{GLM}@refs/pr/3", HubRef(GLM, "", "refs/pr/3")),
        (f"{GLM}:GLM-4.7-Flash-Q4_0.gguf", FileRef(Path(f"{GLM}:GLM-4.7-Flash-Q4_0.gguf"))),
        (f"hf:{GLM}:GLM-4.7-Flash-Q4_0.gguf", HubRef(GLM, "GLM-4.7-Flash-Q4_0.gguf")),
        (
            f"https://huggingface.co/{GLM}/resolve/main/x.gguf#top",
            UrlRef(f"https://huggingface.co/{GLM}/resolve/main/x.gguf"),
        ),
        ("http://127.0.0.1:8000/a%20b.gguf?x=1", UrlRef("http://127.0.0.1:8000/a%20b.gguf?x=1")),
        ("HTTPS://[::1]/x.gguf", UrlRef("https://[::1]/x.gguf")),
        ("/models/My Models/x", FileRef(Path("/models/My Models/x"))),
        ("./x", FileRef(Path("x"))),
        ("../x.gguf", FileRef(Path("../x.gguf"))),
        ("~/x.gguf", FileRef(Path("~/x.gguf"))),
        ("folder/x.GGUF", FileRef(Path("folder/x.GGUF"))),
    ],
)
def test_each_form_is_told_apart(text: str, expected: Reference) -> None:
    assert parse_reference(text) == expected
    assert parse_reference(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "an empty text"),
        (" gpt-oss", "blank"),
        ("gpt oss", "blank"),
        ("gpt-oss\n", "control character"),
        ("gpt-oss\x1b[31m", "control character"),
        ("gpt\udcffoss", "no text"),
        ("x" * 3000, "at most 2,048"),
        ("..", "steps out"),
        ("a..b", "steps out"),
        ("-x", "names no model"),
        (".hidden", "names no model"),
        ("a:b:c", "names no model"),
        ("gpt-oss:", "names no model"),
        (":20b", "names no model"),
        ("Q4_K_M:Q4_K_M:Q4_K_M", "names no model"),
        ("hf:gpt-oss", "names no model"),
        ("owner/../name", "steps out"),
        ("owner/name/more", "names no model"),
        ("owner/na me", "blank"),
        ("owner/--name", "names no model"),
        ("owner/na--me", "names no model"),
        ("owner/", "names no model"),
        ("owner/name:", "no quantisation"),
        ("owner/name:Q4/K", "no quantisation"),
        ("owner/name:a..b", "no quantisation"),
        ("owner/name@", "no revision"),
        ("owner/name@../main", "no revision"),
        ("owner/name@a//b", "no revision"),
        ("ftp://host/x.gguf", "ftp: is not a way"),
        ("file:///etc/x.gguf", "file: is not a way"),
        ("http://", "is no address"),
        ("http://host:port/x.gguf", "is no address"),
        ("http://[::1/x.gguf", "is no address"),
        ("http://host/", "names no file"),
        ("http://host/a/../x.gguf", "names no file"),
        ("http://host/%2e%2e/x.gguf", "names no file"),
        ("http://host/a%2F..%2Fx.gguf", "names no file"),
        ("http://host/x%00.gguf", "names no file"),
        ("http://host/a b.gguf", "is no address"),
        ("/models/", "is a folder"),
        ("../..", "is a folder"),
    ],
)
def test_nonsense_is_refused_with_the_forms(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_reference(text)
    assert why in caught.value.what
    assert caught.value.fix == FORMS
    assert str(caught.value).isprintable()


def test_a_secret_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        parse_reference("https://me:hunter2@host/x.gguf")
    assert "hunter2" not in str(caught.value)
    assert "name or password" in caught.value.what


@pytest.mark.parametrize(
    "text", ["Q4_K_M", "q8_0", "UD-Q4_K_XL", "UD-IQ4_NL_XL", "IQ3_XXS", "MXFP4", "MXFP4_MOE", "BF16", "F16", "FP8"]
)
def test_quantisations_are_known_by_their_form(text: str) -> None:
    assert looks_like_quant(text)


@pytest.mark.parametrize(
    "text", ["", "20b", "8x7b", "35b-a3b", "h-tiny", "e4b", "latest", "quick", "Q", "Q4_K_M.gguf", "UD-"]
)
def test_sizes_and_words_are_no_quantisations(text: str) -> None:
    assert not looks_like_quant(text)


WORDS = st.from_regex(r"\A[A-Za-z0-9]([A-Za-z0-9._-]{0,12}[A-Za-z0-9])?\Z")
QUANTS = st.sampled_from(["", "Q4_K_M", "ud-iq4_xs", "MXFP4"])
NAMES = st.builds(lambda *parts: ":".join(filter(None, parts)), WORDS, WORDS | st.just("")).filter(is_catalogue_name)
REPOS = st.builds("{}/{}".format, WORDS, WORDS).filter(is_repository)
REVISIONS = st.lists(WORDS.filter(lambda word: ".." not in word), max_size=3).map("/".join)
PATHS = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="/~"), min_size=1, max_size=20)


@settings(max_examples=150, deadline=None)
@given(
    st.builds(CatalogueRef, NAMES, QUANTS)
    | st.builds(HubRef, REPOS, QUANTS, REVISIONS)
    | st.builds(UrlRef, st.builds("https://{}.example/{}.gguf".format, st.from_regex(r"\A[a-z]{1,8}\Z"), WORDS))
    | st.builds(FileRef, PATHS.filter(lambda text: text not in (".", "..")).map(lambda text: Path("/models") / text))
)
def test_what_is_said_is_understood_again(reference: Reference) -> None:
    assert parse_reference(str(reference)) == reference


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=40)
    | st.text("ab.:/@-~ \n\\%2fhgu", max_size=16)
    | st.builds("http://{}".format, st.text(max_size=20))
)
def test_any_text_is_a_safe_reference_or_a_clear_refusal(text: str) -> None:
    reference: Reference | UsageError
    try:
        reference = parse_reference(text)
    except UsageError as error:
        reference = error
    match reference:
        case UsageError(fix=fix):
            assert fix == FORMS
            assert str(reference).isprintable()
            return
        case CatalogueRef(name, quant):
            assert is_catalogue_name(name)
            assert not quant or looks_like_quant(quant)
        case HubRef(repo, quant, revision):
            assert is_repository(repo)
            assert ".." not in repo + quant + revision
        case UrlRef(url):
            assert url.lower().startswith(("http://", "https://"))
        case FileRef(path):
            assert str(path).isprintable()
    assert parse_reference(str(reference)) == reference
