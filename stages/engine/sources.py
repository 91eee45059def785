"""The items of the stages that bring shapes in: what was generated, what a data set lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from stages.engine.plan import Selection, chosen_again
from stages.engine.work import Work
from stages.stage import Stage, params_json
from stages.store.fingerprint import item_fingerprint
from stages.store.workspace import category_of

_READERS = 8  # threads: they wait for disks and networks


def wanted_from_sources(
    stage: Stage, params: Any, seed: int, sources: Mapping[str, Mapping[str, Any]]
) -> dict[str, Work]:
    """Work for every source: id -> what `process` gets, and `digest`, what its files hold."""
    values = params_json(params)
    work = {}
    for item, source in sorted(sources.items()):
        inputs = {"source": source["digest"]} if "digest" in source else {}
        print_ = item_fingerprint(
            f"{stage.name}:{stage.command}", stage.version, values, seed, inputs
        )
        work[item] = Work(item, print_, source={k: v for k, v in source.items() if k != "digest"})
    return work


def with_digests(
    stage: Stage, sources: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The sources, each with the `digest` of what its files hold now; several are read at once."""
    if stage.digest is None:
        return {item: dict(source) for item, source in sources.items()}
    with ThreadPoolExecutor(_READERS) as readers:
        digests = readers.map(stage.digest, sources.values())
        return {
            item: {**source, "digest": found}
            for (item, source), found in zip(sources.items(), digests)
        }


def select(sources: Mapping[str, Mapping[str, Any]], selection: Selection) -> list[str]:
    """The ids that the selection takes, sorted; its limit holds for each category and split."""
    return selection.choose(sources, lambda item: _group(sources, item))


def select_again(sources: Mapping[str, Mapping[str, Any]], asked: Iterable[Selection]) -> list[str]:
    """The ids that any of these selections takes; a category that is gone has none."""
    return chosen_again(sources, asked, lambda item: _group(sources, item))


def _group(sources: Mapping[str, Mapping[str, Any]], item: str) -> tuple[str, str]:
    return category_of(item), str(sources[item].get("split", ""))
