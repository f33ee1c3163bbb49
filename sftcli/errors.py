"""Every error that sftcli raises on purpose, and the exit code each one ends in.

SftcliError
├── UsageError          2  an option, config, template or tokenizer that cannot work
│   ├── ConfigError
│   ├── TemplateError
│   ├── TokenizerError
│   └── OutputError        an output folder that must not be touched
├── DataError           1  findings in the data
│   ├── RecordError        one record; the reader's context adds file, line and column
│   ├── FileError          a whole input that is not what it says it is
│   ├── BadRecordsError    the run stopped because of bad records
│   └── TooManyBadError    more bad records than may be left out
├── EnvironmentFault    3  disk, permissions, network; a retry may work
└── InternalError       4  a bug in sftcli

A message says what is wrong, where, and what to do next.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class SftcliError(Exception):
    """The root; `exit_code` is what the process ends with."""

    exit_code = 4


class UsageError(SftcliError):
    exit_code = 2


class ConfigError(UsageError):
    """A config file or a combination of options that cannot work."""


class TemplateError(UsageError):
    """A template that is unknown, malformed, or does not fit the tokenizer."""


class TokenizerError(UsageError):
    """A tokenizer that is missing, unreadable, or lacks what the template needs."""


class OutputError(UsageError):
    """An output folder that exists and must not be overwritten."""


class DataError(SftcliError):
    exit_code = 1


class RecordError(DataError):
    """One record that cannot become a row.

    `code` is stable and machine-readable. `path` leads from the record's root to the offending
    value, such as `("messages", 2, "role")`; the reader turns it into a column.
    `column` (1-based, in code points) is set where the parser itself knows the place.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        path: Sequence[str | int] = (),
        column: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.path = tuple(path)
        self.column = column


class FileError(DataError):
    """An input file that cannot be read as what it claims to be.

    `code` is stable and machine-readable, as that of a RecordError is. `line` and `column` (1-based)
    are set where one place in the file is to blame; the message begins with them.
    """

    def __init__(
        self, message: str, *, code: str = "unreadable", line: int | None = None, column: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Reject:
    """A bad record with its place: what the user is shown and what a quarantine keeps.

    `line` and `column` are 1-based (columns in code points), `byte` is the offset of the line's
    first byte in the (decompressed) input, `code` the name of a rule, `raw` the line without its line
    break.
    """

    file: str
    line: int
    column: int
    byte: int
    code: str
    message: str
    raw: bytes

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    @property
    def reason(self) -> str:
        """The rule that is broken, and how."""
        from sftcli.rules.catalogue import BY_NAME  # loaded where something is bad

        return f"{BY_NAME[self.code].code} {self.code}: {self.message}"

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


class BadRecordsError(DataError):
    """Bad records ended the run; `rejects` holds the first of them, `total` counts all seen.

    `other_format` is an input whose records are of another format than those of the inputs before it.
    """

    def __init__(
        self, rejects: Sequence[Reject], total: int, partial: bool, other_format: str | None = None
    ) -> None:
        super().__init__(f"{total} bad record{'s' if total != 1 else ''}")
        self.rejects = list(rejects)
        self.total = total
        self.partial = partial
        self.other_format = other_format


class TooManyBadError(DataError):
    """More bad records were left out than the user allows."""


class EnvironmentFault(SftcliError):  # noqa: N818 (a fault of the machine, not of the user)
    exit_code = 3


class InternalError(SftcliError):
    exit_code = 4
