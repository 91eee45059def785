"""`--help`, `status` and completion stay light: neither torch nor trimesh is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "trimesh", "pyrender", "numba", "matplotlib", "skimage", "sklearn")
PROGRAM = """
import sys
from crossdim_cli.main import run
code = run({arguments!r})
heavy = [name for name in {heavy!r} if name in sys.modules]
assert not heavy, heavy
sys.exit(code)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["voxelize", "--help"],
        ["train", "pose-aware", "--help"],
        ["status"],
        ["status", "--graph", "dot"],
        ["weights"],
    ],
    ids=" ".join,
)
def test_nothing_heavy(arguments: list[str], pipeline: Path) -> None:
    if arguments[0] == "status":
        arguments = [*arguments, "--workspace", str(pipeline)]
    program = PROGRAM.format(arguments=arguments, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_command_has_an_example() -> None:
    import typer

    from crossdim_cli.main import build

    def leaves(command):  # type: ignore[no-untyped-def]
        for inner in getattr(command, "commands", {}).values():
            yield from leaves(inner) if hasattr(inner, "commands") else [inner]

    commands = list(leaves(typer.main.get_command(build())))
    assert len(commands) >= 14
    for command in commands:
        assert command.epilog.startswith("Example: crossdim "), command.name
        assert command.help, command.name
