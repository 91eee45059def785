"""`python -m tests.attacks.fuzz [--minutes 45] [--target obj ...] [--seed 0] [--keep FOLDER]`.

Damages honest files of every kind that is read (`tests.attacks.targets`), in ways that their
formats suggest (`tests.attacks.mutate`), and reads them in a process of its own. Findings are
exceptions that are none of ours, deaths and hangs. A read that runs into the limit of memory is
counted by itself: it is what guarded processes are for. A case is told by target and number alone:
`--target obj --case 1234` does it again, in the foreground.

Prints a line for each finding as it comes, and a table at the end; exit code 1 if there were any.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

from stages.errors import CrossdimError, ItemError
from tests.attacks.mutate import mutated

SECONDS = 20.0  # what one case may take
MEMORY = 3 << 30  # bytes of data; torch alone takes half of one
FINE = ("read", "refused", "memory")
REPOSITORY = Path(__file__).parents[2]


def mutant(files: dict[str, bytes], target: str, case: int) -> dict[str, bytes]:
    """The files of a data set, one of them (rarely two) damaged; a matter of the case alone."""
    rng = random.Random(f"{target} {case}")
    files = dict(files)
    for _ in range(2 if rng.random() < 0.1 else 1):
        victim = rng.choice(list(files))
        files[victim] = mutated(victim, files[victim], rng)
    return files


class Reader:
    """The honest files of one target, and the reading of damaged ones."""

    def __init__(self, name: str, scratch: Path) -> None:
        from tests.attacks.targets import TARGETS, files_of

        self._name, self._target, self._scratch = name, TARGETS[name], scratch
        honest = scratch / "honest"
        honest.mkdir()
        self._target.make(honest)
        self._files = files_of(honest)
        self._target.read(honest)  # without complaint

    def read(self, case: int) -> str:
        """What became of a case: `read`, `refused`, `memory`, or the finding."""
        folder = self._scratch / "case"
        for name, data in mutant(self._files, self._name, case).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        try:
            self._target.read(folder)
        except (CrossdimError, ItemError):
            return "refused"
        except MemoryError:
            return "memory"
        except Exception as error:
            return _described(error)
        finally:
            shutil.rmtree(folder)
        return "read"


def _described(error: Exception) -> str:
    """What a finding is called: the exception, and the last line of ours that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    where = [f for f in frames if "/stages/" in f.filename or "/crossdim_cli/" in f.filename]
    place = (where or frames)[-1]
    text = (str(error).splitlines() or [""])[0][:100]
    return f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {text!r}"


def serve() -> None:
    """Answer every target and number on stdin with what became of that case."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    readers: dict[str, Reader] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for line in sys.stdin:
            name, case = line.split()
            if name not in readers:
                folder = Path(scratch) / name
                folder.mkdir()
                readers[name] = Reader(name, folder)
            print(json.dumps(readers[name].read(int(case))), file=answers, flush=True)


class Process:
    """A process that reads cases; a new one where it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._known: set[str] = set()  # targets that it has read before

    def read(self, name: str, case: int) -> str:
        """What became of a case, `hang` and `died` among it."""
        seconds = SECONDS if name in self._known else 10 * SECONDS  # it imports much
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{name} {case}\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], seconds)
        answer = process.stdout.readline() if ready else ""
        if answer:
            self._known.add(name)
            return str(json.loads(answer))
        code = self.close()
        return f"died with {code}" if ready else "hang"

    def _start(self) -> subprocess.Popen[str]:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.attacks.fuzz", "--serve"],
            cwd=REPOSITORY,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        return self._process

    def close(self) -> int | None:
        """End the process; returns what it ended with, if it had ended by itself."""
        process, self._process = self._process, None
        self._known.clear()
        if process is None:
            return None
        try:
            return process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return None


def session(names: list[str], minutes: float, seed: int, keep: Path | None) -> dict[str, Counter]:
    """All targets by turns, until the time is over: for each, how often it came to what."""
    found: dict[str, Counter[str]] = {name: Counter() for name in names}
    end, case = time.monotonic() + 60 * minutes, 1_000_000 * seed
    process = Process()
    while time.monotonic() < end:
        for name in names:
            outcome = process.read(name, case)
            if outcome == "hang":  # or others need the machine: once more, with more time
                outcome = process.read(name, case)
            found[name][outcome] += 1
            if outcome not in FINE and found[name][outcome] == 1:
                line = f"{name} --case {case}: {outcome}"
                print(line, flush=True)
                if keep is not None:
                    with (keep / "findings.txt").open("a") as file:
                        file.write(line + "\n")
        case += 1
    process.close()
    return found


def main() -> int:
    """Run a session, or one case."""
    from tests.attacks.targets import TARGETS

    parser = argparse.ArgumentParser(prog="python -m tests.attacks.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--target", action="append", choices=list(TARGETS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--case", type=int)
    options = parser.parse_args()
    names = options.target or list(TARGETS)
    if options.case is not None:
        with tempfile.TemporaryDirectory() as scratch:
            print(Reader(names[0], Path(scratch)).read(options.case))
        return 0
    began = os.times()
    found = session(names, options.minutes, options.seed, options.keep)
    ended = os.times()
    total: Counter[str] = Counter()
    for name, counts in found.items():
        others = {k: v for k, v in counts.items() if k not in FINE}
        print(name.ljust(20), *(f"{counts[k]:7} {k}" for k in FINE), others or "")
        total.update(counts)
    seconds = ended.children_user + ended.children_system - began.children_user
    bad = total.total() - sum(total[k] for k in FINE)
    print(
        f"{total.total()} files in {seconds / 60:.1f} CPU minutes: {total['read']} read, "
        f"{total['refused']} refused, {total['memory']} stopped by their memory, {bad} findings"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve()
    else:
        sys.exit(main())
