"""Private keys and API tokens in text, by the forms that their issuers publish.

Sources: the issuers' documentation as GitHub's secret scanning lists it (docs.github.com, "Supported
secret scanning patterns"), and RFC 7468 for keys. Only forms with a fixed beginning are here, for
these alone can be told from other text; a password cannot. detect-secrets, the usual library, has the
same ones beside guesses by entropy, reads files line by line and needs requests.
"""

import re
from collections.abc import Iterator

_BODY = r"[A-Za-z0-9_-]"
# Every repetition has an end, so that no text can keep a search busy.
# Issuer, and the form of its token; the first letters stand in ANCHORS too.
_TOKENS = (
    ("an AWS access key id", r"(?:AKIA|ASIA)[A-Z2-7]{16}"),
    ("a GitHub token", r"gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
    ("a GitLab token", rf"glpat-{_BODY}{{20}}"),
    ("a Slack token", r"xox[abeprs]-(?:\d{1,20}-){1,4}[A-Za-z0-9-]{16,99}"),
    ("a Google API key", rf"AIza{_BODY}{{35}}"),
    ("a Stripe key", r"[rs]k_live_[A-Za-z0-9]{20,200}"),
    ("an OpenAI key", rf"sk-{_BODY}{{20,200}}T3BlbkFJ{_BODY}{{20,200}}"),
    ("an Anthropic key", rf"sk-ant-[a-z]{{1,12}}\d\d-{_BODY}{{60,200}}"),
    ("a Hugging Face token", r"hf_[A-Za-z0-9]{34}"),
    ("an npm token", r"npm_[A-Za-z0-9]{36}"),
    ("a PyPI token", rf"pypi-AgE{_BODY}{{50,250}}"),
    ("a SendGrid key", rf"SG\.{_BODY}{{22}}\.{_BODY}{{43}}"),
)
_TOKEN = re.compile(
    "|".join(rf"(?P<t{index}>{form})" for index, (_, form) in enumerate(_TOKENS)).join(
        (r"(?<![A-Za-z0-9_])(?:", r")(?![A-Za-z0-9])")
    )
)
# A header alone is talk about keys; a key has a body. In code the line breaks may be written out.
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:\s|\\[nr]|[\"'+]|[\w-]{1,40}: [^\n]{0,200}\n){0,40}[A-Za-z0-9+/=]{16}"
)
_WEB_TOKEN = re.compile(rf"\beyJ{_BODY}{{8,500}}\.eyJ{_BODY}{{8,500}}\.{_BODY}{{20}}")
_PLACEHOLDERS = re.compile(r"(?i)example|xxxx|your|1234567890")
_FEWEST_CHARACTERS = 10  # different ones, of which a token that chance has made has more

# Every secret holds one of these, so that text without them need not be looked at.
ANCHORS = (
    "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xoxa-", "xoxb-",
    "xoxe-", "xoxp-", "xoxr-", "xoxs-", "AIza", "sk_live_", "rk_live_", "T3BlbkFJ", "sk-ant-", "hf_",
    "npm_", "pypi-AgE", "SG.", "PRIVATE KEY",
)  # fmt: skip
WEB_TOKEN_ANCHORS = ("eyJ",)


def private_keys(text: str) -> Iterator[int]:
    """Where private keys begin."""
    for match in _PRIVATE_KEY.finditer(text):
        yield match.start()


def api_tokens(text: str) -> Iterator[tuple[int, str]]:
    """Where API tokens begin, and what each is, without its secret part."""
    for match in _TOKEN.finditer(text):
        found = match[0]
        if len(set(found)) >= _FEWEST_CHARACTERS and not _PLACEHOLDERS.search(found):
            what = _TOKENS[int((match.lastgroup or "t0")[1:])][0]
            yield match.start(), f"{what} ({found[:6]}..., {len(found)} characters)"


def web_tokens(text: str) -> Iterator[int]:
    """Where JSON Web Tokens begin."""
    for match in _WEB_TOKEN.finditer(text):
        yield match.start()
