"""weights and export weights: networks in small files, with cards."""

from __future__ import annotations

from pathlib import Path

import typer

from crossdim_cli.command import Session, add_command, argument, param
from crossdim_cli.evaluate import RUN
from crossdim_cli.output import size, table
from crossdim_cli.predict import Telling
from stages.errors import InputError, UsageError


def register(app: typer.Typer) -> None:
    """Add `weights`."""
    add_command(
        app,
        "weights",
        [argument("name", str, "Show the card of these weights.", None)],
        _weights,
        help="List the weights that come with crossdim, or show the card of some.",
        example="crossdim weights pose-aware-airplane",
    )


def _weights(session: Session) -> None:
    from stages.weights.cards import listed, shipped

    cards = shipped()
    name = session.options["name"]
    if name:
        chosen = next((card for card in cards if card.name == name), None)
        if chosen is None:
            names = ", ".join(card.name for card in cards) or "none"
            raise InputError(f"no weights are called {name}", f"there are: {names}")
        session.out.result(
            {"card": dict(chosen.facts)}, chosen.path.with_suffix(".md").read_text().rstrip()
        )
        return
    found = listed(cards)
    rows = [
        (w["name"], w["system"], " ".join(w["categories"]), size(w["bytes"]), w["licence"])
        for w in found
    ]
    text = table(("name", "system", "categories", "size", "licence"), rows)
    session.out.result({"weights": found}, text if rows else "no weights come with this crossdim")


def register_packing(exports: typer.Typer) -> None:
    """Add `export weights`."""
    add_command(
        exports,
        "weights",
        [
            argument("path", Path, "NAME.safetensors to write; NAME.json and NAME.md beside it."),
            param("system", Telling, "pose-aware", "Whose run."),
            RUN,
            param("category", str | None, None, "Category that the run must be trained on."),
            param("licence", str, "", "Of the weights. Default: the strictest of the data's."),
            param("limit", list[str], [], "What they cannot do, for the card; may be repeated."),
        ],
        _pack,
        help="Pack a run into one small file with a card, as those that come with crossdim.",
        example="crossdim export weights plane.safetensors --system pose-aware --run airplane",
    )


def _pack(session: Session) -> None:
    from stages.store.commit import commit_bytes
    from stages.train.run import find_run
    from stages.weights.packing import Asked, names_of, pack

    options = session.options
    path = options["path"]
    if path.suffix != ".safetensors":
        raise UsageError(f"cannot pack weights as {path.name}", "use a name in .safetensors")
    run = find_run(session.workspace.root, options["system"], options["run"], options["category"])
    asked = Asked(path.stem, options["licence"], tuple(options["limit"]))
    packed = pack(session.workspace, run, asked)
    for one, data in zip(names_of(path), (packed.weights, packed.card, packed.text)):
        commit_bytes(one, data)
    facts = packed.facts
    text = f"{path}: {size(facts['bytes'])}, {facts['half_precision']['text']}"
    if not facts["metrics"]:
        session.out.note("the card has no metrics: evaluate the run, then pack it again")
    session.out.result({"path": str(path), "card": dict(facts)}, text)
