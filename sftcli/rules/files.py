"""Family J, in whole files: those that are not what they say they are."""

from sftcli.rules.rule import Rule

_GOOD = '{"prompt": "2+2=", "completion": "4"}'
_MAKE_GOOD = f"$ echo '{_GOOD}' > data.jsonl"
_MAKE_GOOD_GZ = f"$ echo '{_GOOD}' | gzip > data.jsonl.gz"

RULES = (
    Rule(
        "J101",
        "truncated",
        "error",
        "A compressed file breaks off.",
        example=f"$ echo '{_GOOD}' | gzip | head -c 40 > data.jsonl.gz",
        cure="Get the file again: a download or a copy did not finish.",
        instead=_MAKE_GOOD_GZ,
    ),
    Rule(
        "J102",
        "corrupt",
        "error",
        "Compressed data, or a Parquet file, is broken.",
        example=(
            f"$ echo '{_GOOD}' | gzip > data.jsonl.gz\n"
            "$ printf XXXX | dd of=data.jsonl.gz bs=1 seek=20 conv=notrunc 2> /dev/null"
        ),
        cure="Get the file again, or write it again.",
        instead=_MAKE_GOOD_GZ,
    ),
    Rule(
        "J103",
        "trailing_garbage",
        "error",
        "Something that is no compressed data follows it in a file.",
        example=f"$ {{ echo '{_GOOD}' | gzip; echo more; }} > data.jsonl.gz",
        cure="Get the file again; nobody knows what was lost there.",
        instead=_MAKE_GOOD_GZ,
    ),
    Rule(
        "J104",
        "wrong_extension",
        "error",
        "A file's name ends otherwise than its data says.",
        example=f"$ echo '{_GOOD}' | gzip > data.jsonl",
        cure="Give it the name that the message says.",
        instead=_MAKE_GOOD,
    ),
    Rule(
        "J105",
        "wrong_format",
        "error",
        "A file is of a kind that is not read, such as an archive, a pickle or CSV.",
        example="$ printf 'PK\\003\\004' > data.jsonl",
        cure="Unpack it, or export the data as JSON lines.",
        instead=_MAKE_GOOD,
    ),
    Rule(
        "J106",
        "utf16",
        "error",
        "A file is UTF-16 text.",
        example=f"$ echo '{_GOOD}' | iconv -f UTF-8 -t UTF-16 > data.jsonl",
        cure="Convert it: iconv -f UTF-16 -t UTF-8.",
        instead=_MAKE_GOOD,
    ),
    Rule(
        "J107",
        "utf32",
        "error",
        "A file is UTF-32 text.",
        example=f"$ echo '{_GOOD}' | iconv -f UTF-8 -t UTF-32 > data.jsonl",
        cure="Convert it: iconv -f UTF-32 -t UTF-8.",
        instead=_MAKE_GOOD,
    ),
    Rule(
        "J108",
        "lfs_pointer",
        "error",
        "A file is a Git LFS pointer and not the data itself.",
        example="$ echo 'version https://git-lfs.github.com/spec/v1' > data.jsonl",
        cure="Fetch the data: git lfs pull.",
        instead=_MAKE_GOOD,
    ),
    Rule(
        "J109",
        "web_page",
        "error",
        "A file is a web page or XML.",
        example="$ echo '<!DOCTYPE html><html><body>Sign in</body></html>' > data.jsonl",
        cure="Get the raw file: the link led to a page about it.",
        instead=_MAKE_GOOD,
    ),
    Rule(
        "J110",
        "pretty_printed",
        "error",
        "A record stands on several lines.",
        example='$ printf \'{\\n  "prompt": "2+2=",\\n  "completion": "4"\\n}\\n\' > data.jsonl',
        cure="Write each record on one line: jq -c . does.",
        instead=_MAKE_GOOD,
    ),
    Rule(
        "J111",
        "array_in_jsonl",
        "error",
        "A file that is named .jsonl is one JSON array.",
        example=f"$ printf '[{_GOOD},\\n {_GOOD}]\\n' > data.jsonl",
        cure="Give it a name that ends in .json, or make it JSON lines: jq -c '.[]' does.",
        instead=_MAKE_GOOD,
    ),
    Rule(
        "J112",
        "empty_input",
        "error",
        "A file has no records.",
        example="$ : > data.jsonl",
        cure="Look at what should have written it.",
        instead=_MAKE_GOOD,
    ),
    Rule(
        "J113",
        "bytes_column",
        "error",
        "A Parquet column holds bytes where text should be.",
        example=(
            """$ python -c 'import pyarrow as pa, pyarrow.parquet as pq; """
            """pq.write_table(pa.table({"text": [b"Hi"]}), "data.parquet")'"""
        ),
        cure="Write the column as text, or drop it.",
        instead=_MAKE_GOOD,
    ),
)
