"""S5: no byte of a file outside of a model's folder gets into the workspace.

`crossdim shapes import` reads a data set of models that name a secret picture in every way; what
comes of it is searched for the secret, as bytes and as pixels.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from crossdim_cli.main import run
from stages.geometry.mesh import Mesh
from stages.store.workspace import Workspace
from tests.attacks import make_textures
from tests.attacks.make_textures import KINDS, SECRET
from tests.shapes.import_models import png


def leaks(workspace: Path) -> list[str]:
    """Where in the workspace anything of the secret is: in files as they are, and in arrays."""
    whole = png(SECRET)
    found = [
        str(path)
        for path in workspace.rglob("*")
        if path.is_file()
        and (whole[-60:] in (data := path.read_bytes()) or SECRET.tobytes() in data)
    ]
    for artefact in Workspace(workspace).artefacts("shapes"):
        for item in artefact.index.items():
            arrays = artefact.read(item)
            if shows(Mesh.from_arrays(arrays), SECRET):
                found.append(item)
            # the library and the buffer with the secret
            if np.isclose(arrays["material_rgba"], 0.1640).any() or 41.5 in arrays["vertices"]:
                found.append(item)
    return found


def shows(mesh: Mesh, picture: np.ndarray) -> bool:
    """Whether a texture of the mesh holds a row of the picture."""
    rows = [row.tobytes() for row in picture]
    return any(
        row in np.ascontiguousarray(texture[..., :3]).tobytes()
        for texture in mesh.textures
        for row in rows
    )


def test_nothing_outside_of_a_models_folder_gets_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = make_textures.make(tmp_path)
    library = make_textures.make_library(tmp_path)
    workspace = tmp_path / "workspace"
    secrets = {path: path.read_bytes() for path in (tmp_path / "private").iterdir()}
    for path, format in ((dataset, "folder"), (library, "sh3f")):
        line = ["shapes", "import", str(path), "--format", format, "--jobs", "1", "--json", "-q"]
        code = run([*line, "--name", format, "--workspace", str(workspace)])
        assert code == 1, format  # some failed
        told = json.loads(capsys.readouterr().out)
        assert told["failed"], told
    assert leaks(workspace) == []
    assert {p: p.read_bytes() for p in (tmp_path / "private").iterdir()} == secrets
    assert not list(tmp_path.rglob("slipped*"))
    [imported, sweet] = sorted(Workspace(workspace).artefacts("shapes"), key=lambda a: a.variant)
    failures = imported.index.failures()
    # what cannot be had at all (a URL) is noted as missing, and the model keeps its plain colour;
    # a buffer cannot be missing
    read = {f"chair/{kind.__name__}-url" for kind in KINDS if kind.__name__ != "buffer"}
    escaped = {f"chair/{kind.__name__}-escaped" for kind in KINDS}
    wanted = {f"chair/{k.__name__}-{w}" for k in KINDS for w in WAYS} - read - escaped
    assert wanted <= set(failures)
    assert all("leads out of the model's folder" in failures[item].reason for item in wanted)
    assert set(imported.index.items()) <= {*read, *escaped, "chair/honest"}
    honest = imported.read("chair/honest")
    assert shows(Mesh.from_arrays(honest), 255 - SECRET)  # so would the secret have been found
    assert all("\n" not in entry.reason for entry in sweet.index.failures().values())


WAYS = ("parent", "around", "absolute", "symlink", "folder-link", "backslash")
