"""sftcli prepare"""

import shlex
import sys
from typing import Any

import click

from sftcli.cli.choice import Choice
from sftcli.cli.options import F, config_flags, config_options, progress_option, split_list
from sftcli.cli.sections import SectionedCommand
from sftcli.cli.write_options import SHAPE, SHARDS, WHICH, WORK, write_flags


def shard_options(command: F) -> F:
    """Every option that says what is written of a row, and in what files."""
    for option in reversed((*SHAPE, *SHARDS, *WHICH, *WORK)):
        command = option(command)
    return command


class _Command(SectionedCommand):
    shared = "How records become rows"
    sections = {  # noqa: RUF012 (never changed)
        "The output": "output overwrite resume profile format compression split_size",
        shared: "",
        "What is written of a row": "max_length truncation truncation_side min_trained packing layout pad "
        "pad_to_multiple_of padding_side labels_dtype columns keep",
        "Which rows are written, and where": "val_size shuffle seed dedup limit",
        "Bad records": "on_error max_bad select ignore max_errors",
        "How it is done": "num_proc",
        "What is printed": "as_json quiet progress debug help",
    }


@click.command(cls=_Command, epilog="Exit codes: 0 fine, 1 bad data, 2 usage, 3 environment, 4 a bug.")
@click.argument("inputs", nargs=-1, metavar="INPUT...")
@click.option("-o", "--output", metavar="FOLDER", help="Where the dataset goes.")
@config_options
@shard_options
@click.option(
    "--on-error",
    type=Choice(["fail", "skip", "quarantine"]),
    help="Bad records: write nothing, leave them out, or keep them in rejects.jsonl. [default: fail]",
)
@click.option(
    "--select",
    multiple=True,
    metavar="RULES",
    help="Count these rules of `sftcli rules` too: codes, beginnings such as C, names, or ALL. Errors among "
    "them make bad records.",
)
@click.option("--ignore", multiple=True, metavar="RULES", help="Leave these out of --select.")
@click.option("--max-bad", metavar="N|P%", help="Fail where more bad records than this would be left out.")
@click.option("--max-errors", type=click.IntRange(1), default=20, show_default=True, help="How many to list.")
@click.option("--overwrite", is_flag=True, help="Replace the dataset in the output folder.")
@click.option(
    "--resume/--no-resume",
    default=None,
    help="Go on where a run that was stopped left off, or begin anew. [default: go on where it was the same]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
@progress_option
def prepare(
    inputs: tuple[str, ...],
    max_errors: int,
    overwrite: bool,
    resume: bool | None,
    as_json: bool,
    quiet: bool,
    progress: bool | None,
    config: str | None,
    **flags: Any,
) -> int:
    """Turn JSONL into masked token shards.

    \b
    sftcli prepare train.jsonl -t ./llama3 --template llama3 -o out
    sftcli prepare 'data/*.jsonl.gz' --config configs/alpaca.yaml -o out
    """
    from sftcli.config import inputs_of, load_config
    from sftcli.errors import BadRecordsError, UsageError
    from sftcli.fastload import warm_up
    from sftcli.workers.count import open_pool

    for name in ("select", "ignore"):
        flags[name] = split_list(flags[name], f"--{name}")
    max_bad = flags["max_bad"]
    loaded = load_config(config, {"inputs": list(inputs), **write_flags(config_flags(flags))})
    if max_bad is not None and loaded.on_error == "fail":
        raise UsageError(
            f"--max-bad {max_bad}: is how many bad records may be left out, and --on-error fail leaves out "
            "none; add --on-error skip or --on-error quarantine"
        )
    with open_pool(loaded) as pool:
        if pool is None and loaded.encoder != "tokenizers":
            warm_up(loaded.tokenizer, inputs_of(loaded))  # beside the imports that follow
        from sftcli import pipeline
        from sftcli.cli import show

        try:
            with show.Bar(progress if progress is not None else not quiet and sys.stderr.isatty()) as bar:
                report = pipeline.prepare(
                    loaded,
                    overwrite=overwrite,
                    resume=resume,
                    command=shlex.join(["sftcli", *sys.argv[1:]]),
                    max_errors=max_errors,
                    progress=bar.start,
                    announce=None if quiet else show.announce,
                    pool=pool,
                )
        except BadRecordsError as problem:
            show.bad_records(problem)
            return problem.exit_code
    show.report(report, as_json=as_json, quiet=quiet)
    return 0
