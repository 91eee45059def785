"""The entry point: registers the verbs, and turns every error into two lines and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from importlib.metadata import version
from typing import Any

import typer

from crossdim_cli.command import Interrupted, new_app
from crossdim_cli.output import printable
from crossdim_cli.signals import Terminated, leave_with, listen, say_stopped
from stages.errors import CrossdimError, UsageError

EPILOG = (
    "Exit codes: 0 done; 1 some items or the training failed; 2 usage or configuration; "
    "3 an input is missing or stale; 4 the environment lacks something; 130 Ctrl-C."
)
# The base of typer's own usage errors, which it does not export: BadParameter < UsageError < this.
CLICK_ERROR: type[Exception] = typer.BadParameter.__mro__[2]


def build() -> typer.Typer:
    """The application with all its commands; imports neither torch nor trimesh."""
    from crossdim_cli import (
        compare,
        data,
        demo,
        doctor,
        evaluate,
        export,
        inspect,
        maintain,
        photos,
        pipeline,
        plot,
        predict,
        report,
        shapes,
        skeletons,
        status,
        train,
        viewpoints,
        weights,
    )

    app = new_app("From folders of CAD meshes to trained single-image 3D models. " + EPILOG)
    app.callback()(_root)
    for module in (demo, shapes, viewpoints, photos, data, skeletons, train, evaluate):
        module.register(app)
    for module in (
        export,
        plot,
        predict,
        weights,
        compare,
        status,
        inspect,
        maintain,
        report,
        doctor,
        pipeline,
    ):
        module.register(app)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"crossdim {version('crossdim')}\n")
        raise typer.Exit


def _root(
    show: bool = typer.Option(
        False, "--version", help="Print the version.", is_eager=True, callback=_show_version
    ),
) -> None:
    pass  # the help text is the application's


def main() -> None:
    """Run the command line; never returns."""
    # torch's threads wait in loops by default: beside any other load they then cost several times
    # what they compute. Read when torch is loaded, which is later.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        listen()
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # before the command began, or once more while it ended
        code = say_stopped(signal.SIGINT)
    except Terminated:
        code = say_stopped(signal.SIGTERM)
    leave_with(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """The exit code of one command line; errors are printed as two lines."""
    debug = "--debug" in arguments or os.environ.get("CROSSDIM_DEBUG") == "1"
    try:
        command: Any = typer.main.get_command(build())
        result = command.main(arguments, prog_name="crossdim", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except CrossdimError as error:
        return _report(error, debug)
    except (Interrupted, KeyboardInterrupt, typer.Abort):
        return say_stopped(signal.SIGINT)
    except Terminated:
        return say_stopped(signal.SIGTERM)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except CLICK_ERROR as error:
        return _usage(error, arguments)
    except typer.Exit as error:
        return error.exit_code


def _report(error: CrossdimError, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    _say(str(error), error.hint)
    return error.exit_code


def _usage(error: Any, arguments: list[str]) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(error.format_message() + "\n")
        return 2
    path = context.command_path if context is not None else _named(arguments)
    message = " ".join(error.format_message().split())
    return _report(UsageError(message, f"run: {path} --help"), debug=False)


def _named(arguments: list[str]) -> str:
    """The command that a line names: an option without its value comes without a context."""
    path, node = "crossdim", typer.main.get_command(build())
    for word in arguments:
        if word not in (known := getattr(node, "commands", {})):
            break
        path, node = f"{path} {word}", known[word]
    return path


def _say(message: str, hint: str) -> None:
    sys.stderr.write(f"error: {printable(message)}\n")
    if hint:
        sys.stderr.write(f"{printable(hint)}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
