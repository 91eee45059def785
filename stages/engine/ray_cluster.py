"""Items on the nodes of a Ray cluster, or on a cluster of this machine alone.

A task of the cluster takes (Job, Work) and gives back what `pools` gives: encoded arrays or a
failure. It does not run the item itself. Each Ray worker keeps one process supervised as those of
`pools` are, with the same limits of time and memory, so an item that crashes, hangs or eats memory
loses that process and not the worker: the answer is the same as without a cluster. A worker or a
node that is lost all the same costs nobody anything: its items are given to others, a bounded
number of times.

Every node needs the same crossdim, and must see the workspace (and the files of an import) under
the same paths; both are checked. The driver alone writes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import platform
import secrets
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pebble import ProcessPool

from stages.engine.pools import Limits, Result, Results, result_of
from stages.engine.work import Job, Work, perform
from stages.errors import CrossdimError, EnvironmentLacks, UsageError
from stages.store.guarded import guarded_pool
from stages.store.shard import Failure

LOCAL = "local"
_RETRIES = 3  # of an item whose worker or node is lost
_WINDOW = 3  # tasks in flight per CPU
_RECOUNT_SECONDS = 10.0  # nodes may come and go
_OBJECT_STORE_BYTES = 256 << 20  # results in flight; more than that goes to disk
_CONNECT_SECONDS = 5.0
_SESSION_PATH = 32  # characters of a folder for sockets, whose paths may not be long
_TOKEN_FILE = Path.home() / ".ray" / "auth_token"
_INSTALL = "pip install 'crossdim[cluster]'"


@dataclass(frozen=True)
class _Unseen:
    """Paths that a node does not see."""

    node: str
    paths: tuple[str, ...]


def require_ray(address: str) -> None:
    """Look at what can be seen before any work.

    Raises EnvironmentLacks where Ray is not installed or nobody answers at the address, UsageError
    for what is no address.
    """
    if importlib.util.find_spec("ray") is None:
        raise EnvironmentLacks("--ray needs the package ray, which is not installed", _INSTALL)
    host, _, port = address.rpartition(":")
    if address in (LOCAL, "auto"):
        return
    if "://" in address or not host or not port.isdecimal():
        raise UsageError(
            f"{address!r} is no address of a Ray cluster", "give HOST:PORT, auto or local"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise EnvironmentLacks(
            f"no Ray cluster answers at {address}: {error}",
            "see: ray status; or use --ray local",
        ) from error


def run_on_ray(job: Job, work: Iterable[Work], limits: Limits) -> Results:
    """Process the items as tasks of the cluster at `limits.ray`.

    Raises EnvironmentLacks when the cluster cannot be had, or a node of it lacks what it takes.
    """
    require_ray(limits.ray)
    with _cluster(limits) as ray:
        task = ray.remote(num_cpus=1, max_retries=_RETRIES)(_supervise)
        waiting: dict[Any, Work] = {}
        remaining = iter(work)
        window, counted = 0, 0.0
        try:
            while True:
                if time.monotonic() - counted > _RECOUNT_SECONDS:
                    cpus = ray.cluster_resources().get("CPU", 1)
                    window, counted = max(1, round(_WINDOW * cpus)), time.monotonic()
                while len(waiting) < window and (one := next(remaining, None)) is not None:
                    one = _absolute(one)
                    waiting[task.remote(job, one, limits, _versions())] = one
                if not waiting:
                    break
                ray.wait(list(waiting), num_returns=1, timeout=_RECOUNT_SECONDS)
                # all that are there, so that looking costs little however many are in flight
                done, _ = ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
                for reference in done:
                    yield _answer(ray, reference, waiting.pop(reference), job, limits)
        finally:
            for reference in waiting:
                ray.cancel(reference, force=True)


def _answer(ray: Any, reference: Any, one: Work, job: Job, limits: Limits) -> Result:
    """What became of an item; raises what concerns more than this one."""
    try:
        answer = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        # not the item, whose errors are answers: the node cannot even begin
        reason = str(error.cause).splitlines()[0] if str(error.cause) else type(error.cause)
        raise EnvironmentLacks(
            f"a node of the Ray cluster cannot work: {type(error.cause).__name__}: {reason}",
            "install the same crossdim on every node",
        ) from error
    except ray.exceptions.RayError as error:  # its worker or its node was lost, again and again
        reason = f"its worker was lost {_RETRIES + 1} times ({type(error).__name__})"
        return Failure(one.id, one.fingerprint, reason)
    if isinstance(answer, _Unseen):
        if here := [path for path in answer.paths if os.path.exists(path)]:
            raise EnvironmentLacks(
                f"node {answer.node} of the Ray cluster does not see {here[0]}",
                "put it on a file system that all nodes mount at the same place",
            )
        # nobody sees it: the item says what that means
        task = ray.remote(num_cpus=1, max_retries=_RETRIES)(_supervise)
        answer = ray.get(task.remote(job, one, limits, _versions(), False))
    if isinstance(answer, CrossdimError):
        raise answer
    return answer


def _supervise(
    job: Job, one: Work, limits: Limits, versions: dict[str, str], look: bool = True
) -> Result | CrossdimError | _Unseen:
    """Run one item in the supervised process of this Ray worker."""
    node = platform.node()
    if versions != _versions():
        mine = _versions()
        name = next(k for k in versions if versions[k] != mine.get(k))
        return EnvironmentLacks(
            f"node {node} of the Ray cluster has {name} {mine[name]}, here it is {versions[name]}",
            "install the same versions on every node: see constraints.txt",
        )
    if look and (unseen := [path for path in _paths(one) if not os.path.exists(path)]):
        return _Unseen(node, tuple(unseen))
    future = _pool(limits).schedule(perform, args=(job, one), timeout=limits.seconds)
    try:
        return result_of(future, one, limits)
    except CrossdimError as error:
        return error


@lru_cache(maxsize=1)
def _pool(limits: Limits) -> ProcessPool:
    """The supervised process of this Ray worker, for all its tasks."""
    # else it would load the main module of the worker, hence all of Ray, each time it is replaced
    vars(sys.modules["__main__"]).pop("__file__", None)
    return guarded_pool(dataclasses.replace(limits, jobs=1))


def _versions() -> dict[str, str]:
    """What must be equal on all nodes so that they make equal bytes."""
    names = ("crossdim", "h5py", "numpy")
    return {"Python": platform.python_version(), **{name: version(name) for name in names}}


def _paths(one: Work) -> list[str]:
    """Files and folders that an item needs: its rows, and places named in its source."""
    rows = [path for path, _ in one.inputs.values()]
    rows += [row[0] for attached in one.attached.values() for row in attached]
    named = [v for v in one.source.values() if isinstance(v, str) and v.startswith("/")]
    return list(dict.fromkeys([*rows, *named]))


def _absolute(one: Work) -> Work:
    """The same work for processes that run in other folders."""
    return dataclasses.replace(
        one,
        inputs={n: (os.path.abspath(path), row) for n, (path, row) in one.inputs.items()},
        attached={
            n: tuple((os.path.abspath(path), row, item) for path, row, item in rows)
            for n, rows in one.attached.items()
        },
    )


@contextlib.contextmanager
def _cluster(limits: Limits) -> Iterator[Any]:
    """The module `ray`, connected; whatever was started for it is stopped at the end."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(_environment(limits.ray))
        import ray

        if ray.is_initialized():  # whoever did that will end it
            yield ray
            return
        # it says on stdout, where results go, which workers were lost
        ray._private.worker._worker_logs_enabled = False
        options: dict[str, Any] = {
            "log_to_driver": False,
            "logging_level": "ERROR",
            "include_dashboard": False if limits.ray == LOCAL else None,
        }
        if limits.ray == LOCAL:
            folder = tempfile.gettempdir()
            options |= {
                "address": LOCAL,
                "num_cpus": max(1, limits.jobs),
                "num_gpus": 0,
                "object_store_memory": _OBJECT_STORE_BYTES,
                "_temp_dir": stack.enter_context(
                    tempfile.TemporaryDirectory(
                        prefix="crossdim-",
                        dir=folder if len(folder) <= _SESSION_PATH else "/tmp",
                        ignore_cleanup_errors=True,
                    )
                ),
            }
        else:
            options["address"] = limits.ray
        stack.callback(ray.shutdown)
        with _own_handler_of_sigterm():
            try:
                ray.init(**options)
            except Exception as error:  # of many kinds: addresses, tokens, versions, memory
                reason = next(iter(str(error).splitlines()), type(error).__name__)
                raise EnvironmentLacks(
                    f"cannot use the Ray cluster {limits.ray}: {reason}",
                    "run this on a node of the cluster, with its token; see: ray status",
                ) from error
        yield ray


@contextlib.contextmanager
def _own_handler_of_sigterm() -> Iterator[None]:
    """Undo what Ray does to SIGTERM: finished work is kept, and said to be."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


@lru_cache(maxsize=1)
def _own_token() -> str:
    """The secret of the clusters that this process starts; Ray reads it once."""
    return secrets.token_hex(32)


@contextlib.contextmanager
def _environment(address: str) -> Iterator[None]:
    """What Ray reads when it is loaded: a token, no usage reports, loopback for this machine."""
    values = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    if address == LOCAL:
        values |= {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": _own_token(),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # all that makes it listen on loopback alone
        }
    elif "RAY_AUTH_MODE" not in os.environ:
        values["RAY_AUTH_MODE"] = "token"
        given = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ)
        if not given and not _TOKEN_FILE.is_file():
            raise EnvironmentLacks(
                "no token for the Ray cluster: whoever reaches one without can run programs on it",
                "set RAY_AUTH_TOKEN to that of the cluster, or RAY_AUTH_MODE=disabled",
            )
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
