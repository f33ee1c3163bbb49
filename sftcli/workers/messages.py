"""What processes say to each other, as frames of MessagePack through pipes."""

import signal
import struct
import traceback
from typing import BinaryIO

import msgspec

from sftcli import errors
from sftcli.errors import EnvironmentFault, FileError, InternalError, SftcliError

# A terminal tells all its processes, of which the first one ends the others.
NOT_FOR_WORKERS = (signal.SIGINT, signal.SIGHUP)
OUT_OF_MEMORY = 12  # the exit code of a process that could get no more
_SIZE = struct.Struct("<Q")


class Warm(msgspec.Struct, tag=True):
    """A tokenizer.json that will be needed: its loading takes longest."""

    tokenizer_json: bytes


class Begin(msgspec.Struct, tag=True):
    """The run's spec, encoded; see `spec`."""

    spec: bytes


class Do(msgspec.Struct, tag=True):
    """A split to be done. `records` is what is left of a limit. `left_out` are lines not to be read.

    `slowly`: tell before each block which lines come next.
    """

    number: int
    left_out: list[int] = []
    slowly: bool = False


class Try(msgspec.Struct, tag=True):
    """Lines [first, last] of a split to be gone through one by one, without writing: told before each one."""

    number: int
    first: int
    last: int
    left_out: list[int] = []


class Ready(msgspec.Struct, tag=True):
    """The spec was understood."""


class Went(msgspec.Struct, tag=True):
    """A step further: see Step."""

    bytes: int
    tokens: int
    bad: int


class At(msgspec.Struct, tag=True):
    """The lines that come next."""

    first: int
    last: int


class Finished(msgspec.Struct, tag=True):
    """The split is done, and what became of it is in the staging folder."""

    number: int


class Failed(msgspec.Struct, tag=True):
    """What was to be done could not be: the error's class and message, and what a FileError knows."""

    kind: str
    message: str
    code: str = ""
    line: int | None = None
    column: int | None = None
    trace: str = ""

    @classmethod
    def of(cls, problem: BaseException) -> "Failed":
        trace = "".join(traceback.format_exception(problem))
        if isinstance(problem, FileError):
            return cls("FileError", str(problem), problem.code, problem.line, problem.column, trace)
        if isinstance(problem, OSError):
            place = f"{problem.filename}: " if isinstance(problem.filename, str) else ""
            return cls("EnvironmentFault", f"{place}{problem.strerror or problem}", trace=trace)
        if isinstance(problem, SftcliError):
            return cls(type(problem).__name__, str(problem), trace=trace)
        return cls("InternalError", f"{type(problem).__name__}: {problem}", trace=trace)

    def error(self) -> SftcliError:
        """The error again, to be raised here."""
        found: SftcliError
        if self.kind == "FileError":
            found = FileError(self.message, code=self.code, line=self.line, column=self.column)
        else:
            kind = getattr(errors, self.kind, InternalError)
            known = isinstance(kind, type) and issubclass(kind, SftcliError)
            found = kind(self.message) if known else InternalError(self.message)
        found.add_note(f"In the worker process:\n{self.trace}")
        return found

    @property
    def is_fault(self) -> bool:
        """Whether it is the machine's, which no other split does better on."""
        return self.kind == EnvironmentFault.__name__


Order = Warm | Begin | Do | Try
Answer = Ready | Went | At | Finished | Failed

_encode = msgspec.msgpack.encode
orders = msgspec.msgpack.Decoder(Order)
answers = msgspec.msgpack.Decoder(Answer)


def send(pipe: BinaryIO, message: Order | Answer) -> None:
    """Send one message. Raises BrokenPipeError where nobody reads any more."""
    data = _encode(message)
    left = memoryview(_SIZE.pack(len(data)) + data)
    while left:  # a bare pipe may take a part of it only
        left = left[pipe.write(left) :]
    pipe.flush()


def receive(pipe: BinaryIO) -> bytes:
    """The bytes of the next message. Raises EOFError where none will come."""
    (size,) = _SIZE.unpack(_exactly(pipe, _SIZE.size))
    return _exactly(pipe, size)


def _exactly(pipe: BinaryIO, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = pipe.read(size)
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
