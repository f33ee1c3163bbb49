"""Line -> Conversation: every judgement of the data.

line      bytes of lines -> records (JSON objects)
keys      keys that an object gives twice
reads     which keys a format reads
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
from sftcli.parse.line import decode_line, decode_lines, records_in
from sftcli.parse.locate import column_of, make_reject
from sftcli.parse.reads import NOTHING_READ, Reads, keys_read

__all__ = [
    "FORMATS",
    "NOTHING_READ",
    "Parser",
    "Reads",
    "column_of",
    "decode_line",
    "decode_lines",
    "detect_format",
    "in_the_data",
    "keys_read",
    "make_parser",
    "make_reject",
    "records_in",
]
