"""The gate as it is written by hand: a loop over json.loads, with the same checks on every record.

Prints the counts by rule as JSON. python tests/bench/by_loop.py FILE
"""

import json
import sys
from collections import Counter
from pathlib import Path

from sftcli.errors import RecordError
from sftcli.parse import make_parser
from sftcli.rules.catalogue import BY_NAME, RULES, selected
from sftcli.validate.content import ContentRules
from sftcli.validate.texts import texts_of


def counts(path: Path) -> Counter[str]:
    """How often each rule of the families J, R and C is broken in a file of Alpaca records."""
    rules = ContentRules({RULES[code].name for code in selected(["J", "R", "C"])})
    parse = make_parser("alpaca", {})
    found: Counter[str] = Counter()
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                record = json.loads(line)
                messages = parse(record).messages
            except json.JSONDecodeError:
                found["J002"] += 1
                continue
            except RecordError as problem:
                found[BY_NAME[problem.code].code] += 1
                continue
            if messages[-1].content == messages[-2].content:
                found["C004"] += 1
            for text in texts_of(record, "alpaca", {}):
                found.update(BY_NAME[flaw.name].code for flaw in rules.flaws(text))
    return found


if __name__ == "__main__":
    print(json.dumps(counts(Path(sys.argv[1]))))
