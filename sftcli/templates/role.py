"""Role templates: what stands around each message of a conversation."""

import re
from collections.abc import Mapping

import msgspec

from sftcli.conversation import Message
from sftcli.errors import RecordError, TemplateError
from sftcli.templates.specials import fill_specials

_NAME_IN_BRACES = re.compile(r"\{(?!(?:bos|eos|pad|sep|unk)\})[a-z_]+\}")


class TurnLayout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands around one message's content.

    `before` is masked: for the assistant it is what the generation prompt supplies. `lead` is
    what the model writes itself before the content, `end` the terminator, `after` what follows
    the terminator and is never trained.
    """

    before: str = ""
    lead: str = ""
    end: str = ""
    after: str = ""


class RoleTemplate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A conversation's layout: one TurnLayout per role.

    `system_in_user`: for layouts without a system turn, how the system text stands at the head of
    the first user turn (`"{system}\\n\\n"`). `control_tokens` must be control tokens of the
    tokenizer; without them the layout would not mean what it says.
    """

    name: str
    roles: dict[str, TurnLayout]
    description: str = ""
    begin: str = ""
    close: str = ""
    trim: bool = False
    default_system: str | None = None
    system_in_user: str | None = None
    control_tokens: list[str] = []

    def refusal(self, message: Message, turn: int) -> RecordError:
        """Why this template has no layout for a message that has a role or parts it does not know.

        `turn` is its place in the record, -1 for a system text that the record does not hold.
        """
        where = f"message {turn}" if turn >= 0 else "the system text"
        path = ("messages", turn) if turn >= 0 else ()
        if message.role not in self.roles:
            return RecordError(
                "unsupported_role",
                f"{where}: template {self.name!r} has no layout for role {message.role!r} "
                f"(it has {', '.join(self.roles)})",
                path=path,
            )
        what = "tool calls" if message.tool_calls else "reasoning_content"
        return RecordError(
            "unsupported_message",
            f"{where}: template {self.name!r} has no layout for {what}; "
            "take a chat template that has one: --template tokenizer, if the tokenizer brings one, or "
            "--template FILE.jinja",
            path=path,
        )

    def check(self) -> None:
        if "assistant" not in self.roles:
            raise TemplateError(f"template {self.name!r}: roles: needs an `assistant` entry")
        if not self.roles["assistant"].end:
            raise TemplateError(
                f"template {self.name!r}: roles.assistant.end is empty: a turn that never ends "
                "cannot be trained to stop; use '{eos}' if the layout has no terminator of its own"
            )
        if self.system_in_user is not None and "{system}" not in self.system_in_user:
            raise TemplateError(f"template {self.name!r}: system_in_user has no {{system}} in it")
        for role, turn in self.roles.items():
            # What follows the terminator is not the model's to write.
            end = turn.end.rstrip()
            if end and end != turn.end:
                after = turn.end.removeprefix(end) + turn.after
                self.roles[role] = msgspec.structs.replace(turn, end=end, after=after)
        turns = {f"roles.{role}": msgspec.structs.astuple(turn) for role, turn in self.roles.items()}
        for key, texts in {**turns, "begin": (self.begin,), "close": (self.close,)}.items():
            unknown = next((name[0] for name in map(_NAME_IN_BRACES.search, texts) if name), None)
            if unknown:
                raise TemplateError(
                    f"template {self.name!r}: {key}: {unknown} is not a special token of a tokenizer "
                    "({bos}, {eos}, {pad}, {sep}, {unk}); a message's content needs no placeholder, it "
                    "stands between `before` and `end`"
                )

    def resolve(self, specials: Mapping[str, str | None], bos: str) -> "RoleTemplate":
        """Put the tokenizer's special tokens in place of `{bos}`, `{eos}`, ...

        `bos` is the BOS that every row must start with, or "" where the tokenizer wants none.
        """

        def fill(text: str) -> str:
            return fill_specials(text, specials, self.name)

        begin = fill(self.begin)
        return msgspec.structs.replace(
            self,
            roles={
                role: TurnLayout(*(fill(getattr(turn, part)) for part in TurnLayout.__struct_fields__))
                for role, turn in self.roles.items()
            },
            begin=begin if not bos or begin.startswith(bos) else bos + begin,
            close=fill(self.close),
            system_in_user=None if self.system_in_user is None else fill(self.system_in_user),
            control_tokens=[fill(token) for token in self.control_tokens],
        )
