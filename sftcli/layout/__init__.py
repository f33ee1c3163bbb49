"""Rows -> Arrow columns: the labels are made here, once, and nowhere else."""

from sftcli.layout.columns import Layout

__all__ = ["Layout"]
