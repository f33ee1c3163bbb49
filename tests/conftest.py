"""What tests share: tokenizers, small ones trained here and real ones where the shared folder is."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import hypothesis
import pytest
import small_tokenizers

from sftcli.tokenizer import Tokenizer, load_tokenizer

# The same examples on every run; `--hypothesis-profile=campaign` looks for new ones.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, database=None, max_examples=40)
hypothesis.settings.register_profile("campaign", deadline=None, database=None, max_examples=2_500)
hypothesis.settings.load_profile("ci")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and tokenizers: $SFTCLI_SHARED, or `shared` beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("SFTCLI_SHARED") or beside)
    if not folder.is_dir():
        pytest.skip(
            "needs the shared data: no `shared` folder beside the checkout, and SFTCLI_SHARED names none"
        )
    return folder


@pytest.fixture(scope="session")
def llama3(shared: Path) -> Tokenizer:
    return _real(shared, "llama3")


@pytest.fixture(scope="session")
def gpt2(shared: Path) -> Tokenizer:
    return _real(shared, "gpt2")


def _real(shared: Path, name: str) -> Tokenizer:
    folder = shared / "tokenizers" / name
    if not folder.is_dir():
        pytest.skip(f"needs the {name} tokenizer: no tokenizers/{name} in the shared folder")
    return load_tokenizer(str(folder))


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Tokenizer]:
    """A tokenizer of small_tokenizers.BUILDERS by its name, built once."""

    @cache
    def build(name: str) -> Tokenizer:
        return small_tokenizers.BUILDERS[name](tmp_path_factory.mktemp("tokenizer") / name)

    return build


@pytest.fixture(scope="session", params=[*small_tokenizers.BUILDERS, "real llama3", "real gpt2"])
def any_tokenizer(request: pytest.FixtureRequest, small: Callable[[str], Tokenizer]) -> Tokenizer:
    """Each small tokenizer and each real one in turn."""
    if request.param.startswith("real "):
        return request.getfixturevalue(request.param.removeprefix("real "))
    return small(request.param)


@pytest.fixture(scope="session", params=["small", "real"])
def llama3_kind(request: pytest.FixtureRequest, small: Callable[[str], Tokenizer]) -> Tokenizer:
    """A tokenizer with Llama 3's control tokens: a small one and the real one."""
    return small("llama3_small") if request.param == "small" else request.getfixturevalue("llama3")
