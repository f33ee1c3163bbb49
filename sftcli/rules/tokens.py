"""Family T: what a tokenizer and a template make of the records. They run where -t is given."""

from sftcli.rules.rule import Rule

_CHAT = '{"messages": [{"role": "user", "content": "2+2="}, {"role": "assistant", "content": "4"}]}'
_TOOL = (
    '{"messages": [{"role": "user", "content": "Time?"}, {"role": "tool", "content": "noon"}, '
    '{"role": "assistant", "content": "Noon."}]}'
)
_CALLS = (
    '{"messages": [{"role": "user", "content": "Time?"}, {"role": "assistant", "content": "Noon.", '
    '"tool_calls": [{"type": "function", "function": {"name": "now", "arguments": {}}}]}]}'
)
_CHATML = "-t demo --template chatml"
_OWN = "-t demo --template own.jinja"
_TURNS = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"


def _own(template: str) -> str:
    """The shell command that writes a chat template of its own, and that of the records."""
    return f"$ cat > own.jinja <<'END'\n{template}\nEND\n$ echo '{_CHAT}' > data.jsonl"


RULES = (
    Rule(
        "T001",
        "too_long",
        "error",
        "A row has more tokens than --max-length, so `prepare` drops it.",
        example=_CHAT.replace('"4"', '"It is four, as everybody knows."'),
        cure="Shorten or drop the record, or raise --max-length.",
        instead=_CHAT,
        options=f"{_CHATML} --max-length 16",
    ),
    Rule(
        "T002",
        "no_trained_tokens",
        "error",
        "Nothing in a row is trained, so `prepare` drops it.",
        example=_CHAT.replace('"4"', '"4", "train": false'),
        cure="Train one of its turns, or drop the record.",
        instead=_CHAT,
        options=_CHATML,
    ),
    Rule(
        "T003",
        "no_terminator",
        "error",
        "An answer is not ended by a token that is trained: the model would not learn to stop.",
        example=_own("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"),
        cure="Take a template that ends each answer in a token of its own, such as <|im_end|>.",
        instead=_own(_TURNS),
        options=_OWN,
    ),
)
