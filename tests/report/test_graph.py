"""The graph of a workspace: what came from what, in a syntax that takes any name."""

from __future__ import annotations

import html
import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from stages.landmarks import SPEC
from stages.report.graph import Graph, Node, to_dot, to_mermaid, workspace_graph
from stages.shapes.spec import labels
from stages.store.workspace import Workspace
from tests.attacks.names import NAMES
from tests.evaluate.made import SPECS, World, put
from tests.report.made import cube, hostile_workspace

# What Mermaid's flowcharts are made of, as far as we use them: every line is one of these.
TEXT = r'"(?:[A-Za-z0-9 ./_,:()-]|#[0-9]+;|<br/>)*"'
GRAMMAR = [
    r"flowchart LR",
    rf"  n\d+(?:\[{TEXT}\]|\(\[{TEXT}\]\)|\{{\{{{TEXT}\}}\}}):::[a-z]+",
    r"  n\d+ --> n\d+",
    r"  classDef [a-z]+ fill:#[0-9a-f]{6},stroke:#[0-9a-f]{6},color:#[0-9a-f]{6}",
]


def parsed(text: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Labels by id, and edges, of a chart that the grammar takes."""
    lines = text.splitlines()
    for line in lines:
        assert any(re.fullmatch(rule, line) for rule in GRAMMAR), line
    labels = {}
    for line in lines:
        if match := re.match(r'  (n\d+)[\[({]+"(.*)"', line):
            shown = re.sub(r"#(\d+);", r"&#\1;", match[2]).replace("<br/>", "\n")
            labels[match[1]] = html.unescape(shown)
    edges = [
        (a, b)
        for line in lines
        if (m := re.match(r"  (n\d+) --> (n\d+)", line))
        for a, b in [m.groups()]
    ]
    classes = set(re.findall(r"classDef (\w+)", text))
    assert set(re.findall(r":::(\w+)", text)) == classes
    assert {end for edge in edges for end in edge} <= set(labels)
    return labels, edges


def test_every_name_comes_back_as_it_was() -> None:
    nodes = tuple(Node(name, "artefact", "stale", f"{n} items") for n, name in enumerate(NAMES))
    edges = tuple((a.name, b.name) for a, b in itertools.pairwise(nodes))
    labels, found = parsed(to_mermaid(Graph(nodes, edges)))
    shown = ["".join(c if c.isprintable() else "?" for c in name) for name in NAMES]
    assert list(labels.values()) == [f"{n}\nstale: {k} items" for k, n in enumerate(shown)]
    assert found == [(f"n{n}", f"n{n + 1}") for n in range(len(nodes) - 1)]


def test_dot_keeps_quotes_inside() -> None:
    nodes = (Node('a"; b [x="\\', "run", "gone", "\x1b]0;x"),)
    line = to_dot(Graph(nodes, ())).splitlines()[3]
    # a quoted text of Graphviz ends at the first quote without a backslash before it
    (label,) = re.findall(r'label="((?:[^"\\]|\\.)*)", shape=ellipse', line)
    assert label == 'a\\"; b [x=\\"\\\\\\ngone: ?]0;x'


def test_what_came_from_what(tmp_path: Path) -> None:
    workspace = hostile_workspace(tmp_path)
    graph = workspace_graph(workspace)
    states = {node.name: (node.kind, node.state) for node in graph.nodes}
    result, run = "results/relpose/equivariant-made-test", "runs/equivariant/made"
    assert states["shapes/made"][0] == "artefact"
    assert states[run][0] == "run"
    assert states[result] == ("result", "stale")  # its inputs have another digest
    assert states["views/own"] == ("artefact", "gone")  # what the run was trained on is not there
    assert set(graph.edges) == {
        ("shapes/made", "views/test"),
        ("views/own", run),
        (run, result),
        ("views/test", result),
    }
    parsed(to_mermaid(graph))


def test_the_variant_that_was_asked_for_is_the_input(pipeline_like: Workspace) -> None:
    edges = workspace_graph(pipeline_like).edges
    assert ("shapes/one", "landmarks/x") in edges
    assert ("views/test", "landmarks/x") in edges


@pytest.fixture
def pipeline_like(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Landmarks in named views, and views of whatever shapes there are."""
    arrays = {**cube().to_arrays(), **labels("", "", "", "")}
    put(tmp_path, "shapes/one", {"chair/a": arrays})
    World(tmp_path, ["chair/a"]).see()
    monkeypatch.setitem(SPECS, "landmarks", {"convention": SPEC["convention"]})
    convention = {"convention": np.array(b"generated")}
    put(tmp_path, "landmarks/x", {"chair/a": convention}, views="test")
    return Workspace(tmp_path)


def test_an_empty_workspace_has_an_empty_graph(tmp_path: Path) -> None:
    assert to_mermaid(workspace_graph(Workspace(tmp_path / "none"))) == "flowchart LR"
