"""`sftcli templates check`: what is found of built-in, real and hostile templates, and how it is shown.

A golden case (golden/check-*.txt) is a command and what it prints; `python tests/test_check.py`
writes them anew, and the diff is there to be read.
"""

import json
import os
import shlex
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

import pytest
from conftest import CONFIGS, Here, run_sftcli

from sftcli.check import CHECKS, Report, check_template
from sftcli.errors import ConfigError, TemplateError, TokenizerError, UsageError
from sftcli.templates import builtin_names
from sftcli.tokenizer import load_tokenizer
from sftcli.view.check import show_check
from sftcli.view.page import Screen

GOLDEN = sorted((Path(__file__).parent / "golden").glob("check-*.txt"))
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
Said = dict[str, str]

# What is found of ChatML; below stands for each template what is found otherwise. A value alone is
# ok; the others say what they are.
ROW = {
    "tokenizer": "stand-in",
    "renders": "yes",
    "mask": "proven",
    "bos": "none",
    "control_tokens": "<|im_start|>, <|im_end|>",
    "terminator": "<|im_end|>",
    "terminator_is_eos": "not judged",
    "after_terminator": r"'\n'",
}
CHAT = {
    **ROW,
    "generation_prompt": r"'<|im_start|>assistant\n'",
    "answer_start": "the answer itself",
    "boundary": "clean",
    "generation_marks": "none",
    "prefix_stable": "yes",
    "trims_content": "no",
    "depends_on_date": "no",
    "content_form": "text",
    "system": "accepted",
    "default_system": "none",
    "alternation": "not required",
    "starts_with_assistant": "accepted",
    "ends_with_user": "accepted",
    "tools": "left out",
    "tool_calls": "not supported",
    "parallel_tool_calls": "not supported",
    "tool_results": "not supported",
    "reasoning_content": "not supported",
    "think_in_content": "kept",
    "earlier_reasoning": "kept",
}
EOS = {
    "control_tokens": "<eos>",
    "terminator": "<eos>",
    "terminator_is_eos": "yes",
    "after_terminator": "nothing",
}
TRIMS = "questions and answers"
LLAMA3 = {
    "bos": "once",
    "control_tokens": "<|begin_of_text|>, <|start_header_id|>, <|end_header_id|>, <|eot_id|>",
    "generation_prompt": r"'<|start_header_id|>assistant<|end_header_id|>\n\n'",
    "terminator": "<|eot_id|>",
    "after_terminator": "nothing",
    "trims_content": TRIMS,
}
GEMMA = {
    "bos": "once",
    "control_tokens": "<bos>, <start_of_turn>, <end_of_turn>",
    "generation_prompt": r"'<start_of_turn>model\n'",
    "terminator": "<end_of_turn>",
    "trims_content": TRIMS,
}
PHI3 = {
    "control_tokens": "<|user|>, <|end|>, <|assistant|>, <eos>, <|system|>",
    "generation_prompt": r"'<|assistant|>\n'",
    "terminator": "<|end|>",
    "after_terminator": r"'\n<eos>'",
    "prefix_stable": "no",
}
BUILTIN: dict[str, Said] = {
    "alpaca": {
        **ROW,
        **EOS,
        "required_fields": "instruction, output",
        "optional_fields": "system, input",
        "prompt_end": r"'\n\n### Response:\n'",
    },
    "chatml": CHAT,
    "gemma": {**CHAT, **GEMMA, "system": "merged"},
    "llama3": {**CHAT, **LLAMA3},
    "mistral": {
        **CHAT,
        **EOS,
        "bos": "once",
        "control_tokens": "<bos>, [INST], [/INST], <eos>",
        "generation_prompt": "none",
        "answer_start": "' '",
        "system": "merged",
    },
    "phi3": {**CHAT, **PHI3},
    "plain": {
        **ROW,
        **EOS,
        "required_fields": "prompt, completion",
        "optional_fields": "none",
        "prompt_end": "a field",
    },
    "qwen2_5": {**CHAT, "default_system": "written"},
    "vicuna": {**CHAT, **EOS, "generation_prompt": "'ASSISTANT:'", "answer_start": "' '"},
    "zephyr": {**CHAT, **EOS, "generation_prompt": r"'<|assistant|>\n'", "after_terminator": r"'\n'"},
}

JINJA = {**CHAT, "tokenizer": "tokenizer", "terminator_is_eos": "yes", "reasoning_content": "left out"}
TOOLS = dict.fromkeys(("tools", "tool_calls", "parallel_tool_calls", "tool_results"), "supported")
THINKS = {"reasoning_content": "supported", "earlier_reasoning": "dropped"}
NO_EOS = {"terminator_is_eos": "warning: no"}
ALTERNATES = {"alternation": "required", "starts_with_assistant": "refused", "tool_results": "refused"}
GPTOSS = {
    **TOOLS,
    **THINKS,
    "parallel_tool_calls": "not supported",
    "control_tokens": "<|start|>, <|message|>, <|end|>, <|channel|>, <|return|>, <|call|>",
    "generation_prompt": "'<|start|>assistant'",
    "answer_start": "'<|channel|>final<|message|>'",
    "terminator": "<|return|>",
    "after_terminator": "nothing",
    "prefix_stable": "warning: no",
    "depends_on_date": "yes",
    "default_system": "written",
}
QWEN3 = {**TOOLS, **THINKS, "answer_start": r"warning: '<think>\n\n</think>\n\n'"}
# trl's template: its tokenizer's bos and eos, and what is found.
REAL: dict[str, tuple[str, str, Said]] = {
    "llama3": ("<|begin_of_text|>", "<|eot_id|>", LLAMA3),
    "llama3_2": (
        "<|begin_of_text|>",
        "<|eot_id|>",
        {
            **LLAMA3,
            **TOOLS,
            "depends_on_date": "yes",
            "default_system": "written",
            "parallel_tool_calls": "refused",
        },
    ),
    "qwen2_5": ("", "<|im_end|>", {**TOOLS, "default_system": "written"}),
    "qwen3": ("", "<|im_end|>", {**QWEN3, "prefix_stable": "warning: no"}),
    "qwen3_training": (
        "",
        "<|im_end|>",
        {**QWEN3, "earlier_reasoning": "kept", "generation_marks": "warning: differ"},
    ),
    "gemma": ("<bos>", "<eos>", {**GEMMA, **NO_EOS, **ALTERNATES, "system": "refused"}),
    "gemma3": ("<bos>", "<eos>", {**GEMMA, **NO_EOS, **ALTERNATES, "system": "merged"}),
    "phi3": ("<s>", "<eos>", {**PHI3, **NO_EOS}),
    "deepseekv3": (
        "<｜begin▁of▁sentence｜>",
        "<｜end▁of▁sentence｜>",
        {
            **TOOLS,
            "bos": "once",
            "tools": "left out",
            "control_tokens": "<｜begin▁of▁sentence｜>, <｜User｜>, <｜Assistant｜>, <｜end▁of▁sentence｜>, "
            "<｜tool▁calls▁begin｜>, <｜tool▁call▁begin｜>, <｜tool▁sep｜>, <｜tool▁call▁end｜>, "
            "<｜tool▁calls▁end｜>, <｜tool▁outputs▁begin｜>, <｜tool▁output▁begin｜>, <｜tool▁output▁end｜> "
            "and 1 more",
            "generation_prompt": r"'<｜Assistant｜><think>\n'",
            "terminator": "<｜end▁of▁sentence｜>",
            "after_terminator": "nothing",
            "prefix_stable": "warning: no",
            "think_in_content": "warning: dropped",
            "earlier_reasoning": "none",
        },
    ),
    "gptoss": ("<|startoftext|>", "<|return|>", GPTOSS),
    "gptoss_training": ("<|startoftext|>", "<|return|>", {**GPTOSS, "generation_marks": "warning: differ"}),
}


def said(report: Report) -> Said:
    """The findings as ROW has them."""
    return {
        finding.name: finding.value if finding.level == "ok" else f"{finding.level}: {finding.value}"
        for finding in report.findings
    }


def message(report: Report, name: str) -> str:
    return next(finding.message for finding in report.findings if finding.name == name)


def trained(report: Report) -> list[list[str]]:
    """The trained stretches of each sample row."""
    return [
        [
            "".join(piece.text for piece in stretch)
            for is_trained, stretch in groupby(row.pieces, lambda piece: piece.trained)
            if is_trained
        ]
        for _, row in report.sample
    ]


def tokenizer_with(folder: Path, tokens: list[str], own_template: str | None = None, **specials: str) -> str:
    """A folder with the demo tokenizer, extended."""
    extended = load_tokenizer("demo").with_control_tokens(tokens, specials)
    files = {**extended.saved_files(), "chat_template.jinja": (own_template or "").encode()}
    folder.mkdir()
    for name, raw in files.items():
        if own_template is not None or name != "chat_template.jinja":
            (folder / name).write_bytes(raw)
    return str(folder)


def checked(tmp_path: Path, source: str, tokenizer: str | None = "demo") -> Report:
    file = tmp_path / "test.jinja"
    file.write_text(source, encoding="utf-8")
    return check_template(str(file), tokenizer, {})


# Built-in templates


def test_every_built_in_template_is_here() -> None:
    assert sorted(BUILTIN) == builtin_names()


@pytest.mark.parametrize("name", BUILTIN)
def test_what_is_found_of_built_in_templates(name: str) -> None:
    report = check_template(name, None, {})
    assert said(report) == BUILTIN[name]
    assert (report.errors, report.warnings) == (0, 0)
    assert report.sample


def test_what_is_found_of_the_demo_tokenizers_own_template() -> None:
    report = check_template("demo", None, {})
    assert said(report) == {**JINJA, "tokenizer": "demo"}
    assert trained(report) == [["2 + 2 = 4.<|im_end|>", "Paris.<|im_end|>"]]
    assert said(check_template("tokenizer", "demo", {})) == said(report)


@pytest.mark.parametrize("name", sorted(path.name for path in (CONFIGS / "templates").iterdir()))
def test_the_ready_templates_have_no_findings(name: str) -> None:
    report = check_template(str(CONFIGS / "templates" / name), None, {})
    assert (report.errors, report.warnings) == (0, 0)


def test_a_built_in_template_and_a_tokenizer_that_does_not_fit() -> None:
    report = check_template("gemma", "demo", {})
    found = said(report)
    assert found["control_tokens"] == "error: none"
    assert "<start_of_turn>, <end_of_turn>; they would become ordinary pieces" in message(
        report, "control_tokens"
    )
    assert found["terminator"] == "warning: '<end_of_turn>'"
    assert found["terminator_is_eos"] == "warning: no"
    assert "set eos_token to <end_of_turn>" in message(report, "terminator_is_eos")


def test_a_prompt_that_ends_in_a_space(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text('prompt: "Q: {q} A: "\ncompletion: "{a}"\n', encoding="utf-8")
    report = check_template(str(file), "demo", {})
    assert said(report)["prompt_end"] == "warning: ' A: '"
    assert "a token lies across it: at inference the prompt is tokenized otherwise" in message(
        report, "prompt_end"
    )
    assert report.errors == 0


# Real chat templates


def real(name: str, tmp_path: Path) -> Report:
    """One of trl's templates with the demo tokenizer, extended by the template's own tokens."""
    spec = find_spec("trl")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("trl, whose chat templates these are, is not installed")
    file = Path(spec.submodule_search_locations[0]) / "chat_templates" / f"{name}.jinja"
    bos, eos, _ = REAL[name]
    asked = check_template(str(file), None, {}).subject.stand_in or ()
    tokens = [token for token in asked if token not in ("<bos>", "<eos>")]
    specials = {"bos": bos, "eos": eos} if bos else {"eos": eos}
    return check_template(str(file), tokenizer_with(tmp_path / "tokenizer", tokens, **specials), {})


@pytest.mark.parametrize("name", REAL)
def test_what_is_found_of_real_templates(name: str, tmp_path: Path) -> None:
    report = real(name, tmp_path)
    found = {**said(report), "tokenizer": "tokenizer"}
    assert found == {**JINJA, **REAL[name][2]}
    assert report.errors == 0


def test_the_evidence_is_what_was_seen(tmp_path: Path) -> None:
    report = real("gemma", tmp_path)
    assert message(report, "system") == "System role not supported"
    assert message(report, "bos") == r"the text begins with '<bos><start_of_turn>user\nWhat is 2'"
    assert message(report, "trims_content") == r"of an answer '  Rome \n' stays 'Rome'"
    assert message(report, "alternation").startswith("Conversation roles must alternate user/assistant")
    assert trained(report) == [["2 + 2 = 4.<end_of_turn>", "Paris.<end_of_turn>"]]


def test_thinking_that_is_dropped_from_earlier_turns(tmp_path: Path) -> None:
    report = real("qwen3", tmp_path)
    assert "as '2 + 2 = 4.<|im_end|>' before others" in message(report, "prefix_stable")
    assert trained(report) == [["2 + 2 = 4.<|im_end|>", "<think>\n\n</think>\n\nParis.<|im_end|>"]]


def test_a_prompt_that_the_whole_conversation_does_not_repeat(tmp_path: Path) -> None:
    found = message(real("deepseekv3", tmp_path), "prefix_stable")
    assert r"the prompt has '<think>\n', the whole '2 + 2 = 4.<" in found


def test_a_date_is_named(tmp_path: Path) -> None:
    assert "Today Date: 26 Jul 2024" in message(real("llama3_2", tmp_path), "depends_on_date")


def test_template_arguments_change_what_is_found(tmp_path: Path) -> None:
    source = CHATML.replace("assistant\n{% endif", "assistant\n{{ lead }}{% endif")
    file = tmp_path / "lead.jinja"
    file.write_text(source, encoding="utf-8")
    found = said(check_template(str(file), "demo", {"lead": "Well, "}))
    assert found["generation_prompt"] == r"'<|im_start|>assistant\nWell, '"
    assert found["prefix_stable"] == "warning: no"


# Hostile templates


def test_a_bos_that_is_written_twice(tmp_path: Path) -> None:
    report = checked(tmp_path, "{{ bos_token }}{{ bos_token }}" + CHATML, None)
    assert said(report) == {
        "tokenizer": "stand-in",
        "renders": "yes",
        "mask": "error: not proven",
        "bos": "error: twice",
        "control_tokens": "<bos>, <|im_start|>, <|im_end|>",
        "generation_prompt": r"'<|im_start|>assistant\n'",
        "depends_on_date": "no",
    }
    assert report.sample == []


def test_no_bos_though_the_tokenizer_wants_one(tmp_path: Path) -> None:
    folder = tokenizer_with(tmp_path / "wants", ["<s>"], bos="<s>")
    config = Path(folder, "tokenizer_config.json")
    config.write_text(json.dumps({**json.loads(config.read_text()), "add_bos_token": True}))
    assert said(checked(tmp_path, CHATML, folder))["bos"] == "warning: none"
    assert said(checked(tmp_path, "{{ bos_token }}" + CHATML, folder))["bos"] == "once"


def test_control_tokens_that_the_tokenizer_does_not_have(tmp_path: Path) -> None:
    source = CHATML.replace("<|im_start|>", "<|turn|>").replace("<|im_end|>", "<|over|>")
    report = checked(tmp_path, source)
    assert said(report)["control_tokens"] == "error: none"
    assert message(report, "control_tokens").startswith(
        "not among the tokenizer's control tokens: <|turn|>, <|over|>"
    )
    # The tokenizer's own template may mean plain text, as Zephyr's does.
    own = check_template(tokenizer_with(tmp_path / "own", [], source), None, {})
    assert said(own)["control_tokens"] == "warning: none"
    # Without a tokenizer there is one that fits.
    assert said(checked(tmp_path, source, None))["control_tokens"] == "<|turn|>, <|over|>"


def test_answers_that_nothing_ends(tmp_path: Path) -> None:
    source = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
    report = checked(tmp_path, source + "{% if add_generation_prompt %}<|assistant|>{% endif %}", None)
    found = said(report)
    assert (found["mask"], found["terminator"]) == ("error: not proven", "error: none")
    assert "nothing ends it" in message(report, "mask")


def test_a_terminator_in_plain_text(tmp_path: Path) -> None:
    source = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n###\n{% endfor %}"
    report = checked(tmp_path, source + "{% if add_generation_prompt %}[assistant] {% endif %}")
    found = said(report)
    assert found["terminator"] == r"warning: '\n###'"
    assert found["boundary"] == "warning: crossed"
    assert report.errors == 0


def test_a_template_that_refuses_everything(tmp_path: Path) -> None:
    report = checked(tmp_path, "{{ raise_exception('Never') }}")
    assert said(report) == {"tokenizer": "demo", "renders": "error: no"}
    assert message(report, "renders") == "not even one question and one answer: Never"


def test_a_template_that_loops_without_end(tmp_path: Path) -> None:
    loop = "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}"
    report = checked(tmp_path, loop)
    assert said(report) == {"tokenizer": "demo", "renders": "error: no"}
    assert "loop without end" in message(report, "renders")


def test_a_template_that_refuses_the_beginning_of_what_it_takes(tmp_path: Path) -> None:
    stop = "{% if messages | length == 3 and add_generation_prompt %}{{ raise_exception('Odd') }}{% endif %}"
    report = checked(tmp_path, stop + CHATML)
    assert said(report)["prefix_stable"] == "refused"
    assert message(report, "prefix_stable") == "Odd"


def test_an_unknown_tag_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="line 1"):
        checked(tmp_path, "{% for m in messages %}{{ m.content }")


# The command


@pytest.mark.parametrize(
    ("name", "tokenizer", "args", "error", "says"),
    [
        ("chatlm", None, {}, TokenizerError, "did you mean 'chatml'"),
        ("chatlm", "demo", {}, TemplateError, "did you mean 'chatml'"),
        ("demo", "demo", {}, UsageError, "unknown template 'demo'"),
        ("chatml", None, {"x": 1}, ConfigError, "--template-arg x"),
        ("nowhere.jinja", None, {}, TemplateError, "cannot be read"),
        ("nowhere.yaml", None, {}, TemplateError, "cannot be read"),
    ],
)
def test_what_cannot_be_opened(
    name: str, tokenizer: str | None, args: dict[str, object], error: type[UsageError], says: str
) -> None:
    with pytest.raises(error, match=says):
        check_template(name, tokenizer, args)


def test_a_tokenizer_without_a_template(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="has no chat template of its own"):
        check_template(tokenizer_with(tmp_path / "bare", []), None, {})


def test_exit_codes(sftcli_here: Here, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jinja"
    broken.write_text("{% if %}", encoding="utf-8")
    assert sftcli_here("templates", "check", "chatml").code == 0
    assert sftcli_here("templates", "check", "gemma", "-t", "demo").code == 1
    assert sftcli_here("templates", "check", str(broken)).code == 2
    assert sftcli_here("templates", "check", "chatml", "--template-arg", "x").code == 2


def test_help_gives_an_example(sftcli_here: Here) -> None:
    ended = sftcli_here("templates", "check", "--help")
    assert ended.out.startswith("Usage: sftcli templates check [OPTIONS] NAME|FILE|TOKENIZER\n")
    assert "\n  sftcli templates check llama3 -t " in ended.out


def test_json_is_one_object(sftcli_here: Here) -> None:
    ended = sftcli_here("templates", "check", "chatml", "-t", "demo", "--format", "json")
    found = json.loads(ended.out)
    assert list(found) == ["template", "tokenizer", "findings", "sample"]
    assert (found["template"], found["tokenizer"], ended.code) == ("chatml", "demo", 0)
    assert found["findings"][8] == {
        "name": "terminator_is_eos",
        "level": "ok",
        "value": "yes",
        "message": "generation stops at <|im_end|> by default",
    }
    names = [check.name for check in CHECKS if "role" in check.kinds]
    assert [finding["name"] for finding in found["findings"]] == names
    (row,) = found["sample"]
    assert row["heading"] == ""
    assert row["pieces"][0] == {
        "text": "<|im_start|>system\n",
        "origin": "template",
        "trained": False,
        "turn": 0,
        "role": "system",
    }


def test_colour_adds_nothing_but_colour() -> None:
    report = check_template("gemma", "demo", {})
    text = show_check(report, Screen(True, 80))
    assert "\n\x1b[1;31mERROR\x1b[0m  control_tokens" in text
    assert "\n\x1b[1;33mwarn\x1b[0m   terminator " in text
    assert "\n\x1b[2;32mok\x1b[0m     renders " in text


@pytest.mark.parametrize("name", ["chatml", "gemma", "alpaca", "demo"])
def test_lines_fit_the_terminal(name: str) -> None:
    for line in show_check(check_template(name, None, {}), Screen(False, 80)).splitlines():
        assert len(line) <= 80


def golden(case: Path, run: Here) -> tuple[str, str]:
    """What a golden file says, and what it should say."""
    text = case.read_text(encoding="utf-8")
    command = text.partition("\n")[0]
    ended = run(*shlex.split(command)[2:])
    return text, f"{command}\n{ended.out}? {ended.code}\n{ended.err}"


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case.stem)
def test_a_check_is_shown_as_in_its_golden_file(case: Path, sftcli_here: Here) -> None:
    text, shown = golden(case, sftcli_here)
    assert shown == text


def test_there_are_golden_checks() -> None:
    assert [case.stem for case in GOLDEN] == ["check-demo", "check-misfit", "check-prompt"]


if __name__ == "__main__":
    os.environ["COLUMNS"] = "80"
    for path in GOLDEN:
        new = golden(path, run_sftcli)[1]
        path.write_text(new, encoding="utf-8")
