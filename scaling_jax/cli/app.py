"""The entry point: chooses the command and turns its outcome into an exit code."""

import functools
import importlib
import io
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from typing import Any

import tyro

import scaling_jax
from scaling_jax.cli import exits
from scaling_jax.cli.output import remark
from scaling_jax.errors import InputError, InputWarning
from scaling_jax.system.environment import compile_without_call_stacks, restart_tuned

Command = Callable[..., None]


def tokenizer() -> None:
    """Train or check a tokenizer."""


def corpus() -> None:
    """Check a corpus."""


# Where each command is: the module of this package, with the function if it has another name. A
# module is imported once its command is wanted, since each brings its own part of the package.
COMMANDS: dict[str, Command | str] = {
    "experiments": "listing",
    "corpus": corpus,
    "tokenizer": tokenizer,
    "plan": "planning",
    "simulate": "simulating",
    "tune": "tuning",
    "run": "running",
    "train": "running",
    "status": "reading",
    "cancel": "cancelling",
    "collect": "reading",
    "diff": "diffing",
    "fit": "fitting",
    "predict": "predicting",
    "forecast": "forecasting",
    "score": "forecasting",
    "curves": "foreseeing",
    "report": "reading",
    "evaluate": "using",
    "compare": "using",
    "sample": "using",
    "export": "using",
    "flops": "accounting",
    "compile": "compiling:compile_",
    "doctor": "checking",
    "demo": "running",
}
# Commands of two words: the first word, then the second.
GROUPS: dict[str, dict[str, Command | str]] = {
    "corpus": {"check": "texts:check_corpus"},
    "tokenizer": {"train": "texts", "check": "texts:check_tokenizer"},
}
DESCRIPTION = (
    "Scaling laws for language models, end to end: plan a study, train it, fit its laws and "
    "predict what a larger budget buys. Results go to standard output, everything else to "
    "standard error. Exit codes: 0 success, 2 bad input, 75 stopped with all work saved (run "
    "again to continue), 1 failure."
)
TRAINING_COMMANDS = ("run", "train", "tune", "demo")
TRACEBACK_VARIABLE = "SCALING_JAX_TRACEBACK"


def main(args: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a character shows a substitute instead of ending the command.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    if args is None:
        # The process is the command's own.
        if sys.argv[1:2] and sys.argv[1] in TRAINING_COMMANDS:
            restart_tuned()
        else:
            compile_without_call_stacks()
    try:
        with _warnings_as_lines():
            _dispatch(list(sys.argv[1:] if args is None else args))
        sys.stdout.flush()
    except SystemExit as end:
        if isinstance(end.code, str):
            return _end(end.code, exits.FAILED)
        if end.code is None:
            return _end("exit() in a Python file that the command ran: remove it", exits.FAILED)
        return end.code if isinstance(end.code, int) else 0
    except InputError as error:
        return _end(str(error), exits.BAD_INPUT)
    except exits.Stopped as stop:
        return _end(str(stop), exits.STOPPED)
    except exits.CommandFailed as failure:
        return _end(str(failure), exits.FAILED)
    except KeyboardInterrupt:
        return _end("interrupted; the same command continues from what is saved", exits.INTERRUPTED)
    except BrokenPipeError:
        return _closed_pipe()
    except Exception as error:
        return _unexpected(error)
    return 0


def _dispatch(args: list[str]) -> None:
    if args == ["--version"]:
        print(scaling_jax.__version__)
        return
    _parsed(args)()


def _parsed(args: list[str]) -> Callable[[], None]:
    """The command with its options, checked.

    Raises:
        InputError: a dataclass of options refused its values. tyro would draw the message in a
            box; every other refusal of the command line is one line.
        SystemExit: the arguments cannot be parsed, or ask for help.
    """
    try:
        with redirect_stderr(io.StringIO()):
            return _parse(args, every=False)
    except SystemExit as end:
        refusal: BaseException | None = end
        while refusal is not None and not isinstance(refusal, InputError):
            refusal = refusal.__context__
        if refusal is not None:
            raise refusal from None
        if end.code:
            # Parsed again for tyro's own message, in the width and colours of the terminal. The
            # message names options of other commands.
            _parse(args)
        raise


def _parse(args: list[str], every: bool = True) -> Callable[[], None]:
    """The command with its options, parsed beside all commands or only by its own."""
    word, *rest = args or [""]
    group = GROUPS.get(word)
    commands, words = (group, rest) if group else (COMMANDS, args)
    wanted = words[0] if words else ""
    if not every and wanted in commands:
        commands = {wanted: commands[wanted]}
    return tyro.extras.subcommand_cli_from_dict(
        {name: _bound(_imported(name, command)) for name, command in commands.items()},
        prog=f"scaling-jax {word}" if group else "scaling-jax",
        description=_imported(word, COMMANDS[word]).__doc__ if group else DESCRIPTION,
        args=words,
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def _imported(name: str, command: Command | str) -> Command:
    """The command's function, from its module if that is not imported yet."""
    if not isinstance(command, str):
        return command
    module, _, function = command.partition(":")
    found: Command = getattr(importlib.import_module(f"scaling_jax.cli.{module}"), function or name)
    return found


def _bound(command: Callable[..., None]) -> Callable[..., Callable[[], None]]:
    """The command without the call: tyro calls what it parses, while messages are held back."""

    @functools.wraps(command)
    def bind(*args: Any, **options: Any) -> Callable[[], None]:
        return functools.partial(command, *args, **options)

    return bind


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Print each warning about the input once, as a line without its place in code."""
    shown = set[str]()
    with warnings.catch_warnings():
        warnings.simplefilter("always", InputWarning)
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if not issubclass(category, InputWarning):
                usual(message, category, *where, **more)
            elif str(message) not in shown:
                shown.add(str(message))
                remark(f"warning: {message}")

        warnings.showwarning = show
        yield


def _end(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


def _unexpected(error: Exception) -> int:
    if os.environ.get(TRACEBACK_VARIABLE) == "1":
        traceback.print_exc()
        return exits.FAILED
    first_line = next(iter(str(error).splitlines()), "")
    hint = f"set {TRACEBACK_VARIABLE}=1 for the traceback"
    return _end(f"{type(error).__name__}: {first_line} ({hint})", exits.FAILED)


def _closed_pipe() -> int:
    """End quietly when the reader has closed the pipe (`| head`), in the exit hook too."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return exits.FAILED
