"""Systems compared on the page: never mixed, honestly marked, and robust against their files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.evaluate.compared_field import changed
from stages.evaluate.health import results_status
from stages.report import facts
from stages.report.compared import gather, sections
from stages.report.report import report
from tests.attacks.names import active_html, active_terminal
from tests.report.comparisons import Compared, specs
from tests.report.made import Parsed

SHAPE = {"voxel IoU": 0.5, "Chamfer": 2.0, "F-score": 0.25}
POSE = {"absolute: median": 30.04, "absolute: acc@15": 0.5, "absolute: acc@30": 0.75}


@pytest.fixture(autouse=True)
def _specs() -> Iterator[None]:
    with specs():
        yield


@pytest.fixture
def made(tmp_path: Path) -> Compared:
    return Compared(tmp_path)


def drawn(made: Compared, pictures: int = 0) -> list[dict[str, Any]]:
    found, left = gather(made.workspace, facts.result_facts(made.workspace))
    assert left == []
    return sections(made.workspace, found, facts.run_facts(made.workspace), pictures)


def text_of(made: Compared, pictures: int = 0) -> str:
    page = report(made.workspace, pictures, "t", lambda *_: None)
    return " ".join(Parsed(page).text.split())


def rows(section: dict[str, Any], part: int = 0) -> dict[str, list[tuple[str, bool]]]:
    return {row["who"]: row["cells"] for row in section["parts"][part]["rows"]}


def test_the_best_of_what_is_fresh_and_knows_no_truth_is_marked(made: Compared) -> None:
    made.add("pose-aware (made)", {**SHAPE, **POSE}, system="pose-aware")
    made.add("deep-encoding (made)", {**SHAPE, "voxel IoU": 0.5004}, system="deep-encoding")
    made.add("mean shape", {**SHAPE, "Chamfer": 1.5})
    made.add("nearest training shape (oracle)", {**SHAPE, "F-score": 0.9})
    made.add("constant pose", {**POSE, "absolute: median": 12.0})
    # measured with weights that the run does not have any more
    old = made.add(
        "structure-generator (made)", {**SHAPE, "voxel IoU": 0.7}, system="structure-generator"
    )
    made.world.run("structure-generator", sha256="2" * 64)
    (one,) = drawn(made)
    shape = rows(one)
    assert list(shape) == [
        *("pose-aware (made)", "structure-generator (made)", "deep-encoding (made)"),
        *("mean shape", "nearest training shape (oracle)"),
    ]
    # 0.5004 and 0.5 look the same, and are as good; 0.7 is of other weights
    assert shape["pose-aware (made)"] == [("0.500", True), ("2.000", False), ("0.250", True)]
    assert shape["deep-encoding (made)"][0] == ("0.500", True)
    assert shape["structure-generator (made)"][0] == ("0.700", False)
    assert shape["mean shape"] == [("0.500", True), ("1.500", True), ("0.250", True)]
    assert shape["nearest training shape (oracle)"] == [
        (v, False) for v in ("0.500", "2.000", "0.900")
    ]
    assert rows(one, 1)["constant pose"] == [("12.0", True), ("0.500", True), ("0.750", True)]
    assert rows(one, 1)["pose-aware (made)"][0] == ("30.0", False)
    assert one["old"] == [("structure-generator (made)", "its run was trained on")]
    arrows = [("voxel IoU", "↑"), ("Chamfer", "↓"), ("F-score", "↑")]
    assert one["parts"][0]["columns"] == arrows
    kinds = {row["who"]: row["kind"] for row in one["parts"][0]["rows"]}
    assert kinds["mean shape"] == "trivial answer"
    assert kinds["nearest training shape (oracle)"] == "knows the truth"
    assert old.name in text_of(made)


def test_a_run_called_like_a_trivial_answer_is_none(made: Compared) -> None:
    made.add("pose-aware (mean shape)", SHAPE, system="pose-aware")
    (one,) = drawn(made)
    assert one["parts"][0]["rows"][0]["kind"] == ""


def test_all_of_it_is_on_the_page(made: Compared) -> None:
    made.split = {**made.split, "test": ("chair/d",)}
    made.excluded = {"chair/e": "pose-aware (made)"}
    reasons = {"pose": "codes tell no pose"}
    made.add("deep-encoding (made)", SHAPE, system="deep-encoding", reasons=reasons)
    made.add("mean shape", {**SHAPE, "Chamfer": 3.0})
    made.world.run("pose-aware")
    text = text_of(made)
    at = [text.index(t) for t in ("Systems compared Every", "1 test shape, 2 views", "0.250")]
    assert at == sorted(at) < [text.index("results/compare/baselines-mean-shape-compare-chair")]
    for line in (
        "Trivial answers know 2 train and 1 val shapes",
        "chair views/compare and voxels/res32 fresh",
        "no pose of deep-encoding (made): codes tell no pose",
        "pose: nobody has a number here",
        "1 test shape left out for all, since somebody has learned from it chair/e: pose-aware",
        "pose-aware: trained, but not compared: crossdim compare --category chair --views compare",
        "equivariant: not trained: crossdim train equivariant --category chair",
        "view-synthesis: it draws pictures",
    ):
        assert line in text, line
    assert text.count("3.000") == 1  # each number once


def test_numbers_of_different_fields_share_no_table(made: Compared) -> None:
    made.add("pose-aware (made)", SHAPE, system="pose-aware")
    made.add("mean shape", SHAPE)
    made.world.see("views/compare", seed=1, tag="other")  # rendered anew
    made.add("mean shape", {**SHAPE, "voxel IoU": 0.75})
    made.add("true voxels (limit)", SHAPE)
    now, before = drawn(made)
    assert (list(rows(now)), now["why"], now["folded"]) == (
        *(["mean shape", "true voxels (limit)"], "", False),
    )
    assert list(rows(before)) == ["pose-aware (made)"]
    assert (before["why"], before["folded"]) == ("views/compare or voxels/res32 has changed", True)
    assert before["grid"] == before["absent"] == []
    # the same views of other test shapes are another field, too, and none of them is stale
    made.split = {**made.split, "test": ("chair/d",)}
    made.excluded = {"chair/e": "somebody"}
    made.add("constant pose", POSE)
    more, fewer, before = drawn(made)
    assert (more["why"], fewer["why"]) == ("", "")
    assert more["counts"].startswith("2 test shapes, 4 views")
    assert fewer["counts"].startswith("1 test shape, 2 views")
    assert list(rows(fewer, 1)) == ["constant pose"]
    text = text_of(made)
    assert "chair on other views/compare and voxels/res32 stale" in text


def _seen_anew(made: Compared) -> None:
    made.world.see("views/compare", tag="other")


def _fewer_voxels(made: Compared) -> None:
    made.voxelize(["chair/a"])


def _another(made: Compared) -> None:
    made.ids.append("chair/z")
    made.shapes(["chair/z"])
    made.world.see("views/compare")
    made.voxelize(made.ids)


def _split_anew(made: Compared) -> None:
    made.split = {**SPLIT_ANEW}
    made.shapes()


SPLIT_ANEW = {"train": ("chair/a", "chair/d"), "val": ("chair/c",), "test": ("chair/b", "chair/e")}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_seen_anew, "views/compare or voxels/res32 has changed"),
        (_fewer_voxels, "voxels/res32 has no chair/b any more"),
        (_another, "there are other shapes of chair now, or they are split otherwise"),
        (_split_anew, "there are other shapes of chair now, or they are split otherwise"),
    ],
)
def test_what_has_changed_is_said(
    made: Compared, change: Callable[[Compared], None], why: str
) -> None:
    known = made.known()
    made.add("mean shape", SHAPE)
    made.add("pose-aware (made)", SHAPE, system="pose-aware")
    assert changed(made.workspace, known) == ""
    assert all(record["fresh"] for record in results_status(made.workspace))
    change(made)
    assert changed(made.workspace, known) == why
    assert {record["why"] for record in results_status(made.workspace)} == {why}
    (one,) = drawn(made)
    assert (one["why"], one["old"], one["folded"]) == (why, [], False)
    assert f"No longer as the workspace is: {why}" in text_of(made)


def test_shipped_weights_are_stale_when_others_come(made: Compared) -> None:
    made.add("pose-aware (shipped weights)", SHAPE, run="weights-pose-aware-nobody")
    (record,) = results_status(made.workspace)
    assert (
        record["why"] == "the weights pose-aware-nobody come with crossdim no more, or are others"
    )


def broken(summary: dict[str, Any], *path: str, to: Any) -> bytes:
    inner = summary
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = to
    return json.dumps(summary).encode()


# Each makes something of a summary that is none, or not of the results beside it.
DAMAGES: list[Callable[[Any], bytes]] = [
    lambda s: b"{",
    lambda s: b"[1]",
    lambda s: b'"x"',
    lambda s: b"[" * 100_000,
    lambda s: b'{"tables": {"compare": {}}}',
    lambda s: json.dumps({k: v for k, v in s.items() if k != "field"}).encode(),
    lambda s: broken(s, "field", to=[]),
    lambda s: broken(s, "field", "split", to={"train": 3}),
    lambda s: broken(s, "field", "split", "test", to=[["chair/d"]]),
    lambda s: broken(s, "field", "category", to={"a": 1}),
    lambda s: broken(s, "field", "excluded", to="chair/e"),
    lambda s: broken(s, "field", "print", to="0" * 32),  # of another field than its cache
    lambda s: broken(s, "field", "split", "test", to=["chair/d", "chair/q"]),
    lambda s: broken(s, "weights", to="3" * 64),
    lambda s: broken(s, "views", to="many"),
    lambda s: broken(s, "views", to=float("inf")),
    lambda s: broken(s, "reasons", to=[1]),
    lambda s: broken(s, "tables", to={"compare": {"a": SHAPE, "b": SHAPE}}),
    lambda s: broken(s, "tables", to={"compare": {"a": {"Chamfer": "low"}}}),
    lambda s: broken(s, "tables", to={"compare": {"a": 3}}),
]


def test_a_damaged_summary_costs_itself(made: Compared) -> None:
    made.add("mean shape", SHAPE)
    made.add("constant pose", POSE)
    artefact = made.add("pose-aware (made)", SHAPE, system="pose-aware")
    path = artefact.folder / "summary.json"
    good = path.read_bytes()
    healthy = [f for f in facts.result_facts(made.workspace) if f.artefact.name != artefact.name]
    record = {"name": artefact.name, "fresh": True, "why": ""}
    for number, damage in enumerate(DAMAGES):
        path.write_bytes(damage(json.loads(good)))
        fact = facts._result_fact(made.workspace, record)
        found, left = gather(made.workspace, [*healthy, fact])
        others = [[e.label for e in c.entries] for c in found if not c.why]
        assert others == [["mean shape", "constant pose"]], number
        assert [name for name, _ in left] == [artefact.name], number
    text = text_of(made)
    assert f"In no table, since it is not known what they would belong to: {artefact.name}" in text


def test_names_stay_names(made: Compared) -> None:
    names = made.add_hostile()
    page = report(made.workspace, 1, "t", lambda *_: None)
    assert active_html(page.decode()) == ["<script>", "<script>"]  # that of solids, and the viewer
    text = Parsed(page).text
    assert active_terminal(text) == []
    assert page.count(b"Systems compared on chair, ") == 1  # whoever they say they are, one table
    for name in names:
        shown = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in name)
        assert f"no {shown} of {shown}: {shown}" in text


def test_numbers_that_are_none_are_dashes(made: Compared) -> None:
    odd = {"voxel IoU": float("nan"), "Chamfer": 1e301, "F-score": float("inf"), "x": 1}
    made.add("mean shape", {**odd, **POSE})
    made.add("pose-aware (made)", {**odd, "Chamfer": 1.0}, system="pose-aware")
    (one,) = drawn(made)
    assert rows(one) == {"pose-aware (made)": [("–", False), ("1.000", False), ("–", False)]}


def test_pictures_come_from_the_cache(made: Compared) -> None:
    made.add("mean shape", SHAPE)
    made.add("true voxels (limit)", SHAPE)
    made.add("pose-aware (made)", SHAPE, system="pose-aware")
    (one,) = drawn(made, 5)
    assert [item for item, _ in one["grid"]] == ["chair/d", "chair/e"]
    heads = [[tile.label for tile in tiles] for _, tiles in one["grid"]]
    assert heads == [["view", "true voxels", "pose-aware (made)", "mean shape"]] * 2
    tiles = one["grid"][1][1]
    seen = made.workspace.artefact("views", "compare").read("chair/e", ("rgb",))["rgb"]
    assert (tiles[0].pixels == seen[1]).all()  # another view in each row
    assert (tiles[2].pixels == tiles[3].pixels).all()  # all tell the same cube
    assert (tiles[1].pixels < 250).any()
    # who tells less than it was asked costs the pictures, and nothing else
    made.add("mean shape", SHAPE, views=1)
    (one,) = drawn(made, 2)
    assert one["grid_note"].startswith("The pictures cannot be drawn: ")
    assert list(rows(one)) == ["pose-aware (made)", "mean shape", "true voxels (limit)"]


def test_it_runs_no_network(made: Compared) -> None:
    """A page of comparisons is made where torch cannot even be imported."""
    made.add("mean shape", SHAPE)
    made.add("pose-aware (made)", SHAPE, system="pose-aware")
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path; from stages.store.workspace import Workspace\n"
        "from stages.report.report import report\n"
        "page = report(Workspace(Path(sys.argv[1])), 1, 't', lambda *_: None)\n"
        "assert b'Systems compared on chair' in page and b'pose-aware (made) of chair/d' in page\n"
    )
    subprocess.run([sys.executable, "-c", code, str(made.root)], check=True)
