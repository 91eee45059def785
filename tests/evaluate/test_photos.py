"""From the files of a data set to errors: published photos, imported and measured on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from crossdim_cli.main import run as crossdim
from stages.evaluate.align_protocol import Against, evaluate_align
from stages.evaluate.posed import choose_photos
from stages.evaluate.relpose_protocol import evaluate_relpose
from stages.geometry import cameras
from stages.store.workspace import Workspace
from tests.evaluate.conftest import Answering
from tests.evaluate.made import World, trained
from tests.evaluate.test_relpose import every
from tests.photos import makers

# azimuth, elevation, theta (in-plane), distance as a record has them
POSES = [(30.0, 10.0, -20.0, 4.0), (250.0, -5.0, 3.0, 6.0), (110.0, 60.0, 80.0, 3.0)]
COARSE = {"azimuth_coarse": 30.0, "elevation_coarse": 0.0, "distance": 0.0}


def level(number: int) -> int:
    """The grey of photo `number`."""
    return 40 + 60 * number


@pytest.fixture
def imported(tmp_path: Path) -> Workspace:
    """Photos of aeroplanes in the layout of PASCAL3D+, each of one grey, cut out; one coarse."""
    tree = tmp_path / "PASCAL3D+"
    for number, pose in enumerate([*POSES, None]):
        viewpoint = COARSE
        if pose:
            viewpoint = dict(zip(("azimuth", "elevation", "theta", "distance"), pose))
        one = makers.pascal_object("aeroplane", {"tip": (100.0, 90.0)}, viewpoint=viewpoint)
        name = f"aeroplane_imagenet/n{number}"
        makers.record(tree / f"Annotations/{name}.mat", [one])
        picture = np.full((220, 300, 3), level(number), np.uint8)
        makers.write(tree / f"Images/{name}.JPEG", makers.encode(picture, "JPEG"))
    line = f"keypoints import {tree} --format pascal3d --name real --region object --jobs 1"
    size = f"--width 128 --height 128 -w {tmp_path / 'ws'} -q"
    assert crossdim([*line.split(), *size.split()]) == 0
    return Workspace(tmp_path / "ws")


def test_published_annotations_are_the_truth(imported: Workspace, answering: Answering) -> None:
    world = World(imported.root, ["airplane/a"])

    def answer(images: torch.Tensor) -> torch.Tensor:
        assert images.shape[1:] == (3, 128, 128)
        grey = images[:, 0, 64, 64] * 255
        number = ((grey - level(0)) / 60).round().int().tolist()
        matrices = cameras.extrinsics(np.array(POSES))[number, :, :3]
        return torch.from_numpy(matrices).float()

    answering(trained("pose-regression", "rotation", answer))
    run = world.run("pose-regression")
    (photos,) = choose_photos(imported, [imported.artefacts("keypoints")[0].variant])
    relative = evaluate_relpose(imported, run, photos, "cpu", False, lambda progress: None)
    assert (relative.summary["items"], relative.summary["left_out"]) == (3, 1)
    assert every(relative.results, "category_error_deg").shape == (3 * 2, 1)
    assert every(relative.results, "category_error_deg").max() < 1e-3  # float32
    against = Against(photos, None)
    absolute = evaluate_align(imported, run, against, "cpu", False, lambda progress: None)
    assert every(absolute.results, "instance_error_deg").max() < 1e-3
