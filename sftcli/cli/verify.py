"""sftcli verify"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import click

from sftcli.cli.options import color_option, debug_option, findings_options, progress_option

_SAMPLE = 1_000
_EPILOG = "Exit codes: 0 fine, 1 findings, 2 usage, 3 environment (no manifest, unreadable disk), 4 a bug."


@click.command(epilog=_EPILOG)
@click.argument("folders", nargs=-1, metavar="OUT...")
@click.option(
    "--deep",
    is_flag=False,
    flag_value=str(_SAMPLE),
    metavar="[N|all]",
    help="Make N rows again from the inputs and compare them, or all with every byte. [default of N: 1000]",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Draws the rows of --deep N.")
@click.option("--strict-inputs", is_flag=True, help="The inputs must still have the bytes that they had.")
@findings_options
@click.option("-o", "--output", metavar="FILE", help="Write the findings to a file.")
@click.option(
    "--max-errors",
    type=click.IntRange(1),
    metavar="N",
    default=1000,
    show_default=True,
    help="List N findings.",
)
@click.option("--ignore", multiple=True, metavar="RULES", help="Leave these rules out: codes or names.")
@click.option("--strict", is_flag=True, help="Exit 1 for warnings too.")
@click.option("--quiet", is_flag=True, help="Print nothing where nothing is found.")
@color_option
@progress_option
@debug_option
def verify(
    folders: tuple[str, ...],
    deep: str | None,
    seed: int,
    strict_inputs: bool,
    format_: str,
    as_json: bool,
    output: str | None,
    max_errors: int,
    ignore: tuple[str, ...],
    strict: bool,
    quiet: bool,
    color: str,
    progress: bool | None,
) -> int:
    """Check that prepared folders are what their manifests say.

    Every file is there with its size and sha256, the counts add up, and every row keeps the
    contract: equal lengths, labels that are the id or -100, something trained, ids that the
    tokenizer has.

    \b
    sftcli verify out
    sftcli verify out --deep --strict-inputs
    sftcli verify data/* --format sarif -o verify.sarif
    """
    from sftcli.cli.findings_out import exit_code, put_findings
    from sftcli.cli.options import split_list
    from sftcli.cli.output_file import check_output_file
    from sftcli.cli.show import Bar
    from sftcli.rules.catalogue import selected
    from sftcli.rules.folder import RULES
    from sftcli.verify import Asked, folders_of
    from sftcli.verify import verify as verify_folders

    if deep is not None and _amount(deep) is None:  # the parser took the folder for the value
        folders, deep = (deep, *folders), str(_SAMPLE)
    if not folders:
        raise click.UsageError("name the folders that `sftcli prepare -o` wrote: sftcli verify OUT")
    if output is not None:
        check_output_file("-o", output, _read(folders_of(folders)))
    rules = {rule.code: rule for rule in RULES}
    on = selected(ignore=split_list(ignore, "--ignore"), rules=rules)
    asked = Asked(None if deep is None else _amount(deep), seed, strict_inputs, on)
    with Bar(sys.stderr.isatty() if progress is None else progress, "verify") as bar:
        found = verify_folders(folders_of(folders), asked, max_errors, lambda rows: bar.begin(rows, "row"))
    put_findings(found, rules, "json" if as_json else format_, output, color, quiet)
    return exit_code(found, rules, strict)


def _read(folders: Sequence[str]) -> Iterator[str]:
    """All that belongs to the folders: what their links lead to, and what they were made from."""
    from sftcli.errors import SftcliError
    from sftcli.manifest import read_manifest

    for folder in folders:
        yield folder
        for root, _, names in os.walk(folder):
            yield from (os.path.join(root, name) for name in names)
        with suppress(SftcliError):  # the folder is judged all the same, and tells
            manifest = read_manifest(Path(folder))
            config, inputs = manifest.get("config"), manifest.get("inputs")
            for source in inputs if isinstance(inputs, list) else []:
                if isinstance(source, dict) and isinstance(source.get("file"), str):
                    yield source["file"]
            template = config.get("template") if isinstance(config, dict) else None
            yield from [template] if isinstance(template, str) else []


def _amount(text: str) -> int | Literal["all"] | None:
    """How many rows --deep asks for; None where the text says no such thing."""
    if text == "all":
        return "all"
    return int(text) if text.isdecimal() and int(text) > 0 else None
