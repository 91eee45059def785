"""Which shapes are trained on, validated on and tested on.

Families, not shapes, are dealt out, so that near-copies of one model never lie on both sides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from stages.errors import InputError

SPLITS = ("train", "val", "test")


def assign(
    items: Mapping[str, Mapping[str, str]],
    val_share: float = 0.15,
    test_share: float = 0.2,
    seed: int = 0,
) -> dict[str, str]:
    """The split of every item: id (`category/name`) -> "train", "val" or "test".

    `items` gives each id its "split" (empty where the source says nothing) and its "family"
    (empty: a family of its own). In each category by itself:

    - Splits that are given are kept; the rest of such a family goes with it.
    - Other families are dealt out: to test, about `test_share` of them by shapes, if no test split
      is given; the rest to train.
    - Where no validation split is given, whole families of train move there, about `val_share` of
      the shapes in train and at least one family, as long as one stays in train.

    The order of families is a hash of seed, category and name: it depends neither on the order of
    `items` nor on the other families. Raises InputError for an unknown split, and for a family
    whose given splits differ.
    """
    categories: dict[str, dict[str, list[str]]] = {}
    for item in sorted(items):
        # "\0" keeps a shape without a family apart from a family that is called like it
        family = items[item].get("family", "") or f"\0{item}"
        categories.setdefault(item.split("/", 1)[0], {}).setdefault(family, []).append(item)
    result = {}
    for category, members in categories.items():
        given = {f: s for f, ids in members.items() if (s := _given(f, ids, items))}
        keys = {f: f"{seed}:{category}:{f}".encode() for f in members}
        order = sorted(members, key=lambda f: hashlib.blake2b(keys[f]).digest())
        sizes = {f: len(members[f]) for f in order}
        split_of = _dealt(sizes, given, val_share, test_share)
        result.update({i: split_of[f] for f, ids in members.items() for i in ids})
    return result


def _given(family: str, ids: Sequence[str], items: Mapping[str, Mapping[str, str]]) -> str:
    """The split that the source gives to a family, "" for none."""
    given = sorted({items[i].get("split", "") for i in ids} - {""})
    for split in given:
        if split not in SPLITS:
            raise InputError(
                f"{ids[0]}: split {split!r} is unknown",
                f"use {', '.join(SPLITS)}, or leave it empty",
            )
    if len(given) > 1:
        raise InputError(
            f"family {family!r} ({ids[0]}) is in {' and in '.join(given)}",
            "near-copies must not be on both sides: give the family one split",
        )
    return given[0] if given else ""


def _dealt(
    sizes: Mapping[str, int], given: Mapping[str, str], val_share: float, test_share: float
) -> dict[str, str]:
    """The split of every family of one category; `sizes` are in the order of dealing."""
    split_of = {f: given.get(f, "train") for f in sizes}
    if "test" not in given.values():
        free = {f: n for f, n in sizes.items() if f not in given}
        # one stays to train on and, of three or more, one to validate on
        most = len(free) - ("train" not in given.values())
        if len(free) > 2 and "val" not in given.values():
            most -= 1
        split_of.update(dict.fromkeys(_chosen(free, test_share, most), "test"))
    if "val" not in given.values():
        train = {f: n for f, n in sizes.items() if split_of[f] == "train"}
        split_of.update(dict.fromkeys(_chosen(train, val_share, len(train) - 1), "val"))
    return split_of


def _chosen(sizes: Mapping[str, int], share: float, most: int) -> list[str]:
    """Families that hold about `share` of all shapes, at least one and at most `most`.

    A family that would overshoot is passed over; if all do, the smallest one is taken.
    """
    if most < 1 or share <= 0:
        return []
    room = round(share * sum(sizes.values()))
    chosen: list[str] = []
    for family, size in sizes.items():
        if len(chosen) < most and size <= room:
            chosen.append(family)
            room -= size
    return chosen or [min(sizes, key=lambda f: sizes[f])]
