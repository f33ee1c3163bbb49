"""Files of a folder against the manifest: there, of that size, of that sha256, and no others."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from sftcli.errors import TokenizerError
from sftcli.findings.finding import Finding
from sftcli.manifest import MANIFEST, STAGING, file_facts
from sftcli.prepared import Facts, FileFacts
from sftcli.tokenizer import load_tokenizer

_AGAIN = "prepare the folder again, or fetch an undamaged copy"


def check_file(folder: Path, name: str, facts: FileFacts) -> Finding | None:
    """What is wrong with one listed file; all of it is read, unless its size says enough."""
    path = folder / name
    place = str(path)
    try:
        if not path.is_file():  # a pipe in its place would be waited for
            there = "is not a plain file" if os.path.lexists(path) else "is missing"
            return Finding("V003", f"{there}, and the manifest lists it; {_AGAIN}", place)
        size = path.stat().st_size
        if size != facts.bytes:
            message = f"has {size:,} bytes, and the manifest says {facts.bytes:,}; {_AGAIN}"
            return Finding("V004", message, place)
        digest = file_facts(path)["sha256"]
    except OSError as problem:
        return Finding("V006", f"cannot be read: {problem.strerror or problem}", place)
    if digest != facts.sha256:
        told = f"its sha256 is {digest[:12]}..., and the manifest says {facts.sha256[:12]}..."
        return Finding("V005", f"has other bytes than were written: {told}; {_AGAIN}", place)
    return None


_SHARDS = (".parquet", ".arrow", ".npy")


def check_strays(folder: Path, facts: Facts) -> Iterator[Finding]:
    """Files that the manifest does not list."""
    if (folder / STAGING).exists():
        message = (
            "left behind by a run that was killed, unless one is writing here now; "
            "delete it, or let the next `sftcli prepare` do so"
        )
        yield Finding("V020", message, str(folder / STAGING))
    listed = {*facts.files, MANIFEST}
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if Path(root, name) != folder / STAGING)
        # What a link leads to is not walked through; where files are listed in it, they are told.
        links = [name for name in folders if Path(root, name).is_symlink()]
        for name in sorted([*names, *links]):
            path = Path(root, name)
            inside = path.relative_to(folder).as_posix()
            if inside not in listed and not (name in links and _holds(inside, listed)):
                yield _stray(path)


def _stray(path: Path) -> Finding:
    if path.suffix in _SHARDS:
        message = "is not listed in the manifest, and is read with the shards; move it elsewhere"
        return Finding("V030", message, str(path))
    message = "is not listed in the manifest, and some readers take every file; move it elsewhere"
    return Finding("V019", message, str(path))


def _holds(inside: str, listed: Iterable[str]) -> bool:
    return any(name.startswith(f"{inside}/") for name in listed)


def check_links(folder: Path, facts: Facts) -> Iterator[Finding]:
    """Listed files that lie elsewhere; a link to the folder itself is none of them."""
    here = folder.resolve()
    for name in (*facts.files, MANIFEST):
        path = folder / name
        if path.exists() and path.resolve() != here / name:
            message = (
                "is a link, or lies in one: it can change or go without the folder; copy it here (cp -L)"
            )
            yield Finding("V025", message, str(path))


def check_tokenizer(folder: Path, facts: Facts) -> Iterator[Finding]:
    """Whether the saved tokenizer is the one that made the rows; its files are as they are listed."""
    name = "tokenizer/tokenizer.json"
    listed = facts.files.get(name)
    place = str(folder / name)
    if listed is None:
        yield Finding("V018", f"is not listed in the manifest; {_AGAIN}", place)
        return
    if listed.sha256 != facts.tokenizer.sha256:
        told = f"its sha256 is {listed.sha256[:12]}..., the other's {facts.tokenizer.sha256[:12]}..."
        yield Finding("V018", f"is not the tokenizer that made the rows: {told}; {_AGAIN}", place)
        return
    try:
        tokenizer = load_tokenizer(str(folder / "tokenizer"))
    except TokenizerError as problem:
        yield Finding("V018", f"cannot be loaded: {problem}; {_AGAIN}", place)
        return
    if tokenizer.size != facts.tokenizer.size:
        told = f"has {tokenizer.size:,} ids, and the manifest says {facts.tokenizer.size:,}"
        yield Finding("V018", f"{told}; {_AGAIN}", place)
    for special in sorted({*tokenizer.specials, *facts.tokenizer.special_tokens}):
        own, then = tokenizer.specials.get(special), facts.tokenizer.special_tokens.get(special)
        if own != then:
            told = f"has the {special} token {own!r}, and the manifest says {then!r}"
            yield Finding("V018", f"{told}; {_AGAIN}", str(folder / "tokenizer"))
    for token in facts.tokenizer.added_tokens:
        control = tokenizer.control_tokens.get(token.text)
        if control is None or control.id != token.id:
            told = f"has no control token {token.text!r} of the id {token.id:,}, and the manifest lists it"
            yield Finding("V018", f"{told}; {_AGAIN}", place)
