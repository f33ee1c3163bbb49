"""A role template saved as Jinja lays conversations out as the role template does."""

import pytest

from sftcli.chat_template import ChatTemplate
from sftcli.conversation import Conversation, Message
from sftcli.mask import MaskPolicy
from sftcli.render import render_chat
from sftcli.templates import RoleTemplate, as_jinja, builtin_names, load_template
from sftcli.tokenizer import load_tokenizer

ROLES = [name for name in builtin_names() if isinstance(load_template(name), RoleTemplate)]
CHATS = {
    "one turn": [("user", "Hi"), ("assistant", "Hello")],
    "system": [("system", " Be brief. "), ("user", "Hi\n"), ("assistant", "  Hello\n\n")],
    "turns": [
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c {% x %} {{ y }}"),
        ("assistant", "d 'q' \"r\" \\ 好"),
    ],
    "ends with the user": [("user", "a"), ("assistant", "b"), ("user", "c")],
}


@pytest.mark.parametrize("chat", CHATS)
@pytest.mark.parametrize("name", ROLES)
def test_text_and_mask_are_those_of_the_role_template(name: str, chat: str) -> None:
    template = load_template(name)
    assert isinstance(template, RoleTemplate)
    tokenizer = load_tokenizer("demo").with_control_tokens(
        [token for token in template.control_tokens if "{" not in token], {"bos": "<s>", "eos": "</s>"}
    )
    resolved = template.resolve(tokenizer.specials, tokenizer.bos)
    conversation = Conversation(messages=[Message(role, text) for role, text in CHATS[chat]])
    by_role = render_chat(conversation, resolved, MaskPolicy(), None)
    jinja = ChatTemplate(name, as_jinja(resolved), tokenizer)
    by_jinja = jinja.render_row(conversation, MaskPolicy(), None)
    assert by_jinja.text == by_role.text
    assert [flag for piece in by_jinja.pieces for flag in [piece.trained] * len(piece.text)] == [
        flag for piece in by_role.pieces for flag in [piece.trained] * len(piece.text)
    ]
