"""What the OpenAPI document says of one call."""

from collections.abc import Sequence

from msgspec import Struct


class CallDoc(Struct, frozen=True):
    """One call. `request` is its body for a POST, its query otherwise. `description` is Markdown, in paragraphs."""

    name: str
    method: str
    summary: str
    description: str
    request: type[Struct]
    answers: dict[int, str]
    response: type[Struct]
    problems: Sequence[str] = ()
    is_poll: bool = False
    names_a_send: bool = False
    """Whether the call's answer has X-Dedupe-Life, which says for how long a clientMessageId is known."""
