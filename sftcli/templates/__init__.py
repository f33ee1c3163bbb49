"""Templates as data: role templates and prompt templates, built in or from a user's YAML file.

role      RoleTemplate: one layout per role, for conversations
prompt    PromptTemplate: a prompt and a completion over a record's fields
specials  the tokenizer's special tokens in either
"""

import difflib
from importlib import resources
from pathlib import Path

from sftcli.errors import TemplateError
from sftcli.templates.as_jinja import as_jinja
from sftcli.templates.prompt import Part, PromptFile, PromptTemplate
from sftcli.templates.role import RoleTemplate, TurnLayout
from sftcli.yamlfile import check_keys, convert, load_yaml, nearest, read_small

__all__ = [
    "Part",
    "PromptTemplate",
    "RoleTemplate",
    "Template",
    "TurnLayout",
    "as_jinja",
    "builtin_names",
    "load_template",
    "read_template",
    "template_from_file",
]

Template = RoleTemplate | PromptTemplate


def builtin_names() -> list[str]:
    """The names of the templates in the package, sorted."""
    folder = resources.files("sftcli") / "data" / "templates"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir())


def read_template(name: str) -> bytes:
    """What is in a template's file. Raises TemplateError where it cannot be read."""
    return read_small(Path(name), TemplateError)


def load_template(name: str, raw: bytes | None = None) -> Template:
    """A built-in template by its name, or a user's by the path of its .yaml file.

    `raw` is what is in that file, where somebody has read it.
    """
    if name.endswith((".yaml", ".yml")):
        return template_from_file(Path(name), raw)
    if name not in builtin_names():
        raise TemplateError(
            f"unknown template {name!r}{nearest(name, [*builtin_names(), 'tokenizer'])} "
            "(a file is named by its path, ending in .yaml or .jinja)"
        )
    with resources.as_file(resources.files("sftcli") / "data" / "templates" / f"{name}.yaml") as path:
        return template_from_file(path)


def template_from_file(path: Path, raw: bytes | None = None) -> Template:
    """Read one YAML template: with `roles:` a role template, with `prompt:` a prompt template."""
    data = load_yaml(path, TemplateError, raw)
    data.setdefault("name", path.stem)
    kind: type[RoleTemplate | PromptFile]
    if "roles" in data:
        kind = RoleTemplate
    elif "prompt" in data:
        kind = PromptFile
    else:
        wanted = ("roles", "prompt")
        hint = next((nearest(key, wanted) for key in data if difflib.get_close_matches(key, wanted)), "")
        raise TemplateError(
            f"{path}: neither `roles:` (a chat layout) nor `prompt:` and `completion:` is there{hint}"
        )
    check_keys(data, kind.__struct_fields__, str(path), TemplateError)
    loaded = convert(data, kind, str(path), TemplateError)
    if isinstance(loaded, PromptFile):
        return loaded.compile()
    loaded.check()
    return loaded
