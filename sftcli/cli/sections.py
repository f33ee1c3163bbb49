"""A command whose options are listed in sections: those that `prepare` has too would bury the others."""

from collections.abc import Mapping

import click


class SectionedCommand(click.Command):
    """`sections` maps a section's title to the names of its parameters, in one text.

    `shared` is the title of those that are in no section; it may be one of `sections` itself.
    """

    sections: Mapping[str, str] = {}
    shared = "How records become rows, as in `prepare`"

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        named = {name: title for title, names in self.sections.items() for name in names.split()}
        listed: dict[str, list[tuple[str, str]]] = {title: [] for title in (*self.sections, self.shared)}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                listed[named.get(param.name or "", self.shared)].append(record)
        for title, records in listed.items():
            with formatter.section(title):
                formatter.write_dl(records)
