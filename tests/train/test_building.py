"""Parameters of others: a network of the size of its weights, or an InputError."""

from __future__ import annotations

import json
import math
import resource
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from stages.errors import InputError
from stages.train import building
from stages.train.building import build_model
from stages.weights import cards
from tests.attacks.memory import growth


@dataclass(frozen=True)
class Params:
    width: Any = 8
    depth: Any = 1


def _build(params: Params) -> nn.Module:
    return nn.ModuleList(nn.Linear(params.width, params.width) for _ in range(params.depth))


SYSTEM = SimpleNamespace(NAME="toy", Params=Params, build=_build)
WEIGHTS = {"a": torch.zeros(8, 8)}


def test_honest_parameters_build_their_network() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    params, model = build_model(SYSTEM, {"width": 5, "depth": 2, "unknown": 1}, WEIGHTS, "it")
    assert params == Params(5, 2)
    assert [tuple(p.shape) for p in model.parameters()] == [(5, 5), (5,)] * 2
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


@pytest.mark.parametrize(
    "values",
    [
        {"width": 1 << 20},
        {"width": 1 << 40},
        {"depth": 10**12},
        {"width": -1},
        {"width": "8"},
        {"width": None},
        {"width": [8]},
        {"depth": math.nan},
    ],
    ids=str,
)
def test_others_are_refused(values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "_BESIDE_BYTES", 64 << 20)
    before = resource.getrlimit(resource.RLIMIT_DATA)

    def attempt() -> None:
        with pytest.raises(InputError, match=r"a\.json describes no network of toy"):
            build_model(SYSTEM, values, WEIGHTS, "a.json")

    assert growth(attempt) < 200 << 20
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_a_card_that_describes_another_network(tmp_path: Path) -> None:
    card = cards.find_card("deep-encoding")
    facts = json.loads(card.path.read_bytes())
    facts["params"] = {**facts["params"], "width": "many"}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(facts))
    path.with_suffix(".safetensors").write_bytes(card.weights.read_bytes())
    with pytest.raises(InputError, match=r"a\.json"):
        cards.load(cards.read_card(path))
