"""Which rules `prepare` runs beside its stages, whose own errors are always on."""

from collections.abc import Sequence

from sftcli.errors import UsageError
from sftcli.rules.catalogue import RULES, selected

# Errors that no stage raises: without --select such records become rows.
_ERRORS = frozenset({"C014", "C015", "T003", "T004", "T008"})
_FAMILIES = ("R", "C", "T")  # the warnings of the others are on files, and on the data set as a whole
_BESIDE = frozenset(
    code
    for code, rule in RULES.items()
    if code in _ERRORS or (rule.severity == "warning" and code.startswith(_FAMILIES))
)


def rules_beside(select: Sequence[str], ignore: Sequence[str]) -> frozenset[str]:
    """The codes of the selected rules that records and rows are judged by; none where none is selected."""
    return selected(select, (), ignore) & _BESIDE if select else frozenset()


def rules_left_out(select: Sequence[str], ignore: Sequence[str]) -> str | None:
    """A warning that names the selected rules which only `validate` runs, if there are any.

    Raises UsageError where no other rule is selected.
    """
    chosen = selected(select, (), ignore) if select else frozenset()
    left = {
        code
        for code in chosen - _BESIDE
        if RULES[code].severity == "warning" or not code.startswith(("J", *_FAMILIES))
    }
    if not left:
        return None
    message = (
        f"--select: {', '.join(sorted(left))}: rules on files and on the data set as a whole are run by "
        "`sftcli validate` alone"
    )
    if left == chosen:
        raise UsageError(f"{message}; leave them out")
    return message
