"""What came from what: artefacts, runs and results as a graph for Mermaid or Graphviz.

Imports no torch: `crossdim status` draws it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from stages.engine.status import ArtefactStatus, workspace_status
from stages.errors import CrossdimError
from stages.evaluate.health import results_status
from stages.registry import DERIVED
from stages.report.facts import state_of
from stages.store.shard import params_of
from stages.store.workspace import Workspace
from stages.train.health import runs_status
from stages.train.run import Run, list_runs

Kind = Literal["artefact", "run", "result"]
Format = Literal["mermaid", "dot"]
# fill, line and text of each state, readable on light and on dark paper
_COLOURS = {
    "fresh": ("#d8f0de", "#22753f", "#0b2a14"),
    "stale": ("#fbe7bd", "#8a5a00", "#332100"),
    "missing": ("#fbe7bd", "#8a5a00", "#332100"),
    "failed": ("#f9d7d3", "#ad2f27", "#3a0d0a"),
    "damaged": ("#f9d7d3", "#ad2f27", "#3a0d0a"),
    "unfinished": ("#dfe9f5", "#2f6ca3", "#0c2236"),
    "unknown": ("#e6e8eb", "#5c6470", "#1d2129"),
    "gone": ("#ffffff", "#ad2f27", "#3a0d0a"),
}
_BRACKETS: dict[Kind, tuple[str, str]] = {
    "artefact": ("[", "]"),
    "run": ("([", "])"),
    "result": ("{{", "}}"),
}
_SHAPES: dict[Kind, str] = {"artefact": "box", "run": "ellipse", "result": "hexagon"}
_PLAIN = re.compile(r"[^A-Za-z0-9 ./_,:()-]")


@dataclass(frozen=True)
class Node:
    """Something in the workspace, by its name in `status`."""

    name: str
    kind: Kind
    state: str
    note: str  # such as `24 items`


@dataclass(frozen=True)
class Graph:
    """Nodes in the order of `status`, and (from, to) names of what was made of what."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...]


def workspace_graph(workspace: Workspace) -> Graph:
    """Everything in a workspace, and what it was made of; what is no longer there is `gone`."""
    nodes: dict[str, Node] = {}
    edges: dict[tuple[str, str], None] = {}
    for status in workspace_status(workspace):
        nodes[status.name] = Node(status.name, "artefact", state_of(status), _counts(status))
        for source in _inputs(workspace, status.name):
            edges[source, status.name] = None
    runs = {f"runs/{run.system}/{run.name}": run for run in list_runs(workspace.root)}
    for record in runs_status(workspace):
        name = record["run"]
        state = "fresh" if record["fresh"] else "damaged"
        if not record["fresh"] and record["status"] != "damaged":
            state = "stale" if "changed" in record["why"] else "unfinished"
        nodes[name] = Node(name, "run", state, record["status"])
        for source in _data_of(runs[name], runs):
            edges[source, name] = None
    for record in results_status(workspace):
        name = record["name"]
        state = "fresh" if record["fresh"] else "stale"
        nodes[name] = Node(name, "result", state, f"{record['items']} items")
        for source in _measured(workspace, name, runs):
            edges[source, name] = None
    for source, _ in edges:
        nodes.setdefault(source, Node(source, _kind_of(source), "gone", "not there"))
    return Graph(tuple(nodes.values()), tuple(edges))


def _counts(status: ArtefactStatus) -> str:
    state = status.state
    parts = [f"{status.items} items"]
    for word, there in (
        ("stale", state.stale),
        ("missing", state.missing),
        ("failed", state.failed),
    ):
        parts += [f"{len(there)} {word}"] if there else []
    return ", ".join(parts)


def _kind_of(name: str) -> Kind:
    first = name.partition("/")[0]
    return {"runs": "run", "results": "result"}.get(first, "artefact")  # type: ignore[return-value]


def _inputs(workspace: Workspace, name: str) -> Iterator[str]:
    """What an artefact was made of, as its manifest and its parameters say."""
    folder, _, variant = name.rpartition("/")
    stage = DERIVED.get(folder)
    index = workspace.artefact(folder, variant).index
    if stage is None or index.key is None:
        return
    params = params_of(index.key)
    asked = index.extra.get("asked", [])
    for wanted in stage.inputs:
        named = {str(one["variants"][wanted]) for one in asked if wanted in one.get("variants", {})}
        there = [a.variant for a in workspace.artefacts(wanted)]
        yield from (f"{wanted}/{one}" for one in sorted(named) or there)
    for key, value in params.items():  # such as the views that landmarks are in
        if isinstance(value, str) and key not in stage.inputs and key in DERIVED:
            there = [a.variant for a in workspace.artefacts(key)]
            if value or (stage.name == "landmarks" and len(there) == 1):  # the only one there is
                yield f"{key}/{value or there[0]}"


def _data_of(run: Run, runs: Mapping[str, Run]) -> Iterator[str]:
    """What a run learnt from, and the run that it began with."""
    try:
        record = run.record()
    except CrossdimError:
        return
    yield from (f"{stage}/{variant}" for stage, variant in _variants(record).items())
    start = record.get("params", {}).get("start")
    begun = [name for name, one in runs.items() if start and one.name == start]
    if len(begun) == 1:
        yield begun[0]


def _variants(record: Mapping[str, Any]) -> dict[str, str]:
    return dict(record.get("data", {}).get("variants", {}))


def _measured(workspace: Workspace, name: str, runs: Mapping[str, Run]) -> Iterator[str]:
    """The run that results are of, and what it was measured on."""
    stage, _, variant = name.rpartition("/")
    key = workspace.artefact(stage, variant).index.key
    params = params_of(key) if key else {}
    label = str(params.get("run", variant))
    run = next((one for one in runs if label == "-".join(one.split("/")[1:])), None)
    inputs = [str(text).partition(" ")[0] for text in params.get("inputs", ())]
    if run is not None:
        yield run
        if not inputs:  # of the run's own test shapes
            inputs = [source for source in _data_of(runs[run], {}) if "/" in source]
    yield from inputs


def to_mermaid(graph: Graph) -> str:
    """The graph for Mermaid, from left to right; names are written in its own escapes."""
    ids = {node.name: f"n{number}" for number, node in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    for node in graph.nodes:
        before, after = _BRACKETS[node.kind]
        text = f"{escaped(node.name)}<br/>{escaped(f'{node.state}: {node.note}')}"
        lines.append(f'  {ids[node.name]}{before}"{text}"{after}:::{node.state}')
    lines += [f"  {ids[a]} --> {ids[b]}" for a, b in graph.edges]
    used = {node.state for node in graph.nodes}
    for state, (fill, line, ink) in _COLOURS.items():
        if state in used:
            lines.append(f"  classDef {state} fill:{fill},stroke:{line},color:{ink}")
    return "\n".join(lines)


def escaped(text: str) -> str:
    """The text with everything but plain characters as `#number;`, as Mermaid reads them."""
    return _PLAIN.sub(lambda match: f"#{ord(match[0])};", _printable(text))


def to_dot(graph: Graph) -> str:
    """The graph for Graphviz, from left to right."""
    ids = {node.name: f"n{number}" for number, node in enumerate(graph.nodes)}
    lines = ["digraph crossdim {", "  rankdir=LR;", '  node [style=filled, fontname="sans-serif"];']
    for node in graph.nodes:
        fill, line, ink = _COLOURS[node.state]
        label = f"{_quoted(node.name)}\\n{_quoted(f'{node.state}: {node.note}')}"
        look = f'shape={_SHAPES[node.kind]}, fillcolor="{fill}", color="{line}", fontcolor="{ink}"'
        lines.append(f'  {ids[node.name]} [label="{label}", {look}];')
    lines += [f"  {ids[a]} -> {ids[b]};" for a, b in graph.edges]
    return "\n".join([*lines, "}"])


def _quoted(text: str) -> str:
    return _printable(text).replace("\\", "\\\\").replace('"', '\\"')


def _printable(text: str) -> str:
    """The text without what acts on a terminal, or on the letters around it."""
    return "".join(c if c.isprintable() else "?" for c in text)
