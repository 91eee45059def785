"""R13. Checkpoints: all or nothing on disk, no code in them; flipped bits: tests/faults."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import json
import os
import signal
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from stages.errors import CrossdimError, InputError
from stages.store.fingerprint import canonical_json
from stages.train import checkpoint
from stages.train.checkpoint import Checkpoint
from tests.train import toy


def content(step: int, system: str = "toy") -> Checkpoint:
    """A checkpoint whose every number is its step."""
    model = toy.Toy().build(toy.ToyParams())
    with torch.no_grad():
        for value in [*model.parameters(), *model.buffers()]:
            value.fill_(step)
    weights = checkpoint.snapshot_weights(model)
    moments = {
        i: {"step": torch.tensor(float(step)), "exp_avg": torch.full((3,), step)} for i in (0, 1)
    }
    return Checkpoint(system, {"batch": 8}, 0, "f00d", step, {"step": step}, weights, moments)


def steps_in(folder: Path, which: str) -> set[float]:
    """Every number in a checkpoint, as a set."""
    loaded = checkpoint.load(folder, which, "toy")
    tensors = [
        *loaded.weights.values(),
        *(t for of in loaded.optimizer.values() for t in of.values()),
    ]
    return {float(v) for t in tensors for v in t.flatten()} | {float(loaded.step)}


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    params = toy.ToyParams()
    toy_system = toy.Toy()
    model: Any = toy_system.build(params)
    model.to(memory_format=torch.channels_last)
    optimizer = toy_system.optimizer(model, params)
    model(torch.rand(4, 2, 6, 6)).sum().backward()
    optimizer.step()
    saved = dataclasses.replace(
        content(3),
        weights=checkpoint.snapshot_weights(model),
        optimizer=checkpoint.snapshot_optimizer(optimizer),
        metrics={"iou": 0.1, "odd": float("nan")},
    )
    checkpoint.save(tmp_path, saved, ["last"])
    loaded = checkpoint.load(tmp_path, "last", "toy")
    assert loaded.metrics == {"iou": 0.1, "odd": None}
    assert (loaded.step, loaded.inputs, loaded.params) == (3, "f00d", {"batch": 8})
    other: Any = toy_system.build(params)
    other.to(memory_format=torch.channels_last)
    other_optimizer = toy_system.optimizer(other, params)
    checkpoint.restore_model(other, loaded)
    checkpoint.restore_optimizer(other_optimizer, loaded)
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name
    before, after = optimizer.state_dict(), other_optimizer.state_dict()
    assert before["param_groups"] == after["param_groups"]
    for number, state in before["state"].items():
        for name, value in state.items():
            assert torch.equal(after["state"][number][name], value), (number, name)


class Poison:
    """It cannot be pickled."""

    def __reduce__(self) -> Any:
        raise RuntimeError("in the middle of a save")


def test_a_save_that_breaks_off_leaves_the_old_one_alone(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, content(1), ["best", "last"])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    new = content(2)
    poisoned = dataclasses.replace(new, optimizer={0: {**new.optimizer[0], "poison": Poison()}})
    with pytest.raises(RuntimeError, match="in the middle of a save"):
        checkpoint.save(tmp_path, poisoned, ["best", "last"])
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    # at most a file that nothing names, which the next save removes
    assert before.items() <= after.items()
    assert steps_in(tmp_path, "last") == {1.0}
    checkpoint.save(tmp_path, content(3), ["best", "last"])
    assert len(list(tmp_path.iterdir())) == 4


def test_old_files_go_and_best_stays(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, content(1), ["best", "last"])
    assert len(list(tmp_path.iterdir())) == 4  # shared by both pointers
    checkpoint.save(tmp_path, content(2), ["last"])
    checkpoint.save(tmp_path, content(3), ["last"])
    assert (steps_in(tmp_path, "best"), steps_in(tmp_path, "last")) == ({1.0}, {3.0})
    assert len(list(tmp_path.iterdir())) == 6
    checkpoint.save(tmp_path, content(4), ["best", "last"])
    assert len(list(tmp_path.iterdir())) == 4


def _faulty(pipe: Any, folder: Path, kind: str) -> None:
    """Fail the N-th operating-system call of a save, N = 1, 2, ..., each in a forked child.

    Sends (N, name of the call, what the child did) until a child gets through without a fault.
    """
    torch.set_num_threads(1)  # thread pools do not survive a fork
    old, new = content(1), content(2)
    for number in range(1, 200):
        checkpoint.save(folder, old, ["best", "last"])
        child = os.fork()
        if not child:
            code = 9  # any other exception
            try:
                _fail_at(number, kind)
                checkpoint.save(folder, new, ["best", "last"])
                code = 0
            except CrossdimError:
                code = 3
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        state: list[Any]
        try:
            state = [sorted(steps_in(folder, which)) for which in ("best", "last")]
        except CrossdimError as error:
            state = [str(error)]
        checkpoint.save(folder, new, ["best", "last"])
        healed = [sorted(steps_in(folder, which)) for which in ("best", "last")]
        left = [p.name for p in folder.iterdir() if not p.name.startswith(".tmp-")]
        pipe.send((number, code, state, healed, len(left)))
        for path in folder.iterdir():
            path.unlink()
        if code == 0:
            break
    pipe.send(None)


def _fail_at(number: int, kind: str) -> None:
    calls = 0
    names = ("open", "write", "fsync", "replace", "unlink")
    real = {name: getattr(os, name) for name in names}

    def wrapped(name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == number or (kind == "persistent" and calls > number):
                if kind == "kill" and name == "write":  # torn in the middle
                    real["write"](args[0], bytes(args[1])[: len(args[1]) // 2])
                if kind == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                raise OSError(errno.ENOSPC, "no space left on device")
            return real[name](*args, **kwargs)

        return call

    for name in names:
        setattr(os, name, wrapped(name))


@pytest.mark.parametrize("kind", ["kill", "transient", "persistent"])
def test_a_fault_at_any_call_leaves_the_old_or_the_new(tmp_path: Path, kind: str) -> None:
    ours, theirs = toy.context.Pipe(duplex=False)
    process = toy.context.Process(target=_faulty, args=(theirs, tmp_path, kind))
    process.start()
    theirs.close()
    points = list(iter(ours.recv, None))
    process.join(30)
    # four commits (open, write, fsync, replace, open, fsync) and two files deleted
    assert len(points) - 1 >= 24
    legal = ([[1.0], [1.0]], [[2.0], [1.0]], [[2.0], [2.0]])  # best is replaced before last
    for number, code, state, healed, files in points:
        assert state in legal, (number, state)
        assert healed == [[2.0], [2.0]], number
        assert files == 4, number  # nothing but what the pointers name
        expected = -signal.SIGKILL if kind == "kill" else 3
        assert code in (expected, 0), (number, code)
    assert {code for _, code, *_ in points} == {expected, 0}
    assert [[2.0], [1.0]] in [state for _, _, state, *_ in points]


def test_truncated_and_missing_files_are_named(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, content(1), ["last"])
    for path in sorted(tmp_path.iterdir()):
        data = path.read_bytes()
        for length in (0, 1, len(data) // 2, len(data) - 2):
            path.write_bytes(data[:length])
            with pytest.raises(InputError, match="is damaged") as caught:
                checkpoint.load(tmp_path, "last", "toy")
            assert str(path) in str(caught.value)
        path.unlink()
        with pytest.raises(InputError):
            checkpoint.load(tmp_path, "last", "toy")
        path.write_bytes(data)


def test_a_checkpoint_of_another_system(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, content(1, "interpreter"), ["last"])
    with pytest.raises(InputError, match="this is a checkpoint of interpreter, not toy") as caught:
        checkpoint.load(tmp_path, "last", "toy")
    assert "crossdim train toy" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("head.bias"), "head.bias is missing"),
        (lambda w: w.update(extra=torch.zeros(2)), "extra does not belong to it"),
        (
            lambda w: w.update({"head.bias": torch.zeros(4)}),
            r"is \(4,\) float32, not \(3,\) float32",
        ),
        (lambda w: w.update({"head.bias": torch.zeros(3).double()}), "float64, not"),
        (lambda w: w.update({"head.bias": torch.full((3,), torch.nan)}), "head.bias is not finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, change: Any, message: str) -> None:
    foreign = content(1)
    weights = dict(foreign.weights)
    change(weights)
    checkpoint.save(tmp_path, dataclasses.replace(foreign, weights=weights), ["last"])
    model = toy.Toy().build(toy.ToyParams())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(InputError, match=message):
        checkpoint.restore_model(model, checkpoint.load(tmp_path, "last", "toy"))
    assert all(torch.equal(before[n], v) for n, v in model.state_dict().items())


def test_optimiser_state_that_does_not_fit_is_refused() -> None:
    params, system = toy.ToyParams(), toy.Toy()
    model = system.build(params)
    optimizer = system.optimizer(model, params)
    for state in ({99: {"step": torch.tensor(1.0)}}, {0: {"exp_avg": torch.zeros(7)}}):
        wrong = dataclasses.replace(content(1), optimizer=state, origin="x/last.json")
        with pytest.raises(InputError, match=r"of x/last\.json does not fit toy"):
            checkpoint.restore_optimizer(optimizer, wrong)


def test_weights_that_are_not_finite_are_not_saved() -> None:
    model = toy.Toy().build(toy.ToyParams())
    with torch.no_grad():
        model.head.bias[1] = torch.inf
    with pytest.raises(CrossdimError, match=r"the weights head\.bias are no longer finite"):
        checkpoint.snapshot_weights(model)


class Canary:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def forge(folder: Path, optimizer: bytes) -> None:
    """Make last.json name these bytes as the optimiser state, with every digest right."""
    pointer = json.loads((folder / "last.json").read_bytes())
    digest = hashlib.sha256(optimizer).hexdigest()
    name = f"optimizer-00000001-{digest[:12]}.pt"
    (folder / name).write_bytes(optimizer)
    pointer["files"]["optimizer"] = {"file": name, "sha256": digest, "bytes": len(optimizer)}
    sign(folder, pointer)


def sign(folder: Path, pointer: dict[str, Any]) -> None:
    pointer.pop("sha256", None)
    digest = hashlib.sha256(canonical_json(pointer).encode()).hexdigest()
    (folder / "last.json").write_text(json.dumps(pointer | {"sha256": digest}))


def torch_bytes(value: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def test_code_in_a_checkpoint_does_not_run(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, content(1), ["last"])
    canary = tmp_path / "canary"
    poison = torch_bytes({0: {"exp_avg": Canary(canary)}})
    torch.load(io.BytesIO(poison), weights_only=False)
    assert canary.exists()  # the poison works on those who trust it
    canary.unlink()
    forge(tmp_path, poison)
    with pytest.raises(InputError, match="is refused"):
        checkpoint.load(tmp_path, "last", "toy")
    assert not canary.exists()


def test_other_forged_states_are_refused(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, content(1), ["last"])
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50_000_000))  # 50 kB that unpack to 50 MB
    hostile = [bomb.getvalue(), b"", b"PK", torch_bytes([1, 2]), torch_bytes({0: {"a": "text"}})]
    for data in hostile:
        forge(tmp_path, data)
        with pytest.raises(InputError, match="is refused"):
            checkpoint.load(tmp_path, "last", "toy")


def test_a_pointer_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    checkpoint.save(folder, content(1), ["last"])
    pointer = json.loads((folder / "last.json").read_bytes())
    weights = pointer["files"]["weights"]["file"]
    (tmp_path / weights).write_bytes((folder / weights).read_bytes())
    pointer["files"]["weights"]["file"] = f"../{weights}"
    sign(folder, pointer)
    with pytest.raises(InputError, match="it names"):
        checkpoint.load(folder, "last", "toy")
    del pointer["files"]["weights"]
    sign(folder, pointer)
    with pytest.raises(InputError, match="is damaged"):
        checkpoint.load(folder, "last", "toy")


def test_a_reader_follows_a_training_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path, content(1), ["last"])
    read, saves = checkpoint._read_pointer, iter([content(2)])

    def replaced_after_reading(folder: Path, which: str) -> Any:
        pointer = read(folder, which)
        for new in saves:  # once: its files are gone when the reader comes to them
            checkpoint.save(folder, new, ["last"])
        return pointer

    monkeypatch.setattr(checkpoint, "_read_pointer", replaced_after_reading)
    assert checkpoint.load(tmp_path, "last", "toy").step == 2


def test_a_disk_that_lies_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(tmp_path, content(1), ["last"])
    commit = checkpoint.commit_bytes
    monkeypatch.setattr(
        checkpoint, "commit_bytes", lambda path, data: commit(path, data[:-1] + b"?")
    )
    with pytest.raises(CrossdimError, match="does not hold what was just written"):
        checkpoint.save(tmp_path, content(2), ["last"])
    monkeypatch.undo()
    assert steps_in(tmp_path, "last") == {1.0}
