"""The parts of a tokenizer.json that decide how it must be handled; the rest is left unread."""

import msgspec


class AddedToken(msgspec.Struct):
    """A token outside the model's own vocabulary; `special` ones are control tokens."""

    id: int
    content: str
    special: bool = False
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool = False


class PipelinePart(msgspec.Struct):
    """A normalizer, pre-tokenizer or decoder: its type and, for a sequence, what is inside."""

    type: str
    add_prefix_space: bool = False
    trim_offsets: bool = False
    processors: "list[PipelinePart]" = []
    pretokenizers: "list[PipelinePart]" = []
    decoders: "list[PipelinePart]" = []
    normalizers: "list[PipelinePart]" = []

    def flat(self) -> "list[PipelinePart]":
        inner = [*self.pretokenizers, *self.decoders, *self.normalizers, *self.processors]
        return [self, *(leaf for part in inner for leaf in part.flat())]


class Model(msgspec.Struct):
    """The vocabulary; Unigram models have it as a list of (token, score)."""

    type: str = "BPE"
    vocab: dict[str, int] | list[tuple[str, float]] = {}
    unk_token: str | None = None
    ignore_merges: bool = False


class TokenizerJson(msgspec.Struct):
    """The whole file."""

    model: Model
    added_tokens: list[AddedToken] = []
    normalizer: PipelinePart | None = None
    pre_tokenizer: PipelinePart | None = None
    decoder: PipelinePart | None = None
    post_processor: PipelinePart | None = None
