"""A template is a stranger's program: it ends within seconds and a little memory, and reaches nothing.

`test_chat_template.py` has the first forty attacks, on one value at a time. Those here make their work
out of Python's own: values that hold each other many times over, texts that grow in one step, look-ups
and comparisons that no call of ours sees, and the ways out of the sandbox.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CONFIGS, TALKS, run_sftcli, write

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SECONDS = 6  # of work for one template, all its renders together


def grown(step: str, start: str = "['x']", times: int = 60) -> str:
    """Sixty steps from one value to the next."""
    return (
        f"{{% set n = namespace(s={start}) %}}{{% for i in range({times}) %}}"
        f"{{% set n.s = {step} %}}{{% endfor %}}"
    )


TWICE = grown("[n.s, n.s]")  # 2 ** 60 parts, in sixty lists
OTHER = TWICE + "{% set other = n.s %}" + TWICE
TUPLES = grown("(n.s, n.s)", "'x'")
LONG = "{% set b = 'x' * 1000000 %}"
MIDDLE = "{% set b = 'x' * 60000 %}"
MANY = "{% set l = range(99999) | list %}"


def often(work: str) -> str:
    return "{% for i in range(99999) %}{% set x = " + work + " %}{% endfor %}"


def as_plain(attack: str) -> str:
    """An attack that the tracked render does not see: only there is a slice of a text a new text."""
    return "{% if messages[0].content[0:] is sameas messages[0].content %}" + attack + "{% endif %}"


STEPS = "takes too many steps: it seems to loop without end"
TEXT = "writes too much text"
DEEP = "lists are nested in lists more than 64 times"
BOUND = {
    # Values that hold each other.
    "printed": (TWICE + "{{ n.s }}", STEPS),
    "as text": (TWICE + "{{ n.s | string | length }}", STEPS),
    "as JSON": (TWICE + "{{ n.s | tojson }}", STEPS),
    "objects as JSON": (grown("{'a': n.s, 'b': n.s}") + "{{ n.s | tojson }}", STEPS),
    "pretty": (TWICE + "{{ n.s | pprint }}", STEPS),
    "joined": (TWICE + "{{ [n.s, n.s] | join }}", STEPS),
    "laid side by side": (TWICE + "{{ n.s ~ 'a' }}", STEPS),
    "by percent": (TWICE + "{{ '%s' % [n.s] }}", STEPS),
    "by format": (TWICE + "{{ '{}'.format(n.s) }}", STEPS),
    "as a refusal": (TWICE + "{{ raise_exception(n.s) }}", STEPS),
    "compared": (OTHER + "{{ other == n.s }}", STEPS),
    "in order": (OTHER + "{{ other < n.s }}", STEPS),
    "in a test": (OTHER + "{{ other is eq(n.s) }}", STEPS),
    "found": (OTHER + "{{ other in [n.s] }}", STEPS),
    "found by a method": (OTHER + "{{ [other].index(n.s) }}", STEPS),
    "sorted": (OTHER + "{{ [other, n.s] | sort | length }}", STEPS),
    "hashed": (TUPLES + "{{ {n.s: 1} | length }}", STEPS),
    "looked up": (TUPLES + "{{ {}[n.s] }}", STEPS),
    "made one of": (TUPLES + "{{ [n.s] | unique | list | length }}", STEPS),
    "doubled by a repeat": (grown("(n.s * 2) | batch(2) | list") + "{{ n.s }}", STEPS),
    "doubled by a filter": (
        grown("[none, none] | map('default', n.s, true) | list") + "{{ n.s }}",
        STEPS,
    ),
    "doubled by namespaces": (grown("namespace(a=n.s, b=n.s)") + "{{ n.s }}", STEPS),
    "doubled by dict": (grown("dict(a=n.s, b=n.s)") + "{{ n.s }}", STEPS),
    "doubled by fromkeys": (grown("dict.fromkeys([1, 2], n.s)") + "{{ n.s }}", STEPS),
    "a macro's values": (
        "{% macro f() %}{{ varargs }}{% endmacro %}" + TWICE + "{{ f(n.s, n.s) }}",
        STEPS,
    ),
    "wide": ("{{ [[1] * 100000] * 100000 }}", STEPS),
    "deep": (grown("[n.s]", times=9999) + "{{ n.s }}", DEEP),
    "deep and hashed": (grown("(n.s,)", "1", 9999) + "{{ {n.s: 1} }}", DEEP),
    "in itself": ("{% set n = namespace() %}{% set n.a = n %}{{ n }}", DEEP),
    # Texts that grow in one step.
    "replaced": (LONG + "{{ b | replace('x', b) }}", TEXT),
    "replaced by a method": (MIDDLE + "{{ b.replace('x', b) }}", TEXT),
    "joined by a long text": (LONG + "{{ b.join(['a'] * 100000) }}", TEXT),
    "joined letters": (LONG + "{{ b.join('a' * 60000) }}", TEXT),
    "joined long texts": (MIDDLE + "{{ ([b] * 2000) | join }}", STEPS),
    "joined one by one": (MIDDLE + "{{ ''.join(([{'a': b}] * 2000) | map(attribute='a')) }}", STEPS),
    "tabs": ("{{ ('\\t' * 1000000).expandtabs(10000) }}", TEXT),
    "translated": (MIDDLE + "{{ b.translate({120: b}) }}", TEXT),
    "wrapped": (MIDDLE + "{{ b | wordwrap(1, true, b) }}", TEXT),
    "indented": ("{{ ('\\n' * 1000000) | indent('y' * 60000, true, true) }}", TEXT),
    "percent, often": (MIDDLE + "{{ ('%(a)s' * 60000) % {'a': b} }}", TEXT),
    "percent, wide and often": ("{{ ('%9999d' * 60000) % ((1,) * 60000) }}", TEXT),
    "format, often": (MIDDLE + "{{ ('{0}' * 60000).format(b) }}", TEXT),
    "format_map, often": (MIDDLE + "{{ ('{a}' * 60000).format_map({'a': b}) }}", TEXT),
    "format filter, often": (MIDDLE + "{{ ('%(a)s' * 60000) | format(a=b) }}", TEXT),
    "JSON, indented by a text": ("{{ ([1] * 60000) | tojson(indent='x' * 60000) }}", TEXT),
    "JSON, long between": ("{{ ([1] * 60000) | tojson(separators=['x' * 60000, ':']) }}", TEXT),
    # Work that becomes Python's own.
    "looks in a list": (MANY + often("-1 in l"), STEPS),
    "looks in a text": (LONG + often("'y' in b"), STEPS),
    "compares lists": (MANY + "{% set k = range(99999) | list %}" + often("l == k"), STEPS),
    "cuts texts": (LONG + often("b[1:]"), STEPS),
    "cuts lists": ("{% set b = [1] * 1000000 %}" + often("b[1:]"), STEPS),
    "turns texts round": (LONG + often("b[::-1]"), STEPS),
    "splits": (LONG + often("b.split('x')"), STEPS),
    "sorts": (MANY + often("l | sort"), STEPS),
    "lists a range": (often("range(99999) | list"), STEPS),
    "adds a range up": (often("range(99999) | sum"), STEPS),
    "picks from a range": (often("range(99999) | select('odd') | list"), STEPS),
    "maps a range": (often("range(99999) | map(attribute='x') | list"), STEPS),
    "makes objects": (often("dict.fromkeys(range(99999))"), STEPS),
    "adds lists up": ("{{ ([['x'] * 600] * 6000) | sum(start=[]) | length }}", STEPS),
    "links": ("{{ ('a@' * 500000) | urlize }}", STEPS),
    "tags": ("{{ ('<!--' * 300000) | striptags }}", STEPS),
    "blocks of calls": (
        "{% macro f() %}{{ caller() }}{{ caller() }}{% endmacro %}"
        + "{% call f() %}" * 20
        + "x"
        + "{% endcall %}" * 20,
        STEPS,
    ),
    "a date": ("{{ strftime_now('%Y' * 200) }}", "the format of a date passes the limit of 200 characters"),
    # What only a plain render sees.
    "plain, doubled": (as_plain(grown("n.s ~ n.s", "'xxxxxxxx'") + "{{ n.s }}"), TEXT),
    "plain, written": (as_plain(LONG + "{% for i in range(9999) %}{{ b }}{% endfor %}"), TEXT),
    "plain, in a macro": (
        as_plain(
            LONG
            + "{% macro f() %}{% for i in range(9999) %}{{ b }}{% endfor %}{% endmacro %}{{ f() | length }}"
        ),
        TEXT,
    ),
    "plain, printed": (as_plain(TWICE + "{{ n.s }}"), STEPS),
    "plain, replaced": (as_plain(MIDDLE + "{{ b | replace('x', b) }}"), TEXT),
}
UNSAFE = "access to attribute {!r} of {!r} object is unsafe."
REACHING = {
    "a class": ("{{ ''.__class__.x }}", UNSAFE.format("__class__", "Tracked")),
    "a class by a filter": ("{{ ('' | attr('__class__')).x }}", UNSAFE.format("__class__", "Tracked")),
    "cycler": ("{{ cycler.__init__.__globals__.os }}", UNSAFE.format("__init__", "type")),
    "joiner": ("{{ joiner('a').__init__.__globals__ }}", UNSAFE.format("__init__", "Joiner")),
    "namespace": ("{{ namespace.__init__.__globals__ }}", UNSAFE.format("__init__", "type")),
    "self": (
        "{{ self._TemplateReference__context.environment }}",
        UNSAFE.format("_TemplateReference__context", "TemplateReference"),
    ),
    "a macro": ("{% macro f() %}{% endmacro %}{{ f._func.__globals__ }}", UNSAFE.format("_func", "Macro")),
    "a format string": ("{{ '{0.__class__.x}'.format(messages) }}", UNSAFE.format("__class__", "list")),
    "a format method by a filter": (
        "{{ ('{0.__class__.x}' | attr('format'))(messages) }}",
        UNSAFE.format("__class__", "list"),
    ),
    "format methods by map": (
        "{{ (['{0.__class__.x}'] | map(attribute='format') | first)(messages) }}",
        UNSAFE.format("__class__", "list"),
    ),
    "format_map": ("{{ '{a.__class__.x}'.format_map({'a': messages}) }}", UNSAFE.format("__class__", "list")),
    "map": ("{{ [messages] | map(attribute='__class__.x') | list }}", UNSAFE.format("__class__", "list")),
    "sort": (
        "{{ [messages] | sort(attribute='__class__.x') | list }}",
        UNSAFE.format("__class__", "list"),
    ),
    "groupby": ("{{ [messages] | groupby('__class__.x') | list }}", UNSAFE.format("__class__", "list")),
    "bytes": ("{{ 'x'.encode() }}", "the template turns text into bytes"),
    "a changed message": ("{{ messages[0].pop('role') }}", UNSAFE.format("pop", "dict")),
    "a changed list": ("{{ messages.clear() }}", UNSAFE.format("clear", "list")),
    "another template": (
        "{% include '/etc/hostname' %}",
        "TypeError: no loader for this environment specified",
    ),
    "lorem ipsum": ("{{ lipsum() }}", "lipsum gives another text in every run, so it cannot make a dataset"),
}
NESTED = "is nested too deeply"
UNCOMPILED = {
    "brackets": ("{{ " + "(" * 100_000 + "1" + ")" * 100_000 + " }}", ": " + NESTED),
    "lists": ("{{ " + "[" * 300 + "1" + "]" * 300 + " }}", ": " + NESTED),
    "not": ("{{ " + "not " * 50_000 + "1 }}", ": " + NESTED),
    "plus": ("{{ " + "1+" * 100_000 + "1 }}", ": " + NESTED),
    "attributes": ("{{ a" + ".b" * 100_000 + " }}", ": " + NESTED),
    "filters": ("{{ a" + "|e" * 100_000 + " }}", ": " + NESTED),
    "branches": ("{% if 1 %}" * 20_000 + "{% endif %}" * 20_000, ": is longer than 262144 characters"),
    "ifs": ("{% if 1 %}" * 300 + "{% endif %}" * 300, ": " + NESTED),
    "much text": ("x" * (1 << 18), ": is longer than 262144 characters"),
    "a tag": ("{% debug %}", ", line 1: Encountered unknown tag 'debug'."),
    "a number": (
        "{{ " + "9" * 100_000 + " }}",
        ": cannot be compiled: Exceeds the limit (4300 digits) for integer string conversion: value has "
        "100000 digits; use sys.set_int_max_str_digits() to increase the limit",
    ),
}
SOURCES = {
    name: source + CHATML for cases in (BOUND, REACHING, UNCOMPILED) for name, (source, _) in cases.items()
}


@pytest.fixture(scope="module")
def ended() -> dict[str, tuple[str, float]]:
    """What each template came to, and after how much work."""
    path = os.pathsep.join(filter(None, [str(CONFIGS.parent), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("render_all.py"))],
        input=json.dumps(SOURCES).encode(),
        capture_output=True,
        env={**os.environ, "PYTHONPATH": path},
        timeout=300,
        check=False,
    )
    found = {name: (said, seconds) for name, said, seconds in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0, (list(found)[-1:], done.stderr[-2000:])
    return found


@pytest.mark.parametrize("name", BOUND)
def test_no_template_works_without_end(ended: dict[str, tuple[str, float]], name: str) -> None:
    said, seconds = ended[name]
    kind = "RecordError" if name.startswith("plain, ") else "TemplateError"
    reason = BOUND[name][1]
    the = "" if reason in (DEEP, BOUND["a date"][1]) else "the template "
    assert (
        said.removesuffix(" (with other letters in its texts)")
        == f"{kind}: template 't.jinja': {the}{reason}"
    )
    assert seconds < SECONDS


@pytest.mark.parametrize("name", REACHING)
def test_no_template_leaves_its_sandbox(ended: dict[str, tuple[str, float]], name: str) -> None:
    assert ended[name][0] == f"RecordError: template 't.jinja': {REACHING[name][1]}"


@pytest.mark.parametrize("name", UNCOMPILED)
def test_no_template_overflows_the_compiler(ended: dict[str, tuple[str, float]], name: str) -> None:
    said, seconds = ended[name]
    assert said == f"TemplateError: template 't.jinja'{UNCOMPILED[name][1]}"
    assert seconds < SECONDS


def test_a_template_that_loops_ends_the_run_at_its_first_record(tmp_path: Path) -> None:
    (tmp_path / "bomb.jinja").write_text(SOURCES["printed"])
    write(tmp_path / "in.jsonl", *TALKS)
    ended = run_sftcli(
        *("prepare", "in.jsonl", "-t", "demo", "--template", "bomb.jinja", "-o", "out"), cwd=tmp_path
    )
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"error: template 'bomb.jinja': the template {STEPS}\n"
    assert not (tmp_path / "out").exists()


def test_what_a_template_says_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    (tmp_path / "t.jinja").write_text(
        "{{ raise_exception('\\x1b[31m\\n::error::x \u202e' ~ 'y' * 9999) }}" + CHATML
    )
    write(tmp_path / "in.jsonl", *TALKS[:1])
    args = ("in.jsonl", "-t", "demo", "--template", "t.jinja")
    for command in (("prepare", *args, "-o", "out"), ("validate", *args, "--format", "github")):
        ended = run_sftcli(*command, cwd=tmp_path)
        assert ended.code == 1
        shown = ended.out + ended.err
        assert "\\x1b[31m" in shown
        assert not [line for line in shown.splitlines() if line.startswith("::error::x")]
        assert not {char for char in shown if not char.isprintable()} - {"\n"}
        assert len(shown) < 4_000
