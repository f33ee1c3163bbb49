"""What a template does, found by rendering: `sftcli templates check`.

probes      the conversations that it is tried with
subject     the template, opened with its tokenizer and rendered as prepare renders it
finding     what a check says
layout      checks: where rows begin, what stands around turns
answer      checks: where what is trained begins and ends, and whether it is always the same
abilities   checks: orders of turns, tools, reasoning
prompt      checks of prompt templates
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sftcli.check import abilities, answer, layout, prompt
from sftcli.check.finding import Finding, Verdict, refused
from sftcli.check.subject import Subject, open_subject
from sftcli.errors import RecordError
from sftcli.rendered import Rendered

_CHATS, _PROMPTS, _ALL = ("role", "chat"), ("prompt",), ("role", "chat", "prompt")


class Check(NamedTuple):
    """`run` raises RecordError where a probe is refused that it needs: the refusal is the verdict then.

    `needs`: what of a plain probe there must be: nothing, its text, or a row with a proven mask.
    """

    name: str
    run: Callable[[Subject], Verdict | None]
    kinds: tuple[str, ...] = _CHATS
    needs: Literal["nothing", "text", "row"] = "row"


CHECKS = (
    Check("tokenizer", layout.standing_in, _ALL, "nothing"),
    Check("renders", layout.renders, _ALL, "nothing"),
    Check("mask", layout.mask, _ALL, "text"),
    Check("bos", layout.bos, _ALL, "text"),
    Check("control_tokens", layout.control_tokens, _ALL, "text"),
    Check("generation_prompt", layout.generation_prompt, _CHATS, "text"),
    Check("answer_start", answer.answer_start),
    Check("terminator", answer.ends, _ALL, "text"),
    Check("terminator_is_eos", answer.terminator_is_eos, _ALL),
    Check("after_terminator", answer.after_terminator, _ALL),
    Check("boundary", answer.boundary),
    Check("generation_marks", answer.marks),
    Check("prefix_stable", answer.prefix_stable),
    Check("trims_content", answer.trims),
    Check("depends_on_date", layout.date, _CHATS, "text"),
    Check("content_form", abilities.content_form),
    Check("system", layout.system),
    Check("default_system", layout.default_system),
    Check("alternation", abilities.alternation),
    Check("starts_with_assistant", abilities.takes("answer first")),
    Check("ends_with_user", abilities.takes("question last")),
    Check("tools", abilities.tools),
    Check("tool_calls", abilities.calls("call")),
    Check("parallel_tool_calls", abilities.calls("calls")),
    Check("tool_results", abilities.results),
    Check("reasoning_content", abilities.reasoning),
    Check("think_in_content", abilities.think_in_content),
    Check("earlier_reasoning", abilities.earlier_reasoning),
    Check("required_fields", prompt.required_fields, _PROMPTS),
    Check("optional_fields", prompt.optional_fields, _PROMPTS),
    Check("prompt_end", prompt.prompt_end, _PROMPTS),
)


@dataclass(frozen=True)
class Report:
    """All findings of one template, and sample rows under their headings."""

    subject: Subject
    findings: list[Finding]
    sample: list[tuple[str, Rendered]]

    @property
    def errors(self) -> int:
        return sum(finding.level == "error" for finding in self.findings)

    @property
    def warnings(self) -> int:
        return sum(finding.level == "warning" for finding in self.findings)


def check_template(name: str, tokenizer: str | None, args: Mapping[str, Any]) -> Report:
    """Check a built-in template, a file, or a tokenizer's own template.

    Raises UsageError where it cannot be opened or compiled.
    """
    subject = open_subject(name, tokenizer, args)
    there = _there(subject)
    findings = []
    for check in CHECKS:
        wanted = subject.kind in check.kinds and check.needs in there
        if wanted and (verdict := _run(check, subject)) is not None:
            findings.append(Finding(check.name, *verdict))
    return Report(subject, findings, subject.sample if "row" in there else [])


def _run(check: Check, subject: Subject) -> Verdict | None:
    try:
        return check.run(subject)
    except RecordError as problem:  # of a probe that it does not take, or not the beginning of
        return refused(subject, problem)


def _there(subject: Subject) -> tuple[str, ...]:
    first = next(subject.conversations())
    try:
        subject.written(first)
    except RecordError:
        return ("nothing",)
    return ("nothing", "text", "row") if isinstance(subject.tried(first), Rendered) else ("nothing", "text")


__all__ = ["CHECKS", "Check", "Finding", "Report", "check_template"]
