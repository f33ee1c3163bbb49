"""The views of a row for the terminal, by name."""

from collections.abc import Callable

from sftcli.view.mask_runs import show_runs
from sftcli.view.page import Screen
from sftcli.view.row import RowView
from sftcli.view.steps import show_steps
from sftcli.view.table import show_table
from sftcli.view.targets import show_targets
from sftcli.view.text import show_text

# Each gives the text without a line break at its end.
VIEWS: dict[str, Callable[[RowView, Screen], str]] = {
    "text": show_text,
    "table": show_table,
    "runs": show_runs,
    "targets": show_targets,
    "steps": show_steps,
}
