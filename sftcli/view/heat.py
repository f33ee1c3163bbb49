"""Loss -> heat: six steps on a fixed scale, so that rows and pages can be compared."""

from bisect import bisect_right

# Nats: a model that gave the token 90, 50, 20, 5 or 1 percent.
BOUNDS = (0.1, 0.7, 1.6, 3.0, 4.6)
# SGR parameters. Of 256 colours, dark letters on green to red where trained and on greys where not;
# of the basic ones, on green, yellow and red, and nothing where not trained.
_DEEP = {
    True: tuple(f"38;5;16;48;5;{color}" for color in (194, 230, 222, 215, 209, 203)),
    False: tuple(f"38;5;16;48;5;{color}" for color in (255, 253, 250, 248, 246, 244)),
}
_BASIC = {True: ("30;42", "30;42", "30;43", "30;43", "30;41", "30;41"), False: ("2",) * 6}


def heat_style(loss: float, trained: bool, deep: bool) -> str:
    """SGR parameters for a token's loss in nats; `deep` where the terminal has 256 colours."""
    return (_DEEP if deep else _BASIC)[trained][bisect_right(BOUNDS, loss)]


def digit(loss: float) -> str:
    """A loss in nats as one digit, rounded; 9 for all that is more."""
    return str(round(loss)) if loss < 9 else "9"


def legend(color: bool, deep: bool) -> str:
    """The scale in one line, as wide as it is long."""
    if not color:
        return "one digit below each token: its loss in nats, 9 for more; exact in --view table"
    bounds = BOUNDS if deep else BOUNDS[1::2]  # of the basic colours, two steps share one
    words = [f"<{bound:g}" for bound in bounds] + [f">={bounds[-1]:g}"]
    losses = (0.0, *bounds)
    steps = [
        f"\x1b[{heat_style(loss, True, deep)}m {word} \x1b[0m"
        for loss, word in zip(losses, words, strict=True)
    ]
    return "loss in nats " + " ".join(steps) + (", grey where masked" if deep else ", none where masked")
