"""What a manifest says beside its rows, and its other files, against those of the folder made again."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sftcli.findings.finding import Finding
from sftcli.manifest import MANIFEST

_CARD = "README.md"
# What is not compared as it stands, and why.
_MAY_DIFFER = {
    "sftcli": "another version may make the same; it is told beside every difference",
    "libraries": "as sftcli",
    "config": "what the folder was made again from, with the tokenizer that lies in it",
    "shards": "compared one by one, and their rows with them",
    "files": "compared one by one",
    "sha256": "that of all other keys",
}
# Of the tokenizer: the name is that of the folder's own now, which has what was added to it then.
_TOKENIZER_MAY_DIFFER = ("name", "added_tokens")


def differences(
    folder: Path, then: Mapping[str, Any], now: Mapping[str, Any], again: Path, versions: str
) -> Iterator[Finding]:
    """Each key and each file that is another one now, of a folder whose rows are the same.

    `then` and `now` are the manifests of the folder and of `again`, the folder that was made of the same
    inputs. `versions` says which versions differ, and is empty where none does.
    """
    place = str(folder / MANIFEST)
    for name in sorted(_facts(then, versions) | _facts(now, versions)):
        old, new = (_facts(facts, versions).get(name) for facts in (then, now))
        if _told_alike(old, name, then) != _told_alike(new, name, then):
            message = f"its {name} is {_short(old)}, and made again it is {_short(new)}{versions}"
            yield Finding("V023", f"{message}; prepare the folder again", place)
    shards = {shard["file"] for shard in now["shards"]}
    for name in sorted({*then["files"], *now["files"]} - shards):
        told = _other_file(name, folder, then, now, again)
        if told is not None:
            code = "V024" if versions else "V023"
            yield Finding(code, f"{told}{versions}; prepare the folder again", str(folder / name))


def _facts(manifest: Mapping[str, Any], versions: str) -> dict[str, Any]:
    """The keys that are compared; those inside counts, the tokenizer and shards have names of their own."""
    found = {key: value for key, value in manifest.items() if key not in _MAY_DIFFER}
    if versions:
        found.pop("engine", None)
    for key in ("counts", "tokenizer"):
        for name, value in found.pop(key).items():
            if key == "counts" or name not in _TOKENIZER_MAY_DIFFER:
                found[f"{key}.{name}"] = value
    for shard in manifest["shards"]:
        found |= {f"{shard['file']}.{name}": value for name, value in shard.items() if name != "file"}
    return found


def _told_alike(value: Any, name: str, then: Mapping[str, Any]) -> Any:
    """A value without the name of a chat template's file: its text is that of the tokenizer now."""
    if not str(then["config"].get("template")).endswith((".jinja", ".j2")):
        return value
    if name == "sources" and isinstance(value, list):
        return [{key: part for key, part in one.items() if key != "template"} for one in value]
    return None if name == "template" else value


def _other_file(
    name: str, folder: Path, then: Mapping[str, Any], now: Mapping[str, Any], again: Path
) -> str | None:
    """How a file that is no shard differs from that made again, if it does."""
    if name not in then["files"]:
        return "is made now, and was not then"
    if name not in now["files"]:
        return "is not made any more"
    if then["files"][name]["sha256"] == now["files"][name]["sha256"]:
        return None
    if name == _CARD and _card(again, now) == _card(folder, then):
        return None
    return "made again it has other bytes"


def _card(folder: Path, manifest: Mapping[str, Any]) -> bytes:
    """The dataset card but for the names of the template and the tokenizer."""
    text = (folder / _CARD).read_bytes()
    for name in (manifest["tokenizer"]["name"], manifest["template"]):
        text = text.replace(f"`{name}`".encode(), b"``")
    return text


def _short(value: Any) -> str:
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:76]}..."
