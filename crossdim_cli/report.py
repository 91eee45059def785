"""report and view: pages and a browser for people to look at."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import typer

from crossdim_cli.command import Session, add_command, argument, param
from crossdim_cli.output import size

_MOST_PICTURES = 50


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    examples = param(
        "pictures",
        int,
        3,
        "Examples of the shapes and of each result; a page takes about 0.2 MB for each.",
        min=0,
        max=_MOST_PICTURES,
    )
    add_command(
        app,
        "report",
        [
            param("output", Path, Path("report.html"), "HTML file.", flags=("--output", "-o")),
            examples,
            param("title", str, "", "Heading. Default: the name of the workspace's folder."),
        ],
        _report,
        help="One page of all there is: data, stages, curves, tables, pictures, 3D; works offline.",
        example="crossdim report -o report.html --pictures 5",
    )
    add_command(
        app,
        "view",
        [
            argument("target", str, "STAGE/VARIANT, or a run: its name, or SYSTEM/NAME."),
            param("html", Path | None, None, "Write a page instead; needs no extra."),
            param("item", str | None, None, "With --html: only this item, CATEGORY/NAME."),
            param("items", int, 12, "With --html: how many.", min=1, max=200),
            param("host", str, "127.0.0.1", "Address to listen on; 0.0.0.0 lets others look."),
            param("port", int, 8080, "Port to listen on; 0 for a free one.", min=0, max=65535),
        ],
        _view,
        help="Look at shapes, voxels, views, maps, clouds and predictions in the browser.",
        example="crossdim view voxels/res32",
    )


def _report(session: Session) -> None:
    from stages.report.report import report
    from stages.store.commit import commit_bytes

    options = session.options
    title = options["title"] or session.workspace.root.resolve().name
    with session.out.progress("report") as tracker:
        data = report(session.workspace, options["pictures"], title, tracker)
    path: Path = options["output"]
    commit_bytes(path, data)
    session.out.result({"path": str(path), "bytes": len(data)}, f"{path}: {size(len(data))}")


def _view(session: Session) -> None:
    from stages.report.browse import browse, static_page
    from stages.store.commit import commit_bytes

    options = session.options
    browsing = browse(session.workspace, options["target"])
    path: Path | None = options["html"]
    if path is not None:
        data = static_page(browsing, options["item"], options["items"])
        commit_bytes(path, data)
        text = f"{path}: {browsing.artefact.name}, {size(len(data))}"
        session.out.result({"path": str(path), "bytes": len(data)}, text)
        return
    _serve(session, browsing)


def _serve(session: Session, browsing: Any) -> None:
    """Let browsers look until Ctrl-C, which is the way to end it: exit code 130 all the same."""
    from stages.report.live import Viewer

    viewer = Viewer(browsing, session.options["host"], session.options["port"])
    try:
        count = len(browsing.items)
        text = f"{browsing.artefact.name}, {count} items: open {viewer.url}   (Ctrl-C ends it)"
        session.out.result({"url": viewer.url, "items": count}, text)
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        session.out.note("stopped")
        raise typer.Exit(130) from None
    finally:
        viewer.close()
