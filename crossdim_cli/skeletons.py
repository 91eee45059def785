"""skeletons sample | fit | list."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from crossdim_cli.command import Session, add_command, new_app, param, params_from, params_options
from crossdim_cli.output import table
from crossdim_cli.stage import Narrow, engine_options, run_stage
from stages import registry
from stages.engine.plan import Request, Selection
from stages.engine.sources import wanted_from_sources, with_digests
from stages.engine.work import Work

_CATEGORY = param("category", str, "chair", "Category, or the name of a template.")


class _SampleByDefault(TyperGroup):
    """`crossdim skeletons --category chair` is `crossdim skeletons sample --category chair`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] != "--help":
            args = ["sample", *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    skeletons = new_app("Random 3D skeletons, and the templates that they are drawn from.")
    skeletons.info.cls = _SampleByDefault
    app.add_typer(skeletons, name="skeletons")
    add_command(
        skeletons,
        "sample",
        [
            _CATEGORY,
            param("count", int, 30_000, "Skeletons to train on.", min=1, max=10**8),
            param("val", int, 1000, "Skeletons to validate on.", min=0, max=10**7),
            param("test", int, 1000, "Skeletons to test on.", min=0, max=10**7),
            *params_options(registry.SOURCES["skeletons"].params),
            param("name", str, "", "Name of the artefact. Default: what differs."),
            *engine_options(),
        ],
        _sample,
        help="Draw skeletons with their 2D keypoints, without pictures.",
        example="crossdim skeletons sample --category chair --count 1000000",
    )
    add_command(
        skeletons,
        "fit",
        [
            param("category", str, "car", "Category of the shapes, and name of the template."),
            param("template", str, "", "Template whose keypoints to take. Default: the category."),
            param("source", list[str], [], "Only shapes of this source; may be repeated."),
            param("convention", str, "auto", "Whose names: auto, generated, objectnet3d, ..."),
            param("bases", int, 6, "Base shapes, the mean shape included.", min=1, max=60),
            param("name", str, "", "Name of the template. Default: the category."),
        ],
        _fit,
        help="Fit mean and base shapes by PCA to the named keypoints of shapes.",
        example="crossdim skeletons fit --category car",
    )
    add_command(
        skeletons,
        "list",
        [],
        _list,
        help="List templates: keypoints, base shapes, ranges, known names of other sources.",
        example="crossdim skeletons list",
    )


def _sample(session: Session) -> None:
    from stages.skeletons.template import load

    options = session.options
    stage = registry.SOURCES["skeletons"]
    template = load(options["category"], session.workspace)
    params = params_from(stage.params, {**options, "template": template.name})
    template.range(params.ranges)  # before anything is written
    origin = {
        "kind": "skeletons",
        "root": str(session.workspace.root.resolve()),
        "category": template.name,
        "template": template.name,
        "train": options["count"],
        "val": options["val"],
        "test": options["test"],
    }
    assert stage.list_sources is not None
    sources = stage.list_sources(origin)

    def wanted(narrow: Narrow) -> dict[str, Work]:
        chosen = with_digests(stage, {item: sources[item] for item in narrow(sorted(sources))})
        return wanted_from_sources(stage, params, options["seed"], chosen)

    variant = options["name"] or stage.variant(params)
    variant += f"-seed{options['seed']}" if options["seed"] and not options["name"] else ""
    run_stage(session, stage, params, variant, wanted, Request(Selection(), origin))


def _fit(session: Session) -> None:
    from stages.skeletons.fitting import Fit, fit
    from stages.skeletons.template import path_in, to_bytes
    from stages.store.commit import commit_bytes, make_folder

    options = session.options
    name = options["name"] or options["category"]
    path = path_in(session.workspace, name)
    make_folder(path.parent)
    wanted = Fit(
        options["category"],
        options["template"] or options["category"],
        name,
        tuple(options["source"]),
        options["convention"],
        options["bases"],
    )
    fitted = fit(session.workspace, wanted)
    commit_bytes(path, to_bytes(fitted.template))
    left_out = f", {len(fitted.left_out)} left out" if fitted.left_out else ""
    explained = 100 * float(fitted.explained.sum())
    for item, reason in list(fitted.left_out.items())[:20]:
        session.out.warn(f"left out {item}: {reason}")
    data = {
        "path": str(path),
        "shapes": fitted.shapes,
        "left_out": fitted.left_out,
        "explained": fitted.explained.tolist(),
    }
    text = f"{path}: {fitted.shapes} shapes{left_out}, {explained:.1f} % of the variance explained"
    session.out.result(data, text)


def _list(session: Session) -> None:
    from stages.skeletons.template import load, names_of, path_in

    rows: list[dict[str, Any]] = []
    for name in names_of(session.workspace):
        template = load(name, session.workspace)
        rows.append(
            {
                "template": name,
                "keypoints": list(template.keypoints),
                "bases": template.basis_count,
                "edges": len(template.edges),
                "ranges": list(template.ranges),
                "sources": list(template.sources),
                "from": "workspace" if path_in(session.workspace, name).is_file() else "crossdim",
            }
        )
    columns = ("template", "keypoints", "bases", "edges", "ranges", "sources", "from")
    shown = [
        [len(v) if c == "keypoints" else " ".join(v) if isinstance(v, list) else v for c, v in r]
        for r in ([(c, row[c]) for c in columns] for row in rows)
    ]
    session.out.result({"templates": rows}, table(columns, shown))
