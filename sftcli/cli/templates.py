"""sftcli templates"""

import click

from sftcli.cli.choice import Choice
from sftcli.cli.options import color_option, debug_option


@click.group()
def templates() -> None:
    """List, show and check prompt and chat layouts."""


@templates.command("list")
@debug_option
def list_() -> None:
    """List the built-in templates.

    \b
    sftcli templates list
    """
    from sftcli.cli.terminal import terminal
    from sftcli.view.template import list_templates, template_table

    screen = terminal()
    click.echo(template_table(list_templates(), screen.width, screen.ascii_only))


@templates.command()
@click.argument("name")
@click.option("-t", "--tokenizer", metavar="NAME", help="Fill in this tokenizer's special tokens.")
@color_option
@debug_option
def show(name: str, tokenizer: str | None, color: str) -> None:
    """Show a template's layout with a sample record, its trained part marked.

    NAME is a built-in name or the path of a .yaml file.

    \b
    sftcli templates show llama3
    sftcli templates show configs/templates/qa.yaml -t demo
    """
    from sftcli.cli.terminal import terminal
    from sftcli.errors import UsageError
    from sftcli.templates import load_template
    from sftcli.tokenizer import load_tokenizer
    from sftcli.view.template import show_template

    if name == "tokenizer" or name.endswith((".jinja", ".j2")):
        raise UsageError(
            f"{name}: `templates show` draws layouts in YAML; `sftcli templates check` draws a chat "
            "template, and tells what it does"
        )
    screen = terminal(color)
    template = load_template(name)
    control: list[str] = []
    if tokenizer is not None:
        loaded = load_tokenizer(tokenizer)
        control = list(loaded.control_tokens)
        template = template.resolve(loaded.specials, loaded.bos)
    text = show_template(template, screen.color, screen.width, screen.ascii_only, control)
    click.echo(text, color=screen.color)


@templates.command()
@click.argument("name", metavar="NAME|FILE|TOKENIZER")
@click.option("-t", "--tokenizer", metavar="NAME", help="Check the template with this tokenizer.")
@click.option(
    "--template-arg",
    "template_args",
    multiple=True,
    metavar="KEY=VALUE",
    help="A chat template's own variable, such as enable_thinking=false (repeatable).",
)
@click.option("--format", "form", type=Choice(["text", "json"]), default="text", show_default=True)
@color_option
@debug_option
def check(name: str, tokenizer: str | None, template_args: tuple[str, ...], form: str, color: str) -> int:
    """Try a template out, and say what it does before any data goes through it.

    NAME is a built-in name or a .yaml or .jinja file, checked with the tokenizer of -t; or a tokenizer
    (a folder, a tokenizer.json, a hub name, `demo`), whose own chat template is checked. Ends with 1
    where training with it would go wrong.

    \b
    sftcli templates check llama3 -t meta-llama/Llama-3.1-8B-Instruct
    sftcli templates check Qwen/Qwen3-0.6B --template-arg enable_thinking=false
    """
    import json

    from sftcli.check import check_template
    from sftcli.cli.options import key_values, typed
    from sftcli.cli.terminal import terminal
    from sftcli.view.check import check_json, show_check

    args = {key: typed(text) for key, text in key_values(template_args, "--template-arg").items()}
    report = check_template(name, tokenizer, args)
    if form == "json":
        click.echo(json.dumps(check_json(report), ensure_ascii=False))
    else:
        screen = terminal(color)
        click.echo(show_check(report, screen), color=screen.color)
    return 1 if report.errors else 0
