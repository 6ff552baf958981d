import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowbox.mailbox.cursor import Cursor, CursorKind, ResetReason, from_text, reset_reason, to_text
from rowbox.mailbox.errors import BadRequest

DAY_US = 86_400_000_000
kinds = st.sampled_from(CursorKind)
identifiers = st.binary(max_size=16)
cursors = st.builds(Cursor, kinds, st.none() | st.integers(0, 1 << 53), identifiers, st.binary(max_size=40))


@given(cursors)
def test_a_cursor_reads_back_and_fits_a_url(cursor: Cursor) -> None:
    text = to_text(cursor)
    assert from_text(text, cursor.kind, cursor.conversation_id) == cursor
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(cursors, kinds, identifiers)
def test_a_cursor_of_another_list_is_refused(cursor: Cursor, kind: CursorKind, conversation: bytes) -> None:
    if (kind, conversation) != (cursor.kind, cursor.conversation_id):
        with pytest.raises(BadRequest):
            from_text(to_text(cursor), kind, conversation)


@given(st.text(max_size=80), kinds)
def test_any_text_is_a_cursor_or_a_bad_request(text: str, kind: CursorKind) -> None:
    with pytest.raises(BadRequest):
        from_text("!" + text, kind)


@given(st.binary(max_size=80), kinds)
def test_any_base64_is_a_cursor_or_a_bad_request(noise: bytes, kind: CursorKind) -> None:
    import base64

    try:
        from_text(base64.urlsafe_b64encode(noise).decode(), kind)
    except BadRequest:
        return


@pytest.mark.parametrize(
    ("token", "head", "born", "reason"),
    [
        (100, 100, 1, None),
        (0, 0, 0, None),
        (101, 100, 1, ResetReason.FUTURE),
        (10 * DAY_US - 1, 100 * DAY_US, 1, ResetReason.EXPIRED),
        (10 * DAY_US, 100 * DAY_US, 1, None),
        (5 * DAY_US, 5 * DAY_US, 1, None),
        (0, 100 * DAY_US, 10 * DAY_US, None),
        (0, 100 * DAY_US, 10 * DAY_US - 1, ResetReason.EXPIRED),
    ],
)
def test_why_a_token_is_answered_with_a_full_page(token: int, head: int, born: int, reason: ResetReason | None) -> None:
    found = reset_reason(token, head, born=born, now_us=17 * DAY_US, token_life_ms=7 * DAY_US // 1000)
    assert found is reason
