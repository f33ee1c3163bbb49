"""Line -> Conversation: every judgement of the data.

line      bytes of one line -> record (a JSON object)
detect    which format the records are in
formats   record -> Conversation, one function per format
messages  the turns of a conversation, with their flags
tools     tool calls and tool definitions
failure   what is wrong and where: the RecordErrors
locate    the column of a value in its line
"""

from sftcli.parse.data_path import in_the_data
from sftcli.parse.detect import detect_format, make_parser
from sftcli.parse.formats import FORMATS, Parser
from sftcli.parse.line import decode_line
from sftcli.parse.locate import column_of, make_reject

__all__ = [
    "FORMATS",
    "Parser",
    "column_of",
    "decode_line",
    "detect_format",
    "in_the_data",
    "make_parser",
    "make_reject",
]
