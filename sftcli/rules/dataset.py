"""Family D: records beside each other, in one file, in several, and in another data set."""

from sftcli.rules.rule import Rule

_FOUR = '{"prompt": "2+2=", "completion": "4"}'
_SIX = '{"prompt": "3+3=", "completion": "6"}'
_LONG = "A train leaves the station at noon and goes west at sixty miles an hour for three hours"
_NEARLY = (
    f"""{{"prompt": "{_LONG}. How far does it go?", "completion": "180 miles."}}\n"""
    f"""{{"prompt": "{_LONG}: how far does it go?", "completion": "180 miles"}}"""
)

RULES = (
    Rule(
        "D001",
        "duplicate_record",
        "warning",
        "A record says the same, word for word, as one before it.",
        example=f"{_FOUR}\n{_FOUR}",
        cure="Keep one of them; what is there twice is learnt twice as hard.",
        instead=f"{_FOUR}\n{_SIX}",
    ),
    Rule(
        "D002",
        "different_answers",
        "warning",
        "A prompt was answered otherwise in a record before it.",
        example=_FOUR + '\n{"prompt": "2+2=", "completion": "5"}',
        cure="Keep the right answer, unless several are meant: then --ignore D002.",
        instead=f"{_FOUR}\n{_SIX}",
    ),
    Rule(
        "D003",
        "prompt_in_other_file",
        "warning",
        "A prompt is there in another of the files too.",
        example=f"$ echo '{_FOUR}' > data.jsonl; echo '{_FOUR}' > more.jsonl",
        cure="Keep it in one file; where the other is an evaluation set, its score would mean nothing.",
        instead=f"$ echo '{_FOUR}' > data.jsonl; echo '{_SIX}' > more.jsonl",
        options="--ignore D001 more.jsonl",
    ),
    Rule(
        "D004",
        "prompt_in_other_set",
        "error",
        "A prompt is there in the --against set too, case and white space apart.",
        example=f"$ echo '{_FOUR}' > data.jsonl; echo '{_FOUR}' > test.jsonl",
        cure="Drop the record: the evaluation would measure what was learnt by heart.",
        instead=f"$ echo '{_FOUR}' > data.jsonl; echo '{_SIX}' > test.jsonl",
        options="--against test.jsonl",
    ),
    Rule(
        "D005",
        "overlaps_other_set",
        "error",
        "A record holds a large part of one in the --against set, counted in runs of 13 words.",
        example=(
            f"""$ echo '{{"prompt": "Say: {_LONG}.", "completion": "180 miles."}}' > data.jsonl\n"""
            f"""$ echo '{{"prompt": "{_LONG}. How far?", "completion": "180."}}' > test.jsonl"""
        ),
        cure="Drop the record, or raise --overlap (0.5: half of the other record's runs; 0: any run).",
        instead=(
            """$ echo '{"prompt": "How far is the moon?", "completion": "Far."}' > data.jsonl\n"""
            f"""$ echo '{{"prompt": "{_LONG}. How far?", "completion": "180."}}' > test.jsonl"""
        ),
        options="--against test.jsonl",
    ),
)

# What `prepare` alone finds, in what it leaves out.
OF_PREPARE = (
    Rule(
        "D006",
        "near_duplicate",
        "warning",
        "A record says nearly the same as one before it, and `prepare --dedup near` leaves it out.",
        example=_NEARLY,
        cure="Nothing is to be done; near:N with a larger N leaves out less.",
    ),
)
