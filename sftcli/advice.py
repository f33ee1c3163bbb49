"""What must be known of the rows that a config makes, to have them trained as they are meant."""

from sftcli.arrange.asked import validation_asked
from sftcli.config import Config
from sftcli.profiles import advice_on
from sftcli.tokenizer import Tokenizer

_FAR_OFF = 2  # times as much, or as little, as was asked for


def advice(config: Config, tokenizer: Tokenizer) -> tuple[str, ...]:
    """A sentence or two on each thing, for the report and for the dataset's card."""
    told = (
        _of_profile(config),
        _of_packing(config),
        _of_pad_token(config, tokenizer),
        _of_weights(config),
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
