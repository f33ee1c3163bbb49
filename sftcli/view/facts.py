"""What the head of a page says of a source: where its rows are from, and how they are made."""

from collections.abc import Sequence

_NAMED = 3  # inputs


def facts_of(
    source: Sequence[str],
    template: object,
    records: object,
    tokenizer: object,
    trained: object,
    ended: object,
) -> dict[str, str]:
    """Each fact by its name; of many inputs the first ones are named."""
    more = f" and {len(source) - _NAMED:,} more" if len(source) > _NAMED else ""
    return {
        "source": ", ".join(source[:_NAMED]) + more,
        "template": str(template),
        "records": str(records),
        "tokenizer": str(tokenizer),
        "trained": f"{trained}, terminator {ended}",
    }
