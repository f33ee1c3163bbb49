"""MaskPolicy: which turns of a conversation are trained, and which turns' terminators."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sftcli.conversation import Message, TrainOn, TrainOnEos


@dataclass(frozen=True)
class MaskPolicy:
    """What is trained, beside what a message says for itself (MaskPolicy() is contract M2).

    `train_on`: every assistant turn, the last one only, or all text. `train_on_eos`: the
    terminator of each trained turn, of the last trained turn only, of none, or of every turn
    whoever speaks (`all`, which includes a template's closing token). Turns of `trained_roles` are
    trained too; of the assistant's still those that `train_on` says. Nothing in the turns of
    `masked_roles` is, whatever else says so.
    """

    train_on: TrainOn = "assistant"
    train_on_eos: TrainOnEos = "turn"
    trained_roles: frozenset[str] = frozenset()
    masked_roles: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, train_on: TrainOn, train_on_eos: TrainOnEos, loss_weight: Mapping[str, float]
    ) -> "MaskPolicy":
        """Roles of a weight above 0 are trained, and those of weight 0 masked."""
        trained = frozenset(role for role, weight in loss_weight.items() if weight)
        return cls(train_on, train_on_eos, trained, frozenset(loss_weight) - trained)

    @property
    def everything(self) -> bool:
        """Whether the template's own text is trained too."""
        return self.train_on == "all"

    def layout_trained(self, role: str) -> bool:
        """Whether the template's text around the turns of a role is trained."""
        return self.train_on == "all" and role not in self.masked_roles

    def turns(self, messages: Sequence[Message]) -> list[bool]:
        """Which messages are trained: the record's own flag where it has one, else the policy."""
        wanted = [self.layout_trained(message.role) for message in messages]
        answers = [index for index, message in enumerate(messages) if message.role == "assistant"]
        for index in answers[-1:] if self.train_on == "last" else answers:
            wanted[index] = True
        return [
            message.role not in self.masked_roles
            and (
                message.trained
                if message.trained is not None
                else want or (message.role != "assistant" and message.role in self.trained_roles)
            )
            for message, want in zip(messages, wanted, strict=True)
        ]

    def role_trained(self, role: str, by_itself: bool) -> bool:
        """Whether text of a role is trained, that is or is not trained by itself."""
        return (by_itself or self.everything or role in self.trained_roles) and role not in self.masked_roles

    def end_trained(self, role: str, turn_trained: bool, is_last_trained: bool) -> bool:
        """Whether the terminator of a turn is trained."""
        if role in self.masked_roles:
            return False
        if self.train_on_eos == "turn":
            return turn_trained
        if self.train_on_eos == "last":
            return is_last_trained
        return self.train_on_eos == "all"

    @property
    def close_trained(self) -> bool:
        """Whether what closes the whole conversation is trained."""
        return self.train_on_eos == "all" or (self.everything and self.train_on_eos != "none")
