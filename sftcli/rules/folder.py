"""Family V: what may be wrong with a prepared folder."""

from sftcli.rules.rule import Rule, Severity

_AGAIN = "Prepare the folder again from its inputs, with --overwrite, or fetch an undamaged copy."
_BUG = "Prepare the folder again. If it then says the same, this is a bug in what made it: report it."


def _rule(
    code: str, name: str, summary: str, example: str, cure: str = _AGAIN, severity: Severity = "error"
) -> Rule:
    return Rule(code, name, severity, summary, example, cure)


RULES: tuple[Rule, ...] = (
    _rule(
        "V001",
        "bad_manifest",
        "The manifest is no JSON, lacks what a manifest has, or names files outside the folder.",
        'manifest.json ends in the middle of "shards"',
    ),
    _rule(
        "V002",
        "changed_manifest",
        "The manifest is not as it was written: its own checksum, its last key, does not fit the rest.",
        '"rows": 200 was edited to "rows": 201',
    ),
    _rule(
        "V003",
        "missing_file",
        "A file that the manifest lists is not in the folder.",
        "train-00003-of-00008.parquet was not copied",
    ),
    _rule(
        "V004",
        "wrong_size",
        "A file has more or fewer bytes than the manifest says.",
        "a copy of train-00003-of-00008.parquet broke off",
    ),
    _rule(
        "V005",
        "changed_file",
        "A file has the size that the manifest says, and another sha256.",
        "a bit of train-00003-of-00008.parquet flipped on the disk",
    ),
    _rule(
        "V006",
        "unreadable_file",
        "A file cannot be read, or is no Parquet file or Arrow stream although it is listed as a shard.",
        "train-00000-of-00001.parquet belongs to another user",
        "Mend the rights or the disk. If the file itself is bad, prepare the folder again.",
    ),
    _rule(
        "V007",
        "wrong_columns",
        "A shard's columns have other names or types than the manifest's options make.",
        "labels is list<int64> without --labels-dtype int64, or a column attention_mask is missing",
    ),
    _rule("V008", "null_value", "A column holds a null.", "labels is null in row 7", _BUG),
    _rule(
        "V009",
        "unequal_lengths",
        "In a row, a column has more or fewer values than there are tokens, answers or documents.",
        "input_ids has 12 values and labels 11",
        _BUG,
    ),
    _rule(
        "V010",
        "wrong_label",
        "A label is neither the id of its token (in --layout shifted of the next one) nor -100, or a padding "
        "token is trained.",
        "input_ids [5, 9], labels [-100, 8]",
        _BUG,
    ),
    _rule(
        "V011",
        "untrained_row",
        "A row has no trained token: it costs time in training and teaches nothing.",
        "input_ids [5, 9], labels [-100, -100]",
        _BUG,
    ),
    _rule(
        "V012",
        "unknown_id",
        "A token id is negative, or beyond the tokenizer's last id: training would fail on the embedding.",
        "input_ids [5, 4096] with a tokenizer of 4,096 ids",
        _BUG,
    ),
    _rule(
        "V013",
        "wrong_attention_mask",
        "An attention mask holds other values than 1, and 0 for padding, which is at one end of the row and "
        "as long as --pad says.",
        "attention_mask [1, 0, 1]",
        _BUG,
    ),
    _rule(
        "V014",
        "wrong_positions",
        "Of packed rows, position_ids do not count each part from 0, seq_lengths do not add up to the "
        "row, seq_start_id does not rise from 0, or the first label of a later part is trained.",
        "seq_lengths [3, 2] and position_ids [0, 1, 2, 3, 4]",
        _BUG,
    ),
    _rule(
        "V015",
        "wrong_row_count",
        "A shard has more or fewer rows than the manifest says.",
        "the manifest says 200 rows and the shard has 199",
    ),
    _rule(
        "V016",
        "wrong_token_count",
        "A shard has more or fewer tokens, or trained tokens, than the manifest says, or all of them more or "
        "fewer records.",
        "the manifest says 20,329 trained tokens and the shard has 20,328",
    ),
    _rule(
        "V017",
        "wrong_sum",
        "The manifest's own counts do not add up: lines that were read are not found again among rows, "
        "dropped, rejected and blank ones, or the shards do not add up to the whole.",
        "200 lines, 190 rows, and nothing dropped, rejected or blank",
        _BUG,
    ),
    _rule(
        "V018",
        "wrong_tokenizer",
        "The tokenizer in the folder is not the one that made the rows.",
        "tokenizer/tokenizer.json was replaced by a newer one",
    ),
    _rule(
        "V019",
        "stray_file",
        "The folder holds a file that the manifest does not list.",
        "notes.txt lies beside the shards",
        "Move it elsewhere: readers that take every file of a folder would take this one too.",
        "warning",
    ),
    _rule(
        "V020",
        "leftover",
        "The folder holds what a run that was killed has left behind.",
        "the folder .staging",
        "If no run is writing to the folder, delete it; the next `sftcli prepare` would do that too.",
        "warning",
    ),
    _rule(
        "V021",
        "changed_input",
        "An input has other bytes than when the folder was prepared (with --strict-inputs or --deep).",
        "a line was added to data.jsonl",
        "Prepare the folder again, or bring back the input as it was.",
    ),
    _rule(
        "V022",
        "missing_input",
        "An input is not there any more, or nobody can tell whether it is the same: standard input and "
        "pipes leave no hash (with --strict-inputs or --deep).",
        "data.jsonl was moved",
        "Run verify where prepare was run, or bring the input back.",
    ),
    _rule(
        "V023",
        "other_rows",
        "Made again from its input, a row is another one or stands elsewhere, or the manifest says something "
        "else (with --deep).",
        "the labels of a row were moved by one",
    ),
    _rule(
        "V024",
        "other_bytes",
        "Made again, a shard has the same rows in other bytes, or another file has other bytes and other "
        "versions made it (with --deep all).",
        "the folder was prepared with another version of pyarrow",
        "Nothing, if the versions differ. Else prepare the folder again.",
        "warning",
    ),
    _rule(
        "V025",
        "linked_file",
        "A file that the manifest lists, or a folder in it, is a link: its bytes are judged, but they can "
        "change or go without the folder.",
        "train-00000-of-00001.parquet leads to a cache",
        "Copy the folder with what its links lead to: cp -rL.",
        "warning",
    ),
    _rule(
        "V026",
        "wrong_loss_mask",
        "loss_mask holds other values than 0 and 1, is not 1 exactly where there is a label, or marks what "
        "no token predicts.",
        "input_ids [5, 9], loss_mask [0, 1] where the mask is that of the next token",
        _BUG,
    ),
    _rule(
        "V027",
        "wrong_loss_weight",
        "A loss weight is not over 0 exactly where there is a label.",
        "labels [-100, 9], loss_weights [0.5, 1]",
        _BUG,
    ),
    _rule(
        "V028",
        "wrong_turn",
        "turn_ids holds a number below -1, or a message for padding.",
        "attention_mask [1, 0], turn_ids [0, 0]",
        _BUG,
    ),
    _rule(
        "V029",
        "wrong_length",
        "A row has more tokens than --max-length, or its column length is not how many tokens it has.",
        "length 3 of input_ids [5, 9]",
        _BUG,
    ),
    _rule(
        "V030",
        "stray_shard",
        "The folder holds rows that the manifest does not list, and that are read with the others.",
        "train-00001-of-00002.parquet lies beside train-00000-of-00001.parquet",
        "Move it elsewhere: `load_dataset` takes every file whose name fits, and trains on it.",
    ),
)
