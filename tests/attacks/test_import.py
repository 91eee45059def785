"""S4, S5: every hostile mesh at once through `crossdim shapes import`: each is refused by name, the
honest ones come in, nothing outside of the folder is read, and no process grows or dies."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from stages.store.workspace import Workspace
from tests.attacks.make_meshes import HOSTILE, OBJ, SECRET
from tests.attacks.names import active_terminal
from tests.shapes import layouts
from tests.shapes.import_models import png, write

HONEST = (".obj", ".off", ".ply", ".stl", ".glb", ".gltf")
MOST_RSS = 1 << 30  # bytes, of any process of the command
# Runs a command and prints its peak: a process that the tests start itself begins with their peak.
MEASURED = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)  # of its workers, too
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def data_set(root: Path) -> dict[str, str]:
    """A table of all of them; returns the ids of the hostile ones with the reason expected."""
    rows = ["id,category,file,up,front"]
    expected = {}
    for name, (data, reason) in HOSTILE.items():
        write(root / "data" / name, data)
        item = name.replace(".", "-")
        rows.append(f"{item},hostile,{name},+z,-y")
        expected[f"hostile/{item}"] = reason
    write(root / "secret.png", png(SECRET))
    write(root / "data" / "escape.mtl", "newmtl x\nmap_Kd ../secret.png\n")
    write(root / "data" / "escape.obj", OBJ.replace("m.mtl", "escape.mtl"))
    rows.append("escape,hostile,escape.obj,+z,-y")
    expected["hostile/escape"] = "leads out of the model's folder"
    for suffix in HONEST:
        layouts.model(root / "data" / f"fine{suffix}", "+z", "-y")
        rows.append(f"fine{suffix.replace('.', '-')},honest,fine{suffix},+z,-y")
    write(root / "data" / "models.csv", "\n".join(rows) + "\n")
    return expected


def test_all_hostile_meshes_at_once(tmp_path: Path) -> None:
    expected = data_set(tmp_path)
    line = ["shapes", "import", "data", "--jobs", "1", "--quiet", "--workspace", "workspace"]
    limits = ["--item-seconds", "60", "--item-memory-gib", "1"]
    command = ["-m", "crossdim_cli.main"]
    with (tmp_path / "err").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", MEASURED, sys.executable, *command, *line, *limits],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        peak, _ = process.communicate()
    text = (tmp_path / "err").read_text()
    assert process.returncode == 1, text
    artefact = Workspace(tmp_path / "workspace").artefact("shapes", "data")
    failures = {item: entry.reason for item, entry in artefact.index.failures().items()}
    assert failures.keys() == expected.keys()
    for item, reason in expected.items():
        assert reason in failures[item], item
        assert "its process" not in failures[item]
        assert "took longer" not in failures[item]
        assert "of memory" not in failures[item]
    assert len(artefact.index.items()) == len(HONEST)
    for item in artefact.index.items():
        arrays = artefact.read(item)
        leaked = sum(SECRET.tobytes() in array.tobytes() for array in arrays.values())
        assert leaked == 0
    assert active_terminal(text.replace("\n", "")) == []
    assert "Traceback" not in text
    rss = 1024 * int(peak.split()[-1])
    assert rss < MOST_RSS
