"""Files of a workspace with a bit flipped, or cut off: what readers make of them.

`python -m tests.faults.flips ROOT` is the reader, in a process of its own, for what a damaged file
does to HDF5 or torch is not known beforehand. Each line of stdin names a file, `flip` or `cut`, and
a number. The answer is `noticed`: an error of ours that names the file, which `verify` names, too;
or `verify` names it and what is read is right all the same, from the shards. Any other answer is a
finding.
"""

from __future__ import annotations

import random
import select
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.faults.command import REPOSITORY, environment

SECONDS = 30  # what one reading may take before it counts as hanging
SINGLE = ("runs", "results", "viewpoints", "templates")  # what nothing else says once more
IDS = ["toy/0", "toy/1", "toy/2", "toy/refuse"]


def make(root: Path) -> dict[str, Path]:
    """An artefact, a run, its evaluation, a set, a template; the files by what they are."""
    from stages.skeletons import template
    from stages.store.summary import SUMMARY, summary_bytes
    from stages.store.workspace import Workspace
    from stages.viewpoints import fitted
    from tests.store.cache import make as make_artefact
    from tests.store.cache import shards
    from tests.train import toy

    artefact = make_artefact(root, IDS)
    run = toy.new_run(root)
    toy.train_toy(run, steps=2)
    (shard,) = shards(artefact)
    (weights,) = run.checkpoints.glob("weights-*")
    (optimizer,) = run.checkpoints.glob("optimizer-*")
    workspace = Workspace(root)
    table = fitted.table("pascal3d", "bottle", workspace)
    facts = {"run": run.name, "weights": run.best()["sha256"], "threshold": 0.4125}
    made = {
        "summary": (root / "results/reconstruction/toy-a" / SUMMARY, summary_bytes(facts)),
        "viewpoints": (
            fitted.path_in(workspace, "mine"),
            fitted.to_bytes(fitted.set_of("mine", {"bottle": table}, ())),
        ),
        "template": (
            template.path_in(workspace, "mine"),
            template.to_bytes(template.load("chair", workspace)),
        ),
    }
    for path, data in made.values():
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    return {
        "shard": shard,
        "manifest": artefact.folder / "manifest.json",
        "weights": weights,
        "optimiser": optimizer,
        "checkpoint": run.checkpoints / "last.json",
        "record": run.folder / "run.json",
        **{what: path for what, (path, _) in made.items()},
    }


def ask(root: Path, questions: list[str]) -> Counter[str]:
    """The answers, and `hang` or `died` where there was none."""
    found: Counter[str] = Counter()
    while questions:
        command = [sys.executable, "-m", "tests.faults.flips", str(root)]
        with subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as reader:
            assert reader.stdin is not None
            assert reader.stdout is not None
            assert reader.stdout.readline() == "ready\n"
            while questions:
                question = questions.pop()
                reader.stdin.write(f"{question}\n")
                reader.stdin.flush()
                ready, _, _ = select.select([reader.stdout], [], [], SECONDS)
                answer = (reader.stdout.readline().strip() or "died") if ready else "hang"
                found[answer if answer == "noticed" else f"{answer}: {question}"] += 1
                if answer in ("died", "hang"):
                    reader.kill()
                    break
            reader.stdin.close()
    return found


def flips(path: Path, count: int) -> list[str]:
    """Questions about so many bits of a file."""
    bits = random.Random(path.suffix).sample(range(8 * path.stat().st_size), count)
    return [f"{path} flip {bit}" for bit in bits]


def cuts(path: Path, count: int) -> list[str]:
    """Questions about so many lengths of a file."""
    size = len(path.read_bytes().rstrip(b"\n"))  # a JSON file is whole without it
    lengths = {size * n // count for n in range(count - 1)} | {size - 1}
    return [f"{path} cut {length}" for length in sorted(lengths)]


def _read(root: Path, path: Path) -> str:
    """What a reader of this file says, or the content."""
    from stages.skeletons import template
    from stages.store.reader import read_content
    from stages.store.workspace import Workspace
    from stages.train import checkpoint
    from stages.viewpoints import fitted
    from stages.weights.packing import measured
    from tests.engine import fake
    from tests.store.cache import read_all
    from tests.train import toy

    kind = path.relative_to(root).parts[0]
    workspace = Workspace(root)
    if kind == "results":
        return repr(measured(workspace, toy.new_run(root)))
    if kind == "viewpoints":
        return repr(fitted.load("mine", workspace))
    if kind == "templates":
        return repr(template.load("mine", workspace).to_json())
    if kind != "runs":
        content = {
            item: {name: (a.dtype.str, a.shape, a.tobytes()) for name, a in arrays.items()}
            for item, arrays in read_all(fake.artefact_of(root)).items()
        }
        return repr((content, read_content(next(path.parent.glob("shard-*.h5")))))
    run = toy.new_run(root)
    if path.name == "run.json":
        return repr(run.record())
    saved = checkpoint.load(run.checkpoints, "last", "toy")
    return repr((saved.step, saved.state, saved.params))


def _answer(root: Path, path: Path, before: str) -> str:
    from stages.errors import InputError
    from stages.store.index import verify
    from tests.engine import fake

    kind = path.relative_to(root).parts[0]
    try:
        after = _read(root, path)
    except InputError as error:
        if path.name not in str(error):
            return f"unnamed {error}"
        return "noticed" if kind not in SINGLE or _is_named(root, path) else "missed"
    if kind in SINGLE or after != before:
        return "silent"
    # a manifest is made anew from the shards; a bit of a shard may be of no use to a reader
    return "noticed" if path.name in verify(fake.artefact_of(root).folder) else "missed"


def _is_named(root: Path, path: Path) -> bool:
    """Whether `crossdim verify` names the file."""
    from stages.store.signed import damaged
    from stages.store.workspace import Workspace
    from stages.train.health import verify_runs

    if path.is_relative_to(root / "runs"):
        _, problems = verify_runs(Workspace(root))
        return any(Path(name).name == path.name for name in problems)
    return path in damaged([path], 2)


def main(root: Path) -> None:
    """Answer until stdin ends."""
    before: dict[Path, str] = {}
    print("ready", flush=True)
    for line in sys.stdin:
        name, how, number = line.rsplit(" ", 2)
        path, place = Path(name), int(number)
        if path not in before:
            before[path] = _read(root, path)
        data = path.read_bytes()
        if how == "cut":
            path.write_bytes(data[:place])
        else:
            byte, bit = divmod(place, 8)
            path.write_bytes(data[:byte] + bytes([data[byte] ^ (1 << bit)]) + data[byte + 1 :])
        try:
            print(_answer(root, path, before[path]), flush=True)
        except Exception as error:
            print(f"crash {type(error).__name__}", flush=True)
        path.write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
