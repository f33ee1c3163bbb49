"""What must be known of the rows that a config makes, to have them trained as they are meant."""

from collections.abc import Sequence

from sftcli.arrange.asked import validation_asked
from sftcli.config import Config
from sftcli.profiles import advice_on
from sftcli.report import MIX_WEIGHT, SplitReport
from sftcli.sources import Source
from sftcli.tokenizer import Tokenizer

_FAR_OFF = 2  # times as much, or as little, as was asked for


def advice(config: Config, tokenizer: Tokenizer) -> tuple[str, ...]:
    """A sentence or two on each thing, for the report and for the dataset's card."""
    told = (
        _of_profile(config),
        _of_packing(config),
        _of_pad_token(config, tokenizer),
        _of_weights(config),
        _of_window(config, tokenizer),
    )
    return tuple(text for text in told if text)


def _of_profile(config: Config) -> str | None:
    text = advice_on(config.profile, config.packing != "none")
    return text and f"{config.profile}: {text}"


def _of_packing(config: Config) -> str | None:
    """A profile has columns that tell its reader where documents begin."""
    if config.packing == "none" or config.profile is not None:
        return None
    return (
        "with an attention_mask of ones transformers lets packed documents see one another: leave that "
        "column out when you train (position_ids alone keep them apart), or take --profile trl"
    )


def _of_pad_token(config: Config, tokenizer: Tokenizer) -> str | None:
    """Only rows that are ragged, and those of no profile, are for the reader to pad by this token."""
    if tokenizer.specials["pad"]:
        return None
    if config.pad != "none":
        return (
            f"padded with the eos token {tokenizer.specials['eos']}, since the tokenizer has no pad token; "
            "padding is masked by its place, so that no answer loses its end"
        )
    if config.packing != "none" or config.profile is not None:
        return None
    return (
        "the tokenizer has no pad token, which data collators ask for: pass --pad-token TEXT, or set "
        "tokenizer.pad_token"
    )


def _of_weights(config: Config) -> str | None:
    if not config.loss_weight:
        return None
    return (
        "labels of all weighted roles are set: a trainer that does not read loss_weights trains them at "
        "weight 1 (docs/shaping.md)"
    )


def _of_window(config: Config, tokenizer: Tokenizer) -> str | None:
    """Tokenizers of no known window have a number of some thirty digits, or none."""
    window = tokenizer.config.get("model_max_length")
    if not isinstance(window, int | float) or config.max_length is None or config.max_length <= window:
        return None
    return (
        f"--max-length {config.max_length:,} is more than the {window:,} tokens that the model reads, as its "
        "tokenizer_config.json says (model_max_length): a longer row is cut or fails in training"
    )


def nothing_to_write(total: SplitReport, sources: Sequence[Source]) -> str:
    """The error of a run without a row: what became of its records, and what to do."""
    from sftcli.rules.catalogue import BY_NAME, RULES

    left_out = total.dropped + total.rejected
    found = {code: one for code, one in total.findings().items() if one["name"] in left_out}
    told = [f"{total.lines:,} lines read"]
    told += [f"{left_out[one['name']]:,} {code} {one['name']}" for code, one in found.items()]
    if total.dropped[MIX_WEIGHT]:
        told.append(f"{total.dropped[MIX_WEIGHT]:,} over their source's weight")
    empty = [source.name for source in sources if not _gave_rows(source)]
    cure = ""
    if total.dropped[MIX_WEIGHT] and empty:
        cure = (
            f". A weight is a share of all rows, and source {empty[0]!r} has no row to give: mend it, or "
            "leave it out"
        )
    elif found:
        most = max(found, key=lambda code: left_out[RULES[code].name])
        place = found[most]["first"]
        cure = f". The first {most} is {place}: {_decapitalized(BY_NAME[RULES[most].name].cure)}"
    return f"no row to write: {', '.join(told)}{cure}"


def _gave_rows(source: Source) -> bool:
    return bool(source.counts.examples or source.counts.dropped[MIX_WEIGHT])


def _decapitalized(sentence: str) -> str:
    return (sentence[:1].lower() + sentence[1:]).rstrip(".")


def empty_sources(sources: Sequence[Source]) -> list[str]:
    """A warning for each of several sources that gives no row, for the report; asked after a run."""
    return [
        f"source {source.name!r} gives no row: {_became(source.counts)}"
        for source in sources
        if len(sources) > 1 and not source.given.rows
    ]


def _became(counts: SplitReport) -> str:
    """What became of records of which none is written."""
    reasons = (counts.dropped + counts.rejected).most_common()
    return ", ".join(
        [f"{counts.records:,} record{'' if counts.records == 1 else 's'}"]
        + [f"{count:,} {'over its weight' if name == MIX_WEIGHT else name}" for name, count in reasons]
    )


def advice_on_validation(config: Config, held: int, records: int) -> str | None:
    """What to do where a share was asked for, and `held` of all `records` are far from it."""
    asked = validation_asked(config)
    if asked is None or asked.share is None:
        return None
    wanted = asked.share * records
    if wanted <= _FAR_OFF * held and held <= _FAR_OFF * wanted:
        return None
    return (
        f"validation has {held:,} of {records:,} records ({held / records:.1%}), and --val-size asks for "
        f"{config.val_size} of all prompts, of which there are few: pass a number of rows, such as "
        f"--val-size {max(round(wanted), 1)}"
    )
