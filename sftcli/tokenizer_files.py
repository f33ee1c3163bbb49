"""Where a tokenizer's files are: a folder, one file, the package, or the hub's local cache."""

import difflib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

from sftcli.errors import TokenizerError

# What a folder may hold besides tokenizer.json; all of it travels to OUT/tokenizer.
SIDE_FILES = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
)

MAX_BYTES = 1 << 28  # of one file; the largest vocabularies take a tenth of that


def find_files(source: str) -> dict[str, bytes]:
    path = Path(source)
    # A folder of that name, such as an output, is no tokenizer unless it looks like one.
    if source == "demo" and not (path / "tokenizer.json").exists():
        folder = resources.files("sftcli") / "data" / "demo"
        return _read_files({entry.name: Path(str(entry)) for entry in folder.iterdir()})
    if path.is_file():
        names = {name: path.parent / name for name in SIDE_FILES}
        return _read_files({"tokenizer.json": path, **names})
    if path.is_dir():
        return _from_folder(path)
    if source.startswith(("/", ".", "~")) or source.count("/") > 1:
        raise TokenizerError(f"tokenizer {source!r}: no such file or folder")
    return _from_hub(source)


def _from_folder(folder: Path) -> dict[str, bytes]:
    if (folder / "tokenizer.json").is_file():
        return _read_files({name: folder / name for name in ("tokenizer.json", *SIDE_FILES)})
    slow = [
        name
        for name in ("tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
        if (folder / name).is_file()
    ]
    if not slow:
        there = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "nothing"
        raise TokenizerError(f"tokenizer {str(folder)!r}: no tokenizer.json in this folder (it has {there})")
    return _converted(folder, slow)


def _converted(folder: Path, slow: Sequence[str]) -> dict[str, bytes]:
    """Let transformers make a tokenizer.json from an older kind of vocabulary file."""
    from tempfile import TemporaryDirectory

    from transformers import AutoTokenizer

    try:
        with TemporaryDirectory() as scratch:
            AutoTokenizer.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True
            ).save_pretrained(scratch)
            return _from_folder(Path(scratch))
    except Exception as problem:  # whatever a converter trips over
        raise TokenizerError(
            f"tokenizer {str(folder)!r}: has {', '.join(slow)} but no tokenizer.json, and transformers "
            f"could not convert it: {str(problem).splitlines()[0]}"
        ) from None


def _from_hub(name: str) -> dict[str, bytes]:
    """From the hub's local cache, and only what is missing there from the hub itself."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.constants import HF_HUB_CACHE, HF_HUB_OFFLINE
    from huggingface_hub.errors import HFValidationError

    try:
        cached = {file: try_to_load_from_cache(name, file) for file in ("tokenizer.json", *SIDE_FILES)}
    except HFValidationError:
        raise TokenizerError(f"tokenizer {name!r}: no such file or folder, and not a hub name") from None
    paths = {file: Path(path) for file, path in cached.items() if isinstance(path, str)}
    if "tokenizer.json" not in paths and HF_HUB_OFFLINE:
        raise TokenizerError(
            f"tokenizer {name!r}: no such file or folder, and not in the local cache of the hub "
            f"({HF_HUB_CACHE}); HF_HUB_OFFLINE is set, so nothing was downloaded"
        )
    if "tokenizer.json" not in paths:
        try:
            there = [file for file in ("tokenizer.json", *SIDE_FILES) if _is_on_hub(name, file)]
            paths = {file: Path(hf_hub_download(name, file)) for file in there}
        except Exception as problem:  # the hub's own errors, and those of whatever HTTP library it uses
            reason = (str(problem).splitlines() or [type(problem).__name__])[0]
            raise TokenizerError(
                f"tokenizer {name!r}: no such file or folder, not in the hub's local cache ({HF_HUB_CACHE}), "
                f"and the hub cannot be asked or refuses: {reason}{_hint(name)}"
            ) from None
    return _read_files(paths)


def _hint(name: str) -> str:
    """The tokenizer that may have been meant: the package's own, or a folder beside us."""
    here = [entry.name for entry in Path().iterdir() if entry.is_dir()]
    near = difflib.get_close_matches(name, ["demo", *here], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _is_on_hub(name: str, file: str) -> bool:
    """Asked once, without the repeated tries of a download; tokenizer.json must be there."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError

    try:
        get_hf_file_metadata(hf_hub_url(name, file), timeout=10)
    except EntryNotFoundError:
        if file == "tokenizer.json":
            raise
        return False
    return True


def _read_files(paths: Mapping[str, Path]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for name, path in paths.items():
        if name == "tokenizer.json" or path.is_file():
            files[name] = _read_file(path)
    return files


def _read_file(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise TokenizerError(
                f"{path}: has {size:,} bytes; a tokenizer file of over {MAX_BYTES:,} is not read"
            )
        return path.read_bytes()
    except OSError as problem:
        raise TokenizerError(f"{path}: cannot be read: {problem.strerror}") from None
