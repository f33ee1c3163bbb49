"""The environments that chat templates run in: as transformers', once plain and once tracked.

Both are immutable sandboxes without a loader, and both end hostile templates. The plain one is what
the tracked one is checked against: its text is the template's meaning, by Jinja's own code.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any, cast

import jinja2
from jinja2 import nodes
from jinja2.compiler import CodeGenerator
from jinja2.exceptions import SecurityError, TemplateRuntimeError
from jinja2.ext import Extension, LoopControlExtension
from jinja2.parser import Parser
from jinja2.runtime import Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedFormatter
from jinja2.utils import Namespace

from sftcli.jinja.budget import COMPARING, Budget, LimitError, check_numbers, check_operator
from sftcli.jinja.filters import OWN, plain_tojson
from sftcli.jinja.formatting import brace_format, coarse, to_text
from sftcli.jinja.guards import COMPARED, CUT, LOOP, SEARCHED, set_guards
from sftcli.jinja.origin import NOBODY, Origin, merged
from sftcli.jinja.tracked import Tracked, as_tracked, concat, made, runs_of

_LONGEST_DATE = 200  # the format of a date
Test = Callable[..., bool]
_DICT_METHODS = frozenset(dir(dict))


class RefusalError(jinja2.TemplateError):
    """The template's own raise_exception."""


class _Generation(Extension):
    """The `{% generation %}` tag: what stands in it is the assistant's, the template says."""

    tags = {"generation"}  # noqa: RUF012 (Jinja's own way)

    def parse(self, parser: Parser) -> nodes.CallBlock:
        lineno = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("mark"), [], [], body, lineno=lineno)

    def mark(self, caller: Callable[[], str]) -> str:
        text = caller()
        return self.environment.marked(text) if isinstance(self.environment, TrackedEnvironment) else text


class _Dict:
    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args, **kwargs)


class _Namespace(Namespace):
    """A namespace that takes no private names, so that none reaches into the interpreter."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        self, rest = args[0], args[1:]
        attributes = dict(*rest, **kwargs)
        for name in attributes:
            _check_name(name)
        Namespace.__init__(self, attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        Namespace.__setitem__(self, name, value)


def _check_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace takes no name that starts with an underscore, such as {name!r}")


def _raise_exception(message: Any) -> None:
    raise RefusalError(str(message))


def _lipsum(*args: Any, **kwargs: Any) -> None:
    raise TemplateRuntimeError("lipsum gives another text in every run, so it cannot make a dataset")


class _Generator(CodeGenerator):
    """Jinja's compiler, with text made where it can be counted and tracked."""

    def _output_child_pre(self, node: nodes.Expr, frame: Any, finalize: Any) -> None:
        self.write("environment.to_text(")

    def visit_Concat(self, node: nodes.Concat, frame: Any) -> None:  # noqa: N802 (Jinja's name)
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def visit_ScopedEvalContextModifier(self, node: Any, frame: Any) -> None:  # noqa: N802 (Jinja's name)
        self.fail("{% autoescape %} is not supported in a chat template", node.lineno)


class PlainEnvironment(ImmutableSandboxedEnvironment):
    """transformers' environment, with a fixed date and bounds for hostile templates."""

    intercepted_binops = frozenset(("*", "**", "%", "+"))
    code_generator_class = _Generator

    def __init__(self, today: date) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, LoopControlExtension])
        self.budget = budget = Budget()
        self.concat = self.joined  # type: ignore[method-assign]
        self.filters["tojson"] = plain_tojson
        self.filters["random"] = OWN["random"]
        self.filters = {name: budget.filter(name, function) for name, function in self.filters.items()}
        self.tests |= {name: budget.test(cast("Test", self.tests[name])) for name in COMPARING}
        self._guards = {
            LOOP: budget.loop,
            COMPARED: budget.compared,
            SEARCHED: budget.searched,
            CUT: budget.cut,
        }
        self.filters |= self._guards
        self._today = today
        self.globals.update(
            raise_exception=_raise_exception,
            strftime_now=self._strftime,
            dict=_Dict(),
            namespace=_Namespace,
            lipsum=_lipsum,
        )

    def _strftime(self, text: str) -> str:
        if len(text) > _LONGEST_DATE:
            raise LimitError(f"the format of a date passes the limit of {_LONGEST_DATE} characters")
        return self._today.strftime(text)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        set_guards(tree)
        return tree

    def to_text(self, value: Any) -> str:
        """A value as it is laid down, where it is no text yet."""
        if isinstance(value, str):
            return value
        self.budget.make_room(self.budget.weigh(value))
        return self._text_of(value)

    def _text_of(self, value: Any) -> str:
        return str(value)

    def joined(self, parts: Iterable[Any]) -> str:
        texts = [part if isinstance(part, str) else self.to_text(part) for part in parts]
        self.budget.lay_down(sum(map(len, texts)))
        return self._laid(texts)

    def _laid(self, texts: list[str]) -> str:
        return "".join(texts)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            self.budget.lay_down(len(left) + len(right))
            return left + right
        if operator == "%" and isinstance(left, str):
            self.budget.format(left, right if isinstance(right, tuple) else (right,), "%")
        else:
            self.budget.step(check_operator(operator, left, right))
        result = self.binop_table[operator](left, right)
        if isinstance(result, str):
            self.budget.lay_down(len(result))
        return result

    def call(self, context: Any, function: Any, /, *values: Any, **named: Any) -> Any:
        self.budget.step(4)  # a macro's call costs some twenty times a loop's turn
        owner = getattr(function, "__self__", None)
        if isinstance(owner, str):
            values = self.budget.method(owner, function.__name__, values, named)
        elif not isinstance(function, Macro):
            if isinstance(owner, (int, bytes)):
                check_numbers((*values, *named.values()))
            elif isinstance(owner, (list, tuple, dict)):
                self.budget.cut(owner)
            for value in values:
                self.budget.compared(value)
        result = super().call(context, function, *values, **named)
        if isinstance(result, str):
            self.budget.lay_down(len(result))
        return result

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None

        def run(*values: Any, **named: Any) -> str:
            self.budget.format(value.__self__, (*values, *named.values()), "{")
            return wrapped(*values, **named)

        return run


class TrackedEnvironment(PlainEnvironment):
    """The same environment over Tracked: the text it renders knows whose each character is."""

    def __init__(self, today: date) -> None:
        super().__init__(today)
        self.block = 0
        own = {name: self.budget.filter(name, function) for name, function in OWN.items()}
        self.filters = {name: own.get(name) or _followed(function) for name, function in self.filters.items()}
        self.filters |= self._guards
        self.globals["strftime_now"] = _followed(self._strftime)

    def _text_of(self, value: Any) -> str:
        return to_text(value)

    def _laid(self, texts: list[str]) -> str:
        return concat(texts)

    def marked(self, text: str) -> str:
        """The text of one generation block, which every run of it remembers."""
        self.block += 1
        runs = (
            (length, Origin(origin.turn, origin.field, origin.block or self.block))
            for length, origin in runs_of(text)
            if length or origin.turn != NOBODY
        )
        return made(str.__str__(text) if type(text) is str else text, merged(runs)) if text else text

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            self.budget.lay_down(len(left) + len(right))
            return left + right
        if operator == "%" and isinstance(left, str):
            left = as_tracked(left)
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        if type(obj) is dict and attribute not in _DICT_METHODS:
            # What Jinja would come to by way of an AttributeError.
            try:
                return obj[attribute]
            except KeyError:
                return self.undefined(obj=obj, name=attribute)
        return super().getattr(as_tracked(obj) if type(obj) is str else obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        return super().getitem(as_tracked(obj) if type(obj) is str else obj, argument)

    def call(self, context: Any, function: Any, /, *values: Any, **named: Any) -> Any:
        if type(getattr(function, "__self__", None)) is str:
            function = getattr(as_tracked(function.__self__), function.__name__)
        return super().call(context, function, *values, **named)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        owner = getattr(value, "__self__", None)
        if not isinstance(owner, str) or getattr(value, "__name__", "") not in ("format", "format_map"):
            return None
        formatter = SandboxedFormatter(self)
        is_map = value.__name__ == "format_map"

        def run(*values: Any, **named: Any) -> str:
            if is_map:
                named, values = values[0], ()
            self.budget.format(owner, (*values, *named.values()), "{")
            return brace_format(formatter, owner, values, named)

        return run


def _followed(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose text, where it makes some out of data, belongs to that data's message."""

    def run(*values: Any, **named: Any) -> Any:
        result = function(*values, **named)
        if isinstance(result, str) and not isinstance(result, Tracked):
            return coarse(str.__str__(result), (*values, *named.values()))
        return result

    run.__dict__.update(getattr(function, "__dict__", {}))  # which of them Jinja passes its context to
    return run


class CompiledTemplate:
    """A template compiled in one environment."""

    def __init__(self, source: str, environment: PlainEnvironment, variables: Mapping[str, Any]) -> None:
        self.environment = environment
        self.variables = dict(variables)
        self.template = environment.from_string(source)
        # As Jinja has them they are two dicts behind one, which it goes through in every render.
        self.template.globals = dict(self.template.globals)

    def render(self, messages: list[dict[str, Any]], tools: list[Any] | None, prompt: bool) -> str:
        """The text, with or without a generation prompt."""
        environment = self.environment
        environment.budget.refill(len(messages), sum(map(_size, messages)))
        if isinstance(environment, TrackedEnvironment):
            environment.block = 0
        values = {"messages": messages, "tools": tools, "documents": None, "add_generation_prompt": prompt}
        context = self.template.new_context({**values, **self.variables})
        return environment.concat(self.template.root_render_func(context))


def _size(message: Mapping[str, Any]) -> int:
    return sum(len(value) for value in message.values() if isinstance(value, str))
