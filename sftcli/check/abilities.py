"""Checks of what a chat layout takes: orders of turns, tools, reasoning."""

from collections.abc import Callable

from sftcli.check.finding import Verdict, ok, quoted, refused, trained, warning
from sftcli.check.probes import LATER_THOUGHT, PROBES, RESULT, THOUGHT, TOOL, TOWNS
from sftcli.check.subject import Subject
from sftcli.errors import RecordError

Check = Callable[[Subject], Verdict]


def takes(probe: str) -> Check:
    """Whether an order of turns is taken, each of its answers trained."""

    def check(subject: Subject) -> Verdict:
        row = subject.row(probe)
        answers = [i for i, message in enumerate(PROBES[probe].messages) if message.role == "assistant"]
        shown = " and ".join(quoted(trained(row, turn)) for turn in answers)
        return ok("accepted", f"trained: {shown}")

    return check


def alternation(subject: Subject) -> Verdict:
    """Whether the turns must alternate, by two answers and by two questions in a row."""
    rows = {probe: subject.outcome(probe) for probe in ("two answers", "two questions")}
    refusals = {probe: row for probe, row in rows.items() if isinstance(row, RecordError)}
    if not refusals:
        second = quoted(trained(subject.row("two answers"), 2))
        return ok("not required", f"of two answers in a row both are trained, the second as {second}")
    probe, problem = next(iter(refusals.items()))
    verdict = refused(subject, problem)
    value = "required" if len(refusals) == 2 else f"no {probe} in a row"
    return Verdict(verdict.level, value, verdict.message)


def tools(subject: Subject) -> Verdict:
    row = subject.row("tools")
    if TOOL not in row.text:
        return ok("left out", "a record's tools are not laid out")
    at = row.text.index(TOOL)
    return ok("supported", f"laid out as {quoted(row.text[max(at - 24, 0) : at + 24])}; masked")


def calls(probe: str) -> Check:
    def check(subject: Subject) -> Verdict:
        row = subject.row(probe)
        text, towns = trained(row, 1), TOWNS[: len(PROBES[probe].messages[1].tool_calls or ())]
        if not all(word in text for word in (TOOL, *towns)):
            return warning("left out", f"trained is only {quoted(text)}")
        return ok("supported", f"trained: {quoted(text)}")

    return check


def results(subject: Subject) -> Verdict:
    row = subject.row("result")
    if RESULT not in row.text:
        return warning("left out", "the result of a tool is not in the row")
    after = row.text.partition(RESULT)[2]
    return ok("supported", f"masked; after it stands {quoted(after[:40])}")


def reasoning(subject: Subject) -> Verdict:
    row = subject.row("reasoning")
    text = trained(row, 1)
    if THOUGHT not in text:
        return ok("left out", "reasoning_content is not laid out; counted as reasoning_left_out")
    return ok("supported", f"trained: {quoted(text)}")


def think_in_content(subject: Subject) -> Verdict:
    row = subject.row("think")
    text = trained(row, 1)
    if THOUGHT not in text:
        return warning("dropped", f"even from the last answer: trained is {quoted(text)}")
    kept = PROBES["think"].messages[1].content in text
    given = "" if kept or "<think>" in text else "; its start is given by the generation prompt"
    return ok("kept" if kept else "laid out anew", f"trained: {quoted(text)}{given}")


def earlier_reasoning(subject: Subject) -> Verdict:
    for probe in ("reasonings", "thinks"):
        row = subject.outcome(probe)
        if isinstance(row, RecordError) or LATER_THOUGHT not in row.text:
            continue
        kind = "<think> in content" if probe == "thinks" else "reasoning_content"
        value = "kept" if THOUGHT in row.text else "dropped"
        return ok(value, f"{kind} of an earlier turn: trained there is {quoted(trained(row, 1))}")
    return ok("none", "no reasoning is laid out in a conversation of several turns")


def content_form(subject: Subject) -> Verdict:
    """How the template wants a message's content; records of either form are turned into it."""
    if subject.chat is None:
        return ok("text")
    form = subject.chat.shape.content
    return ok("text" if form == "text" else "list of parts")
