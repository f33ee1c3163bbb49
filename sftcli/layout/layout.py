"""Layout: which columns every shard of a run has, in which layout, of which types."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from sftcli.batch import Rows
from sftcli.layout.columns import COLUMNS, Column, array, kept, offsets_of
from sftcli.layout.laid import LAYOUTS, Kind, Laid
from sftcli.layout.pad import Padding, padded

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Layout:
    """The columns by name, in order, without nulls.

    `types` are the Arrow types of values where they are not the usual ones, and of the records' own
    fields, which `kept` names. Rows that are `packed` hold lists of what other rows hold one of.
    """

    names: tuple[str, ...] = ("input_ids", "attention_mask", "labels")
    kind: Kind = "causal"
    packed: bool = False
    kept: tuple[str, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    padding: Padding | None = None

    @cached_property
    def columns(self) -> dict[str, Column]:
        """The columns, each with how its values are made."""
        return {
            name: kept(name, self.types[name]) if name in self.kept else COLUMNS[name] for name in self.names
        }

    @cached_property
    def schema(self) -> "pa.Schema":
        """The Arrow type of every column."""
        import pyarrow as pa

        fields = []
        for name, column in self.columns.items():
            value = pa.type_for_alias(self.types.get(name, column.type))
            fields.append((name, pa.list_(value) if self._is_list(name) else value))
        return pa.schema(fields)

    def laid(self, rows: Rows) -> Iterator[Laid]:
        """The rows in this layout, some of them at a time where they become many more tokens."""
        for laid in LAYOUTS[self.kind](rows):
            if self.padding is None:
                yield laid
            else:
                yield from padded(laid, self.padding)

    def batches(self, rows: Rows) -> Iterator["pa.RecordBatch"]:
        """The rows as they are written; the arrays are shared, not copied, where that can be."""
        for laid in self.laid(rows):
            yield self._batch(laid)

    def _batch(self, laid: Laid) -> "pa.RecordBatch":
        import pyarrow as pa

        offsets = {
            per: array(offsets_of(per, laid), pa.int32())
            for per in {column.per for column in self.columns.values()}
        }
        arrays = []
        for name, column in self.columns.items():
            type_ = self.schema.field(name).type
            if self._is_list(name):
                values = array(column.values(laid), type_.value_type)
                arrays.append(pa.ListArray.from_arrays(offsets[column.per], values))
            else:
                arrays.append(array(column.values(laid), type_))
        return pa.record_batch(arrays, schema=self.schema)

    def _is_list(self, name: str) -> bool:
        """Source and fields are of the row itself, where it is one document."""
        per = self.columns[name].per
        if name == "source" or name in self.kept:
            return self.packed
        return per != "row"
