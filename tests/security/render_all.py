"""Render hostile templates one after another, in a process with little memory; a line of JSON for each.

Standard input: {name: source}. Each line: name, what was said, and seconds of work.
"""

import json
import resource
import sys
import time

from sftcli.chat_template import ChatTemplate
from sftcli.conversation import Conversation, Message
from sftcli.errors import RecordError, TemplateError
from sftcli.mask import MaskPolicy
from sftcli.tokenizer import load_tokenizer

MEMORY = 2 << 30
TALK = Conversation([Message("user", "ab cd"), Message("assistant", "yes sir")])


def said(source: str) -> str:
    try:
        ChatTemplate("t.jinja", source, demo).render_row(TALK, MaskPolicy(), None)
    except (RecordError, TemplateError) as problem:
        return f"{type(problem).__name__}: {problem}"
    return "rendered"


if __name__ == "__main__":
    demo = load_tokenizer("demo")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for name, source in json.load(sys.stdin).items():
        begun = time.process_time()
        print(json.dumps([name, said(source), time.process_time() - begun]), flush=True)
