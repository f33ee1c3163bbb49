"""`inspect --loss`: each token's negative log-likelihood is the model's own."""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import CONFIGS, EXAMPLES, make, run_sftcli

torch = pytest.importorskip("torch", reason="needs torch; `make test-trainers` installs it")

import pyarrow.parquet as pq  # noqa: E402
from huggingface_hub.constants import HF_HUB_CACHE as CACHE  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForCausalLM,
    CodeGenConfig,
    CodeGenForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from sftcli.errors import TokenizerError, UsageError  # noqa: E402
from sftcli.tokenizer import Tokenizer, load_tokenizer  # noqa: E402
from sftcli.view import loss as loss_module  # noqa: E402
from sftcli.view.loss import LossModel, mean_loss  # noqa: E402
from sftcli.view.row import RowView, Source, TokenView, row_from_columns  # noqa: E402

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
CASES = {
    "qa": (EXAMPLES / "gsm8k.jsonl", {"template": str(CONFIGS / "templates" / "qa.yaml"), "limit": 8}),
    "alpaca": (EXAMPLES / "alpaca.jsonl", {"template": "alpaca"}),
    "chat": (EXAMPLES / "chat.jsonl", {"template": "chatml"}),
    "chat, all": (EXAMPLES / "chat.jsonl", {"template": "chatml", "train_on": "all"}),
}


def llama(vocab: int = 4096, context: int = 512) -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocab, max_position_embeddings=context, initializer_range=0.3, pad_token_id=0, **SMALL
    )
    return LlamaForCausalLM(config).eval()


def saved(model: Any, folder: Path) -> str:
    model.save_pretrained(folder)
    return str(folder)


def row(ids: list[int], trained: list[bool], number: int = 0) -> RowView:
    """A row of tokens without text."""
    tokens = (
        TokenView(i, id_, "", id_ if learnt else -100, learnt, False)
        for i, (id_, learnt) in enumerate(zip(ids, trained, strict=True))
    )
    return RowView(number, None, tuple(tokens))


def joined(*rows: RowView) -> RowView:
    """The rows packed into one; the first label of each but the first is masked, as packing does."""
    tokens: list[TokenView] = []
    for view in rows:
        for place, token in enumerate(view.tokens):
            learnt = token.trained and (place > 0 or not tokens)
            label = token.label if learnt else -100
            tokens.append(replace(token, i=len(tokens), trained=learnt, label=label))
    return RowView(0, None, tuple(tokens), documents=tuple(len(view.tokens) for view in rows))


def padded(view: RowView, left: int = 0, right: int = 0) -> RowView:
    filler = TokenView(0, 0, "", -100, False, True, padding=True)
    tokens = [*[filler] * left, *view.tokens, *[filler] * right]
    return replace(view, tokens=tuple(replace(token, i=i) for i, token in enumerate(tokens)))


def losses(view: RowView) -> list[float | None]:
    return [token.loss for token in view.tokens]


def own_loss(model: Any, view: RowView, **more: Any) -> float:
    """What the model itself gives for the row's ids and labels."""
    ids = torch.tensor([[token.id for token in view.tokens]])
    labels = torch.tensor([[token.label for token in view.tokens]])
    with torch.no_grad():
        return float(model(input_ids=ids, labels=labels, **more).loss)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Llama with two small layers, random weights and the demo tokenizer's 4,096 ids."""
    return saved(llama(), tmp_path_factory.mktemp("model") / "llama")


@pytest.fixture(scope="module")
def model(folder: str) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def measuring(folder: str) -> LossModel:
    return LossModel(folder)


@pytest.fixture(scope="module", params=CASES)
def views(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[RowView]:
    """The rows of one case as they were written."""
    source, options = CASES[request.param]
    out = tmp_path_factory.mktemp("loss") / "out"
    make(out, source, **options)
    rows = pq.read_table(out / "train-00000-of-00001.parquet").to_pylist()
    tokenizer = load_tokenizer(str(out / "tokenizer"))
    return [
        row_from_columns(tokenizer, row["input_ids"], row["labels"], number)
        for number, row in enumerate(rows)
    ]


# What follows each of four tokens, with which probability. A model without layers can hold such
# a table: its embeddings are one-hot, so that each token picks its column of the output's weights.
NEXT = [
    [1 / 2, 1 / 4, 1 / 8, 1 / 8],
    [1 / 8, 1 / 2, 1 / 8, 1 / 4],
    [1 / 4, 1 / 4, 1 / 4, 1 / 4],
    [1 / 16, 1 / 16, 1 / 8, 3 / 4],
]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> LossModel:
    config = LlamaConfig(
        vocab_size=4,
        hidden_size=4,
        intermediate_size=4,
        num_hidden_layers=0,
        num_attention_heads=1,
        rms_norm_eps=1e-12,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(torch.eye(4) / 2)  # of root mean square 1/4: scaled to 2
        model.lm_head.weight.copy_(torch.tensor(NEXT).log().T / 2)
    return LossModel(saved(model, tmp_path_factory.mktemp("table")))


def test_losses_worked_out_by_hand(table: LossModel) -> None:
    measured = table.measure(row([0, 1, 1, 3, 3, 0], [False, False, True, True, False, True]))
    bits = [loss / math.log(2) for loss in losses(measured)[1:]]
    # 1/4, 1/2, 1/4, 3/4 and 1/16
    assert bits == pytest.approx([2, 1, 2, math.log2(4 / 3), 4], abs=1e-6)
    assert losses(measured)[0] is None
    assert mean_loss(measured) == pytest.approx((1 + 2 + 4) / 3 * math.log(2), abs=1e-6)


def test_of_all_tokens_trained_the_first_has_no_loss(table: LossModel) -> None:
    measured = table.measure(row([2, 0, 1], [True] * 3))
    assert mean_loss(measured) == pytest.approx((2 + 2) / 2 * math.log(2), abs=1e-6)


def test_nothing_else_of_the_row_changes(measuring: LossModel, views: list[RowView]) -> None:
    view = replace(views[0], source=Source("chats.jsonl", 3), marks=("straddle",), id="a")
    measured = measuring.measure(view)
    assert replace(measured, tokens=view.tokens) == view
    assert tuple(replace(token, loss=None) for token in measured.tokens) == view.tokens


@pytest.mark.parametrize("ids", [[], [3]])
def test_too_short_for_a_loss(table: LossModel, ids: list[int]) -> None:
    measured = table.measure(row(ids, [True] * len(ids)))
    assert losses(measured) == [None] * len(ids)
    assert mean_loss(measured) is None


def test_no_mean_where_nothing_is_trained(table: LossModel) -> None:
    assert mean_loss(table.measure(row([0, 1], [False, False]))) is None
    assert mean_loss(row([0, 1], [True, True])) is None


def test_the_mean_is_the_loss_of_the_model(model: Any, measuring: LossModel, views: list[RowView]) -> None:
    assert len(views) >= 8
    for view in views:
        assert mean_loss(measuring.measure(view)) == pytest.approx(own_loss(model, view), abs=1e-5)


def test_each_loss_is_the_log_softmax_of_the_logits(
    model: Any, measuring: LossModel, views: list[RowView]
) -> None:
    ids = [token.id for token in views[0].tokens]
    with torch.no_grad():
        likelihoods = model(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(-1)
    expected = [-float(likelihoods[place - 1, ids[place]]) for place in range(1, len(ids))]
    assert losses(measuring.measure(views[0]))[1:] == pytest.approx(expected, abs=1e-5)


def test_packed_rows_do_not_see_each_other(model: Any, measuring: LossModel, views: list[RowView]) -> None:
    packed = joined(*views[:3])
    measured = measuring.measure(packed)
    separate = [measuring.measure(view) for view in views[:3]]
    assert losses(measured) == [loss for view in separate for loss in losses(view)]
    positions = [place for view in views[:3] for place in range(len(view.tokens))]
    in_training = own_loss(model, packed, position_ids=torch.tensor([positions]), use_cache=False)
    assert mean_loss(measured) == pytest.approx(in_training, abs=1e-5)
    as_one = measuring.measure(replace(packed, documents=()))
    assert mean_loss(as_one) != pytest.approx(mean_loss(measured), abs=1e-3)


def test_padding_has_no_loss_and_is_not_seen(model: Any, measuring: LossModel, views: list[RowView]) -> None:
    view = views[0]
    bare = losses(measuring.measure(view))
    right = measuring.measure(padded(view, right=5))
    assert losses(right) == [*bare, *[None] * 5]
    mask = torch.tensor([[int(not token.padding) for token in right.tokens]])
    assert mean_loss(right) == pytest.approx(own_loss(model, right, attention_mask=mask), abs=1e-5)
    assert losses(measuring.measure(padded(view, left=3))) == [*[None] * 3, *bare]


def test_padding_after_packed_rows(measuring: LossModel, views: list[RowView]) -> None:
    packed = joined(*views[:2])
    bare = losses(measuring.measure(packed))
    assert losses(measuring.measure(padded(packed, right=4))) == [*bare, *[None] * 4]


def test_a_long_row_is_measured_in_stretches(
    monkeypatch: pytest.MonkeyPatch, measuring: LossModel, views: list[RowView]
) -> None:
    whole = losses(measuring.measure(views[0]))
    monkeypatch.setattr(loss_module, "_LOGITS_AT_ONCE", 7 * 4096)
    assert losses(measuring.measure(views[0]))[1:] == pytest.approx(whole[1:], abs=1e-5)


def other_models() -> dict[str, Any]:
    torch.manual_seed(1)
    return {
        "bfloat16": llama().to(torch.bfloat16),
        "learned positions": GPT2LMHeadModel(
            GPT2Config(
                vocab_size=4096, n_positions=256, n_embd=32, n_layer=2, n_head=2, initializer_range=0.3
            )
        ),
        "no attention": MambaForCausalLM(
            MambaConfig(vocab_size=4096, hidden_size=32, num_hidden_layers=2, state_size=8)
        ),
    }


@pytest.mark.parametrize("kind", ["bfloat16", "learned positions", "no attention"])
def test_other_kinds_of_models(tmp_path: Path, kind: str) -> None:
    folder = saved(other_models()[kind], tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval()
    view = row(list(range(7, 4096, 32)), [place % 3 == 0 for place in range(128)])
    assert mean_loss(LossModel(folder).measure(view)) == pytest.approx(own_loss(model, view), abs=1e-5)


def test_loading_and_measuring_say_nothing(folder: str, capfd: pytest.CaptureFixture[str]) -> None:
    LossModel(folder).measure(row([1, 2, 3], [True] * 3))
    assert capfd.readouterr() == ("", "")


def test_a_row_as_long_as_the_context_fits(tmp_path: Path) -> None:
    measuring = LossModel(saved(llama(vocab=8, context=16), tmp_path / "model"))
    fits = row([1] * 16, [True] * 16)
    assert mean_loss(measuring.measure(fits)) is not None
    assert mean_loss(measuring.measure(padded(fits, right=4))) is not None
    assert mean_loss(measuring.measure(joined(fits, fits))) is not None
    long = row([1] * 1700, [True] * 1700, number=1234)
    with pytest.raises(UsageError) as caught:
        measuring.measure(replace(long, source=Source("chats.jsonl", None)))
    assert str(caught.value) == (
        f"--loss {tmp_path}/model: row 1,234 has 1,700 tokens, and the context of this model is 16; "
        "choose shorter rows, or name a model with a longer context"
    )
    with pytest.raises(UsageError, match="has 17 tokens in one document, and the context"):
        measuring.measure(joined(fits, row([1] * 17, [True] * 17)))


def test_of_several_rows_the_ones_that_are_too_long_have_no_losses(tmp_path: Path) -> None:
    folder = saved(llama(context=200), tmp_path / "model")
    printed = run_sftcli(*QA, "--rows", ":8", "--loss", folder, "--format", "json")
    rows = [json.loads(line) for line in printed.out.splitlines()]
    long = [row["counts"]["tokens"] > 200 for row in rows]
    assert 0 < sum(long) < 8
    assert [row["marks"] == ["too-long-for-model"] for row in rows] == long
    assert [all(token["loss"] is None for token in row["tokens"]) for row in rows] == long
    count = f"{sum(long)} rows are" if sum(long) > 1 else "1 row is"
    warned = f"warning: {count} longer than the model's context, and shown without losses\n"
    assert (printed.code, printed.err) == (0, warned)
    text = run_sftcli(*QA, "--rows", f"{long.index(True)}:", "--max-rows", "1", "--loss", folder).out
    assert text.splitlines()[1] == (
        "! too-long-for-model: the row is longer than the model's context, and has no"
    )
    alone = run_sftcli(*QA, "--row", str(long.index(True)), "--loss", folder)
    assert (alone.code, alone.out) == (2, "")
    assert "and the context of this model is 200; choose shorter rows" in alone.err


def test_a_stretched_context(tmp_path: Path) -> None:
    rope = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "rope_theta": 1e4}
    config = LlamaConfig(vocab_size=8, max_position_embeddings=16, rope_parameters=rope, **SMALL)
    measuring = LossModel(saved(LlamaForCausalLM(config), tmp_path / "model"))
    assert mean_loss(measuring.measure(row([1] * 64, [True] * 64))) is not None
    with pytest.raises(UsageError, match="has 65 tokens, and the context of this model is 64;"):
        measuring.measure(row([1] * 65, [True] * 65))


def test_an_id_that_the_model_does_not_have(tmp_path: Path) -> None:
    measuring = LossModel(saved(llama(vocab=8), tmp_path / "model"))
    assert mean_loss(measuring.measure(row([0, 7], [True] * 2))) is not None
    view = replace(row([0, 128256, 8], [True] * 3), source=Source("chats.jsonl", 3))
    with pytest.raises(TokenizerError) as caught:
        measuring.measure(view)
    assert str(caught.value) == (
        f"--loss {tmp_path}/model: chats.jsonl:3 has the id 128,256, and this model has 8 ids, from 0; name "
        "a model for the tokenizer of this row, or resize its embeddings as prepare's report says"
    )


def test_a_loss_that_is_no_number(tmp_path: Path) -> None:
    model = llama(vocab=8)
    with torch.no_grad():
        model.lm_head.weight.fill_(math.nan)
    measuring = LossModel(saved(model, tmp_path / "model"))
    with pytest.raises(
        UsageError, match="the loss of token 1 of row 0 is nan; the model's weights are broken"
    ):
        measuring.measure(row([0, 1], [True] * 2))


def test_a_model_for_another_tokenizer(tmp_path: Path, small: Callable[[str], Tokenizer]) -> None:
    measuring = LossModel(saved(llama(vocab=8), tmp_path / "model"))
    demo, other = load_tokenizer("demo"), small("llama3_small")
    measuring.check_tokenizer(demo)  # the model comes without one
    for name, content in demo.files.items():
        (tmp_path / "model" / name).write_bytes(content)
    measuring.check_tokenizer(demo)
    measuring.check_tokenizer(demo.with_control_tokens(["<|more|>"]))
    with pytest.raises(TokenizerError) as caught:
        measuring.check_tokenizer(other)
    texts = [(demo.reference.id_to_token(id_), other.reference.id_to_token(id_)) for id_ in range(other.size)]
    first = next(id_ for id_, (ours, theirs) in enumerate(texts) if ours != theirs)
    assert str(caught.value) == (
        f"--loss {tmp_path}/model: this model's own tokenizer is not that of the rows: id {first} is "
        f"{texts[first][0]!r} there and {texts[first][1]!r} in {other.name!r}; name the model that these "
        "rows are for"
    )


def refused(folder: Path | str) -> str:
    with pytest.raises(UsageError) as caught:
        LossModel(str(folder))
    return str(caught.value).removeprefix(f"--loss {folder}: ")


def test_a_model_that_cannot_run(tmp_path: Path) -> None:
    heads = 2  # of which this kind of model needs four or more
    config = CodeGenConfig(vocab_size=8, n_positions=16, n_embd=16, n_layer=1, n_head=heads, rotary_dim=4)
    measuring = LossModel(saved(CodeGenForCausalLM(config), tmp_path / "model"))
    with pytest.raises(
        UsageError, match=r"/model: the model fails on a row of 3 tokens: shape '.*' is invalid"
    ):
        measuring.measure(row([1, 2, 3], [True] * 3))


def test_what_is_no_model(tmp_path: Path) -> None:
    assert refused(tmp_path / "no") == "no such folder; name the folder of a model, or a hub name"
    offline = "HF_HUB_OFFLINE is set, so nothing was downloaded"
    assert refused("w/nomodel") == f"no such folder, and not in the hub's local cache ({CACHE}); {offline}"
    assert refused("w nomodel") == "no such folder, and not a hub name"
    assert refused(tmp_path) == "no config.json in this folder; name the folder of a model"
    (tmp_path / "adapter_config.json").write_text("{}")
    assert refused(tmp_path) == "an adapter without its model; merge them and save the whole"
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    assert refused(tmp_path).startswith("transformers cannot load it as a causal language model: ")


@pytest.mark.parametrize("parts", [1, 3])
def test_a_model_in_the_hubs_cache_is_loaded_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    """Where a part of it is missing, the hub would have to be asked."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repo = tmp_path / "models--w--model"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("a" * 40)
    there = repo / "snapshots" / ("a" * 40)
    llama(vocab=8).save_pretrained(there, max_shard_size="40KB" if parts > 1 else "5GB")
    weights = sorted(there.glob("*.safetensors"))
    assert (len(weights) > 1) == (parts > 1)
    assert loss_module._is_here("w/model")
    weights[-1].unlink()
    assert "not in the hub's local cache" in refused("w/model")


def test_a_model_that_does_not_predict_the_next_token(tmp_path: Path) -> None:
    size = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    folder = saved(T5ForConditionalGeneration(T5Config(vocab_size=8, **size)), tmp_path / "t5")
    assert refused(folder).startswith("transformers cannot load it as a causal language model: ")


def test_a_model_without_all_of_its_weights(tmp_path: Path) -> None:
    folder = saved(llama(vocab=8).model, tmp_path / "headless")
    assert refused(folder) == (
        "the weights lack lm_head.weight, which would be random; name a folder that holds the whole causal "
        "language model"
    )


def test_without_torch_it_says_what_to_install(folder: str) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from sftcli.view.loss import LossModel\n"
        "from sftcli.errors import UsageError\n"
        "try: LossModel(sys.argv[1])\n"
        "except UsageError as problem: print(problem)"
    )
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("--loss needs torch (")
    assert done.stdout.endswith("): pip install 'sftcli[loss]', or leave --loss out\n")


QA = (
    "inspect",
    str(EXAMPLES / "gsm8k.jsonl"),
    "-t",
    "demo",
    "--template",
    str(CONFIGS / "templates" / "qa.yaml"),
)


def test_inspect_shows_the_losses(folder: str, model: Any, measuring: LossModel) -> None:
    printed = run_sftcli(*QA, "--row", "1", "--loss", folder, "--format", "json")
    assert (printed.code, printed.err) == (0, "")
    tokens = json.loads(printed.out)["tokens"]
    view = row([token["id"] for token in tokens], [token["trained"] for token in tokens])
    expected = losses(measuring.measure(view))
    assert tokens[0]["loss"] is None
    assert [token["loss"] for token in tokens[1:]] == pytest.approx(expected[1:], abs=1e-4)
    text = run_sftcli(*QA, "--row", "1", "--loss", folder)
    assert (text.code, text.err) == (0, "")
    shown = float(text.out.rpartition("mean loss ")[2])
    assert shown == pytest.approx(own_loss(model, view), abs=1e-4)


def test_inspect_refuses_what_is_no_model(tmp_path: Path) -> None:
    ended = run_sftcli(*QA, "--loss", str(tmp_path))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        f"error: --loss {tmp_path}: no config.json in this folder; name the folder of a model\n"
    )
