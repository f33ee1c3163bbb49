"""Rows -> Arrow columns: the labels are made here, once, and nowhere else."""

from sftcli.layout.aim import aim
from sftcli.layout.asked import layout_of, written_layout
from sftcli.layout.laid import size_written
from sftcli.layout.layout import Layout

__all__ = ["Layout", "aim", "layout_of", "size_written", "written_layout"]
