"""S1: no code of ours appends, writes in place, or loads what can run code: the source is searched.

What gets into the workspace goes through `stages.store.commit`; HDF5 is written to memory only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("crossdim_cli", "stages")
COMMIT = "stages/store/commit.py"

# file, what it does there: why it may
ALLOWED: dict[tuple[str, str], str] = {
    (COMMIT, "os.open to write"): "the one way in; it opens with O_EXCL",
    ("stages/train/log.py", "os.open to write"): (
        "metrics.csv grows by a row a step; a torn row is dropped when it is opened again, with "
        "all rows after the last checkpoint"
    ),
}

_WRITERS = {"write_text", "write_bytes", "touch", "truncate", "tofile"}
_SAVERS = {
    "np.save",
    "np.savez",
    "np.savez_compressed",
    "np.savetxt",
    "numpy.save",
    "numpy.savez",
    "torch.save",
    "torch.export.save",
    "safetensors.torch.save_file",
    "save_file",
    "json.dump",
    "pickle.dump",
    "os.truncate",
    "shutil.copy",
    "shutil.copyfile",
    "shutil.copy2",
    "shutil.move",
}
# of these names, those that give bytes back, or commit them
_ATOMIC = {"safetensors.torch.save", "checkpoint.save"}
_RUNNERS = {
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "joblib.load",
    "marshal.load",
    "marshal.loads",
    "shelve.open",
    "yaml.load",
    "eval",
    "exec",
}


def _name(node: ast.expr) -> str:
    """`a.b.c` of an expression, what it is called on left out where that is no name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    return ""


def _constant(node: ast.expr | None) -> object:
    return node.value if isinstance(node, ast.Constant) else node


def _argument(call: ast.Call, place: int, keyword: str) -> ast.expr | None:
    for given in call.keywords:
        if given.arg == keyword:
            return given.value
    return call.args[place] if len(call.args) > place else None


def _buffers(tree: ast.AST) -> set[str]:
    """Names bound to an `io.BytesIO()`, an `io.StringIO()` or a commit's Sink, and nothing else."""
    bound: dict[str, set[bool]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name) and node.value is not None:
                    bound.setdefault(target.id, set()).add(_is_buffer(node.value, set()))
        if isinstance(node, ast.arg):  # the file of a `commit_stream` is as good as a buffer
            is_sink = isinstance(node.annotation, ast.Name) and node.annotation.id == "Sink"
            bound.setdefault(node.arg, set()).add(is_sink)
    return {name for name, kinds in bound.items() if kinds == {True}}


def _is_buffer(node: ast.expr | None, buffers: set[str]) -> bool:
    if isinstance(node, ast.Name):
        return node.id in buffers
    return isinstance(node, ast.Call) and _name(node.func).split(".")[-1] in (
        "BytesIO",
        "StringIO",
    )


def _opened(call: ast.Call, name: str, buffers: set[str]) -> str | None:
    """What a call that opens a file does wrong."""
    last = name.split(".")[-1]
    if last == "File" and name in ("h5py.File", "File"):
        mode = _constant(_argument(call, 1, "mode"))
        if mode in (None, "r") or (mode == "w" and _is_buffer(call.args[0], buffers)):
            return None
        return f"h5py.File with mode {mode!r}"
    if name == "os.open":
        harmless = _name(call.args[0]) == "os.devnull" or "O_RDONLY" in ast.unparse(call.args[1])
        return None if harmless else "os.open to write"
    if last in ("open", "fdopen") and name not in ("Image.open", "h5py.h5a.open"):
        # open(path, mode) and gzip.open(path, mode), but path.open(mode)
        on_path = isinstance(call.func, ast.Attribute) and name not in (
            "io.open",
            "os.fdopen",
            "gzip.open",
            "bz2.open",
            "lzma.open",
        )
        mode = _constant(_argument(call, 0 if on_path else 1, "mode"))
        if mode is None or (isinstance(mode, str) and not set(mode) & set("wax+")):
            return None
        return f"open with mode {mode if isinstance(mode, str) else '?'}"
    return None


def _problem(call: ast.Call, buffers: set[str]) -> str | None:
    name = _name(call.func)
    last = name.split(".")[-1]
    if problem := _opened(call, name, buffers):
        return problem
    if name in _RUNNERS:
        return name
    if name in ("np.load", "numpy.load"):
        if _constant(_argument(call, 99, "allow_pickle")) is not False:
            return "np.load without allow_pickle=False"
    elif name == "torch.load":
        if _constant(_argument(call, 99, "weights_only")) is not True:
            return "torch.load without weights_only=True"
    elif any(k.arg == "weights_only" and _constant(k.value) is not True for k in call.keywords):
        return "weights_only that is not True"
    elif name in _SAVERS and not any(_is_buffer(arg, buffers) for arg in call.args):
        return name
    elif last in _WRITERS and isinstance(call.func, ast.Attribute):
        return f".{last}"
    elif last in ("save", "savefig") and "." in name and name not in _ATOMIC | _SAVERS:
        where = _argument(call, 0, "fname") or _argument(call, 0, "fp")
        if not _is_buffer(where, buffers):
            return f".{last}"
    return None


def problems(source: str) -> Iterator[tuple[int, str]]:
    """Line and kind of everything in the source that the rules forbid."""
    tree = ast.parse(source)
    buffers = _buffers(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (problem := _problem(node, buffers)):
            yield node.lineno, problem


def test_no_file_is_written_but_by_a_commit_and_nothing_loaded_can_run() -> None:
    found, used = [], set()
    for package in PACKAGES:
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            file = path.relative_to(REPOSITORY).as_posix()
            for line, what in problems(path.read_text()):
                if (file, what) in ALLOWED:
                    used.add((file, what))
                else:
                    found.append(f"{file}:{line}: {what}")
    assert found == []
    assert used == set(ALLOWED)  # what is no longer needed is no longer allowed


@pytest.mark.parametrize(
    "line",
    [
        'h5py.File(path, "w")',
        'h5py.File(path, "a")',
        'h5py.File(path, mode="r+")',
        "h5py.File(path, mode)",
        'open(path, "w")',
        'open(path, mode="ab")',
        "open(path, mode)",
        'path.open("r+")',
        'path.open(mode="x")',
        'gzip.open(path, "wt")',
        "os.open(path, os.O_WRONLY | os.O_APPEND)",
        'os.fdopen(handle, "wb")',
        'path.write_text("")',
        "(folder / name).write_bytes(data)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.savez(path, a=a)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.save(state, path)",
        "torch.export.save(program, path)",
        "load_state(path, weights_only=False)",
        "pickle.load(file)",
        "pickle.loads(data)",
        "image.save(path)",
        "figure.savefig(path)",
        "def f(buffer):\n    h5py.File(buffer, 'w')",
        "def f(sink: Sink):\n    sink = path\n    h5py.File(sink, 'w')",
        "def f(sink: Path):\n    h5py.File(sink, 'w')",
        "buffer = io.BytesIO()\nbuffer = path\nnp.save(buffer, a)",
    ],
)
def test_the_search_finds(line: str) -> None:
    assert list(problems(line))


@pytest.mark.parametrize(
    "line",
    [
        "h5py.File(path)",
        'h5py.File(path, "r", locking=False)',
        'h5py.File(io.BytesIO(data), "r")',
        'buffer = io.BytesIO()\nh5py.File(buffer, "w", libver=LIBVER)',
        "buffer = io.BytesIO()\nimage.save(buffer, format='PNG')",
        "open(path)",
        'open(path, "rb")',
        'path.open("rb")',
        "os.open(folder, os.O_RDONLY)",
        "os.open(os.devnull, os.O_WRONLY)",
        "model.to(device).eval()",
        "data = safetensors.torch.save(weights)",
        "Image.open(path, formats=['PNG'])",
        "h5py.h5a.open(dataset.id, index=0)",
        "np.load(path, allow_pickle=False)",
        "torch.load(path, weights_only=True)",
        "buffer = io.BytesIO()\ntorch.save(state, buffer)",
        "buffer = io.BytesIO()\ntorch.export.save(program, buffer)",
        "def f(sink: Sink):\n    h5py.File(sink, 'w')",
    ],
)
def test_the_search_lets_pass(line: str) -> None:
    assert list(problems(line)) == []
