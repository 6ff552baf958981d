"""What a state takes in memory, counted once when it comes into a mailbox."""

import msgspec

STATE_BYTES = 150
"""A state's places in two dicts, and its key."""


def state_bytes(state: object) -> int:
    """The bytes of a state and of all that it holds. What two states share counts twice."""
    return STATE_BYTES + _size_of(state)


def _size_of(value: object) -> int:
    held: tuple[object, ...] = ()
    if isinstance(value, msgspec.Struct):
        held = tuple(getattr(value, name) for name in value.__struct_fields__)
    elif isinstance(value, (tuple, list)):
        held = tuple(value)
    elif isinstance(value, dict):
        held = (*value.keys(), *value.values())
    return value.__sizeof__() + sum(map(_size_of, held))
