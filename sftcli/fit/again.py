"""Again: what it takes to make rows of a block anew, from conversations that were shortened."""

from collections.abc import Callable, Sequence

import numpy as np

from sftcli.batch import TokenBatch
from sftcli.conversation import Conversation
from sftcli.encode import encode_runs
from sftcli.engine import Engine
from sftcli.rendered import Rendered
from sftcli.runs import RunBuilder


class Again:
    """The conversations of some rows, and the tokens of texts.

    `conversation` gives what a row's line says, by the line's number in its batch. Every engine gives
    the same tokens and bounds.
    """

    def __init__(
        self, builder: RunBuilder, engine: Engine, conversation: Callable[[int], Conversation]
    ) -> None:
        self._builder, self._engine = builder, engine
        self.conversation = conversation

    def encode(self, rendered: Sequence[Rendered], lines: Sequence[int]) -> TokenBatch:
        """A batch of these R rows; `lines` are the R input lines they came from."""
        return encode_runs(self._builder.build(rendered, lines), self._engine)

    def bounds(self, texts: Sequence[str]) -> list[list[int]]:
        """Where each text can be cut between two tokens of its own: its start, ..., its end, in characters.

        No text is empty. Tokens that share a character are not parted.
        """
        raws = [text.encode() for text in texts]
        sizes = np.array([len(raw) for raw in raws], np.int64)
        encoded = self._engine.encode(texts, sizes, np.zeros(len(texts), np.bool_))
        # An engine may give shared characters to each of their tokens, or their bytes to one of them.
        clean = encoded.stops[:-1] == encoded.starts(slice(1, None))
        found: list[list[int]] = []
        first, base = 0, 0
        for text, raw, end in zip(texts, raws, encoded.ends.tolist(), strict=True):
            inner = slice(first, max(end - 1, first))
            places = (encoded.stops[inner][clean[inner]] - base).tolist()
            if not text.isascii():
                places = [place for place in places if place and raw[place] & 0xC0 != 0x80]
                lead = np.cumsum((np.frombuffer(raw, np.uint8) & 0xC0) != 0x80)
                places = [int(lead[place - 1]) for place in places]
            found.append([0, *sorted({*places} - {0, len(text)}), len(text)])
            first, base = end, base + len(raw)
        return found
