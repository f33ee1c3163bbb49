"""Names and values that users bring along from trainers: each is told what it is here."""

from pathlib import Path

import pytest
from conftest import Ended, Here

from sftcli.config import Config, load_config
from sftcli.errors import ConfigError
from sftcli.familiar import NAMES, flag_hint, key_hint
from sftcli.validate.settings import Settings, load_settings

ANSWERS = "leave it out, answers alone are trained unless asked otherwise"

# A line of a config, and what is said of it.
KEYS = {
    "sequence_len: 2048": "did you mean 'max_length'?",
    "cutoff-len: 2048": "did you mean 'max_length'?",
    "sample_packing: true": "did you mean 'packing: bfd'?",
    "sample_packing: false": "leave it out, it is off unless asked for",
    "val_set_size: 0.05": "did you mean 'val_size: 1%'?",
    "train_on_inputs: true": "did you mean 'train_on: all'?",
    "train_on_inputs: false": "leave it out, it is off unless asked for",
    "mask_history: true": "did you mean 'train_on: last'?",
    "roles_to_train: [assistant]": "did you mean 'train_on' or 'loss_weight'?",
    "prompt_loss_weight: 0.1": "did you mean 'loss_weight: {user: W}'?",
    "completion_only_loss: true": f"{ANSWERS} (train_on: assistant)",
    "assistant_only_loss: false": "did you mean 'train_on: all'?",
    "pad_to_sequence_len: true": "did you mean 'pad: max-length'?",
    "excess_length_strategy: drop": "did you mean 'truncation'?",
    "shift_labels: true": "did you mean 'layout: shifted'?",
    "chat_template: chatml": "did you mean 'template'?",
    "base_model: demo": "did you mean 'tokenizer'?",
    "conversation: chatml": "did you mean 'record_format'?",
    "dataset_prepared_path: out": "did you mean 'output'?",
    "data_files: a.jsonl": "did you mean 'inputs'?",
    "datasets: [{path: a.jsonl}]": "did you mean 'sources'?",
    "special_tokens: [<x>]": "did you mean 'add_special_tokens'?",
    "dataset_num_proc: 8": "did you mean 'num_proc'?",
    "streaming: true": "leave it out, files are always read bit by bit",
    "zzz: 1": "`sftcli prepare --help` lists them",
    "Max_Lenght: 1": "did you mean 'max_length'?",
}

FLAGS = {
    "--sequence-len": "; did you mean '--max-length N'?",
    "--max_seq_length": "; did you mean '--max-length N'?",
    "--sample-packing": "; did you mean '--packing bfd'?",
    "--val-set-size": "; did you mean '--val-size 1%'?",
    "--train-on-inputs": "; did you mean '--train-on all'?",
    "--roles-to-train": "; did you mean '--train-on HOW' or '--loss-weight ROLE=W'?",
    "--prompt-loss-weight": "; did you mean '--loss-weight user=W'?",
    "--assistant-only-loss": f"; {ANSWERS} (--train-on assistant)",
    "--model-name-or-path": "; did you mean '--tokenizer NAME'?",
    "--dataset": "; files are named without an option",
    "--special-tokens": "; did you mean '--add-special-token TEXT'?",
    "--tokenized-path": "; did you mean '--output FOLDER'?",
    "--dataset-num-proc": "; did you mean '--num-proc'?",
    "--max-lenght": "; did you mean '--max-length'?",
    "--foo": "",
    "-z": "",
}

OF_OTHER_COMMANDS = {
    ("stats", "--packing"): "; it is one of `sftcli prepare`",
    ("verify", "--cutoff-len"): "; did you mean '--max-length N' of `sftcli prepare`?",
    ("inspect", "--cutoff-len"): "; did you mean '--max-length N'?",
    ("inspect", "--sample-packing"): "; did you mean '--packing bfd' of `sftcli prepare`?",
    ("validate", "--dataset-num-proc"): "; did you mean '--num-proc'?",
    ("validate", "--vocab-sise"): "; did you mean '--vocab-size'?",
}


def refused(path: Path, text: str) -> str:
    path.write_text(text + "\n")
    with pytest.raises(ConfigError) as problem:
        load_config(str(path), {})
    return str(problem.value).replace(str(path), "own.yaml")


@pytest.mark.parametrize("line", KEYS)
def test_another_programs_key(tmp_path: Path, line: str) -> None:
    key = line.partition(":")[0].replace("-", "_")
    found = refused(tmp_path / "own.yaml", f"limit: 1\n{line}")
    assert found == f"own.yaml:2:1: unknown key {key!r}; {KEYS[line]}"


def test_another_programs_key_in_a_source(tmp_path: Path) -> None:
    found = refused(tmp_path / "own.yaml", "sources:\n- path: a.jsonl\n")
    assert found == "own.yaml:2:3: unknown key 'sources[0].path'; did you mean 'inputs'?"


@pytest.mark.parametrize("flag", FLAGS)
def test_another_programs_option(sftcli_here: Here, flag: str) -> None:
    ended = sftcli_here("prepare", "in.jsonl", flag, "3")
    usage = "Usage: sftcli prepare [OPTIONS] INPUT...\nTry 'sftcli prepare --help' for help.\n\n"
    assert ended == Ended(2, "", f"{usage}Error: no option {flag!r}{FLAGS[flag]}\n")


@pytest.mark.parametrize(("command", "flag"), OF_OTHER_COMMANDS)
def test_an_option_of_another_command(sftcli_here: Here, command: str, flag: str) -> None:
    ended = sftcli_here(command, "in.jsonl", flag)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines()[-1] == f"Error: no option {flag!r}{OF_OTHER_COMMANDS[command, flag]}"


def test_every_familiar_name_has_a_hint_and_is_no_name_of_ours() -> None:
    ours = Config.__struct_fields__
    assert not NAMES & set(ours)
    assert all(key_hint(name, True, ours).startswith("; ") for name in NAMES)
    # What a hint of the command line names is there, or there is no hint.
    assert {name for name in NAMES if flag_hint(f"--{name}", [])} == {
        *("completion_only_loss", "assistant_only_loss", "train_on_responses_only", "streaming"),
        *("dataset_num_proc", "preprocessing_num_workers", "dataset_processes"),
        *("datasets", "dataset", "dataset_name", "path", "data_files", "data_path", "train_file"),
    }


def test_validate_has_processes_of_its_own() -> None:
    known = (*Config.__struct_fields__, *Settings.__struct_fields__)
    assert key_hint("dataset_num_proc", 8, known) == "; did you mean 'num_proc'?"


VALUES = {
    "packing: true": "packing: expected text, found true or false; it is one of none, bfd, wrapped",
    "pad: 64": "pad: expected text, found a whole number; did you mean 'multiple-of:64'?",
    "pad: true": "pad: expected text, found true or false; it is none, max-length or multiple-of:N",
    "shuffle: yes": "shuffle: expected true or false, found text; did you mean true?",
    "shuffle: off": "shuffle: expected true or false, found text; did you mean false?",
    "shuffle: maybe": "shuffle: expected true or false, found text",
    "profile: TRL": "profile: 'TRL' is not one of its values; did you mean 'trl'?",
    "profile: llama_factory": (
        "profile: 'llama_factory' is not one of its values; did you mean 'llama-factory'?"
    ),
    "pad_to_multiple_of: 0": "pad_to_multiple_of: expected a whole number of 1 or more",
    "pad_to_multiple_of: true": "pad_to_multiple_of: expected a whole number of 1 or more",
}


@pytest.mark.parametrize("line", VALUES)
def test_a_value_of_another_kind(tmp_path: Path, line: str) -> None:
    assert refused(tmp_path / "own.yaml", f"limit: 1\n{line}") == f"own.yaml:2:1: {VALUES[line]}"


@pytest.mark.parametrize(
    ("share", "hint"),
    [
        *(
            ("0.01", "; did you mean 1%?"),
            (".125", "; did you mean 12.5%?"),
            ("1e-3", "; did you mean 0.1%?"),
        ),
        *(("0.0", ""), ("1.5", ""), ("half", "")),
    ],
)
def test_a_share_as_a_number(share: str, hint: str) -> None:
    with pytest.raises(ConfigError) as problem:
        load_config(None, {"val_size": share})
    expected = "expected a share above 0% and below 100%, such as 1%, or a number of rows"
    assert str(problem.value) == f"val_size: {expected}, found {share!r}{hint}"


def test_a_share_as_a_number_in_a_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "own.yaml", "val_size: 0.01").endswith("found '0.01'; did you mean 1%?")


def loaded(path: Path, text: str, **flags: object) -> Config:
    path.write_text(text + "\n")
    return load_config(str(path), flags)


def test_padding_to_a_multiple_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    same = Config(pad="multiple-of:64")
    assert loaded(path, "pad_to_multiple_of: 64") == same
    assert loaded(path, "pad-to-multiple-of: 64\npad: multiple-of:64") == same
    assert loaded(path, "pad_to_multiple_of: null") == Config()
    assert loaded(path, "pad_to_multiple_of: 64", pad="multiple-of:8") == Config(pad="multiple-of:8")
    assert refused(path, "pad: max-length\npad_to_multiple_of: 64") == (
        "own.yaml:2:1: pad_to_multiple_of: 64 does not go with pad: max-length; leave one of the two out"
    )


def test_one_text_is_a_list_of_one(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    text = "inputs: a,b.jsonl\nkeep: id\ncolumns: length, source\nselect: C,T005\nadd_special_tokens: <x>"
    assert loaded(path, text) == Config(
        inputs=["a,b.jsonl"],
        keep=["id"],
        columns=["length", "source"],
        select=["C", "T005"],
        add_special_tokens=["<x>"],
    )
    assert loaded(path, "sources: [{inputs: a.jsonl}]").sources[0].inputs == ["a.jsonl"]


def test_one_text_is_a_list_of_one_for_the_gate(tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text(
        "select: C,D\nextend_select: R\nagainst: a,b.jsonl\ninputs: in.jsonl\npad-to-multiple-of: 8\n"
    )
    settings, rest = load_settings(str(path), {})
    assert (settings.select, settings.extend_select, settings.against) == (["C", "D"], ["R"], ["a,b.jsonl"])
    assert rest == {"inputs": ["in.jsonl"], "pad": "multiple-of:8"}


@pytest.mark.parametrize(
    ("role", "hint"),
    [
        ("prompt", "the prompt is 'user'"),
        ("gpt", "the answer is 'assistant'"),
        ("usr", "did you mean 'user'?"),
    ],
)
def test_a_role_by_another_name(role: str, hint: str) -> None:
    with pytest.raises(ConfigError) as problem:
        load_config(None, {"loss_weight": {role: 0.1}})
    assert str(problem.value) == f"loss_weight: unknown role {role!r}; {hint}"


@pytest.mark.parametrize("weight", [1e-46, 1e-10, -1.0, float("nan"), float("inf")])
def test_a_weight_that_is_none_as_it_is_stored(weight: float) -> None:
    with pytest.raises(ConfigError) as problem:
        load_config(None, {"loss_weight": {"user": weight}})
    expected = f"loss_weight: user: expected 0, or a number from 1e-9 to 1e9, found {weight:g}"
    assert str(problem.value) == expected


def test_a_seed_without_a_random_order() -> None:
    with pytest.raises(ConfigError) as problem:
        load_config(None, {"seed": 7})
    assert str(problem.value) == "--seed 7: is for a random order; add --shuffle, or leave it out"
    assert load_config(None, {"seed": 7, "shuffle": True}) == Config(seed=7, shuffle=True)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        *(("TRL", "; did you mean 'trl'?"), ("llamafactory", "; did you mean 'llama-factory'?")),
        *(("llama_factory", "; did you mean 'llama-factory'?"), ("unsloth", ".")),
    ],
)
def test_a_choice_that_is_near(sftcli_here: Here, given: str, hint: str) -> None:
    ended = sftcli_here("prepare", "in.jsonl", "--profile", given)
    known = "'trl', 'axolotl', 'llama-factory', 'megatron', 'skyrl', 'olmo'"
    expected = f"Error: Invalid value for '--profile': {given!r} is not one of {known}{hint}"
    assert ended.err.splitlines()[-1] == expected


def test_inputs_of_two_formats_are_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here
) -> None:
    monkeypatch.chdir(tmp_path)
    talk = '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}\n'
    pair = '{"prompt": "2+2=", "completion": "4"}\n'
    Path("pairs.jsonl").write_text(pair)
    Path("talks.jsonl").write_text(talk * 2)
    run = ("-t", "demo", "--template", "chatml", "-o", "out", "--quiet")
    chatml = ("--add-special-token", "<|im_start|>", "--add-special-token", "<|im_end|>")
    ended = sftcli_here("prepare", "pairs.jsonl", "talks.jsonl", *run, *chatml)
    bad = "missing_field: field 'completion' is missing; the fields there are 'messages'"
    looks = "this record looks like format messages, not prompt_completion"
    assert ended == Ended(
        1,
        "",
        f"talks.jsonl:1:1: R002 {bad}; {looks}\n"
        f"talks.jsonl:2:1: R002 {bad}; {looks}\n"
        "error: 2 bad records; nothing was written. The records of talks.jsonl have another format than "
        "those before: give each file as a source of its own, under `sources:` in a config.\n",
    )
    # The way out that it names.
    Path("own.yaml").write_text("sources:\n- inputs: pairs.jsonl\n- inputs: talks.jsonl\n")
    assert sftcli_here("prepare", "--config", "own.yaml", *run, *chatml) == Ended(0, "", "")


@pytest.mark.parametrize("flags", [(), ("--record-format", "messages")])
def test_single_records_of_another_format_are_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here, flags: tuple[str, ...]
) -> None:
    """One line that is not like the others, or a format that no file has, is no matter of sources."""
    monkeypatch.chdir(tmp_path)
    talk = '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}\n'
    pair = '{"prompt": "2+2=", "completion": "4"}\n'
    Path("a.jsonl").write_text(pair)
    Path("b.jsonl").write_text(pair + talk)
    ended = sftcli_here("prepare", "a.jsonl", "b.jsonl", "-t", "demo", "-o", "out", "--quiet", *flags)
    assert ended.code == 1
    assert (
        "nothing was written. Mend the data, or pass --on-error skip or --on-error quarantine.\n" in ended.err
    )
