"""All rules by code, and which of them are asked for."""

import difflib
from collections.abc import Iterable, Mapping, Sequence

from sftcli.errors import UsageError
from sftcli.rules import content, dataset, files, lines, records, tokens
from sftcli.rules.rule import Rule

FAMILIES: Mapping[str, str] = {
    "J": "bytes, JSON and files",
    "R": "the shape of records",
    "C": "content",
    "T": "tokens (where -t is given)",
    "D": "the data set as a whole",
}
RULES: Mapping[str, Rule] = {
    rule.code: rule
    for family in (lines, files, records, content, tokens, dataset)
    for rule in sorted(family.RULES, key=lambda rule: rule.code)
}
OF_PREPARE: Mapping[str, Rule] = {rule.code: rule for rule in (*records.OF_PREPARE, *dataset.OF_PREPARE)}
BY_NAME: Mapping[str, Rule] = {rule.name: rule for rule in (*RULES.values(), *OF_PREPARE.values())}


def selected(
    select: Sequence[str] = (),
    extend: Sequence[str] = (),
    ignore: Sequence[str] = (),
    rules: Mapping[str, Rule] = RULES,
) -> frozenset[str]:
    """The codes of the rules that are on, of all `rules`.

    Each selector is a code, the beginning of some codes (`C`, `C01`), a rule's name, or ALL.
    `select` stands in for the default set, `extend` adds to it, `ignore` takes from it; of those
    that name a rule the most exact one counts, and of two such `ignore`. A rule that is off by
    default is on only where its whole code, its name or ALL is given. Raises UsageError for a
    selector that names no rule.
    """
    on = [_check(text, rules) for text in (*select, *extend)]
    off = [_check(text, rules) for text in ignore]
    chosen = set()
    for rule in rules.values():
        default = 0 if rule.default and not select else UNNAMED
        wanted = max([default, *(exactness(text, rule) for text in on)])
        if not rule.default and wanted != _WHOLE and "ALL" not in on:
            wanted = UNNAMED
        if wanted > max([UNNAMED, *(exactness(text, rule) for text in off)]):
            chosen.add(rule.code)
    return frozenset(chosen)


UNNAMED, _WHOLE = -1, 99


def exactness(selector: str, rule: Rule) -> int:
    """How closely a selector names a rule: by how much of its code, or not at all."""
    if selector in (rule.code, rule.name):
        return _WHOLE
    if selector == "ALL":
        return 0
    return len(selector) if rule.code.startswith(selector) else UNNAMED


def names(selector: str, rule: Rule) -> bool:
    """Whether a selector stands for a rule."""
    return exactness(selector, rule) != UNNAMED


def canonical(selector: str) -> str:
    """The one way to write a selector: a rule's code for its name, and codes in capitals.

    Raises UsageError for a selector that names no rule.
    """
    found = _check(selector, RULES)
    return BY_NAME[found].code if found in BY_NAME else found


def find_rule(text: str, rules: Mapping[str, Rule] = RULES) -> Rule:
    """The rule with this code or name. Raises UsageError with the nearest one."""
    for rule in rules.values():
        if text.upper() == rule.code or text.lower().replace("-", "_") == rule.name:
            return rule
    raise UsageError(f"no rule {text!r}{nearest_rule(text, rules.values())}")


def nearest_rule(text: str, rules: Iterable[Rule]) -> str:
    """A hint at the rule that was meant, by its code or its name."""
    by_word = {word: rule for rule in rules for word in (rule.code, rule.name)}
    for wanted in (text.upper(), text.lower().replace("-", "_")):
        near = difflib.get_close_matches(wanted, by_word, n=1)
        if near:
            rule = by_word[near[0]]
            return f"; did you mean {rule.code} ({rule.name})?"
    return "; `sftcli rules` lists them"


def _check(text: str, rules: Mapping[str, Rule]) -> str:
    """A selector as it is compared: codes in capitals, names in small letters."""
    for found in (text.upper(), text.lower().replace("-", "_")):
        if found and any(names(found, rule) for rule in rules.values()):
            return found
    raise UsageError(f"no rule {text!r}{nearest_rule(text, rules.values())}")
