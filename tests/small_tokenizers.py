"""Small real tokenizers, trained in the process, and the notation in which tests show tokens.

Training runs until every word of WORDS is one token, so that the tokens of a test's text can be
worked out by hand, whatever the library does about ties.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors, trainers

from sftcli.batch import TokenBatch
from sftcli.tokenizer import Tokenizer, load_tokenizer

# Words as the pre-tokenizers below cut them. In the last line, the last byte of the first character
# and the first of the second merge before all else, so that "\u3000日" is cut inside its white space.
WORDS = (
    *("Hello", "Hi", "Paris", "Rome", "day", "good", "question", "answer", "user", "assistant", "system"),
    *(
        "model",
        "tool",
        "prompt",
        "2",
        "4",
        "été",
        "e\u0301te\u0301",
        "caf\u00e9",
        "cafe\u0301",
        "Ωμέγα",
        "привет",
    ),
    *("日本語", "中文", "한국어", "שלום", "مرحبا", "नमस्ते", "😀", "👩\u200d🚀"),
    *("一日", "一月", "一木", "怀月", "怀日"),
)
# What tends to lie across the boundaries of pieces.
GLUED = (
    " Hello",
    " Hi",
    " Paris",
    " Rome",
    "\n",
    "\n\n",
    ":\n",
    ":\n\n",
    " \n",
    "  ",
    "###",
    "+",
    "=",
    "[INST",
    "|>\n",
)
WIDE = (
    "\u3000中文",
    "\u3000中",
    "\u00a0привет",
    "\u00a0Paris",
    "\u2003Paris",
    "\u2003été",
)  # words after wide spaces
# What layouts say around the words; cut into words before it is learnt.
PROSE = (
    "good USER: Hi ASSISTANT: Hello",
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n### Instruction:\n\n### Input:\n\n"
    "### Response:\n",
    "Below is an instruction that describes a task. Write a response that",
    "Question: question Answer: answer",
    "Q: question\nA: answer",
    "Instruction: Hi\nResponse: Hello",
    "<INSTRUCTION> Hi <RESPONSE> Hello <END>",
    "<ARTICLE> Paris <SUMMARY> Rome",
    "<TRANSLATE> English: Hello Spanish: Hi",
    "<|USER|> Hi <|ASSISTANT|> Hello",
)

# The pattern of Llama 3: a word may take one character before it, punctuation the newlines after.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHATML = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
LLAMA3 = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")


def control(*texts: str, **flags: bool) -> list[AddedToken]:
    return [AddedToken(text, special=True, normalized=False, **flags) for text in texts]


def byte_level(
    folder: Path,
    tokens: Sequence[AddedToken],
    specials: dict[str, Any],
    normalizer: normalizers.Normalizer | None = None,
    bos: str = "",
) -> Tokenizer:
    """A byte-level BPE as Llama 3 has it."""
    built = tokenizers.Tokenizer(models.BPE())
    if normalizer is not None:
        built.normalizer = normalizer
    built.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    built.decoder = decoders.ByteLevel()
    _train(built, [*WORDS, *GLUED, *WIDE, *PROSE], pre_tokenizers.ByteLevel.alphabet())
    return save(built, folder, tokens, specials, bos)


def sentencepiece(
    folder: Path,
    tokens: Sequence[AddedToken],
    specials: dict[str, Any],
    normalizer: normalizers.Normalizer | None = None,
    pre_tokenizer: pre_tokenizers.PreTokenizer | None = None,
    bos: str = "",
) -> Tokenizer:
    """A BPE over characters as SentencePiece makes it: "▁" for a space, bytes for the unknown."""
    built = tokenizers.Tokenizer(models.BPE())
    prose = re.findall(r" ?\w+|[^\w\s]", " ".join(PROSE))
    words = [word.replace(" ", "▁") for word in (*WORDS, *GLUED, *WIDE, *prose)]
    _train(built, [*words, *("▁" + word for word in WORDS)], [])
    layout = json.loads(built.to_str())
    # The bytes come first, as in a real vocabulary; they are tokens of the model, not added ones.
    names = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *layout["model"]["vocab"]]
    layout["model"]["vocab"] = {name: index for index, name in enumerate(names)}
    layout["model"] |= {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True}
    built = tokenizers.Tokenizer.from_str(json.dumps(layout))
    if normalizer is not None:
        built.normalizer = normalizer
    if pre_tokenizer is not None:
        built.pre_tokenizer = pre_tokenizer
    built.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return save(built, folder, [*control("<unk>"), *tokens], specials, bos)


def _train(built: tokenizers.Tokenizer, words: Sequence[str], alphabet: list[str]) -> None:
    trainer = trainers.BpeTrainer(
        vocab_size=100_000, min_frequency=2, show_progress=False, initial_alphabet=alphabet
    )
    built.train_from_iterator([*words, *words], trainer)


def save(
    built: tokenizers.Tokenizer,
    folder: Path,
    tokens: Sequence[AddedToken],
    specials: dict[str, Any],
    bos: str = "",
) -> Tokenizer:
    """Write a tokenizer with these added tokens, and a config with these specials, and load it."""
    for token in tokens:
        (built.add_special_tokens if token.special else built.add_tokens)([token])
    if bos:
        built.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, built.token_to_id(bos))]
        )
    folder.mkdir(parents=True)
    built.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(specials), encoding="utf-8")
    return load_tokenizer(str(folder))


def chatml(folder: Path) -> Tokenizer:
    """As Qwen: `<think>` is an added token that content may write, the others are control tokens."""
    tokens = [*control(*CHATML), AddedToken("<think>", special=False, normalized=False)]
    return byte_level(folder, tokens, {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"})


def nfc(folder: Path) -> Tokenizer:
    """As chatml, with text brought to NFC first: one token may stand for other bytes than the text's."""
    return byte_level(folder, control(*CHATML), {"eos_token": "<|im_end|>"}, normalizers.NFC())


def llama3_small(folder: Path) -> Tokenizer:
    """As Llama 3, which puts a BOS before every text and ends turns with its eos."""
    specials = {"bos_token": LLAMA3[0], "eos_token": "<|eot_id|>"}
    return byte_level(folder, control(*LLAMA3), specials, bos=LLAMA3[0])


def pad_is_eos(folder: Path) -> Tokenizer:
    """As GPT-2: one control token is bos, eos and pad at once, and none stands before a text."""
    names = ("bos_token", "eos_token", "pad_token", "unk_token")
    return byte_level(folder, control("<|endoftext|>"), dict.fromkeys(names, "<|endoftext|>"))


def phi3(folder: Path) -> Tokenizer:
    """Control tokens that take in the white space after them (Phi-3's do) or before them."""
    tokens = [
        *control("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", rstrip=True),
        *control("<|endoftext|>", lstrip=True),
    ]
    return byte_level(folder, tokens, {"eos_token": "<|endoftext|>"})


def llama2(folder: Path) -> Tokenizer:
    """As Llama 2 and Mistral: the text's very start gets a "▁", what follows a control token does not."""
    return sentencepiece(
        folder,
        control("<s>", "</s>", "[INST]", "[/INST]"),
        {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
        pre_tokenizer=pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
        bos="<s>",
    )


def legacy(folder: Path) -> Tokenizer:
    """As the first conversions of Llama 2: a normalizer puts "▁" before every stretch of text."""
    return sentencepiece(
        folder,
        control("<s>", "</s>"),
        {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
        normalizer=normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
        bos="<s>",
    )


def gemma(folder: Path) -> Tokenizer:
    """As Gemma: spaces become "▁" and nothing is put before a text."""
    return sentencepiece(
        folder,
        control("<bos>", "<eos>", "<pad>", "<start_of_turn>", "<end_of_turn>"),
        {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"},
        normalizer=normalizers.Replace(" ", "▁"),
        pre_tokenizer=pre_tokenizers.Split(" ", "merged_with_previous"),
        bos="<bos>",
    )


def roberta(folder: Path) -> Tokenizer:
    """As RoBERTa and BART: a space is put before every stretch of text, offsets leave white space out."""
    built = tokenizers.Tokenizer(models.BPE())
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    built.decoder = decoders.ByteLevel()
    _train(built, [*WORDS, *GLUED, *WIDE, *PROSE], pre_tokenizers.ByteLevel.alphabet())
    built.post_processor = processors.ByteLevel(trim_offsets=True)
    return save(built, folder, control("<s>", "</s>"), {"bos_token": "<s>", "eos_token": "</s>"})


def t5(folder: Path) -> Tokenizer:
    """As T5: a unigram model, whose own vocabulary has the text of its control tokens."""
    built = tokenizers.Tokenizer(models.Unigram())
    built.normalizer = normalizers.NFKC()
    built.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    unknown, eos = "<unk>", "</s>"
    trainer = trainers.UnigramTrainer(
        vocab_size=300, show_progress=False, special_tokens=[unknown, eos], unk_token=unknown
    )
    built.train_from_iterator([*WORDS, *PROSE], trainer)
    return save(built, folder, control(unknown, eos), {"eos_token": eos, "unk_token": unknown})


BUILDERS: dict[str, Callable[[Path], Tokenizer]] = {
    build.__name__: build
    for build in (chatml, nfc, llama3_small, pad_is_eos, phi3, llama2, legacy, gemma, roberta, t5)
}


def show(tokenizer: Tokenizer, batch: TokenBatch, row: int = 0) -> str:
    """One row, token by token: `[x]` is masked, `x` is trained.

    Tokens stand apart by spaces, so a space inside one is "␣" and a newline "⏎"; bytes that are
    no whole character are "\\xf0".
    """
    tokens = slice(*batch.offsets[row : row + 2])
    marks = []
    for token_id, trained in zip(batch.ids[tokens].tolist(), batch.trained[tokens].tolist(), strict=True):
        text = tokenizer.token_bytes(token_id).decode(errors="backslashreplace")
        text = text.replace(" ", "␣").replace("\n", "⏎")
        marks.append(text if trained else f"[{text}]")
    return " ".join(marks)
