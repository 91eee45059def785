"""eval: the tables of a run, each number beside trivial answers."""

from __future__ import annotations

import functools
import os
from typing import Any, Literal

import typer

from crossdim_cli.command import Session, add_command, new_app, param
from crossdim_cli.output import table

SYSTEM = "pose-aware"
Posed = Literal["equivariant", "pose-regression", "keypointnet"]
RUN = param("run", str | None, None, "Name of the run. Default: the newest finished one that fits.")
ONE_CATEGORY = param("category", str | None, None, "Category that the run must be trained on.")
DEVICES = [
    param("device", str | None, None, "auto, cpu, cuda, cuda:N or mps."),
    param("gpu", int | None, None, "Use this GPU; the same as --device cuda:N.", min=0),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = new_app("Evaluate a run on its test shapes.")
    app.add_typer(group, name="eval")
    split = param("limit", int, 0, "Only the first so many test shapes; 0 for all.", min=0)
    dry = param("dry_run", bool, False, "Say what would be done.", flags=("--dry-run", "-n"))
    add_command(
        group,
        "reconstruction",
        [RUN, ONE_CATEGORY, split, *DEVICES, dry],
        _reconstruction,
        help="Tables 1 to 4 of the pose-aware paper: shape, pose, pose-aware shape, projection.",
        example="crossdim eval reconstruction --run small --json",
    )
    views = param(
        "views", list[str], [], "These sets of views; may be repeated. Default: all but its own."
    )
    photos = param(
        "photos",
        list[str],
        [],
        "Annotated photos of `keypoints import`, cut out; instead of views, or besides.",
    )
    turns = param(
        "turns",
        int,
        0,
        "Average the embeddings of each picture turned so often, and mirrored; 0: as it is.",
        min=0,
    )
    add_command(
        group,
        "relpose",
        [
            param("system", Posed, "equivariant", "Whose run."),
            RUN,
            ONE_CATEGORY,
            views,
            photos,
            turns,
            *DEVICES,
            dry,
        ],
        _relpose,
        help="Table 2 of the equivariant paper: relative pose of views, within and across shapes.",
        example="crossdim eval relpose --category car",
    )
    add_command(
        group,
        "align",
        [
            param("system", Literal["equivariant", "pose-regression"], "equivariant", "Whose run."),
            RUN,
            ONE_CATEGORY,
            views,
            photos,
            turns,
            param("spheres", str | None, None, "Maps of the canonical meshes, if several fit."),
            *DEVICES,
            dry,
        ],
        _align,
        help="Table 4 of the equivariant paper: pose of a view, by its mesh and by others.",
        example="crossdim eval align --category car",
    )
    add_command(
        group,
        "classification",
        [
            RUN,
            ONE_CATEGORY,
            param(
                "spheres",
                list[str],
                [],
                "These sphere maps; may be repeated. Default: all at canonical and random poses.",
            ),
            *DEVICES,
            dry,
        ],
        _classification,
        help="Accuracy of a spherical CNN on unrotated and on rotated test shapes.",
        example="crossdim eval classification --json",
    )
    add_command(
        group,
        "views",
        [RUN, ONE_CATEGORY, views, *DEVICES, dry],
        _views,
        help="Novel views of test shapes beside their true pictures: PSNR, SSIM, mask IoU.",
        example="crossdim eval views --category car",
    )
    seen = param(
        "views", list[str], [], "These sets of views; may be repeated. Default: those trained on."
    )
    add_command(
        group,
        "pointcloud",
        [RUN, ONE_CATEGORY, seen, *DEVICES, dry],
        _pointcloud,
        help="Clouds told of single pictures beside the shapes: both distances, Chamfer, F-score.",
        example="crossdim eval pointcloud --category chair",
    )
    add_command(
        group,
        "retrieval",
        [
            RUN,
            ONE_CATEGORY,
            param("views", list[str], [], "Sets of views; may be repeated. Default: its own."),
            *DEVICES,
            dry,
        ],
        _retrieval,
        help="Shapes found by pictures and pictures by shapes: recall, ranks, the modality gap.",
        example="crossdim eval retrieval --category car",
    )
    from crossdim_cli import skeleton_evals  # which builds on what is here

    skeleton_evals.register(group, dry)


def _relpose(session: Session) -> None:
    from stages.evaluate.relpose_protocol import evaluate_relpose

    run = run_of(session, session.options["system"])
    evaluate = functools.partial(evaluate_relpose, turns=session.options["turns"])
    each_set(session, run, _pictures(session, run), evaluate, measured_text)


def _pictures(session: Session, run: Any) -> list[Any]:
    """The views and photos that are asked for: photos alone if no views are named."""
    from stages.evaluate.posed import choose_photos, choose_views

    views, photos = session.options["views"], session.options["photos"]
    chosen = choose_views(session.workspace, views, run) if views or not photos else []
    return [*chosen, *choose_photos(session.workspace, photos)]


def _align(session: Session) -> None:
    from stages.evaluate.align_protocol import Against, choose_spheres, evaluate_align

    run = run_of(session, session.options["system"])
    spheres = choose_spheres(session.workspace, session.options["spheres"], run)
    sets = [Against(pictures, spheres) for pictures in _pictures(session, run)]
    evaluate = functools.partial(evaluate_align, turns=session.options["turns"])
    each_set(session, run, sets, evaluate, measured_text)


def _classification(session: Session) -> None:
    from stages.evaluate.classification_protocol import choose_maps, evaluate_classification

    run = run_of(session, "spherical-cnn")
    sets = choose_maps(session.workspace, session.options["spheres"])
    each_set(session, run, sets, evaluate_classification, measured_text)


def run_of(session: Session, system: str) -> Any:
    """The run of the options; of equivariant ones by default one that is for poses."""
    from stages.train.run import find_run

    options = session.options
    only = {"layer": "pose"} if system == "equivariant" else {}
    return find_run(session.workspace.root, system, options["run"], options["category"], only)


def each_set(session: Session, run: Any, sets: Any, evaluate: Any, text_of: Any) -> None:
    """Evaluate a run on sets of views, one after the other, and say what was found."""
    from stages.train.device import choose_device

    options = session.options
    device = str(choose_device(options["device"], options["gpu"]))
    reports = []
    for views in sets:
        with session.out.progress(f"eval {run.name} {views.variant}") as tracker:
            report = evaluate(
                session.workspace,
                run,
                views,
                device,
                options["dry_run"],
                lambda p, tracker=tracker: tracker(p.done, p.total),
            )
        reports.append(report)
    if options["dry_run"]:
        todo = {report.results.name: report.todo for report in reports}
        text = "\n".join(f"{name}: would measure {n} shapes" for name, n in todo.items())
        session.out.result({"todo": todo}, text)
        return
    for report in reports:
        session.out.note(f"written to {_short(report.results.folder)}: summary.json, summary.csv")
    text = "\n\n".join(text_of(report) for report in reports)
    session.out.result({"results": [report.summary for report in reports]}, text)


def measured_text(report: Any) -> str:
    summary = report.summary
    head = (
        f"run {summary['run']} of {summary['system']}, step {summary['step']}, on "
        f"{' and '.join(summary['inputs'])}: {summary['items']} items"
    )
    if summary["left_out"]:
        head += f" ({summary['left_out']} more are not there, or their pose is not known)"
    return "\n".join([head, *_tables_text(report.tables)])


def _retrieval(session: Session) -> None:
    from stages.evaluate.retrieval_protocol import choose_galleries, evaluate_retrieval

    run = run_of(session, "deep-encoding")
    sets = choose_galleries(session.workspace, session.options["views"], run)
    each_set(session, run, sets, evaluate_retrieval, measured_text)


def _views(session: Session) -> None:
    from stages.evaluate.views_protocol import choose_plain, evaluate_views

    run = run_of(session, "view-synthesis")
    sets = choose_plain(session.workspace, session.options["views"], run)
    each_set(session, run, sets, evaluate_views, measured_text)


def _pointcloud(session: Session) -> None:
    from stages.evaluate.pointcloud_protocol import choose_pictures, evaluate_pointcloud

    run = run_of(session, "structure-generator")
    sets = choose_pictures(session.workspace, session.options["views"], run)
    each_set(session, run, sets, evaluate_pointcloud, measured_text)


def _reconstruction(session: Session) -> None:
    from stages.evaluate.protocol import evaluate_reconstruction
    from stages.train.device import choose_device
    from stages.train.run import find_run

    options = session.options
    run = find_run(session.workspace.root, SYSTEM, options["run"], options["category"])
    device = str(choose_device(options["device"], options["gpu"]))
    with session.out.progress(f"eval {run.name}") as tracker:
        report = evaluate_reconstruction(
            session.workspace,
            run,
            device,
            options["limit"],
            options["dry_run"],
            lambda p: tracker(p.done, p.total),
        )
    if options["dry_run"]:
        text = f"{report.results.name}: would evaluate {report.todo} shapes"
        session.out.result({"artefact": report.results.name, "todo": report.todo}, text)
        return
    session.out.note(f"written to {_short(report.results.folder)}: summary.json, summary.csv")
    session.out.result(report.summary, _text(report.summary, report.tables))


def _short(path: Any) -> str:
    return os.path.relpath(path)


def _text(summary: dict[str, Any], tables: Any) -> str:
    """All tables, one below the other."""
    head = (
        f"run {summary['run']} of {summary['system']}, step {summary['step']}: "
        f"{summary['shapes']} test shapes, {summary['views']} views, "
        f"threshold {summary['threshold']:.2f} from "
        f"{summary['validation_shapes']} validation shapes"
    )
    return "\n".join([head, *_tables_text(tables)])


def _tables_text(tables: Any) -> list[str]:
    """The tables, an empty line before each; a row may know nothing of a category."""
    parts = []
    for one in tables:
        categories = list(one.rows[0][1])
        rows = [(what, *(values.get(c) for c in categories)) for what, values in one.rows]
        parts += ["", table((one.title, *categories), rows)]
    return parts
