"""Findings as SARIF 2.1.0, within the limits of GitHub code scanning."""

import json
import os
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO
from urllib.parse import quote

from sftcli import __version__
from sftcli.findings.finding import Finding, Findings
from sftcli.findings.message import shown
from sftcli.rules.rule import Rule
from sftcli.view.page import Screen

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
# GitHub refuses a file with more results in a run, or of more bytes when packed with gzip.
MOST_RESULTS = 25_000
MOST_PACKED = 9 << 20  # of 10 MB; the rest of the file is small
# In the first part of a path a colon would end a scheme, as in `c:x`.
_PATH_SAFE = "/!$&'()*+,;=@~"


def write_sarif(found: Findings, rules: Mapping[str, Rule], out: TextIO, _screen: Screen) -> None:
    """Errors come first: of 25,000 results GitHub shows the first 5,000. What is left out is told
    in a notification of the run."""
    codes = sorted(found.counts)
    results = list(_within_limits(_results(found.errors_first(rules), rules, codes)))
    left_out = found.counts.total() - len(results)
    invocation: dict[str, Any] = {"executionSuccessful": True}
    told = [("note", note) for note in found.notes]
    if left_out or found.partial:
        stopped = "; reading stopped before the end of the inputs" if found.partial else ""
        told.append(("warning", f"{left_out:,} more findings are not listed{stopped}"))
    if told:
        invocation["toolExecutionNotifications"] = [
            {"level": level, "message": {"text": shown(text)}} for level, text in told
        ]
    driver = {
        "name": "sftcli",
        "semanticVersion": __version__,
        "rules": [_rule(rules[code]) for code in codes],
    }
    head = {"$schema": SCHEMA, "version": "2.1.0"}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "invocations": [invocation]}
    out.write(f'{json.dumps(head)[:-1]}, "runs": [\n{json.dumps(run)[:-1]}, "results": [')
    out.write(",".join("\n" + result for result in results))
    out.write(("\n" if results else "") + "]}]}\n")


def _results(findings: Iterable[Finding], rules: Mapping[str, Rule], codes: Sequence[str]) -> Iterator[str]:
    index = {code: number for number, code in enumerate(codes)}
    seen: Counter[str] = Counter()
    for finding in findings:
        alike = _fingerprint(finding)
        seen[alike] += 1
        region = {"startLine": finding.line or 1}  # GitHub wants one also where the file is meant
        if finding.column is not None:
            region["startColumn"] = finding.column
        location = {"artifactLocation": {"uri": uri(finding.file)}, "region": region}
        yield json.dumps(
            {
                "ruleId": finding.code,
                "ruleIndex": index[finding.code],
                "level": rules[finding.code].severity,
                "message": {"text": shown(finding.message) or finding.code},
                "locations": [{"physicalLocation": location}],
                "partialFingerprints": {"primaryLocationLineHash": f"{alike}:{seen[alike]}"},
            }
        )


def _within_limits(results: Iterable[str]) -> Iterator[str]:
    """As many as GitHub takes. Packed at the fastest level, so that at any other they are no larger."""
    packer = zlib.compressobj(1)
    packed = 0
    for count, result in enumerate(results):
        packed += len(packer.compress(result.encode()))
        if count == MOST_RESULTS or packed > MOST_PACKED:
            return
        yield result


def _fingerprint(finding: Finding) -> str:
    """What stays the same where lines are put in above: alerts are matched by it from run to run."""
    message = re.sub(r"\d+", "#", finding.message)
    same = "\0".join((finding.code, finding.file, message)).encode("utf-8", "surrogatepass")
    import hashlib

    return hashlib.sha256(same).hexdigest()[:16]


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": "".join(part.capitalize() for part in re.split(r"\W|_", rule.name)),
        "shortDescription": {"text": rule.summary},
        "help": {"text": f"{rule.summary}\nExample: {rule.example}\nWhat to do: {rule.cure}"},
        "defaultConfiguration": {"level": rule.severity},
    }


def uri(file: str) -> str:
    """A file's name as a URI: relative to the folder that we are in where it lies below that."""
    if os.path.isabs(file):
        inside = os.path.relpath(file)
        if inside.split(os.sep)[0] == os.pardir:
            return "file://" + quote(_name_bytes(file), safe=_PATH_SAFE)
        file = inside
    return quote(_name_bytes(file), safe=_PATH_SAFE)


def _name_bytes(file: str) -> bytes:
    """The bytes of a name, of which some may be no UTF-8; what no file's name can hold is replaced."""
    return re.sub("[\ud800-\udc7f\udd00-\udfff]", "\ufffd", file).encode("utf-8", "surrogateescape")
