"""What `export` and `plot` know of codes: files of them, the encoders as programs, t-SNE."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import typer

from crossdim_cli.command import Session, add_command, argument, param
from crossdim_cli.evaluate import DEVICES, ONE_CATEGORY, RUN, run_of

SYSTEM = "deep-encoding"


def register_codes(exports: typer.Typer) -> None:
    """Add the commands of this module to the group export."""
    add_command(
        exports,
        "codes",
        [
            argument("path", Path, "File to write: .h5, .npz or .csv."),
            RUN,
            ONE_CATEGORY,
            param("split", Literal["test", "train", "val", "all"], "test", "Of which shapes."),
            *DEVICES,
        ],
        _codes,
        help="Write the codes of shapes and of their pictures: .h5, .npz or .csv.",
        example="crossdim export codes codes.h5 --split all",
    )
    add_command(
        exports,
        "model",
        [
            argument("path", Path, "File to write: .pt2 (torch.export) or .onnx."),
            RUN,
            ONE_CATEGORY,
            param("encoder", Literal["image", "voxel"], "image", "Which of the two."),
        ],
        _model,
        help="Write an encoder as a program, and compare what it says with the network.",
        example="crossdim export model image.onnx --encoder image",
    )


def register_tsne(plots: typer.Typer) -> None:
    """Add the command of this module to the group plot."""
    add_command(
        plots,
        "tsne",
        [
            RUN,
            ONE_CATEGORY,
            param("views", str | None, None, "Evaluated set of views. Default: the first."),
            param("objects", int, 10, "How many test shapes.", min=1),
            param("images", int, 300, "How many pictures, of all shapes together.", min=1),
            param("voxels", bool, False, "Show their voxels, too.", flags=("--voxels",)),
            param("thumbnails", bool, False, "Show the pictures.", flags=("--thumbnails",)),
            param("perplexity", float, 30.0, "Neighbours that t-SNE holds on to.", min=1),
            param("seed", int, 0, "Seed of t-SNE.", min=0),
            param("output", Path | None, None, "PNG file.", flags=("--output", "-o")),
            param("csv", Path | None, None, "File of the coordinates. Default: beside it."),
        ],
        _tsne,
        help="Codes of test pictures in the plane; with voxels or as thumbnails on request.",
        example="crossdim plot tsne --voxels --thumbnails -o tsne.png",
    )


def _codes(session: Session) -> None:
    from stages.export.codes import check_suffix, codes_bytes, codes_of
    from stages.store.commit import commit_bytes
    from stages.train.device import choose_device

    options = session.options
    path = options["path"]
    check_suffix(path)
    run = run_of(session, SYSTEM)
    device = str(choose_device(options["device"], options["gpu"]))
    codes = codes_of(session.workspace, run, options["split"], device)
    commit_bytes(path, codes_bytes(codes, run, path.suffix))
    found = {"path": str(path), "shapes": len(codes.voxel), "pictures": len(codes.image)}
    text = f"{path}: codes of {len(codes.voxel)} shapes and {len(codes.image)} pictures"
    session.out.result(found, text)


def _model(session: Session) -> None:
    from stages.export.network import check_suffix, encoder_bytes
    from stages.store.commit import commit_bytes
    from stages.train.run import load_model

    options = session.options
    path = options["path"]
    check_suffix(path)
    trained = load_model(run_of(session, SYSTEM))
    data, difference = encoder_bytes(trained, options["encoder"], path.suffix)
    commit_bytes(path, data)
    found = {"path": str(path), "encoder": options["encoder"], "difference": difference}
    text = f"{path}: {options['encoder']} encoder, within {difference:.1e} of the network"
    session.out.result(found, text)


def _tsne(session: Session) -> None:
    from stages.export.tsne import (
        Options,
        choose_results,
        plane_csv,
        plane_of,
        plane_png,
        views_of,
    )
    from stages.store.commit import commit_bytes

    options = session.options
    run = run_of(session, SYSTEM)
    results = choose_results(session.workspace, run, options["views"])
    names = ("objects", "images", "voxels", "perplexity", "seed")
    plane = plane_of(results, Options(**{name: options[name] for name in names}))
    path = options["output"] or Path(f"{run.name}-tsne.png")
    table = options["csv"] or path.with_suffix(".csv")
    views = views_of(session.workspace, results) if options["thumbnails"] else None
    commit_bytes(path, plane_png(plane, f"{run.name}, {len(plane.view)} codes", views))
    commit_bytes(table, plane_csv(plane))
    found = {"path": str(path), "csv": str(table), "codes": len(plane.view), "kl": plane.kl}
    session.out.result(found, f"{path}, {table}")
