"""Family T: what a tokenizer and a template make of the records. They run where -t is given."""

from sftcli.rules.rule import Rule

_CHAT = '{"messages": [{"role": "user", "content": "2+2="}, {"role": "assistant", "content": "4"}]}'
_TOOL = _CHAT.replace('"role": "user"', '"role": "tool"')
_PAIR = '{"prompt": "2+2=", "completion": "4"}'
_CALLS = _CHAT.replace(
    '"4"', '"4", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {}}}]'
)
_CHATML = "-t demo --template chatml"
_OWN = "-t demo --template own.jinja"
_TURN = "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
_START = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
_WORDS = (
    '{"version": "1.0", "normalizer": null, "post_processor": null, "decoder": null, '
    '"added_tokens": [{"id": 3, "content": "<end>", "special": true, "single_word": false, '
    '"lstrip": false, "rstrip": false, "normalized": false}], "pre_tokenizer": {"type": "Whitespace"}, '
    '"model": {"type": "WordLevel", "vocab": {"?": 0, "Hi": 1, "Hello": 2, "<end>": 3, "World": 4}, '
    '"unk_token": "?"}}'
)


def _files(record: str, **files: str) -> str:
    """The shell commands that write a record and the files beside it, named by their suffix."""
    made = "".join(f"$ cat > own.{suffix} <<'END'\n{text}\nEND\n" for suffix, text in files.items())
    return f"{made}$ echo '{record}' > data.jsonl"


def _jinja(turn: str, record: str = _CHAT) -> str:
    """The same for a chat template that lays each turn out as `turn`."""
    return _files(record, jinja="{% for m in messages %}" + turn + "{% endfor %}" + _START)


def _yaml(assistant: str, begin: str = "", record: str = _CHAT) -> str:
    """The same for a role template, with what stands at the end of an answer and at the row's head."""
    return _files(
        record,
        yaml=(
            f'begin: "{begin}"\nroles:\n  user: {{before: "<|im_start|>user\\n", end: "<|im_end|>\\n"}}\n'
            f'  assistant: {{before: "<|im_start|>assistant\\n", end: "{assistant}"}}'
        ),
    )


RULES = (
    Rule(
        "T001",
        "too_long",
        "error",
        "A row has more tokens than --max-length and is not shortened, so `prepare` leaves it out.",
        example=_CHAT.replace('"4"', '"It is four, as everybody knows."'),
        cure="Shorten or drop the record, raise --max-length, or let --truncation shorten such rows.",
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
        "No trained token ends an answer, so the model would not learn to stop.",
        example='{"segments": [{"text": "2+2=", "label": false}, {"text": "4", "label": true}, '
        '{"text": " 3+3=", "label": false}, {"text": "6", "label": true}]}',
        cure="End every answer with a token that is trained; role templates and chat templates do.",
        instead=_CHAT,
        options=_CHATML,
    ),
    Rule(
        "T004",
        "double_bos",
        "error",
        "A row begins with two BOS tokens.",
        example=_yaml("<|im_end|>", begin="<|im_start|>"),
        cure="Leave out the one that the template or the tokenizer adds.",
        instead=_yaml("<|im_end|>"),
        options="-t demo --template own.yaml --bos-token '<|im_start|>'",
    ),
    Rule(
        "T005",
        "straddle_masked",
        "warning",
        "A token has text of the prompt and of its answer, and so is not trained.",
        example='{"prompt": "2*5=", "completion": "$10"}',
        cure="Let the prompt end where words do: at inference it is tokenized by itself.",
        instead='{"prompt": "2*5=", "completion": " $10"}',
        options="-t demo --template plain",
    ),
    Rule(
        "T006",
        "straddle_trained",
        "warning",
        "The first token of an answer begins with white space that ends the prompt.",
        example='{"prompt": "Say: ", "completion": "the end"}',
        cure="Move the white space into the answer: at inference the prompt is tokenized by itself.",
        instead='{"prompt": "Say:", "completion": " the end"}',
        options="-t demo --template plain --ignore C012",
    ),
    Rule(
        "T007",
        "unknown_token",
        "warning",
        "The tokenizer has no token for a text and puts its unknown token there.",
        example=_files('{"prompt": "Hi", "completion": " you"}', json=_WORDS),
        cure="Drop the record, or take a tokenizer that knows all bytes.",
        instead=_files('{"prompt": "Hi", "completion": " Hello"}', json=_WORDS),
        options="-t own.json --eos-token '<end>'",
    ),
    Rule(
        "T008",
        "outside_vocabulary",
        "error",
        "A row has ids that the model's embedding has no row for (--vocab-size).",
        example=_files('{"prompt": "Hi", "completion": " World"}', json=_WORDS),
        cure="Resize the model's embedding, or take the tokenizer that the model was trained with.",
        instead=_files('{"prompt": "Hi", "completion": " Hello"}', json=_WORDS),
        options="-t own.json --eos-token '<end>' --vocab-size 4",
    ),
    Rule(
        "T009",
        "few_trained_tokens",
        "error",
        "A row has fewer trained tokens than --min-trained, so `prepare` drops it.",
        example=_CHAT,
        cure="Drop the record, or lower --min-trained.",
        instead=_CHAT.replace('"4"', '"It is four, as everybody knows."'),
        options=f"{_CHATML} --min-trained 4",
    ),
    Rule(
        "T010",
        "nothing_to_read",
        "error",
        "Nothing stands before a row's answer, so with `layout: seq2seq` `prepare` drops it.",
        example=_files('{"text": "2+2=4"}', yaml="layout: seq2seq"),
        cure="Give the record a prompt, or leave the layout causal.",
        instead=_files('{"prompt": "2+2=", "completion": "4"}', yaml="layout: seq2seq"),
        options="-t demo --config own.yaml",
    ),
    Rule(
        "T101",
        "unsupported_role",
        "error",
        "The template has no layout for a role.",
        example=_TOOL,
        cure="Take a template that has one, such as the model's own.",
        instead=_CHAT,
        options=_CHATML,
    ),
    Rule(
        "T102",
        "unsupported_message",
        "error",
        "The template has no layout for tool calls or reasoning.",
        example=_CALLS,
        cure="Take a template that has one, such as the model's own.",
        instead=_CHAT,
        options=_CHATML,
    ),
    Rule(
        "T103",
        "unused_field",
        "error",
        "A record fills a field that the template has no place for.",
        example='{"instruction": "Add.", "input": "2+2", "output": "4", "history": [["Hi", "Hello"]]}',
        cure="Take a template that has a place for it, or drop the field.",
        instead='{"instruction": "Add.", "input": "2+2", "output": "4"}',
        options="-t demo --template alpaca",
    ),
    Rule(
        "T104",
        "not_single_turn",
        "error",
        "The template lays out one prompt and one answer, and a conversation has more.",
        example=_TOOL,
        cure="Take a chat template.",
        instead=_CHAT,
        options="-t demo --template alpaca",
    ),
    Rule(
        "T105",
        "no_prompt",
        "error",
        "No wording of the template fits a record.",
        example=_files(
            '{"prompt": "", "completion": "4"}'.replace('""', '"2+2="'),
            yaml='prompt:\n  - when: [hint]\n    text: "{prompt} {hint}"\ncompletion: "{completion}"',
        ),
        cure="Let the last entry of the template's `prompt` have no `when`.",
        instead=_files(_PAIR, yaml='prompt: "{prompt}"\ncompletion: "{completion}"'),
        options="-t demo --template own.yaml",
    ),
    Rule(
        "T106",
        "unproven_mask",
        "error",
        "It cannot be proven where a chat template puts an answer, so that its mask would be a guess.",
        example=_jinja("<|im_start|>{{ m.role }}\n{{ m.content | urlencode }}<|im_end|>\n"),
        cure="Take another template, or write a role template in YAML.",
        instead=_jinja(_TURN),
        options=_OWN,
    ),
    Rule(
        "T107",
        "template_drops_text",
        "error",
        "A chat template leaves out a message or a tool call.",
        example=_jinja("{% if m.role != 'tool' %}" + _TURN + "{% endif %}", _TOOL),
        cure="Take a template that lays it out.",
        instead=_jinja("{% if m.role != 'tool' %}" + _TURN + "{% endif %}"),
        options=_OWN,
    ),
    Rule(
        "T108",
        "template_refused",
        "error",
        "A chat template refuses a conversation with a message of its own.",
        example=_jinja(
            "{% if m.role == 'tool' %}{{ raise_exception('no tools') }}{% endif %}" + _TURN, _TOOL
        ),
        cure="Do what the message says, or take another template.",
        instead=_jinja("{% if m.role == 'tool' %}{{ raise_exception('no tools') }}{% endif %}" + _TURN),
        options=_OWN,
    ),
    Rule(
        "T109",
        "template_error",
        "error",
        "A chat template fails on a conversation.",
        example=_jinja("{% if m.role == 'tool' %}{{ m.content / 2 }}{% endif %}" + _TURN, _TOOL),
        cure="Mend the template, or take another one.",
        instead=_jinja("{% if m.role == 'tool' %}{{ m.content / 2 }}{% endif %}" + _TURN),
        options=_OWN,
    ),
    Rule(
        "T110",
        "template_limit",
        "error",
        "A chat template runs without end, or writes more than it may.",
        example=_jinja(
            "{% if m.role == 'tool' %}{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}"
            "{% endfor %}{% endif %}" + _TURN,
            _TOOL,
        ),
        cure="Mend the template, or take another one.",
        instead=_jinja(_TURN),
        options=_OWN,
    ),
)
