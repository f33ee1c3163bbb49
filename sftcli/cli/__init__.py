"""The command line: each command opens, calls the library, and prints."""

import gc
import os
import re
import signal
import sys
from importlib import import_module
from typing import Any, NoReturn, cast

import click

from sftcli import __version__

_COMMANDS = {
    "prepare": "Turn JSONL into masked token shards.",
    "inspect": "Show which tokens of a row are trained.",
    "stats": "Show what a data set is like, or compare two.",
    "validate": "Judge raw data by the rules, for CI.",
    "verify": "Check that prepared folders are what their manifests say.",
    "rules": "List the rules, or explain one.",
    "templates": "List and show prompt and chat layouts.",
}


class _LazyGroup(click.Group):
    """Imports a command's module when that command is called: --help should not load them all."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # The reader of our output has gone, as in `sftcli inspect ... | head`.
            from sftcli.cli.terminal import drop_output

            drop_output()
            return 0

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(import_module(f"sftcli.cli.{cmd_name}"), cmd_name)
        return cast(click.Command, command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            from sftcli.yamlfile import nearest

            ctx.fail(f"no command {args[0]!r}{nearest(args[0], _COMMANDS)}")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, "-V", "--version", message="sftcli %(version)s")
def cli() -> None:
    """Turn instruction and chat data into masked training tensors.

    \b
    sftcli prepare data.jsonl -t meta-llama/Llama-3.1-8B-Instruct -o out
    sftcli inspect out --row 0
    """


def main() -> NoReturn:
    """Run the command line and end the process with the exit code that the error tree gives."""
    # Nothing here is linear algebra; the threads for it would only be started and stopped.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # A command makes few cycles and ends soon; a long run collects at times of its own.
    gc.disable()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminate)
    code = _run()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:  # nobody reads the end of it, which is no fault
        pass
    except OSError:
        code = code or 3
    # To take apart two vocabularies of 128,000 tokens piece by piece takes longer than --help does.
    os._exit(code)


class _Terminated(BaseException):
    """Ends the run as Ctrl-C does, so that nothing half-made is left behind."""


def _terminate(number: int, _frame: object) -> NoReturn:
    raise _Terminated(number)


def _run() -> int:
    from sftcli.errors import SftcliError

    try:
        for argument in sys.argv[1:]:
            if not argument.isprintable() and argument.encode(errors="ignore") != argument.encode(
                errors="surrogateescape"
            ):
                raise click.UsageError(f"{argument!a}: an argument that is not UTF-8 text")
        result = cli(prog_name="sftcli", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.NoSuchOption as problem:
        from sftcli.cli.unknown import unknown_option

        unknown_option(problem).show()
        return 2
    except click.ClickException as problem:
        problem.show()
        return 2
    except (KeyboardInterrupt, click.Abort) as problem:
        click.echo("interrupted" + _how_to_go_on(problem), err=True)
        return 130
    except _Terminated as signalled:
        click.echo("terminated" + _how_to_go_on(signalled), err=True)
        return 128 + int(signalled.args[0])
    except SftcliError as problem:
        if _debug():
            _put_traceback()
            return problem.exit_code
        _put_error(_safe(_said(problem) + _how_to_go_on(problem)))
        return problem.exit_code
    except (MemoryError, OSError) as problem:
        if _debug():
            _put_traceback()
        reason = "out of memory" if isinstance(problem, MemoryError) else _safe(_in_words(problem))
        _put_error(reason + _safe(_how_to_go_on(problem)))
        return 3
    except Exception as problem:
        if _debug():
            _put_traceback()
            return 4
        if "can't start new thread" in str(problem):  # as Python says it where memory is short
            _put_error("out of memory" + _safe(_how_to_go_on(problem)))
            return 3
        click.echo(
            f"{click.style('bug in sftcli:', fg='red', bold=True)} {type(problem).__name__}: "
            f"{_safe(str(problem))}\nrun again with --debug for the traceback, and please report it",
            err=True,
        )
        return 4


def _how_to_go_on(problem: BaseException) -> str:
    """What an error says of going on after it, as text to follow another; empty where it says nothing."""
    cause = problem.__context__ if isinstance(problem, click.Abort) else None  # which click made of Ctrl-C
    notes = [
        note
        for one in (problem, cause)
        for note in getattr(one, "__notes__", [])
        if note.startswith("resume with: ")
    ]
    return f"; {notes[-1]}" if notes else ""


def _put_error(text: str) -> None:
    from sftcli.cli.terminal import labelled

    click.echo(labelled("error", "red", text), err=True)


def _in_words(problem: OSError) -> str:
    """What the system says, and of which file, without its number."""
    if problem.strerror is None:
        return str(problem)
    return (
        f"{problem.filename}: {problem.strerror}" if isinstance(problem.filename, str) else problem.strerror
    )


def _said(problem: Exception) -> str:
    """An error's message; behind the code of the rule that a whole file breaks."""
    from sftcli.errors import FileError
    from sftcli.rules.catalogue import BY_NAME

    message = str(problem)
    if isinstance(problem, FileError) and problem.code in BY_NAME:
        rule = f"{BY_NAME[problem.code].code} {problem.code}: "
        return message if rule in message else rule + message
    return message


def _safe(text: str) -> str:
    """Text that may quote data or names, without what a terminal would act on, nor an address's password."""
    from sftcli.view.cells import one_line

    text = re.sub(r"\b([A-Za-z][A-Za-z0-9+.-]*:/{1,2})[^/\s@]+@", r"\1***@", text)
    return "\n".join(map(one_line, text.split("\n")))


def _debug() -> bool:
    from sftcli.cli.options import debug

    return debug()


def _put_traceback() -> None:
    import traceback  # which takes longer to load than most runs need

    traceback.print_exc()
