"""`crossdim.toml`: one table per command, flags win, an unknown key is an error.

[voxelize]
res = 96
[train.pose-aware]
preset = "small"
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.errors import UsageError
from stages.store.texts import TextError, read_whole

DEFAULT = Path("crossdim.toml")
_MOST_BYTES, _MOST_DOTS = 256 << 10, 200


def read_config(path: Path | None) -> dict[str, Any]:
    """The tables of the file, or of `crossdim.toml` here; UsageError if it cannot be read."""
    if path is None:
        if not DEFAULT.is_file():
            return {}
        path = DEFAULT
    try:
        return read_toml(path)
    except FileNotFoundError:
        raise UsageError(f"no configuration file {path}", "name one that exists with -c") from None


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file; FileNotFoundError without one, UsageError if it is none."""
    try:
        data = read_whole(path, _MOST_BYTES)
        # a key of n parts costs the parser n x n
        if max(line.count(b".") for line in data.split(b"\n")) > _MOST_DOTS:
            raise TextError(f"has a line with more than {_MOST_DOTS} dots")
        return tomllib.loads(data.decode("utf-8"))
    except FileNotFoundError:
        raise
    except TextError as error:
        raise UsageError(f"{path} {error}", "mend the file: it must be TOML") from None
    except RecursionError:
        raise UsageError(f"{path} nests too deep", "mend the file") from None
    except (OSError, ValueError) as error:  # no UTF-8, no TOML, or a number without end
        raise UsageError(f"cannot read {path}: {error}", "mend the file: it must be TOML") from None


def check_tables(config: Mapping[str, Any], commands: Mapping[str, Any], where: str = "") -> None:
    """UsageError for a table of no command; `commands` nests as the commands do, None at a leaf."""
    for name, value in config.items():
        if name not in commands:
            _unknown(f"[{where}{name}]" if isinstance(value, dict) else f"{where}{name}", commands)
        inner = commands[name]
        if not isinstance(value, dict):
            raise UsageError(f"{where}{name} in the configuration is no table", "write [command]")
        if inner is not None:
            check_tables(value, inner, f"{where}{name}.")


def table_of(config: Mapping[str, Any], command: Sequence[str]) -> dict[str, Any]:
    """The table of a command, {} if there is none."""
    for part in command:
        config = config.get(part, {})
    return dict(config)


def to_parameters(
    values: Mapping[str, Any], flags: Mapping[str, str], where: str
) -> dict[str, Any]:
    """The values by parameter name; keys are the flags without dashes in front.

    UsageError for a key that is no flag of the command.
    """
    result = {}
    for key, value in values.items():
        if key not in flags:
            _unknown(f"{key!r} in [{where}]", flags)
        result[flags[key]] = value
    return result


def _unknown(what: str, known: Mapping[str, Any]) -> None:
    bare = what.split("'")[1] if "'" in what else what.strip("[]").split(".")[-1]
    close = difflib.get_close_matches(bare, list(known), 1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(known))}"
    raise UsageError(f"unknown {what} in the configuration", hint)
