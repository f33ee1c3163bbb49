"""A row's tokens with what a model makes of them: each one's negative log-likelihood.

torch and transformers are the extra `loss`, and are imported by LossModel alone.
"""

import inspect
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sftcli.errors import EnvironmentFault, TokenizerError, UsageError
from sftcli.tokenizer import Tokenizer, load_tokenizer
from sftcli.view.row import RowView, TokenView

TOO_LONG = "too-long-for-model"  # a mark: the row is shown without losses
_RENAMED = 0.01  # of a model's ids: as many as may have other texts, such as reserved tokens put to use
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_LOGITS_AT_ONCE = 1 << 27  # float32 numbers: half a GiB, and twice that while losses are made of them


class LossModel:
    """A causal language model in evaluation mode, on the first GPU if there is one.

    `folder` is a folder that save_pretrained wrote, or a hub name; nothing is downloaded for a
    folder. The weights keep the type they were saved in, so the figures are those of the model's
    own `loss`. Raises UsageError where torch or the model is missing, or the model is not whole.
    """

    def __init__(self, folder: str) -> None:
        try:
            import torch
        except ImportError as problem:
            raise UsageError(
                f"--loss needs torch ({problem}): pip install 'sftcli[loss]', or leave --loss out"
            ) from None
        self._name = folder
        self._torch = torch
        self._model = _load(folder).eval().to("cuda" if torch.cuda.is_available() else "cpu")
        self._vocabulary = int(self._model.get_input_embeddings().weight.shape[0])
        self._context = _context(self._model.config.get_text_config())
        self._keeps_some = "logits_to_keep" in inspect.signature(self._model.forward).parameters

    def check_tokenizer(self, tokenizer: Tokenizer) -> None:
        """Raises TokenizerError where the model comes with a tokenizer that has other ids.

        The losses would be those of other words. Added and renamed control tokens are fine.
        """
        try:
            own = _texts(load_tokenizer(self._name))
        except TokenizerError:  # none is there, so nothing can be said
            return
        texts = _texts(tokenizer)
        others = [id_ for id_ in sorted(own.keys() & texts.keys()) if own[id_] != texts[id_]]
        if len(others) > _RENAMED * len(own):
            raise TokenizerError(
                f"--loss {self._name}: this model's own tokenizer is not that of the rows: id {others[0]} is "
                f"{own[others[0]]!r} there and {texts[others[0]]!r} in {tokenizer.name!r}; name the model "
                "that these rows are for"
            )

    def fits(self, view: RowView) -> bool:
        """Whether no document of the row is longer than the model's context."""
        longest = max(map(len, _documents(view)), default=0)
        return self._context is None or longest <= self._context

    def measure(self, view: RowView) -> RowView:
        """The row with each token's `loss`, in nats: that of predicting it from those before it.

        Packed rows are measured each on its own, from position 0. There is no loss for the first
        token of each, which nothing predicts, and for padding. Raises TokenizerError for an id
        that the model does not have, UsageError for a row that is longer than the model's context.
        """
        losses: dict[int, float] = {}
        for document in _documents(view):
            self._check(view, document)
            found = self._losses([token.id for token in document])
            losses.update((token.i, loss) for token, loss in zip(document[1:], found, strict=True))
        for i, loss in losses.items():
            if not math.isfinite(loss):
                raise UsageError(
                    f"--loss {self._name}: the loss of token {i} of {_place(view)} is {loss}; the model's "
                    "weights are broken, or its numbers overflow in the type they were saved in"
                )
        tokens = (replace(token, loss=losses.get(token.i)) for token in view.tokens)
        return replace(view, tokens=tuple(tokens))

    def _check(self, view: RowView, document: Sequence[TokenView]) -> None:
        largest = max((token.id for token in document), default=0)
        if largest >= self._vocabulary:
            raise TokenizerError(
                f"--loss {self._name}: {_place(view)} has the id {largest:,}, and this model has "
                f"{self._vocabulary:,} ids, from 0; name a model for the tokenizer of this row, or resize "
                "its embeddings as prepare's report says"
            )
        if self._context is not None and len(document) > self._context:
            raise UsageError(
                f"--loss {self._name}: {_place(view)} has {len(document):,} tokens"
                f"{' in one document' * bool(view.documents)}, and the context of this model is "
                f"{self._context:,}; choose shorter rows, or name a model with a longer context"
            )

    def _losses(self, ids: list[int]) -> Iterator[float]:
        """float[len(ids) - 1]: the losses of all ids but the first.

        The model is run again for each stretch of positions whose logits fit in memory. To go on
        from its cache would be faster, but some models scale positions by the length they see.
        """
        predicting = len(ids) - 1
        step = max(_LOGITS_AT_ONCE // self._vocabulary, 1) if self._keeps_some else max(predicting, 1)
        tokens = self._torch.tensor([ids], device=self._model.device)
        for first in range(0, predicting, step):
            places = range(first, min(first + step, predicting))
            yield from self._stretch(tokens, self._torch.tensor(places, device=tokens.device)).tolist()

    def _stretch(self, tokens: Any, places: Any) -> Any:
        """float32[len(places)]: what each token after one of the `places` costs; tokens int64[1, n]."""
        torch = self._torch
        kept = {"logits_to_keep": places} if self._keeps_some else {}
        mask = torch.ones_like(tokens)
        try:
            with torch.inference_mode():
                seen = self._model(input_ids=tokens, attention_mask=mask, use_cache=False, **kept)
                logits = seen.logits[0, : len(places)].float()
                return torch.nn.functional.cross_entropy(logits, tokens[0, places + 1], reduction="none")
        except torch.OutOfMemoryError:
            raise EnvironmentFault(
                f"--loss {self._name}: a row of {tokens.numel():,} tokens does not fit into the GPU's "
                "memory; set CUDA_VISIBLE_DEVICES= to use the CPU, or choose shorter rows"
            ) from None
        except Exception as problem:  # whatever a model's own code trips over
            raise UsageError(
                f"--loss {self._name}: the model fails on a row of {tokens.numel():,} tokens: "
                f"{_reason(problem)}"
            ) from None


def mean_loss(view: RowView) -> float | None:
    """The mean over the trained tokens, as trainers count it; None where none was measured."""
    losses = [token.loss for token in view.tokens if token.trained and token.loss is not None]
    return math.fsum(losses) / len(losses) if losses else None


def _documents(view: RowView) -> Iterator[list[TokenView]]:
    """The tokens that see each other, without padding."""
    bounds = view.bounds or [(0, len(view.tokens))]
    for first, last in bounds:
        yield [token for token in view.tokens[first:last] if not token.padding]


def _texts(tokenizer: Tokenizer) -> dict[int, str]:
    """What each id is written as in tokenizer.json."""
    vocab = tokenizer.layout.model.vocab
    if isinstance(vocab, dict):
        texts = {id_: text for text, id_ in vocab.items()}
    else:
        texts = {id_: text for id_, (text, _) in enumerate(vocab)}
    return texts | {token.id: token.content for token in tokenizer.layout.added_tokens}


def _place(view: RowView) -> str:
    if view.source is None or view.source.line is None:
        return f"row {view.row:,}"
    return view.source.place


def _context(config: Any) -> int | None:
    """The longest row that a model can take, None where its positions have no end."""
    length = getattr(config, "max_position_embeddings", None)
    if not isinstance(length, int) or length <= 0:
        return None
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    # In YaRN's way of writing it, the length may be that of before, which a factor stretches.
    before, factor = rope.get("original_max_position_embeddings"), rope.get("factor")
    return max(length, int(before * factor)) if before and factor else length


def _load(folder: str) -> Any:
    """The model with all of its weights; those of a checkpoint that lacks some would be random."""
    import transformers
    from transformers.utils import logging

    local = _is_here(folder)
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model, info = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype="auto", local_files_only=local, trust_remote_code=False, output_loading_info=True
        )
    except Exception as problem:  # whatever a config, a weights file or the hub trips over
        raise UsageError(
            f"--loss {folder}: transformers cannot load it as a causal language model: {_reason(problem)}"
        ) from None
    missing = sorted(info["missing_keys"])
    if missing:
        others = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
        raise UsageError(
            f"--loss {folder}: the weights lack {missing[0]}{others}, which would be random; name a folder "
            "that holds the whole causal language model"
        )
    return model


def _reason(problem: Exception) -> str:
    return next((line for line in str(problem).splitlines() if line), type(problem).__name__)


def _is_here(name: str) -> bool:
    """Whether it is a model's folder, or a hub name with all of its files in the local cache.

    If not, the hub has a model of this name. Raises UsageError where it has none, or cannot be asked:
    the library would try again and again, with waits.
    """
    path = Path(name)
    if path.is_dir():
        if (path / "config.json").is_file():
            return True
        if (path / "adapter_config.json").is_file():
            raise UsageError(f"--loss {name}: an adapter without its model; merge them and save the whole")
        raise UsageError(f"--loss {name}: no config.json in this folder; name the folder of a model")
    if path.exists() or name.startswith(("/", ".", "~")) or name.count("/") > 1:
        raise UsageError(f"--loss {name}: no such folder; name the folder of a model, or a hub name")
    return _is_cached(name)


def _has_weights(folder: Path) -> bool:
    """Whether all of a model's weights are there; a download may have been broken off."""
    for name in _WEIGHTS:
        if (folder / name).exists():
            return True
        index = folder / f"{name}.index.json"
        if index.exists():
            parts = set(json.loads(index.read_bytes())["weight_map"].values())
            return all((folder / part).exists() for part in parts)
    return False


def _is_cached(name: str) -> bool:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE, HF_HUB_OFFLINE
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    nowhere = f"--loss {name}: no such folder, and not in the hub's local cache ({HF_HUB_CACHE})"
    try:
        there = Path(snapshot_download(name, local_files_only=True))
    except HFValidationError:
        raise UsageError(f"--loss {name}: no such folder, and not a hub name") from None
    except LocalEntryNotFoundError:
        there = None
    if there and _has_weights(there):
        return True
    if HF_HUB_OFFLINE:
        raise UsageError(f"{nowhere}; HF_HUB_OFFLINE is set, so nothing was downloaded")
    try:
        get_hf_file_metadata(hf_hub_url(name, "config.json"), timeout=10)
    except Exception as problem:  # the hub's own errors, and those of whatever HTTP library it uses
        raise UsageError(f"{nowhere}, and the hub cannot be asked or refuses: {_reason(problem)}") from None
    return False
