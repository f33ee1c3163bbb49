"""What `inspect` says of a search on stderr: how many rows there were, and what was passed over."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import click

from sftcli.job import Job
from sftcli.view.cells import one_line
from sftcli.view.find import id_readings
from sftcli.view.raw import RawData
from sftcli.view.select import Search


def said(search: Search[Any]) -> Iterator[str]:
    """The lines, safe to print. Of a search that was left before its end the counts mean nothing."""
    source, warnings = search.source, []
    if search.ended:
        yield from _found(search)
    if isinstance(source, RawData):
        if source.job.config.template is None:
            yield one_line(_layout(source.job))
        if source.bad:
            bad = counted(source.bad, "bad record")
            warnings.append(f"{bad} passed over; the first: {source.first_bad}")
        if source.engine_warning:
            warnings.append(source.engine_warning)
    yield from map(warning, warnings)


def warning(text: str) -> str:
    """A line that warns, safe to print."""
    return f"{click.style('warning:', fg='yellow', bold=True)} {one_line(text)}"


def _layout(job: Job) -> str:
    """How records were laid out where nobody said it."""
    if job.layout is None:
        return f"layout: records {job.record_format}, which bring their own"
    return f"layout: template {job.template}, records {job.record_format} (--template NAME takes another)"


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _found(search: Search[Any]) -> Iterator[str]:
    selection, noun = search.selection, search.source.noun
    searched, matched = counted(search.searched, noun), f"{search.matched:,}"
    of = f"{matched} that match of {searched}" if selection.is_filtered else searched
    total = search.matched if selection.sample is None else min(selection.sample, search.matched)
    first = "the first is" if search.shown == 1 else f"the first {search.shown:,} are"
    cut = f"; {first} shown (--max-rows N shows more)" if search.shown < total else ""
    if selection.sample is not None:
        of = f"{total:,} drawn from {of} (seed {selection.seed})"
    if selection.is_filtered and not search.matched:
        yield f"none of {searched} matches{_hint(search)}"
    elif selection.ranking:
        what = selection.ranking if search.shown == 1 else f"{search.shown:,} {selection.ranking}"
        more = "; --max-rows N shows more" if cut and selection.most is None else ""
        yield f"the {what} of {of}{more}"
    elif selection.sample is not None:
        yield f"{of}{cut}"
    elif selection.is_filtered:
        yield f"{matched} of {searched} {'matches' if search.matched == 1 else 'match'}{cut}"
    elif not search.shown:
        yield f"no {noun} is there: {one_line(search.source.name)} has {counted(search.source.seen, noun)}"
    elif cut:
        yield f"{counted(search.matched, noun)}{cut}"


def _hint(search: Search[Any]) -> str:
    """What may have been meant where nothing matches; empty where there is no telling."""
    selection, source = search.selection, search.source
    if selection.ids and isinstance(source, RawData):
        plain = any("=" not in text for text in selection.ids)
        looked_at = [key for key in id_readings(selection.ids) if key != "id" or plain]
        if missing := [key for key in looked_at if key not in source.keys_met]:
            return f": no record has a key {' or '.join(map(repr, missing))}; --id KEY=VALUE looks at another"
    cased = [text for text in selection.text.texts if text.lower() != text.upper()]
    if not cased:
        return ""
    pattern = re.sub(r"([\\.^$*+?{}\[\]|()])", r"\\\1", cased[0])
    return f"; case counts: --find-regex {shlex.quote(f'(?i){pattern}')} ignores it"
