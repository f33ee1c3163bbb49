"""How deep each bracket and comma of JSON text stands, at the speed of numpy and a piece at a time."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_QUOTE, _COMMA, _OPEN, _CLOSE = b'",{}'
_TO_BRACE = 0x20  # [ and ] differ from { and } in this bit

Places = npt.NDArray[np.int64]


@dataclass(slots=True)
class Nesting:
    """Reads text that is taken to be JSON; what it says of other text holds up to the first fault."""

    depth: int = 0
    in_string: bool = False
    _escaped: bool = False  # the last piece ended in the backslash of an escape

    def feed(self, piece: bytes) -> tuple[Places, Places]:
        """The places in `piece` of brackets and commas outside strings, and the depth after each."""
        text = np.frombuffer(self._without_escapes(piece), np.uint8)
        quotes = np.flatnonzero(text == _QUOTE)
        braced = text | _TO_BRACE
        places = np.flatnonzero((braced == _OPEN) | (braced == _CLOSE) | (text == _COMMA))
        places = places[(np.searchsorted(quotes, places) + self.in_string) % 2 == 0]
        found = braced[places]
        depths = self.depth + np.cumsum((found == _OPEN).astype(np.int64) - (found == _CLOSE))
        self.in_string = bool((len(quotes) + self.in_string) % 2)
        self.depth = int(depths[-1]) if len(depths) else self.depth
        return places, depths

    def _without_escapes(self, piece: bytes) -> bytes:
        """The piece with backslashes and quotes that are escaped written over."""
        if self._escaped and piece:
            piece = b"_" + piece[1:]
            self._escaped = False
        if b"\\" in piece:
            piece = piece.replace(rb"\\", b"__").replace(rb"\"", b"__")
            self._escaped = piece.endswith(b"\\")
        return piece
