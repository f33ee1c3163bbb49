"""The options that say how a record becomes tokens, by what they are about."""

import click

from sftcli.cli.choice import Choice

RECORD_FORMATS = (
    "auto", "alpaca", "prompt_completion", "messages", "sharegpt", "segments", "text", "fields",
)  # fmt: skip

FILES = (
    click.option("--config", metavar="FILE", help="Read options from a YAML file; flags win over it."),
    click.option(
        "-t", "--tokenizer", metavar="NAME", help="A folder, a tokenizer.json, a hub name, or `demo`."
    ),
)
TEMPLATE = (
    click.option(
        "--template",
        metavar="NAME",
        help="A built-in name, a .yaml or .jinja file, or `tokenizer` for its own chat template.",
    ),
    click.option(
        "--template-arg",
        "template_args",
        multiple=True,
        metavar="KEY=VALUE",
        help="A chat template's own variable, such as enable_thinking=false (repeatable).",
    ),
    click.option(
        "--spans",
        type=Choice(["auto", "derived", "marks"]),
        help="Prove a chat template's trained spans, or take its generation marks. [default: auto]",
    ),
    click.option(
        "--injected",
        type=Choice(["train", "mask"]),
        help="An empty think block that a chat template puts into an answer. [default: train]",
    ),
)
RECORDS = (
    click.option("--record-format", type=Choice(RECORD_FORMATS), help="The records' shape. [default: auto]"),
    click.option("--field", multiple=True, metavar="NAME=KEY", help="Read field NAME from the record's KEY."),
    click.option("--system", metavar="TEXT", help="The system text of records that have none."),
    click.option(
        "--limit",
        type=int,
        metavar="N",
        help="Stop after N records; compressed input is then not checked to its end.",
    ),
)
MASK = (
    click.option(
        "--train-on",
        type=Choice(["assistant", "last", "all"]),
        help="Which turns are trained. [default: assistant]",
    ),
    click.option(
        "--train-on-eos",
        type=Choice(["turn", "last", "none", "all"]),
        help="Which turns' terminators are trained. [default: turn]",
    ),
    click.option(
        "--loss-weight",
        multiple=True,
        metavar="ROLE=W",
        help="Train a role's text with weight W, in a column loss_weights; 0 masks it (repeatable).",
    ),
)
LENGTH = (
    click.option("--max-length", type=int, metavar="N", help="The most tokens a row may have."),
    click.option(
        "--truncation",
        type=Choice(["drop", "error", "right", "left", "turns", "prompt"]),
        help="What becomes of a longer row: dropped, a bad record, its start kept (right) or its end (left), "
        "its oldest turns left out, or its prompt cut. [default: drop]",
    ),
    click.option(
        "--truncation-side",
        type=Choice(["left", "right"]),
        help="The end of a prompt that --truncation prompt cuts off. [default: right]",
    ),
    click.option(
        "--min-trained",
        type=int,
        metavar="N",
        help="The fewest trained tokens a row may have. [default: 1]",
    ),
)
TOKENIZER = (
    click.option(
        "--add-special-token",
        "add_special_tokens",
        multiple=True,
        metavar="TEXT",
        help="Make TEXT a control token of the tokenizer (repeatable).",
    ),
    *(
        click.option(f"--{name}-token", metavar="TEXT", help=f"Make TEXT the tokenizer's {name} token.")
        for name in ("bos", "eos", "pad", "sep")
    ),
    click.option(
        "--encoder",
        type=Choice(["auto", "fastokens", "tokenizers"]),
        help="The tokenizing engine; all give the same ids. [default: auto]",
    ),
)
