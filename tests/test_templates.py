"""Templates as files: what loads, what is refused and how the refusal reads, what a record must bring."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import pytest

from sftcli.conversation import Conversation, Message
from sftcli.errors import RecordError, TemplateError
from sftcli.mask import MaskPolicy
from sftcli.render import render_chat, render_prompt
from sftcli.templates import PromptTemplate, RoleTemplate, builtin_names, load_template

SPECIALS = {"bos": "<s>", "eos": "</s>", "pad": None, "sep": None, "unk": "<unk>"}
ROLES = """\
name: own
roles:
  user: {before: "U: ", after: " "}
  assistant: {before: "A:", lead: " ", end: "{eos}"}
"""
Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a template file, and returns its path."""

    def file(text: str) -> str:
        path = tmp_path / "own.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return file


def refusal(name: str) -> str:
    """What is said of a template that cannot be loaded, its folder left out."""
    with pytest.raises(TemplateError) as refused:
        load_template(name)
    return str(refused.value).replace(f"{Path(name).parent}/", "")


def roles(text: str, bos: str = "") -> RoleTemplate:
    template = load_template(text).resolve(SPECIALS, bos)
    assert isinstance(template, RoleTemplate)
    return template


def prompt(text: str, bos: str = "") -> PromptTemplate:
    template = load_template(text).resolve(SPECIALS, bos)
    assert isinstance(template, PromptTemplate)
    return template


def fill(template: PromptTemplate, system: str | None = None, /, **fields: Any) -> str:
    return render_prompt(Conversation(fields=fields), template, MaskPolicy(), system).text


def record_error(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(RecordError) as refused:
        call()
    return refused.value.code, refused.value.message


# Names and files


def test_builtin_templates_load_under_their_own_names() -> None:
    assert builtin_names() == [
        *("alpaca", "chatml", "gemma", "llama3", "mistral", "phi3", "plain", "qwen2_5", "vicuna", "zephyr")
    ]
    for name in builtin_names():
        template = load_template(name)
        assert template.name == name
        assert template.description


@pytest.mark.parametrize(
    ("name", "hint"), [("lama3", "llama3"), ("tokeniser", "tokenizer"), ("chat-ml", "chatml")]
)
def test_unknown_name_is_answered_with_the_nearest(name: str, hint: str) -> None:
    assert refusal(name) == (
        f"unknown template {name!r}; did you mean {hint!r}? "
        "(a file is named by its path, ending in .yaml or .jinja)"
    )


def test_unknown_name_that_is_near_nothing_is_answered_with_all() -> None:
    assert refusal("xyz") == (
        "unknown template 'xyz'; known: alpaca, chatml, gemma, llama3, mistral, phi3, plain, qwen2_5, "
        "tokenizer, vicuna, zephyr (a file is named by its path, ending in .yaml or .jinja)"
    )


def test_file_names_itself_where_it_does_not_say(write: Write) -> None:
    assert load_template(write('prompt: "{q}"\ncompletion: "{a}"')).name == "own"


def test_missing_file(tmp_path: Path) -> None:
    assert refusal(str(tmp_path / "none.yaml")) == "none.yaml: cannot be read: No such file or directory"


def test_file_that_is_not_utf8_or_too_large(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes(b"name: \xff")
    assert refusal(str(path)) == "own.yaml: not UTF-8 at byte 6"
    path.write_bytes(b"#" * (1 << 20) + b"\n")
    assert refusal(str(path)) == "own.yaml: 1048577 bytes; a config or template of over 1 MiB is not read"


# What YAML may say


MALFORMED = {
    "repeated key": ("name: a\nroles: {}\nname: b\n", "own.yaml:3:1: key 'name' is there twice"),
    "repeated key inside": (
        "roles:\n  user: {before: x, before: y}\n",
        "own.yaml:2:21: key 'before' is there twice",
    ),
    "alias": (
        "roles:\n  user: &turn {before: x}\n  assistant: *turn\n",
        "own.yaml:3:14: aliases (*name) are not read here; write the value out",
    ),
    "key that is no text": ("1: x\n", "own.yaml:1:1: key 1 is not text; put it in quotes"),
    "syntax": ("roles: [\n", "own.yaml:2:1: expected the node content, but found '<stream end>'"),
    "list": ("- a\n", "own.yaml: expected `key: value` lines, found a list"),
    "nothing": ("", "own.yaml: expected `key: value` lines, found nothing"),
    "neither kind": (
        "name: own\n",
        "own.yaml: neither `roles:` (a chat layout) nor `prompt:` and `completion:` is there",
    ),
    "unknown key": (ROLES + "begn: x\n", "own.yaml:5:1: unknown key 'begn'; did you mean 'begin'?"),
    "key of the other kind": (
        ROLES + "completion: x\n",
        "own.yaml:5:1: unknown key 'completion'; known: begin, close, control_tokens, default_system, "
        "description, name, roles, system_in_user, trim",
    ),
    "unknown key of a prompt": (
        "prompt: x\ncompletion: '{a}'\nends: x\n",
        "own.yaml:3:1: unknown key 'ends'; did you mean 'end'?",
    ),
    "`no` where true or false is meant": (
        ROLES + "trim: no\n",
        "own.yaml:5:1: trim: expected true or false, found text; did you mean false?",
    ),
    "number for text": (ROLES + "begin: 1\n", "own.yaml:5:1: begin: expected text, found a whole number"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_file(write: Write, case: str) -> None:
    text, expected = MALFORMED[case]
    assert refusal(write(text)) == expected


@pytest.mark.parametrize(
    ("text", "place", "field"),
    [
        (ROLES.replace('before: "U: "', "befor: x"), "own.yaml:2:1: roles[...]: ", "befor"),
        ("completion: '{a}'\nprompt: [{text: x, if: [a]}]\n", "own.yaml:2:1: prompt[0]: ", "if"),
        ("prompt: x\n", "own.yaml: ", "completion"),
    ],
    ids=["unknown key inside", "unknown key in a wording", "no completion"],
)
def test_a_field_that_does_not_belong_or_is_missing_is_named(
    write: Write, text: str, place: str, field: str
) -> None:
    found = refusal(write(text))
    assert found.startswith(place)
    assert field in found.removeprefix(place).replace("`", " ").split()


def test_words_that_yaml_1_1_reads_as_something_else_stay_text(write: Write) -> None:
    template = roles(
        write("name: no\ndescription: 2024-01-01\nroles: {assistant: {before: on, lead: Yes, end: off}}\n")
    )
    turn = template.roles["assistant"]
    assert (template.name, template.description) == ("no", "2024-01-01")
    assert (turn.before, turn.lead, turn.end) == ("on", "Yes", "off")


# What a template must say


IMPOSSIBLE = {
    "no assistant": (
        "roles: {user: {before: x}}\n",
        "template 'own': roles: needs an `assistant` entry",
    ),
    "no end": (
        ROLES.replace(', end: "{eos}"', ""),
        "template 'own': roles.assistant.end is empty: a turn that never ends cannot be trained to stop; "
        "use '{eos}' if the layout has no terminator of its own",
    ),
    "no place for the system text": (
        ROLES + "system_in_user: x\n",
        "template 'own': system_in_user has no {system} in it",
    ),
    "placeholder that is no special token": (
        ROLES.replace("U: ", "U: {content}"),
        "template 'own': roles.user: {content} is not a special token of a tokenizer "
        "({bos}, {eos}, {pad}, {sep}, {unk}); a message's content needs no placeholder, it stands between "
        "`before` and `end`",
    ),
    "misspelt special token": (
        ROLES + 'close: "{end}"\n',
        "template 'own': close: {end} is not a special token of a tokenizer "
        "({bos}, {eos}, {pad}, {sep}, {unk}); a message's content needs no placeholder, it stands between "
        "`before` and `end`",
    ),
    "prompt without an end": (
        "prompt: x\ncompletion: '{a}'\nend: ''\n",
        "template 'own': `end` is empty: an answer that never ends cannot be trained to stop; "
        "leave it out for '{eos}'",
    ),
    "no wording": ("prompt: []\ncompletion: '{a}'\n", "template 'own': `prompt` is an empty list"),
    "nothing to learn": (
        "prompt: '{q}'\ncompletion: x\n",
        "template 'own': `completion` names no field, so nothing is learnt",
    ),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_template_that_cannot_work(write: Write, case: str) -> None:
    text, expected = IMPOSSIBLE[case]
    assert refusal(write(text)) == expected


PLACEHOLDERS = {
    "{}": "a placeholder is a field's name alone, such as {question}",
    "{q!r}": "a placeholder is a field's name alone, such as {question}",
    "{q:>3}": "a placeholder is a field's name alone, such as {question}",
    "{q": "expected '}' before end of string",
    "q}": "Single '}' encountered in format string",
}


@pytest.mark.parametrize("text", PLACEHOLDERS)
@pytest.mark.parametrize("key", ["prompt", "completion"])
def test_bad_placeholder(write: Write, key: str, text: str) -> None:
    parts = {"prompt": "{q}", "completion": "{a}"} | {key: text}
    assert refusal(write("\n".join(f"{name}: '{value}'" for name, value in parts.items()))) == (
        f"template 'own': {key}: {PLACEHOLDERS[text]} (write a literal brace twice: {{{{ or }}}})"
    )


# Specials


def test_specials_stand_for_the_tokenizers_own(write: Write) -> None:
    template = roles(write(ROLES + 'begin: "{bos}{unk}"\nclose: "{eos}"\nsystem_in_user: "{bos}{system}"\n'))
    assert (template.begin, template.close, template.system_in_user) == ("<s><unk>", "</s>", "<s>{system}")
    assert template.roles["assistant"].end == "</s>"
    layout = prompt(
        write('prompt: "{q}{bos}"\ncompletion: "{a}"\nend: " END{eos}"\ncontrol_tokens: ["{eos}"]\n')
    )
    assert fill(layout, q="Hi", a="Hello") == "Hi<s>Hello END</s>"
    assert layout.control_tokens == ["</s>"]


def test_special_that_the_tokenizer_lacks(write: Write) -> None:
    with pytest.raises(TemplateError) as refused:
        prompt(write('prompt: "{q}{sep}"\ncompletion: "{a}"\n'))
    assert str(refused.value) == (
        "template 'own' uses {sep}, and the tokenizer has no sep token; name one with --sep-token TEXT"
    )


def test_bos_that_the_tokenizer_lacks_is_nothing(write: Write) -> None:
    template = load_template(write(ROLES + 'begin: "{bos}"\n')).resolve({"eos": "</s>"}, "")
    assert isinstance(template, RoleTemplate)
    assert template.begin == ""


BEGINNINGS = [("", "<s>"), ("{bos}", "<s>"), ("<s>", "<s>"), ("x", "<s>x"), ("{bos}x", "<s>x")]


@pytest.mark.parametrize(("begin", "expected"), BEGINNINGS)
def test_bos_that_every_row_needs_is_put_once(write: Write, begin: str, expected: str) -> None:
    assert roles(write(ROLES + f'begin: "{begin}"\n'), "<s>").begin == expected
    assert prompt(write(f'prompt: "{{q}}"\ncompletion: "{{a}}"\nbegin: "{begin}"\n'), "<s>").begin == expected


def test_bos_at_the_head_of_every_wording_is_enough(write: Write) -> None:
    both = "prompt: [{when: [b], text: '{bos}{q}{b}'}, {text: '{bos}{q}'}]\ncompletion: '{a}'\n"
    assert fill(prompt(write(both), "<s>"), q="Hi", a="Hello") == "<s>HiHello</s>"
    one = both.replace("{text: '{bos}{q}'}", "{text: '{q}'}")
    assert fill(prompt(write(one), "<s>"), q="Hi", a="Hello") == "<s>HiHello</s>"


# Prompt templates and records


def test_literal_braces_are_written_twice_and_data_is_never_parsed(write: Write) -> None:
    template = prompt(write('prompt: "{{\\"q\\": {q}}}"\ncompletion: "{{{a}}}"\n'))
    assert fill(template, q="{a} {{b}} {", a="}{q}") == '{"q": {a} {{b}} {}{}{q}}</s>'


def test_wordings_are_tried_in_order(write: Write) -> None:
    template = prompt(
        write("prompt: [{when: [b, c], text: '{b}{c}'}, {when: [b], text: '{b}'}]\ncompletion: '{a}'\n")
    )
    assert (template.required, template.optional) == (("a",), ("b", "c"))
    assert fill(template, a="A", b="B", c="C") == "BCA</s>"
    assert fill(template, a="A", b="B", c=None) == "BA</s>"
    assert record_error(lambda: fill(template, a="A", b="", c="C")) == (
        "no_prompt",
        "no wording of template 'own' fits this record: the last entry of `prompt` should have no `when`",
    )


def test_field_that_is_missing_null_or_no_text() -> None:
    plain = prompt("plain")
    assert record_error(lambda: fill(plain, prompt="Hi", answer="Hello")) == (
        "missing_field",
        "field 'completion', which template 'plain' uses, is missing; the record has 'prompt', 'answer'",
    )
    wrong = "field 'completion': expected text, found"
    assert record_error(lambda: fill(plain, prompt="", completion=None)) == ("wrong_type", f"{wrong} null")
    assert record_error(lambda: fill(plain, prompt="", completion=7)) == ("wrong_type", f"{wrong} int")


@pytest.mark.parametrize("field", ["input", "history", "system"])
def test_field_that_the_template_would_lose(field: str) -> None:
    assert fill(prompt("plain"), prompt="Hi", completion="Hello", **{field: ""}) == "HiHello</s>"
    assert record_error(lambda: fill(prompt("plain"), prompt="Hi", completion="Hello", **{field: "x"})) == (
        "unused_field",
        f"template 'plain' has no place for {field!r}, which this record fills; "
        "use a template that has one, or drop the field from the data",
    )


def test_system_text_of_the_run_stands_in_where_the_template_has_a_place_and_the_record_none() -> None:
    alpaca = prompt("alpaca")
    rest = "\n\n### Instruction:\nHi\n\n### Response:\nHello</s>"
    assert fill(alpaca, "good", instruction="Hi", output="Hello") == "good" + rest
    assert fill(alpaca, "good", instruction="Hi", output="Hello", system="own") == "own" + rest


def test_conversation_of_one_turn_fits_a_prompt_template() -> None:
    turns = [Message("system", "good"), Message("user", "Hi"), Message("assistant", "Hello")]
    found = render_prompt(Conversation(messages=turns), prompt("alpaca"), MaskPolicy(), None)
    assert found.text == "good\n\n### Instruction:\nHi\n\n### Response:\nHello</s>"
    assert record_error(
        lambda: render_prompt(Conversation(messages=turns), prompt("plain"), MaskPolicy(), None)
    )[0] == "unused_field"  # fmt: skip


@pytest.mark.parametrize(
    ("turns", "found"),
    [
        (("user", "assistant", "user", "assistant"), "user, assistant, user, assistant"),
        (("user",), "user"),
        ((), "empty"),
    ],
)
def test_conversation_of_many_turns_needs_a_chat_template(turns: tuple[Any, ...], found: str) -> None:
    conversation = Conversation(messages=[Message(role, "x") for role in turns])
    assert record_error(lambda: render_prompt(conversation, prompt("plain"), MaskPolicy(), None)) == (
        "not_single_turn",
        "template 'plain' lays out one prompt and one answer; this conversation is "
        f"{found}: use a chat template",
    )


# Role templates and records


def chat_error(
    template: RoleTemplate, *turns: Message, system: str | None = None
) -> tuple[str, str, tuple[str | int, ...]]:
    with pytest.raises(RecordError) as refused:
        render_chat(Conversation(messages=list(turns)), template, MaskPolicy(), system)
    return refused.value.code, refused.value.message, refused.value.path


HI, HELLO = Message("user", "Hi"), Message("assistant", "Hello")
NO_ROLE = "template 'own' has no layout for role {!r} (it has user, assistant)"


def test_role_without_a_layout_is_named_by_its_place_in_the_record(write: Write) -> None:
    own = roles(write(ROLES))
    tool = Message("tool", "x")
    message = "message 2: " + NO_ROLE.format("tool")
    assert chat_error(own, HI, HELLO, tool) == ("unsupported_role", message, ("messages", 2))
    system = "the system text: " + NO_ROLE.format("system")
    assert chat_error(own, HI, HELLO, system="good") == ("unsupported_role", system, ())
    merging = roles(write(ROLES + 'system_in_user: "{system} "\n'))
    assert chat_error(merging, Message("system", "good"), HI, tool)[1:] == (message, ("messages", 2))
    assert chat_error(merging, HI, HELLO, tool, system="good")[1:] == (message, ("messages", 2))


def test_system_text_without_a_user_turn_to_stand_in(write: Write) -> None:
    merging = roles(write(ROLES + 'system_in_user: "{system} "\n'))
    expected = (
        "unsupported_role",
        "template 'own' has no system turn; it puts the system text before the first user message, "
        "and here no user message follows it",
        ("messages", 0),
    )
    assert chat_error(merging, Message("system", "good"), HELLO) == expected
    assert chat_error(merging, Message("system", "good")) == expected


def test_what_only_a_chat_template_can_lay_out() -> None:
    advice = (
        "take a chat template that has one: --template tokenizer, if the tokenizer brings one, or --template "
        "FILE.jinja"
    )
    call = Message("assistant", "", tool_calls=[{"name": "f"}])
    assert chat_error(roles("chatml"), HI, call) == (
        "unsupported_message",
        f"message 1: template 'chatml' has no layout for tool calls; {advice}",
        ("messages", 1),
    )
    thought = Message("assistant", "", reasoning_content="hm")
    assert chat_error(roles("chatml"), HI, thought)[1] == (
        f"message 1: template 'chatml' has no layout for reasoning_content; {advice}"
    )


def test_conversation_without_messages() -> None:
    assert chat_error(roles("chatml")) == (
        "empty_messages",
        "the conversation has no messages",
        ("messages",),
    )


# The model's own template


def test_llama3_is_laid_out_as_its_own_chat_template_does(shared: Path) -> None:
    source = (shared / "tokenizers" / "llama3" / "chat_template.jinja").read_text(encoding="utf-8")
    own = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(source)  # noqa: S701 (no HTML)
    specials = {"bos": "<|begin_of_text|>", "eos": "<|eot_id|>"}
    template = load_template("llama3").resolve(specials, specials["bos"])
    assert isinstance(template, RoleTemplate)
    turns = [Message("system", " good\n"), HI, Message("assistant", "\n日本 😀 "), Message("user", ""), HELLO]
    for messages in (turns, turns[1:], turns[1:3]):
        plain = [{"role": message.role, "content": message.content} for message in messages]
        pieces = render_chat(Conversation(messages=messages), template, MaskPolicy(), None).pieces
        whole = own.render(messages=plain, bos_token=specials["bos"])
        until_answer = own.render(messages=plain[:-1], bos_token=specials["bos"], add_generation_prompt=True)
        assert "".join(piece.text for piece in pieces) == whole
        trained = [piece.text for piece in pieces if piece.turn == len(messages) - 1 and piece.trained]
        assert until_answer + "".join(trained) == whole
