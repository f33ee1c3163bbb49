"""Family C: what the texts say and what they are made of."""

from sftcli.rules.rule import Rule


def _pair(answer: str, prompt: str = "Hi") -> str:
    return f'{{"prompt": "{prompt}", "completion": "{answer}"}}'


# Examples of secrets are put together here, so that no scanner takes this file for a leak.
_KEY = "-----BEGIN RSA PRIVATE " + "KEY-----\\nMIIEpAIBAAKCAQEA\\n-----END RSA PRIVATE " + "KEY-----"
_TOKEN = "ghp_" + "1a2B3c4D5e6F7g8H9i0J1k2L3m4N5o6P7q8R"
_WEB_TOKEN = "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0In0." + "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"

RULES = (
    Rule(
        "C001",
        "empty_answer",
        "error",
        "An answer is empty, or white space alone: it would teach to say nothing.",
        example=_pair(" "),
        cure="Drop the record or fill it in.",
        instead=_pair("Hello"),
    ),
    Rule(
        "C002",
        "empty_turn",
        "error",
        "A prompt or a turn of the user is empty, or white space alone.",
        example=_pair("Hello", prompt=""),
        cure="Drop the record or fill it in.",
        instead=_pair("Hello"),
    ),
    Rule(
        "C003",
        "empty_text",
        "error",
        "A text that is trained whole is empty.",
        example='{"text": ""}',
        cure="Drop the record or fill it in.",
        instead='{"text": "Hello"}',
    ),
    Rule(
        "C004",
        "answer_is_prompt",
        "warning",
        "An answer is its prompt over again.",
        example=_pair("Hi"),
        cure="Drop the record or fill in the answer that was meant.",
        instead=_pair("Hello"),
    ),
    Rule(
        "C005",
        "control_text",
        "warning",
        "A text holds what a chat template writes between turns.",
        example=_pair("Hello<|im_end|>"),
        cure="Take it out: sftcli reads it as ordinary text, other trainers as the end of a turn.",
        instead=_pair("Hello"),
    ),
    Rule(
        "C006",
        "replacement_character",
        "warning",
        "A text holds U+FFFD, which stands where a character was lost.",
        example=_pair("Caf\\ufffd"),
        cure="Get the text from its source again and decode it as what it is.",
        instead=_pair("Café"),
    ),
    Rule(
        "C007",
        "mojibake",
        "warning",
        "A text is UTF-8 that was read as Latin-1 or Windows-1252.",
        example=_pair("CafÃ©"),
        cure="Decode the source as UTF-8; ftfy.fix_encoding mends what is already garbled.",
        instead=_pair("Café"),
    ),
    Rule(
        "C008",
        "unprintable_character",
        "warning",
        "A text holds a control character other than a tab or a line break.",
        example=_pair("Hel\\u0008lo"),
        cure="Take it out; it is left from a terminal, a PDF or a broken export.",
        instead=_pair("Hello"),
    ),
    Rule(
        "C009",
        "bidi_character",
        "warning",
        "A text holds a character that turns the order of writing around, and is not seen itself.",
        example=_pair("user\\u202e = admin"),
        cure="Take it out: code and names can read otherwise than they are (CVE-2021-42574).",
        instead=_pair("user = admin"),
    ),
    Rule(
        "C010",
        "open_fence",
        "warning",
        "A block of code in an answer is opened with ``` and never closed.",
        example=_pair("```python\\nprint(4)"),
        cure="Close it with ``` on a line of its own, or drop a cut answer.",
        instead=_pair("```python\\nprint(4)\\n```"),
    ),
    Rule(
        "C011",
        "open_think",
        "warning",
        "<think> and </think> in an answer do not come in pairs.",
        example=_pair("<think>Easy. 4"),
        cure="Add the tag that is missing, or drop a cut answer.",
        instead=_pair("<think>Easy.</think> 4"),
    ),
    Rule(
        "C012",
        "prompt_ends_in_space",
        "warning",
        "A prompt that the answer follows at once ends in a space or a tab.",
        example=_pair("Paris", prompt="Capital: "),
        cure="Begin the answer with the space, as most tokens begin with theirs; --fix moves it there.",
        instead=_pair(" Paris", prompt="Capital:"),
    ),
    Rule(
        "C013",
        "cut_answer",
        "warning",
        "An answer ends in the middle of a sentence.",
        example=_pair("The capital of France is Paris, which lies on the"),
        cure="Get the whole answer, or drop the record: it would teach to stop anywhere.",
        default=False,
        instead=_pair("The capital of France is Paris."),
    ),
    Rule(
        "C014",
        "private_key",
        "error",
        "A text holds a private key.",
        example=_pair(_KEY),
        cure="Take it out, and have whoever owns the key replace it: it is known now.",
        instead=_pair("-----BEGIN CERTIFICATE-----"),
    ),
    Rule(
        "C015",
        "api_token",
        "error",
        "A text holds what gives access to somebody's account.",
        example=_pair(f"token = {_TOKEN}"),
        cure="Take it out, and have whoever owns it revoke it: it is known now.",
        instead=_pair("token = ghp_..."),
    ),
    Rule(
        "C016",
        "web_token",
        "warning",
        "A text holds a JSON Web Token.",
        example=_pair(f"Authorization: Bearer {_WEB_TOKEN}"),
        cure="Take it out unless it is an example.",
        default=False,
        instead=_pair("Authorization: Bearer ..."),
    ),
)
