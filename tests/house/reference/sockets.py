"""sockets.md: every frame of the socket with its fields, and every code with which it is closed."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from rowbox.api.realtime.closing import CODES
from rowbox.api.realtime.frames import CLIENT_FRAMES, SERVER_FRAMES
from tests.house.reference.page import code, sentences, table


def parts() -> dict[str, str]:
    return {
        "client": _frames(CLIENT_FRAMES),
        "server": _frames(SERVER_FRAMES),
        "codes": table(
            ("code", "meaning", "what a client does", "comes back by itself"),
            ((code(str(one.code)), one.meaning, one.advice, "yes" if one.comes_back else "no") for one in CODES),
        ),
    }


def _frames(kinds: Iterable[type[Struct]]) -> str:
    return "\n".join(map(_frame, kinds))


def _frame(kind: type[Struct]) -> str:
    name = str(kind.__struct_config__.tag)
    schema = msgspec.json.schema(kind)["$defs"][kind.__name__]
    rows = [
        (code(field), _type(of), "" if field in schema["required"] else "may be absent", of.get("description", ""))
        for field, of in schema["properties"].items()
        if field != "t"
    ]
    fields = table(("field", "type", "", "meaning"), rows) if rows else "No fields.\n"
    return f"### {code(name)}\n\n{sentences(kind.__doc__ or '')}\n\n{fields}"


def _type(of: dict[str, Any]) -> str:
    if "anyOf" in of:
        return " or ".join(_type(one) for one in of["anyOf"])
    return str(of.get("type", "JSON"))
