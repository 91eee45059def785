"""Finding packed weights, reading their cards, and loading them.

Imports no torch outside of `load`, so that listing them is quick.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.errors import InputError, UsageError
from stages.store.texts import TextError, read_json, read_whole

if TYPE_CHECKING:
    import torch

    from stages.train.run import Trained

FORMAT = "crossdim-weights"
FORMAT_VERSION = 1
SHIPPED = Path(__file__).parent / "shipped"
MAX_BYTES = 16_000_000  # of shipped weights
GALLERY = "gallery"  # the tensor of codes of training shapes, beside those of the network
_KNOWN = ("name", "system", "categories", "params", "step", "sha256", "data", "camera")


@dataclass(frozen=True)
class Card:
    """What is said of packed weights; `facts` are those of the JSON file."""

    path: Path  # of the JSON file
    facts: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.facts["name"])

    @property
    def system(self) -> str:
        return str(self.facts["system"])

    @property
    def categories(self) -> tuple[str, ...]:
        return tuple(self.facts["categories"])

    @property
    def weights(self) -> Path:
        """The file that the card is of."""
        return self.path.with_suffix(".safetensors")

    @property
    def learned_from(self) -> tuple[str, ...]:
        """Ids of the shapes that took part in making the weights."""
        shapes = self.facts["data"]["shapes"]
        before = self.facts["data"].get("learned_from_before", ())
        return (*shapes["train"], *shapes["val"], *before)


def read_card(path: Path) -> Card:
    """The card in a JSON file; InputError unless it is one of ours."""
    hint = "pack the run again: crossdim export weights"
    try:
        facts = read_json(path)
    except FileNotFoundError as error:
        raise InputError(f"there is no card {path}", hint) from error
    except TextError as error:
        raise InputError(f"{path} {error}", hint) from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint) from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise InputError(f"{path} is no card of packed weights", hint)
    if facts.get("format_version") != FORMAT_VERSION or any(k not in facts for k in _KNOWN):
        raise InputError(f"{path} is of another version of crossdim", hint)
    return Card(path, facts)


def shipped(folder: Path = SHIPPED) -> list[Card]:
    """The cards of the weights that come with the package, by name."""
    return [read_card(path) for path in sorted(folder.glob("*.json"))]


def find_card(system: str, category: str | None = None, folder: Path = SHIPPED) -> Card:
    """The shipped weights of a system; of several those that know the category.

    Raises InputError when there are none, UsageError when several fit.
    """
    there = [card for card in shipped(folder) if card.system == system]
    fits = [card for card in there if category is None or category in card.categories]
    if len(fits) > 1:  # those of that category alone, before those of more
        fewest = min(len(card.categories) for card in fits)
        fits = [card for card in fits if len(card.categories) == fewest]
    if len(fits) == 1:
        return fits[0]
    if not there:
        train = f"run: crossdim train {system}, then name the run with --run"
        raise InputError(f"no weights of {system} come with crossdim", train)
    known = sorted({c for card in there for c in card.categories})
    if not fits:
        of = f"no weights of {system} for {category} come with crossdim"
        raise InputError(of, f"there are: {', '.join(known)}; or name a run with --run")
    names = ", ".join(card.name for card in fits)
    raise UsageError(f"several weights of {system} fit: {names}", "choose one with --category NAME")


def load(card: Card, device: torch.device | None = None) -> Trained:
    """The network of packed weights, in float32 and eval mode, on the CPU unless said otherwise.

    Raises InputError for a file that is missing, damaged, or does not fit its card.
    """
    from stages.train.building import build_model
    from stages.train.run import Trained, load_system

    system, stored = load_system(card.system), tensors(card)
    params, model = build_model(system, card.facts["params"], stored, str(card.path))
    restore(model, stored, card)
    return Trained(
        model=model.to(device).eval(),
        system=system,
        params=params,
        step=int(card.facts["step"]),
        metrics={},
        run=card.name,
        sha256=str(card.facts["sha256"]),
        learned_from=card.learned_from,
    )


def tensors(card: Card) -> dict[str, torch.Tensor]:
    """All that a file holds, as it is stored; InputError unless its sha256 is that of the card."""
    import safetensors
    import safetensors.torch

    from stages.train.checkpoint import MOST_BYTES

    hint = "install crossdim again, or pack the run again: crossdim export weights"
    try:
        data = read_whole(card.weights, MOST_BYTES)
    except TextError as error:
        raise InputError(f"{card.weights} {error}", hint) from error
    except OSError as error:
        raise InputError(f"{card.weights} cannot be read: {error.strerror}", hint) from error
    if hashlib.sha256(data).hexdigest() != card.facts["sha256"]:
        raise InputError(f"{card.weights} is damaged: its sha256 is not that of its card", hint)
    try:
        return safetensors.torch.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise InputError(f"{card.weights} is refused: it is not safetensors", hint) from error


def restore(model: Any, stored: Mapping[str, torch.Tensor], card: Card) -> None:
    """Give the model the stored weights, brought back to the precision that it computes in."""
    from stages.train.checkpoint import Checkpoint, restore_model

    wanted = model.state_dict()
    weights = {
        name: value.to(wanted[name].dtype) if name in wanted else value
        for name, value in stored.items()
        if name != GALLERY
    }
    found = Checkpoint(
        system=card.system,
        params=card.facts["params"],
        seed=0,
        inputs="",
        step=int(card.facts["step"]),
        state={},
        weights=weights,
        origin=str(card.weights),
    )
    restore_model(model, found)


def gallery(card: Card) -> tuple[tuple[str, ...], Any] | None:
    """Ids of training shapes (S,) and the codes (S, C) of their voxels, where the file has them."""
    stored = tensors(card).get(GALLERY)
    if stored is None:
        return None
    return tuple(card.facts["gallery"]), stored.float().numpy()


@dataclass(frozen=True)
class Camera:
    """How the pictures that a network was trained on were framed."""

    size: int  # pixels a side
    background: int  # grey level behind the object; the middle of those drawn, of random colours
    fill: float  # longer side of an object's box in the picture, as a share of the picture's
    down: float = 0.0  # how far the middle of that box lies below the picture's, as a share

    def to_json(self) -> dict[str, Any]:
        """As cards keep it."""
        return dataclasses.asdict(self)


def listed(cards: Sequence[Card]) -> list[dict[str, Any]]:
    """What a list of weights says of each: name, system, categories, bytes, licence, the card."""
    return [
        {
            "name": card.name,
            "system": card.system,
            "categories": list(card.categories),
            "bytes": card.facts["bytes"],
            "trained": card.facts["trained"],
            "licence": card.facts["licence"],
            "card": str(card.path),
        }
        for card in cards
    ]
