"""Every cell that a mailbox is made of: its qualifier and its value, byte for byte."""

from itertools import combinations
from typing import Any, get_args, get_origin

import msgspec
import pytest

from rowbox.hbase_schema import codec
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.cells import KINDS, Cell, ChangeKind, LogCell
from rowbox.mailbox.fence import FenceEntry
from rowbox.mailbox.message import Message
from rowbox.mailbox.two_states import IndexCell, UnknownIndexCell
from tests.golden.lines import Line, differences, lines, named, of_today

LINES = lines("cells")
STATES: list[type] = [kind.state for kind in KINDS.values()]
OTHERS: list[type] = [Message, FenceEntry]
every_line = pytest.mark.parametrize("line", LINES, ids=lambda line: line["case"])


def decoded(line: Line) -> Cell:
    cell = codec.decode(Family(line["family"]), bytes.fromhex(line["qualifier"]), bytes.fromhex(line["value"]))
    assert not isinstance(cell, UnknownIndexCell)
    return cell


@every_line
def test_what_was_ever_written_reads_as_it_was_meant(line: Line) -> None:
    assert list(differences(line["fields"], decoded(line))) == []


@pytest.mark.parametrize("line", of_today(LINES), ids=lambda line: line["case"])
def test_what_is_written_today_has_a_golden_line(line: Line) -> None:
    cell = decoded(line)
    family, qualifier, value = codec.encode(cell)
    written = {"family": family.value, "qualifier": qualifier.hex(), "value": value.hex()}
    assert line == {"case": line["case"], "fields": named(cell), **written}, (
        "a cell is written in another way than before: append what stands on the right to cells.jsonl (docs/formats.md)"
    )


def lengthened(value: Any) -> Any:
    """A struct's array as a newer Rowbox may have written it: with one more field, and so in what it holds."""
    if not isinstance(value, list) or all(isinstance(item, str) for item in value):
        return value
    is_list_of_structs = all(isinstance(item, list) for item in value)
    return [*map(lengthened, value), *([] if is_list_of_structs else ["later"])]


@pytest.mark.parametrize("line", of_today(LINES), ids=lambda line: line["case"])
def test_fields_that_came_later_are_passed_over(line: Line) -> None:
    value = msgspec.msgpack.decode(bytes.fromhex(line["value"]))
    is_list_of_structs = "fence" in line["fields"]
    longer = [*map(lengthened, value)] if is_list_of_structs else [*map(lengthened, value), "later"]
    packed = msgspec.msgpack.encode(longer)
    assert packed.hex() != line["value"]
    assert codec.decode(Family(line["family"]), bytes.fromhex(line["qualifier"]), packed) == decoded(line)


def test_every_kind_of_cell_and_of_change_has_a_line() -> None:
    cells = [decoded(line) for line in LINES]
    assert {type(cell) for cell in cells} == {get_origin(kind) or kind for kind in get_args(Cell)}
    assert {cell.kind for cell in cells if isinstance(cell, IndexCell)} == set(KINDS)
    assert {cell.kind for cell in cells if isinstance(cell, LogCell)} == set(ChangeKind)


# Exchanging two fields of these changes what old bytes mean, mostly without an error: the decoder is made anew here
# with each pair exchanged, and the lines have to notice.


def exchanged(kind: type, one: str, other: str) -> type[msgspec.Struct]:
    """`kind` with two of its fields in each other's place, as an edit of its source would leave it."""
    types = FenceEntry.__annotations__
    if issubclass(kind, msgspec.Struct):
        types = {field.name: field.type for field in msgspec.structs.fields(kind)}
    names = _exchange(list(types), one, other)
    return msgspec.defstruct(kind.__name__, [(name, types[name]) for name in names], array_like=True)


def _exchange(names: list[str], one: str, other: str) -> list[str]:
    places = names.index(one), names.index(other)
    names[places[0]], names[places[1]] = other, one
    return names


def notices(kind: type, values: list[tuple[str, Any]], one: str, other: str) -> bool:
    """Whether any of `values` (a part of a cell: its bytes, what they mean) reads otherwise with the two exchanged."""
    decoder: msgspec.msgpack.Decoder[msgspec.Struct] = msgspec.msgpack.Decoder(exchanged(kind, one, other))
    for packed, meant in values:
        try:
            if list(differences(meant, decoder.decode(bytes.fromhex(packed)))):
                return True
        except msgspec.ValidationError:
            return True
    return False


def parts(kind: type) -> list[tuple[str, Any]]:
    """The bytes of every golden `kind`, and what they mean."""
    found: list[Any] = []
    for line in LINES:
        fields, raw = line["fields"], msgspec.msgpack.decode(bytes.fromhex(line["value"]))
        if "current" in fields and KINDS[bytes.fromhex(line["qualifier"])[:1]].state is kind:
            found += [(raw[0], fields["current"])] + ([(raw[1], fields["previous"])] if raw[1] else [])
        elif kind is Message and "message" in fields:
            found.append((raw[1], fields["message"]))
        elif kind is FenceEntry and "fence" in fields:
            found += list(zip(raw, fields["fence"], strict=True))
    return [(msgspec.msgpack.encode(values).hex(), meant) for values, meant in found]


def pairs(kind: type) -> list[tuple[type, str, str]]:
    names = kind.__struct_fields__ if issubclass(kind, msgspec.Struct) else FenceEntry._fields
    return [(kind, one, other) for one, other in combinations(names, 2)]


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [pair for kind in (*STATES, *OTHERS) for pair in pairs(kind)],
    ids=lambda part: part if isinstance(part, str) else part.__name__,
)
def test_two_exchanged_fields_do_not_go_unnoticed(kind: type, one: str, other: str) -> None:
    assert notices(kind, parts(kind), one, other)
