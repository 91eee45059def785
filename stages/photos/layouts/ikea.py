"""Photos of IKEA furniture (Lim et al. 2013), in two layouts.

With `Lists/Images.txt` it is the set of 937 crops that Girdhar et al. (2016) test on:

    Images/00000002_001.jpg
    Lists/Images.txt   the pictures, one a line
    Lists/Model.txt    the model in each, IKEA_<category>_<name>/<mesh>
    Lists/all_obj_clean.txt, Voxels/*.mat: the voxel grids of the models, which are not read here

These have no keypoints: their items have K = 0, the category, and the model as their family. Else
it is read as Keypoint-5 is, which is what 3D-INN's annotated IKEA pictures have to be brought
into: the layout of its own archive (ikea_3DINN.zip) is described nowhere.
"""

from __future__ import annotations

from pathlib import Path

from stages.errors import InputError
from stages.photos.annotated import UNKNOWN, Annotated, Entry
from stages.photos.layouts.keypoint5 import read_keypoint5
from stages.photos.layouts.tables import read_lines


def read_ikea(root: Path) -> list[Entry]:
    """Every picture of the data set; raises InputError when it is in neither layout."""
    lists = root / "Lists"
    if not (lists / "Images.txt").is_file():
        return read_keypoint5(root)
    images = [line for _, line in read_lines(lists / "Images.txt")]
    models = [line for _, line in read_lines(lists / "Model.txt")]
    if len(images) != len(models):
        raise InputError(
            f"{lists} has {len(images)} pictures in Images.txt, {len(models)} models in Model.txt",
            "both files must name the same pictures, line by line",
        )
    entries = []
    for image, model in zip(images, models):
        category = (model.split("_", 2)[1:2] or [UNKNOWN])[0]
        photo = Annotated(f"Images/{image}", points=[], family=model)
        entries.append(Entry(category, Path(image).stem, photo))
    return entries
