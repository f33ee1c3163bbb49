"""Chat templates in Jinja: rendered in a sandbox, with the origin of every character known.

tracked      Tracked: a str whose characters know which message they came from
formatting   %, str.format, str() and JSON over tracked text
filters      Jinja's filters over tracked text
sandbox      the two environments (tracked, and plain as transformers has it) and their limits
data         Conversation -> the plain data that a template sees
layout       a rendered conversation as holes (data) in template text
spans        where each turn starts and ends, and the proof of it
pieces       spans and a mask policy -> the pieces of a row
"""
