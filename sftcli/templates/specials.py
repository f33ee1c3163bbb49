"""`{bos}`, `{eos}`, `{pad}`, `{sep}` and `{unk}` in a template: the tokenizer's special tokens."""

import re
from collections.abc import Mapping

from sftcli.errors import TemplateError

SPECIAL = re.compile(r"\{(bos|eos|pad|sep|unk)\}")
# Stands behind the brace of a written {{eos}}, which is text and no placeholder.
MARK = "\0"


def fill_specials(text: str, specials: Mapping[str, str | None], template: str) -> str:
    def value(match: re.Match[str]) -> str:
        token = specials.get(match[1])
        if token is None and match[1] != "bos":
            raise TemplateError(
                f"template {template!r} uses {match[0]}, and the tokenizer has no {match[1]} token; "
                f"name one with --{match[1]}-token TEXT"
            )
        return token or ""

    return SPECIAL.sub(value, text).replace(f"{{{MARK}", "{")
