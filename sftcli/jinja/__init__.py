"""Chat templates in Jinja: rendered in a sandbox, with the origin of every character known.

origin       whose text it is: a message and its field, or the template
tracked      Tracked: a str whose characters know their origin
formatting   %, str.format, str() and JSON over tracked text
filters      Jinja's filters over tracked text
growth       how long a text would be, asked before it is made
budget       what one render may use
guards       where a template's own work is counted
sandbox      the two environments (tracked, and plain as transformers has it)
program      a chat template compiled in both, and what it wants of the data
data         Conversation -> the plain data that a template sees
layout       a rendered conversation as holes (data) in template text
spans        where each turn starts and ends, proven or refused
alike        the turns of a long conversation, proven by their kind
proof        one conversation's proof: its spans, and checks against plain renders
pieces       spans and a mask policy -> the pieces of a row
"""
