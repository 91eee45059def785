"""Pages as text: one file, one policy, names that stay names."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.errors import InputError
from stages.report.browse import browse, static_page
from stages.report.page import Page, data_url
from stages.report.report import report
from stages.report.solids import from_mesh
from stages.store.workspace import Workspace, category_of
from tests.attacks.names import NAMES, active_html, active_terminal
from tests.report.made import HOSTILE_IDS, SCRIPT, Parsed, cube, hostile_workspace


def quiet(done: int, total: int) -> None:
    pass


@pytest.fixture
def hostile(tmp_path: Path) -> Workspace:
    return hostile_workspace(tmp_path)


def made(workspace: Workspace, count: int = 20) -> bytes:
    return report(workspace, count, SCRIPT, quiet)


def test_names_stay_names(hostile: Workspace) -> None:
    artefact = browse(hostile, "shapes/made")
    for page in (made(hostile), static_page(artefact, None, len(HOSTILE_IDS))):
        parsed = Parsed(page)
        scripts = parsed.all("script")
        assert [s.get("type") for s in scripts] == ["application/json", None]
        assert len(parsed.all("style")) == 1
        for tag, attributes in parsed.elements:
            assert not [name for name in attributes if name.startswith("on")], tag
            assert "style" not in attributes, tag  # the policy would refuse it
            for name in ("href", "src"):
                value = attributes.get(name) or ""
                assert (value.startswith(("#", "data:", "")) and ":" not in value[:5]) or (
                    value.startswith("data:")
                ), (tag, value)
        assert {tag for tag, _ in parsed.elements}.isdisjoint({"iframe", "object", "embed", "base"})
        assert active_html(page.decode()) == ["<script>", "<script>"]  # those above
        for item in HOSTILE_IDS:
            assert category_of(item) in parsed.text  # it is shown, as it is called
        raw = page.decode()
        solids = re.search(r'<script type="application/json" id="solids">(.*?)</script>', raw, re.S)
        assert solids is not None
        assert "<" not in solids[1]
        assert len(json.loads(solids[1])) >= 1


def test_rows_metrics_and_titles_of_results_are_escaped(hostile: Workspace) -> None:
    text = Parsed(made(hostile)).text
    assert "run <script>alert(1)</script> of equivariant, step 7, seed 0" in text
    assert "<script>alert(1)</script>" in text  # a column of metrics.csv
    assert "first view" in text  # the picture of a pair was drawn
    for name in NAMES:
        shown = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in name)
        assert shown in text
    assert active_terminal(text) == []  # nor does it act where the page is copied to


def test_the_policy_names_the_script_and_the_style_by_their_digests(hostile: Workspace) -> None:
    raw = made(hostile, 1).decode()
    (policy,) = [a["content"] for a in Parsed(raw.encode()).all("meta") if a.get("http-equiv")]
    assert policy is not None
    rules = dict(part.split(" ", 1) for part in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for kind, pattern in (
        ("script-src", r"<script>(.*?)</script>"),
        ("style-src", r"<style>(.*?)</style>"),
    ):
        (text,) = re.findall(pattern, raw, re.S)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[kind] == f"'sha256-{digest}'"


def test_a_page_is_fit_for_readers_of_all_kinds(hostile: Workspace) -> None:
    parsed = Parsed(made(hostile))
    assert parsed.all("html") == [{"lang": "en"}]
    assert len(parsed.all("h1")) == 1
    assert all(a.get("alt") for a in parsed.all("img"))
    assert all(a.get("scope") in ("col", "row", "rowgroup") for a in parsed.all("th"))
    for canvas in parsed.all("canvas"):
        assert (canvas.get("tabindex"), canvas.get("role")) == ("0", "img")
        assert "arrow keys" in (canvas.get("aria-label") or "")
    ids = [a["id"] for _, a in parsed.elements if "id" in a]
    assert len(ids) == len(set(ids))
    anchors = [a["href"] or "" for a in parsed.all("a")]
    assert {a[1:] for a in anchors if a.startswith("#")} <= set(ids)
    assert all(s.get("role") == "img" and s.get("aria-label") for s in parsed.all("svg"))


def test_an_empty_workspace_makes_a_page_that_says_what_is_missing(tmp_path: Path) -> None:
    page = report(Workspace(tmp_path / "nothing"), 3, "nothing", quiet)
    text = Parsed(page).text
    for command in ("shapes generate", "render", "train pose-aware", "eval"):
        assert f"crossdim {command}" in text
    assert "Nothing has been trained yet." in text
    assert not (tmp_path / "nothing").exists()
    assert len(page) < 40_000


def test_what_cannot_be_read_is_said(hostile: Workspace) -> None:
    shard = next((hostile.root / "views" / "test").glob("shard-*.h5"))
    shard.unlink()
    (hostile.root / "runs" / "equivariant" / "made" / "run.json").write_text("{")
    text = Parsed(made(hostile)).text
    assert "damaged" in text
    assert "is gone" in text or "cannot be shown" in text


def test_a_page_is_as_large_as_its_examples(hostile: Workspace) -> None:
    sizes = [len(made(hostile, count)) for count in (0, 1, 8)]
    assert sizes == sorted(sizes)
    assert sizes[2] - sizes[0] < 8 * 2 * 200_000  # two examples of each: a shape and a result


def test_equal_solids_are_sent_once() -> None:
    page = Page()
    numbers = [page.solid(from_mesh("a", cube())), page.solid(from_mesh("a", cube()))]
    numbers.append(page.solid(from_mesh("b", cube())))
    assert numbers == [0, 0, 1]
    assert len(json.loads(page.solids_json())) == 2


def test_pictures_are_sent_small() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (600, 300, 3), dtype=np.uint8)
    flat = np.full((64, 64, 3), 7, np.uint8)
    found = {}
    for name, pixels in (("noise", noise), ("flat", flat)):
        head, _, data = data_url(pixels).partition(",")
        found[name] = head, Image.open(io.BytesIO(base64.b64decode(data)))
    assert found["noise"][0] == "data:image/jpeg;base64"
    assert found["noise"][1].size == (128, 256)
    assert found["flat"][0] == "data:image/png;base64"
    assert (np.asarray(found["flat"][1]) == 7).all()


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("shapes/mad", "did you mean shapes/made?"),
        ("mde", "did you mean made?"),
        ("../../etc", "crossdim status"),
        ("/etc/passwd", "crossdim status"),
        ("shapes", ""),
        ("", "crossdim status"),
    ],
)
def test_what_view_finds(hostile: Workspace, target: str, hint: str) -> None:
    if not hint:
        assert browse(hostile, target).artefact.name == "shapes/made"
        return
    with pytest.raises(InputError) as caught:
        browse(hostile, target)
    assert hint in caught.value.hint


def test_a_run_stands_for_its_results(hostile: Workspace) -> None:
    for target in ("made", "equivariant/made", "runs/equivariant/made"):
        found = browse(hostile, target)
        assert found.artefact.name == "results/relpose/equivariant-made-test"
    with pytest.raises(InputError, match="has no chair/x"):
        static_page(found, "chair/x", 3)
