"""What `-o FILE` and the like must not take the place of."""

from collections.abc import Iterable, Iterator
from glob import glob
from pathlib import Path

from sftcli.errors import SftcliError, UsageError
from sftcli.manifest import MANIFEST, read_manifest


def check_output_file(flag: str, output: str, read: Iterable[str | None]) -> None:
    """Raise UsageError for a folder, for anything that is read, and for a file of a dataset.

    `read` are the files, patterns and folders that the run takes in (inputs, config, template,
    tokenizer, model); names that are none of these, such as those of built-in templates, do no harm.
    """
    path = Path(output)
    if path.is_dir():
        raise UsageError(f"{flag} {output}: is a folder; name a file")
    place = path.resolve()
    for taken in _there(read):
        if path.exists() and path.samefile(taken):
            raise UsageError(f"{flag} {output}: is what is read, and would be lost; name another file")
        if taken.is_dir() and taken.resolve() in place.parents:
            raise UsageError(f"{flag} {output}: lies in {taken}, which is read; name a file elsewhere")
    dataset = next(filter(_is_dataset, place.parents), None)
    if dataset is not None:
        raise UsageError(f"{flag} {output}: lies in the dataset {dataset}; name a file elsewhere")


def _there(names: Iterable[str | None]) -> Iterator[Path]:
    for name in filter(None, names):
        if Path(name).exists():
            yield Path(name)
        else:
            yield from map(Path, glob(name, recursive=True))


def _is_dataset(folder: Path) -> bool:
    try:
        return (folder / MANIFEST).is_file() and bool(read_manifest(folder))
    except SftcliError:  # other programs have manifests too
        return False
