"""sftcli validate"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sftcli.cli.options import color_option, config_flags, config_options, findings_options
from sftcli.cli.sections import SectionedCommand

if TYPE_CHECKING:
    from sftcli.config import Config
    from sftcli.validate.settings import Settings
    from sftcli.validate.validate import Validated


class _Command(SectionedCommand):
    sections = {  # noqa: RUF012 (never changed)
        "Which rules": "select extend_select ignore against overlap vocab_size",
        "What fails the run": "max_bad fail_over strict max_errors",
        "What is written": "format_ as_json statistics output fix quiet color num_proc",
        "The records": "record_format field limit config",
    }


@click.command(cls=_Command, epilog="Exit codes: 0 fine, 1 bad data, 2 usage, 3 environment, 4 a bug.")
@click.argument("inputs", nargs=-1, metavar="INPUT...")
@click.option(
    "--select",
    multiple=True,
    metavar="RULES",
    help="Run these alone, whatever a file says: codes, beginnings such as C, names, or ALL.",
)
@click.option("--extend-select", multiple=True, metavar="RULES", help="Run these rules too.")
@click.option("--ignore", multiple=True, metavar="RULES", help="Leave these rules out.")
@click.option("--max-bad", metavar="N|P%", help="Let up to N records, or a share such as 1%, be bad.")
@click.option(
    "--fail-over",
    multiple=True,
    metavar="RULE=N|P%",
    help="Fail where RULE is broken more often (repeatable).",
)
@click.option("--strict", is_flag=True, help="Let warnings fail the run too.")
@click.option(
    "--max-errors",
    type=click.IntRange(1),
    metavar="N",
    help="Stop after N errors, and list N errors and N warnings. [default: 1000]",
)
@click.option(
    "--against",
    multiple=True,
    metavar="FILE",
    help="A data set that shares no record with these (repeatable).",
)
@click.option(
    "--overlap", type=float, metavar="SHARE", help="How much of its record is too much. [default: 0.5]"
)
@click.option("--vocab-size", type=int, metavar="N", help="How many ids the model's embedding has.")
@findings_options
@click.option("--statistics", is_flag=True, help="Show how often each rule is broken, and nothing else.")
@click.option(
    "-o", "--output", metavar="FILE", help="Write the findings, or with --fix the mended data, to a file."
)
@click.option("--fix", is_flag=True, help="Mend what is safe to mend, into the file of -o.")
@click.option("--quiet", is_flag=True, help="Print nothing where nothing is found, and no reasons.")
@color_option
@click.option("--num-proc", type=int, metavar="N", help="How many processes. [default: one a processor]")
@config_options
def validate(
    inputs: tuple[str, ...],
    format_: str,
    as_json: bool,
    statistics: bool,
    output: str | None,
    fix: bool,
    quiet: bool,
    color: str,
    config: str | None,
    **flags: Any,
) -> int:
    """Judge raw data by the rules that `sftcli rules` lists.

    Rules on bytes, shape, content and repeats need no tokenizer; those on tokens run where -t is
    given. Options can stand in --config, or under [tool.sftcli] in pyproject.toml.

    \b
    sftcli validate train.jsonl
    sftcli validate 'data/*.jsonl' --against test.jsonl --format github
    sftcli validate train.jsonl -t ./llama3 --max-length 4096 --fail-over T001=1%
    sftcli validate train.jsonl --fix -o mended.jsonl
    """
    settings, loaded = _options(config, inputs, flags)
    format_ = "json" if as_json else format_
    if statistics and format_ not in ("text", "json"):
        raise click.UsageError(f"--statistics: as text or json, not as {format_}")
    if output is not None:
        from sftcli.cli.output_file import check_output_file
        from sftcli.validate.settings import pyprojects

        layout = (loaded.tokenizer, loaded.template)
        files = pyprojects() if config is None else [config]
        check_output_file("-o", output, [*loaded.inputs, *files, *layout, *settings.against])
    if loaded.tokenizer is not None and loaded.encoder != "tokenizers":
        from sftcli.fastload import warm_up

        warm_up(loaded.tokenizer, loaded.inputs)  # beside the imports that follow
    from sftcli.rules.catalogue import RULES
    from sftcli.validate.validate import validate as judge

    if fix:
        return _fix(loaded, settings, output, format_, color, quiet)
    found = judge(loaded, settings, count_all=statistics)
    if statistics:
        _put_statistics(found, format_, output)
    else:
        from sftcli.cli.findings_out import put_findings  # no other process needs it

        put_findings(found.findings, RULES, format_, output, color, quiet)
    return _ended(found, settings, quiet)


def _options(config: str | None, inputs: tuple[str, ...], flags: dict[str, Any]) -> "tuple[Settings, Config]":
    """The gate's settings and the options of records and rows, from flags and files."""
    from sftcli.cli.options import key_values, split_list
    from sftcli.config import load_config
    from sftcli.validate.settings import Settings, load_settings

    own = {name: flags.pop(name) for name in Settings.__struct_fields__}
    for name in ("select", "extend_select", "ignore"):
        own[name] = split_list(own[name], f"--{name.replace('_', '-')}")
    own["fail_over"] = key_values(own["fail_over"], "--fail-over")
    own["against"] = list(own["against"])
    settings, rest = load_settings(config, own)
    given = {key: value for key, value in config_flags(flags).items() if value not in (None, (), {}, [])}
    return settings, load_config(None, {**rest, "inputs": list(inputs) or rest.get("inputs"), **given})


def _fix(
    config: "Config", settings: "Settings", output: str | None, format_: str, color: str, quiet: bool
) -> int:
    """Mend the input, and judge what has come of it."""
    from msgspec.structs import replace

    from sftcli.cli.findings_out import put_findings
    from sftcli.rules.catalogue import RULES
    from sftcli.validate.fix import fix
    from sftcli.validate.validate import validate as judge
    from sftcli.view.cells import one_line

    if output is None:
        raise click.UsageError("--fix: say where the mended data goes with -o; the input is never changed")
    mended = fix(config, output, settings.rules_on(tokens=config.tokenizer is not None))
    if not quiet:
        for code, count in sorted(mended.items()):
            click.echo(f"{RULES[code].code} {RULES[code].name}: {count:,} mended", err=True)
        click.echo(f"{mended.total():,} mended in all; written to {one_line(output)}", err=True)
    found = judge(replace(config, inputs=[output]), settings)
    put_findings(found.findings, RULES, format_, None, color, quiet)
    return _ended(found, settings, quiet)


def _put_statistics(found: "Validated", format_: str, output: str | None) -> None:
    """How often each rule is broken, the most frequent first; as JSON an object of counts by code."""
    from sftcli.cli.terminal import while_it_is_read
    from sftcli.rules.catalogue import RULES

    counts = dict(sorted(found.findings.counts.items(), key=lambda one: (-one[1], one[0])))
    text = "".join(
        f"{count:>9,}  {code} {RULES[code].severity:<7}  {RULES[code].name}\n"
        for code, count in counts.items()
    )
    if format_ == "json":
        text = json.dumps(counts) + "\n"
    if output is None:
        with while_it_is_read():
            click.echo(text, nl=False)
    else:
        Path(output).write_text(text, encoding="utf-8")


def _ended(found: "Validated", settings: "Settings", quiet: bool) -> int:
    """The exit code; why it is 1 is said where a limit decided."""
    from sftcli.cli.terminal import while_it_is_read

    failures = found.failures(settings)
    if failures and not quiet and (settings.max_bad is not None or settings.fail_over):
        with while_it_is_read():
            for failure in failures:
                click.echo(f"{click.style('failed:', fg='red', bold=True)} {failure}", err=True)
    return int(bool(failures))
