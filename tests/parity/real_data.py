"""Real conversations through real chat templates, with the whole of `prepare`.

    python tests/parity/real_data.py TOKENIZER_FOLDER FILE.jsonl... [--template NAME]...

The tokenizer is extended by each template's control tokens. Prints rows in, rows out, rows refused
by reason, and the trained share.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import reference

from sftcli.config import Config
from sftcli.pipeline import prepare
from sftcli.report import RunReport
from sftcli.tokenizer import load_tokenizer

DEFAULT = ("llama3_1", "qwen2_5", "qwen3", "gemma3", "phi3", "deepseekv3", "gptoss")


def run(file: str, name: str, tokenizer: str, folder: Path) -> RunReport:
    template = folder / f"{name}.jinja"
    template.write_text(reference.source_of(name), encoding="utf-8")
    extended = reference.load(name, load_tokenizer(tokenizer)).tokenizer
    config = Config(
        inputs=[file],
        output=str(folder / f"{Path(file).stem}-{name}"),
        tokenizer=tokenizer,
        template=str(template),
        add_special_tokens=list(extended.control_tokens),
        bos_token=extended.specials["bos"],
        eos_token=extended.specials["eos"],
        on_error="skip",
    )
    return prepare(config)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("tokenizer")
    options.add_argument("files", nargs="+")
    options.add_argument("--template", action="append", choices=reference.template_names())
    args = options.parse_args()
    print(f"{'file':<22}{'template':<13}{'in':>6}{'out':>6}{'tokens':>10}{'trained':>9}  refused")
    for file in args.files:
        for name in args.template or DEFAULT:
            with tempfile.TemporaryDirectory() as folder:
                counts = run(file, name, args.tokenizer, Path(folder)).counts
            refused = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.rejected.items()))
            share = counts.trained_tokens / counts.tokens
            print(
                f"{Path(file).name:<22}{name:<13}{counts.records:>6}{counts.rows:>6}{counts.tokens:>10,}"
                f"{share:>9.1%}  {refused}"
            )


if __name__ == "__main__":
    main()
