"""What every command has in common: workspace, output, configuration, and options from Params."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from crossdim_cli.complete import OFFERS
from crossdim_cli.config import check_tables, read_config, table_of, to_parameters
from crossdim_cli.output import Output, table
from stages.store.commit import check_folder, check_target
from stages.store.workspace import Workspace

_TEXTS: tuple[Any, ...] = (str, str | None, list[str])
_KEYWORD = inspect.Parameter.KEYWORD_ONLY


class Interrupted(BaseException):
    """Ctrl-C in a command; typer would turn a KeyboardInterrupt into a silent exit."""


@dataclass(frozen=True)
class Session:
    """What a command works with."""

    workspace: Workspace
    out: Output
    options: Mapping[str, Any]  # every option of the command by its parameter name


def new_app(help: str) -> typer.Typer:
    """A group of commands in the house style."""
    return typer.Typer(help=help, rich_markup_mode=None, no_args_is_help=True)


def param(name: str, kind: Any, default: Any, help: str, **more: Any) -> inspect.Parameter:
    """One option `--name-of-it` of a command."""
    flags = more.pop("flags", (f"--{name.replace('_', '-')}",))
    if name in OFFERS and kind in _TEXTS:
        more.setdefault("autocompletion", OFFERS[name])
    info = typer.Option(default, *flags, help=help, **more)
    return inspect.Parameter(name, _KEYWORD, default=info, annotation=kind)


def argument(name: str, kind: Any, help: str, default: Any = ...) -> inspect.Parameter:
    """One argument of a command."""
    info = typer.Argument(default, help=help, autocompletion=OFFERS.get(name))
    return inspect.Parameter(name, _KEYWORD, default=info, annotation=kind)


def params_options(
    kind: type, skip: tuple[str, ...] = (), optional: bool = False, shown: Any = None
) -> list[inspect.Parameter]:
    """The fields of a Params dataclass as options; `optional` ones default to None (not given).

    The help of those names the values in `shown`, where that is given.
    """
    hints = typing.get_type_hints(kind)
    options = []
    for field in dataclasses.fields(kind):
        # network widths and the like, which are tuples, come from the preset alone
        if (
            field.name in skip
            or "help" not in field.metadata
            or typing.get_origin(hints[field.name]) is tuple
        ):
            continue
        meta, annotation = field.metadata, hints[field.name]
        bounds = {"min": meta.get("low"), "max": meta.get("high")}
        default: Any = field.default
        if annotation is bool:
            bounds = {
                "flags": (f"--{field.name.replace('_', '-')}/--no-{field.name.replace('_', '-')}",)
            }
        if optional:
            annotation, default = annotation | None, None
        help = meta["help"]
        if shown is not None and getattr(shown, field.name) not in (None, ""):
            help += f" [default: {getattr(shown, field.name)}]"
        options.append(param(field.name, annotation, default, help, **bounds))
    return options


def params_from(kind: type, options: Mapping[str, Any], base: Any = None) -> Any:
    """The Params of the given options; None means not given, `base` supplies those."""
    names = {f.name for f in dataclasses.fields(kind)}
    given = {k: v for k, v in options.items() if k in names and v is not None}
    return dataclasses.replace(base, **given) if base is not None else kind(**given)


# Options that name a file to be written, by the first word of the command.
_TARGETS = {"export": ("path",), "plot": ("output", "csv"), "merge": ("output",)}
CATEGORY = param("category", list[str], [], "Only this category; may be repeated. Default: all.")


def add_command(
    app: typer.Typer,
    name: str,
    options: list[inspect.Parameter],
    run: Callable[[Session], None],
    *,
    help: str,
    example: str,
) -> None:
    """Register a command: its own options, then those that all commands have."""

    def entry(ctx: typer.Context, **given: Any) -> None:
        if given.pop("print_config"):
            _print_config(ctx, given)
            return
        root = Path(given.pop("workspace"))
        output = Output(given.pop("json"), given.pop("quiet"))
        for common in ("config", "debug"):
            given.pop(common)
        _check_writable(ctx, root, given)
        try:
            run(Session(Workspace(root), output, given))
        except KeyboardInterrupt:
            raise Interrupted from None

    context = inspect.Parameter("ctx", _KEYWORD, annotation=typer.Context)
    everything = [context, *options, *_common()]
    entry.__signature__ = inspect.Signature(everything)  # type: ignore[attr-defined]
    entry.__annotations__ = {p.name: p.annotation for p in everything}
    app.command(name, help=help, epilog=f"Example: {example}")(entry)


def _check_writable(ctx: typer.Context, root: Path, given: Mapping[str, Any]) -> None:
    """Whether the results can be written, before there are any: that may take hours."""
    verb = _command_path(ctx)[0]
    for target in _TARGETS.get(verb, ()):
        if given.get(target) is not None:
            check_target(given[target])
    if verb == "eval" and root.exists() and not given.get("dry_run"):
        check_folder(root / "results")


def _common() -> list[inspect.Parameter]:
    return [
        param(
            "workspace",
            Path,
            Path("crossdim-data"),
            "Folder of all artefacts and runs.",
            envvar="CROSSDIM_WORKSPACE",
            flags=("--workspace", "-w"),
        ),
        param("json", bool, False, "Print the result as JSON.", flags=("--json",)),
        param("quiet", bool, False, "No progress on stderr.", flags=("--quiet", "-q")),
        param("debug", bool, False, "Show tracebacks.", flags=("--debug",)),
        param(
            "config",
            Path | None,
            None,
            "Configuration file (default: ./crossdim.toml if it is there).",
            flags=("--config", "-c"),
            envvar="CROSSDIM_CONFIG",
            is_eager=True,
            callback=_apply_config,
        ),
        param(
            "print_config",
            bool,
            False,
            "Print every option with where its value came from, and stop.",
            flags=("--print-config",),
        ),
    ]


def _apply_config(ctx: typer.Context, value: Path | None) -> Path | None:
    if ctx.resilient_parsing:  # shell completion
        return value
    config = read_config(value)
    root = ctx.find_root()
    check_tables(config, _commands(root.command))
    path = _command_path(ctx)
    given = table_of(config, path)
    flags = {
        flag.removeprefix("--"): p.name
        for p in ctx.command.params
        for flag in p.opts
        if flag.startswith("--") and p.name not in ("config", "print_config", "help")
    }
    ctx.default_map = to_parameters(given, flags, ".".join(path))
    return value


def _command_path(ctx: Any) -> list[str]:
    path: list[str] = []
    while ctx.parent is not None:
        path.insert(0, ctx.info_name)
        ctx = ctx.parent
    return path


def _commands(command: Any) -> dict[str, Any]:
    return {
        name: _commands(inner) if hasattr(inner, "commands") else None
        for name, inner in command.commands.items()
    }


def _print_config(ctx: typer.Context, given: Mapping[str, Any]) -> None:
    sources = {
        "COMMANDLINE": "command line",
        "DEFAULT_MAP": "configuration file",
        "ENVIRONMENT": "environment",
        "DEFAULT": "default",
    }
    rows = []
    for name, value in sorted(given.items()):
        source = ctx.get_parameter_source(name)
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        rows.append(
            (
                name,
                "" if shown is None else shown,
                sources.get(getattr(source, "name", ""), "default"),
            )
        )
    sys.stdout.write(
        table(("option", "value", "from"), [(n, str(v), s) for n, v, s in rows]) + "\n"
    )
