"""A role template as the Jinja chat template that lays conversations out alike, for inference."""

import json

from sftcli.templates.role import RoleTemplate, TurnLayout


def as_jinja(template: RoleTemplate) -> str:
    """The chat template to save beside rows that were made with a resolved role template.

    With it, apply_chat_template gives the text that was trained on, and `add_generation_prompt` ends
    where the trained part begins.
    """
    trim = " | trim" if template.trim else ""
    merged = template.system_in_user
    lines = [
        "{%- if messages and messages[0]['role'] == 'system' -%}",
        "{%- set system = messages[0]['content'] -%}{%- set turns = messages[1:] -%}",
        "{%- else -%}",
        f"{{%- set system = {_text(template.default_system or '')} -%}}{{%- set turns = messages -%}}",
        "{%- endif -%}",
        _write(template.begin),
    ]
    if merged is None and "system" in template.roles:
        lines += ["{%- if system -%}", _turn(template.roles["system"], "system" + trim), "{%- endif -%}"]
    lines.append("{%- for message in turns -%}")
    branch = "if"
    for role, layout in template.roles.items():
        if role == "system":
            continue
        lines.append(f"{{%- {branch} message['role'] == {_text(role)} -%}}")
        branch = "elif"
        content = "message['content']" + trim
        if merged is not None and role == "user":
            before, _, after = merged.partition("{system}")
            system = f"{_text(before)} + system + {_text(after)}"
            content = f"(({system}) if loop.first and system else '') + ({content})"
        lines.append(_turn(layout, content))
    lines += [
        "{%- else -%}",
        "{{- raise_exception('this layout has no role ' + message['role']) -}}",
        "{%- endif -%}",
        "{%- endfor -%}",
        f"{{%- if add_generation_prompt -%}}{_write(template.roles['assistant'].before)}",
        f"{{%- else -%}}{_write(template.close)}{{%- endif -%}}",
    ]
    return "\n".join(line for line in lines if line) + "\n"


def _turn(layout: TurnLayout, content: str) -> str:
    before, after = layout.before + layout.lead, layout.end + layout.after
    return f"{{{{- {_text(before)} + ({content}) + {_text(after)} -}}}}"


def _write(text: str) -> str:
    return f"{{{{- {_text(text)} -}}}}" if text else ""


def _text(text: str) -> str:
    # Jinja's string literals know the escapes that JSON writes.
    return json.dumps(text)
