"""What `inspect` says of a search on stderr: how many rows there were, and what was passed over."""

import re
import shlex
import sys
from collections.abc import Iterator
from typing import Any

from sftcli.cli.terminal import hung, warning
from sftcli.job import Job
from sftcli.view.cells import one_line
from sftcli.view.find import id_readings
from sftcli.view.raw import RawData
from sftcli.view.select import Search


def said(search: Search[Any]) -> Iterator[str]:
    """The lines, safe to print. Of a search that was left before its end the counts mean nothing."""
    source, warnings = search.source, []
    if search.ended:
        yield from (hung(line, 0, sys.stderr) for line in _found(search))
    if isinstance(source, RawData):
        for given, job in zip(source.sources, source.jobs, strict=True):
            if job.config.template is None:
                layout = f"{given.name}: {_layout(job)}" if given.name else _layout(job)
                yield hung(one_line(layout), 0, sys.stderr)
        if source.bad:
            bad = counted(source.bad, "bad record")
            warnings.append(f"{bad} passed over; the first: {source.first_bad}")
        if source.engine_warning:
            warnings.append(source.engine_warning)
    yield from map(warning, warnings)


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
    match = "matches" if search.matched == 1 else "match"
    of = f"{matched} that {match} of {searched}" if selection.is_filtered else searched
    total = search.matched if selection.sample is None else min(selection.sample, search.matched)
    first = "the first is" if search.shown == 1 else f"the first {search.shown:,} are"
    cut = f"; {first} shown (--max-rows N shows more)" if search.shown < total else ""
    if selection.sample is not None:
        of = f"{total:,} drawn from {of} (seed {selection.seed})"
    if not search.searched:
        yield _nothing(search)
    elif selection.is_filtered and not search.matched:
        none = (
            f"the one {noun} searched does not match"
            if search.searched == 1
            else f"none of {searched} matches"
        )
        yield f"{none}{_hint(search)}"
    elif selection.ranking:
        what = selection.ranking if search.shown == 1 else f"{search.shown:,} {selection.ranking}"
        more = "; --max-rows N shows more" if cut and selection.most is None else ""
        yield f"the {what} of {of}{more}"
    elif selection.sample is not None:
        yield f"{of}{cut}"
    elif selection.is_filtered:
        yield f"{matched} of {searched} {match}{cut}"
    elif cut:
        yield f"{counted(search.matched, noun)}{cut}"


def _nothing(search: Search[Any]) -> str:
    """Of rows that are not there."""
    source, (start, stop) = search.source, search.selection.span
    name = one_line(source.name)
    asked = f"--rows {'' if start is None else start}:{'' if stop is None else stop}"
    if (start, stop) == (None, None):
        return f"{name} has no {source.noun}s"
    if start is not None and stop is not None and start >= stop and (start < 0) == (stop < 0):
        return f"{asked} is empty: it ends where it begins, or before"
    if source.seen == 1:
        return f"the one {source.noun} of {name} is not in {asked}"
    return f"none of the {counted(source.seen, source.noun)} of {name} is in {asked}"


def _hint(search: Search[Any]) -> str:
    """What may have been meant where nothing matches; empty where there is no telling."""
    selection, source = search.selection, search.source
    if selection.ids:
        plain = any("=" not in text for text in selection.ids)
        looked_at = [key for key in id_readings(selection.ids) if key != "id" or plain]
        if missing := [key for key in looked_at if key not in source.keys_met]:
            keys = " or ".join(map(repr, missing))
            where = (
                f"no record has a key {keys}" if isinstance(source, RawData) else f"there is no column {keys}"
            )
            return f": {where}; --id KEY=VALUE looks at another"
    cased = [text for text in selection.text.texts if text.lower() != text.upper()]
    if not cased:
        return ""
    pattern = re.sub(r"([\\.^$*+?{}\[\]|()])", r"\\\1", cased[0])
    return f"; case counts: --find-regex {shlex.quote(f'(?i){pattern}')} ignores it"
