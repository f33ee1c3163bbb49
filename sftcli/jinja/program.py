"""A chat template as a program: compiled, tried out once, and run with its failures as our errors."""

from collections.abc import Iterator, Mapping
from datetime import date
from functools import cached_property
from typing import Any

import jinja2
from jinja2 import nodes

from sftcli.conversation import Message
from sftcli.errors import RecordError, TemplateError
from sftcli.jinja.budget import LimitError
from sftcli.jinja.data import Disguise, Shape, TextOf, template_messages, template_tools, tracked_text
from sftcli.jinja.filters import CASE, MARKUP
from sftcli.jinja.guards import GUARDS
from sftcli.jinja.layout import Layout, Markers, read_layout
from sftcli.jinja.sandbox import CompiledTemplate, PlainEnvironment, RefusalError, TrackedEnvironment
from sftcli.jinja.tracked import UntrackableError

_MAX_SOURCE = 1 << 18  # characters; the longest in use have some 30,000
_MAX_REASON = 1_000


class Program:
    """One template with the variables it is given. Raises TemplateError where it cannot be compiled."""

    def __init__(
        self, name: str, source: str, variables: Mapping[str, Any], today: date, markers: Markers
    ) -> None:
        self.name, self.source, self.markers = name, source, markers
        self._variables, self._today = dict(variables), today
        if len(source) > _MAX_SOURCE:
            raise TemplateError(f"template {name!r}: is longer than {_MAX_SOURCE} characters")
        self._excess = ""  # what limit it passes for a conversation of two words
        self.tracked = self._compiled(TrackedEnvironment(today))

    def _compiled(self, environment: PlainEnvironment) -> CompiledTemplate:
        try:
            return CompiledTemplate(self.source, environment, self._variables)
        except jinja2.TemplateSyntaxError as problem:
            raise TemplateError(f"template {self.name!r}, line {problem.lineno}: {problem.message}") from None
        except RecursionError:
            raise TemplateError(f"template {self.name!r}: is nested too deeply") from None
        except (jinja2.TemplateError, SyntaxError, MemoryError, ValueError) as problem:
            reason = str(problem)[:_MAX_REASON] or "it needs too much memory"
            raise TemplateError(f"template {self.name!r}: cannot be compiled: {reason}") from None

    @cached_property
    def plain(self) -> CompiledTemplate:
        return self._compiled(PlainEnvironment(self._today))

    @cached_property
    def _tree(self) -> nodes.Template:
        return self.plain.environment.parse(self.source)

    @cached_property
    def has_marks(self) -> bool:
        """Whether it has `{% generation %}` blocks."""
        calls = (block.call.node for block in self._tree.find_all(nodes.CallBlock))
        return any(isinstance(call, nodes.ExtensionAttribute) for call in calls)

    @cached_property
    def has_markup(self) -> bool:
        """Whether what it does to a text depends on the text's letters, as escaping does."""
        return any(item.name in MARKUP for item in self._tree.find_all(nodes.Filter))

    @cached_property
    def changes_case(self) -> bool:
        """Whether it writes any text with other letters, which hides where the text's own stand."""
        filters = (item.name for item in self._tree.find_all(nodes.Filter))
        methods = (item.attr for item in self._tree.find_all(nodes.Getattr))
        return any(name in CASE for name in (*filters, *methods))

    @cached_property
    def disguise(self) -> Disguise:
        return Disguise(list(self._asked_for()))

    def _asked_for(self) -> Iterator[str]:
        """The texts that it compares with, looks for, or hands to a function."""
        for node in self._tree.find_all((nodes.Compare, nodes.Call, nodes.Filter, nodes.Test)):
            if isinstance(node, nodes.Filter) and node.name in GUARDS:
                continue
            for const in node.find_all(nodes.Const):
                if isinstance(const.value, str):
                    yield const.value

    @cached_property
    def shape(self) -> Shape:
        """How it wants its messages: the first way in which it shows their texts and tool calls."""
        parts = Shape(content="parts")
        content = Shape() if self._shows_texts(Shape()) or not self._shows_texts(parts) else parts
        shapes = [content, Shape(content.content, empty="none")]
        shapes += [Shape(content.content, "json"), Shape(content.content, "json", "none")]
        return next((shape for shape in shapes if self._shows_calls(shape)), content)

    def check_limits(self) -> None:
        """Raise TemplateError where no conversation is small enough for it."""
        if self.shape and self._excess:
            raise TemplateError(self._excess)

    def _shows_texts(self, shape: Shape) -> bool:
        layout = self._tried([Message("user", "Hi"), Message("assistant", "Yes")], shape)
        return layout is not None and {0, 1} <= {hole.turn for hole in layout.holes}

    def _shows_calls(self, shape: Shape) -> bool:
        call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": {"x": "y"}}}
        layout = self._tried([Message("user", "Hi"), Message("assistant", "", tool_calls=[call])], shape)
        return layout is not None and any(hole.field == "tool_calls.0" for hole in layout.holes)

    def _tried(self, messages: list[Message], shape: Shape) -> Layout | None:
        try:
            return read_layout(self.run(self.tracked, template_messages(messages, 0, shape, tracked_text)))
        except RecordError as problem:
            if problem.code == "template_limit":
                self._excess = problem.message
            return None

    def render_plain(
        self, messages: list[Message], first: int, tools: list[dict[str, Any]] | None, text_of: TextOf
    ) -> str:
        """The text by Jinja's own code, each of the data's texts as `text_of` gives it."""
        data = template_messages(messages, first, self.shape, text_of)
        return self.run(self.plain, data, template_tools(tools, text_of))

    def run(
        self,
        template: CompiledTemplate,
        data: list[dict[str, Any]],
        tools: list[Any] | None = None,
        prompt: bool = False,
    ) -> str:
        """One render. Raises RecordError, whatever the template trips over."""
        try:
            return template.render(data, tools, prompt)
        except RefusalError as problem:
            code, reason = "template_refused", f"refuses this conversation: {problem.message}"
        except LimitError as problem:
            code, reason = "template_limit", str(problem.message)
        except UntrackableError as problem:
            code, reason = "unproven_mask", str(problem)
        except jinja2.TemplateError as problem:
            code, reason = "template_error", str(problem.message)
        except (RecursionError, MemoryError) as problem:
            code, reason = "template_limit", "calls itself without end or needs too much memory"
            del problem
        except Exception as problem:  # a template is a program of its own
            code, reason = "template_error", f"{type(problem).__name__}: {problem}"
        reason = reason if len(reason) <= _MAX_REASON else f"{reason[:_MAX_REASON]}..."
        raise RecordError(code, f"template {self.name!r}: {reason}")
