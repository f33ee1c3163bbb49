"""sftcli templates"""

import click

from sftcli.cli.options import debug_option


@click.group()
def templates() -> None:
    """List and show prompt and chat layouts."""


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
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True)
@debug_option
def show(name: str, tokenizer: str | None, color: str) -> None:
    """Show a template's layout with a sample record, its trained part marked.

    NAME is a built-in name or the path of a .yaml file.

    \b
    sftcli templates show llama3
    sftcli templates show configs/templates/qa.yaml -t demo
    """
    from sftcli.cli.terminal import terminal
    from sftcli.templates import load_template
    from sftcli.tokenizer import load_tokenizer
    from sftcli.view.template import show_template

    screen = terminal(color)
    template = load_template(name)
    control: list[str] = []
    if tokenizer is not None:
        loaded = load_tokenizer(tokenizer)
        control = list(loaded.control_tokens)
        template = template.resolve(loaded.specials, loaded.bos)
    text = show_template(template, screen.color, screen.width, screen.ascii_only, control)
    click.echo(text, color=screen.color)
