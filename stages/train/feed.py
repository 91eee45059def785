"""Batches: which samples, on which device, prepared by whom."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from stages.errors import CrossdimError
from stages.store.guarded import held_back
from stages.train.context import Split, generator_of
from stages.train.sampler import Sampler
from stages.train.signals import ignore_in_worker


class TrainBatches(Dataset):
    """`[step]` is the augmented batch of that step on this process: a pure function of both, so
    that other processes may prepare it ahead of time.
    """

    def __init__(self, split: Split, seed: int, batch: int, rank: int, world: int) -> None:
        self.split, self.seed, self.batch = split, seed, batch
        self.rank, self.world = rank, world
        self.sampler = Sampler(len(split), seed)

    def __getitem__(self, step: int) -> dict[str, Any]:
        indices = self.sampler.indices(step, self.rank, self.world, self.batch)
        return self.split.batch(indices, generator_of(self.seed, "augment", step, self.rank))


class ValidationBatches(Dataset):
    """`[i]` is the i-th run of `batch` samples, not augmented, and how many of them count.

    Every process makes the same number of rounds; where its share is over, it repeats the first
    batch and none of it counts.
    """

    def __init__(self, split: Split, batch: int) -> None:
        self.split, self.batch = split, batch

    def rounds(self, rank: int, world: int) -> range:
        chunks = -(-len(self.split) // self.batch)
        return range(rank, -(-chunks // world) * world, world)

    def __getitem__(self, chunk: int) -> tuple[dict[str, Any], int]:
        counts = chunk * self.batch < len(self.split)
        first = chunk * self.batch if counts else 0
        indices = range(first, min(first + self.batch, len(self.split)))
        return self.split.batch(list(indices), None), len(indices) * counts


class Feed:
    """The batches `source[key]` in the order of `keys`; the same ones for any number of workers."""

    def __init__(
        self, source: Dataset, keys: Sequence[int], workers: int, device: torch.device
    ) -> None:
        self._loader = DataLoader(
            _Errors(source),
            batch_size=None,
            sampler=keys,
            num_workers=workers,
            persistent_workers=workers > 0,
            # not forked: HDF5, CUDA and thread pools do not survive it
            multiprocessing_context="spawn" if workers else None,
            worker_init_fn=ignore_in_worker if workers else None,
            pin_memory=device.type == "cuda",
        )
        self._iterator: Any = None

    def __iter__(self) -> Iterator[Any]:
        with held_back(signal.SIGINT, signal.SIGTERM):  # from the workers, which start now
            self._iterator = iter(self._loader)
        return self._batches()

    def _batches(self) -> Iterator[Any]:
        for batch in self._iterator:
            if isinstance(batch, CrossdimError):
                raise batch
            yield batch

    def close(self) -> None:
        """End the workers. Left to the garbage collector, an exception could keep them alive."""
        if self._iterator is not None and self._loader.num_workers:
            if self._iterator._worker_pids_set:  # else torch takes their end for a crash
                torch._C._remove_worker_pids(id(self._iterator))
                self._iterator._worker_pids_set = False
            for worker in self._iterator._workers:  # which only read; it may just be starting
                worker.kill()
            self._iterator._shutdown_workers()
        self._iterator = None


class _Errors(Dataset):
    """Hands our errors over as values: a DataLoader would put a traceback into their message."""

    def __init__(self, source: Dataset) -> None:
        self.source = source

    def __getitem__(self, key: int) -> Any:
        try:
            return self.source[key]
        except CrossdimError as error:
            return error


def to_device(batch: dict[str, Any], device: torch.device, channels_last: bool) -> dict[str, Any]:
    """The batch with its tensors on the device; pictures, (B, C, H, W) floats, channels last."""

    def move(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        value = value.to(device, non_blocking=True)
        if channels_last and value.ndim == 4 and value.is_floating_point():
            value = value.contiguous(memory_format=torch.channels_last)
        return value

    return {name: move(value) for name, value in batch.items()}
