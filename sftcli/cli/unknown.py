"""What is said of an option that a command does not have."""

import click

from sftcli.familiar import flag_hint
from sftcli.yamlfile import close_to


def unknown_option(problem: click.NoSuchOption) -> click.UsageError:
    """The same error, with the option that was most likely meant."""
    flag, context = problem.option_name, problem.ctx
    known = _flags(context.command, context) if context is not None else []
    hint = flag_hint(flag, known) or _elsewhere(flag) or _near(flag, known)
    return click.UsageError(f"no option {flag!r}{hint}", context)


def _near(flag: str, known: list[str]) -> str:
    """The hint for a misspelt option."""
    # Without the dashes, which all have and which would make short names alike.
    near = close_to(flag.lstrip("-"), [name.lstrip("-") for name in known if name.startswith("--")])
    return f"; did you mean '--{near}'?" if near else ""


def _elsewhere(flag: str) -> str:
    """The hint for an option of `prepare`, which another command was given."""
    from sftcli.cli.prepare import prepare

    of_prepare = _flags(prepare, click.Context(prepare))
    if flag in of_prepare:
        return "; it is one of `sftcli prepare`"
    hint = flag_hint(flag, of_prepare)
    return f"{hint[:-1]} of `sftcli prepare`?" if hint else ""


def _flags(command: click.Command, context: click.Context) -> list[str]:
    return [flag for param in command.get_params(context) for flag in (*param.opts, *param.secondary_opts)]
