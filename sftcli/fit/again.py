"""Again: what it takes to make rows of a block anew, from a conversation that was shortened."""

from collections.abc import Callable

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

    def encode(self, rendered: Rendered, line: int) -> TokenBatch:
        """A batch of this one row."""
        return encode_runs(self._builder.build([rendered], [line]), self._engine)

    def bounds(self, text: str) -> list[int]:
        """Where a text can be cut between two tokens of its own: its start, ..., its end, in characters.

        Tokens that share a character are not parted.
        """
        raw = text.encode()
        encoded = self._engine.encode([text], np.array([len(raw)]), np.array([False]))
        # An engine may give shared characters to each of their tokens, or their bytes to one of them.
        clean = encoded.stops[:-1] == encoded.starts[1:]
        places = [place for place in encoded.stops[:-1][clean].tolist() if raw[place] & 0xC0 != 0x80]
        if not text.isascii():
            lead = np.cumsum((np.frombuffer(raw, np.uint8) & 0xC0) != 0x80)
            places = [int(lead[place - 1]) for place in places if place]
        return [0, *sorted({*places} - {0, len(text)}), len(text)]
