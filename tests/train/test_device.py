"""Choosing a device, on machines that have it and on those that do not."""

from __future__ import annotations

import pytest
import torch

from stages.errors import EnvironmentLacks, UsageError
from stages.train.device import choose_device, start_accelerator


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine with two CUDA GPUs, for those who only ask."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda i: f"Model {i}")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    return monkeypatch


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_with_gpus(gpus: pytest.MonkeyPatch) -> None:
    assert choose_device() == torch.device("cuda")
    assert choose_device("auto") == torch.device("cuda")
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("cuda:1") == choose_device(gpu=1) == torch.device("cuda", 1)
    with pytest.raises(EnvironmentLacks, match="no CUDA GPU 7 on") as caught:
        choose_device(gpu=7)
    assert caught.value.hint == (
        "found: cuda:0 (Model 0), cuda:1 (Model 1), cpu; choose with --device or --gpu"
    )
    assert caught.value.exit_code == 4


def test_without_gpus(no_gpu: None) -> None:
    assert choose_device() == choose_device("auto") == torch.device("cpu")
    for options in ({"gpu": 0}, {"gpu": 7}, {"device": "cuda"}, {"device": "mps"}):
        with pytest.raises(EnvironmentLacks) as caught:
            choose_device(**options)
        assert caught.value.hint == "found: cpu; choose with --device or --gpu"


def test_apple(no_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device() == choose_device("mps") == torch.device("mps")


@pytest.mark.parametrize("word", ["gpu", "cuda:", "cuda:-1", "cuda:x", "CPU", "", "tpu"])
def test_unknown_words(word: str) -> None:
    if word:
        with pytest.raises(UsageError, match="no device is called"):
            choose_device(word)
    with pytest.raises(UsageError, match="together"):
        choose_device(word, gpu=0)


def test_negative_gpu() -> None:
    with pytest.raises(UsageError, match="no GPU has the number -1"):
        choose_device(gpu=-1)


def test_precision_may_change_within_a_program() -> None:
    cpu = torch.device("cpu")
    assert start_accelerator(cpu, "bf16").mixed_precision == "bf16"
    assert start_accelerator(cpu, "fp32").mixed_precision == "no"


def test_one_gpu_for_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="several processes cannot share cuda:1"):
        start_accelerator(torch.device("cuda:1"), "fp32")
