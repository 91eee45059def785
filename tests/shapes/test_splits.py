from __future__ import annotations

import random
from collections import Counter, defaultdict

import pytest

from stages.errors import InputError
from stages.shapes.splits import assign

Items = dict[str, dict[str, str]]


def made(count: int, split: str = "", category: str = "car", per_family: int = 1) -> Items:
    return {
        f"{category}/{split or 'free'}{n:03d}": {
            "split": split,
            "family": f"{split}{n // per_family}",
        }
        for n in range(count)
    }


def shares(items: Items, result: dict[str, str]) -> dict[str, Counter]:
    counts: dict[str, Counter] = defaultdict(Counter)
    for item, split in result.items():
        counts[item.split("/")[0]][split] += 1
    assert set(result) == set(items)
    return counts


def families_are_whole(items: Items, result: dict[str, str]) -> bool:
    seen: dict[tuple[str, str], str] = {}
    return all(
        seen.setdefault((i.split("/")[0], items[i]["family"]), s) == s
        for i, s in result.items()
        if items[i]["family"]
    )


def test_nothing_given_deals_out_whole_families() -> None:
    items = made(100, per_family=4)
    result = assign(items)
    assert families_are_whole(items, result)
    # families of 4: 20 of 100 to test, 12 (15 % of 80) of the rest to validation
    assert shares(items, result)["car"] == {"test": 20, "val": 12, "train": 68}


def test_given_splits_are_kept_and_only_validation_is_carved() -> None:
    items = made(75, "train", per_family=3) | made(18, "test", per_family=2)
    result = assign(items)
    assert families_are_whole(items, result)
    assert all(result[i] == "test" for i in items if items[i]["split"] == "test")
    assert all(result[i] in ("train", "val") for i in items if items[i]["split"] == "train")
    assert shares(items, result)["car"] == {
        "test": 18,
        "val": 9,
        "train": 66,
    }  # round(11.25) -> 3 x 3


def test_everything_given_changes_nothing() -> None:
    items = made(5, "train") | made(2, "val") | made(3, "test")
    assert assign(items) == {i: v["split"] for i, v in items.items()}


def test_no_test_is_made_of_shapes_that_were_given_to_train() -> None:
    items = made(10, "train")
    assert shares(items, assign(items))["car"] == {"train": 8, "val": 2}


def test_shapes_without_a_split_join_their_family() -> None:
    items: Items = {
        "car/a": {"split": "test", "family": "f"},
        "car/b": {"split": "", "family": "f"},
        "car/c": {"split": "train", "family": "g"},
        "car/d": {"split": "val", "family": "h"},
        "car/e": {"split": "", "family": ""},
    }
    result = assign(items)
    assert result == {
        "car/a": "test",
        "car/b": "test",
        "car/c": "train",
        "car/d": "val",
        "car/e": "train",
    }


@pytest.mark.parametrize(
    ("families", "expected"),
    [
        (1, {"train": 1}),
        (2, {"train": 1, "test": 1}),
        (3, {"train": 1, "test": 1, "val": 1}),
        (4, {"train": 2, "test": 1, "val": 1}),
    ],
)
def test_few_families(families: int, expected: dict[str, int]) -> None:
    items = made(families)
    assert shares(items, assign(items))["car"] == expected


def test_one_large_family_stays_in_train() -> None:
    items = made(60, per_family=60) | {f"car/x{n}": {"split": "", "family": ""} for n in range(10)}
    result = assign(items)
    assert {result[i] for i in items if items[i]["family"] == "0"} == {"train"}
    # 14 wanted, but of the ten others one must be left to validate on
    assert shares(items, result)["car"] == {"train": 60, "test": 9, "val": 1}


def test_families_all_too_large_give_the_smallest() -> None:
    sizes = {"a": 9, "b": 7, "c": 8}
    items = {
        f"car/{f}{n}": {"split": "train", "family": f}
        for f, size in sizes.items()
        for n in range(size)
    }
    result = assign(items)
    assert {i for i, s in result.items() if s == "val"} == {f"car/b{n}" for n in range(7)}


def test_order_and_other_categories_do_not_matter() -> None:
    items = made(40, per_family=2) | made(30, category="chair")
    result = assign(items)
    shuffled = list(items.items())
    random.Random(3).shuffle(shuffled)
    assert assign(dict(shuffled)) == result
    alone = assign({i: v for i, v in items.items() if i.startswith("car/")})
    assert alone == {i: s for i, s in result.items() if i.startswith("car/")}


def test_seeds_differ_and_shapes_without_family_are_dealt_one_by_one() -> None:
    items: Items = {f"bed/{n}": {} for n in range(50)}
    first, second = assign(items), assign(items, seed=1)
    assert first != second
    assert shares(items, first)["bed"] == {"test": 10, "val": 6, "train": 34}


def test_a_shape_may_be_called_like_a_family() -> None:
    # two families of one: one is tested on, so that they would be together only as one family
    result = assign({"bed/x": {}, "bed/y": {"family": "bed/x"}})
    assert sorted(result.values()) == ["test", "train"]


@pytest.mark.parametrize(
    ("items", "says"),
    [
        ({"car/a": {"split": "dev"}}, "car/a: split 'dev' is unknown"),
        (
            {"car/a": {"split": "test", "family": "f"}, "car/b": {"split": "train", "family": "f"}},
            r"family 'f' \(car/a\) is in test and in train",
        ),
    ],
)
def test_contradictions(items: Items, says: str) -> None:
    with pytest.raises(InputError, match=says):
        assign(items)
