"""Names that trainers have for what is an option here: whoever writes one is told ours."""

from collections.abc import Collection, Sequence

# Our option, its value (in capitals where it is the user's to choose), and the others' names.
_TABLE = (
    ("max_length", "N", "sequence_len cutoff_len max_seq_length max_seq_len seq_length model_max_length"),
    ("packing", "bfd", "sample_packing packing_strategy neat_packing"),
    ("val_size", "1%", "val_set_size test_size"),
    ("train_on", "all", "train_on_inputs train_on_prompt"),
    ("train_on", "last", "mask_history"),
    ("train_on", "HOW", "roles_to_train"),
    ("loss_weight", "user=W", "prompt_loss_weight"),
    ("pad", "max-length", "pad_to_sequence_len pad_to_max_length"),
    ("truncation", "HOW", "excess_length_strategy truncation_mode truncation_strategy"),
    ("layout", "shifted", "shift_labels"),
    ("limit", "N", "max_samples"),
    ("dedup", "exact", "dataset_exact_deduplication"),
    ("system", "TEXT", "system_prompt default_system"),
    ("template", "NAME", "chat_template prompt_template"),
    ("tokenizer", "NAME", "model base_model model_name_or_path tokenizer_name tokenizer_name_or_path"),
    ("record_format", "NAME", "conversation type dataset_type"),
    ("output", "FOLDER", "tokenized_path dataset_prepared_path output_dir"),
    ("inputs", "INPUT", "datasets dataset dataset_name path data_files data_path train_file"),
    ("add_special_tokens", "TEXT", "special_tokens additional_special_tokens new_special_tokens eot_tokens"),
)
_OURS = {name: (option, value) for option, value, names in _TABLE for name in names.split()}
_ANSWERS_ONLY = ("completion_only_loss", "assistant_only_loss", "train_on_responses_only")
_PROCESSES = ("dataset_num_proc", "preprocessing_num_workers", "dataset_processes")
_FLAGS = {"add_special_tokens": "--add-special-token"}
NAMES = frozenset({*_OURS, *_ANSWERS_ONLY, *_PROCESSES, "streaming"})


def key_hint(name: str, value: object, known: Collection[str]) -> str:
    """What a config says for another program's key, such as "; did you mean 'max_length'?".

    `value` is that of the key; `known` are the keys that there are. Empty where no hint is known.
    """
    if name in _ANSWERS_ONLY and value is False and "train_on" in known:
        return "; did you mean 'train_on: all'?"
    said = _without_option(name, known, "train_on: assistant", "num_proc")
    if said:
        return said
    option, fixed = _OURS.get(name, ("", ""))
    if option not in known:
        return ""
    if value is False:
        return "; leave it out, it is off unless asked for"
    if option == "inputs" and "sources" in known and isinstance(value, list) and dict in map(type, value):
        return "; did you mean 'sources'?"
    if option == "loss_weight":
        return "; did you mean 'loss_weight: {user: W}'?"
    also = " or 'loss_weight'" if name == "roles_to_train" else ""
    return f"; did you mean '{option}{'' if fixed.isupper() else f': {fixed}'}'{also}?"


def value_hint(key: str, value: object, choices: Sequence[str], is_switch: bool) -> str:
    """What a config says for a value of another type than the key's.

    `choices` are the texts that it may be, if it is one of few; `is_switch`: it is true or false.
    """
    if is_switch and value in ("yes", "on", "no", "off"):
        return f"; did you mean {'true' if value in ('yes', 'on') else 'false'}?"
    if key == "pad" and type(value) is int:
        return f"; did you mean 'multiple-of:{value}'?"
    if key == "pad" and type(value) is bool:
        return "; it is none, max-length or multiple-of:N"
    return f"; it is one of {', '.join(choices)}" if choices else ""


def flag_hint(flag: str, known: Collection[str]) -> str:
    """What the command line says for another program's option, such as "; did you mean '--max-length N'?".

    `known` are the options that the command has. Empty where no hint is known.
    """
    name = flag.lstrip("-").replace("-", "_")
    said = _without_option(name, known, "--train-on assistant", "--num-proc")
    if said:
        return said
    option, value = _OURS.get(name, ("", ""))
    if option == "inputs":
        return "; files are named without an option"
    ours = _FLAGS.get(option, f"--{option.replace('_', '-')}")
    if ours not in known:
        return ""
    also = " or '--loss-weight ROLE=W'" if name == "roles_to_train" else ""
    return f"; did you mean '{ours} {value}'{also}?"


def _without_option(name: str, known: Collection[str], answers: str, processes: str) -> str:
    """The hint where there is nothing to ask for, since it is done in any case."""
    if name in _ANSWERS_ONLY:
        return f"; leave it out, answers alone are trained unless asked otherwise ({answers})"
    if name in (*_PROCESSES, "num_proc"):
        if processes in known:
            return f"; did you mean {processes!r}?"
        return "; leave it out, one process does it all"
    if name == "streaming":
        return "; leave it out, files are always read bit by bit"
    return ""
