import base64

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.pages.cursor import BOUND_BYTES, Bookmarker, Bookmarks, ListKind, Place, ResetReason, reset_reason

DAY_US = 86_400_000_000
identifiers = st.binary(min_size=16, max_size=16)
versions = st.integers(0, 10**16 - 1)
users = st.text("aZ9._@+:-", min_size=1, max_size=12)
histories = st.binary(min_size=BOUND_BYTES, max_size=BOUND_BYTES)
kinds = st.sampled_from(ListKind)
places = st.builds(Place, st.none() | versions, st.binary(max_size=40))

Listed = tuple[str, ListKind, bytes | None]
lists: st.SearchStrategy[Listed] = kinds.flatmap(
    lambda kind: st.tuples(users, st.just(kind), identifiers if kind is ListKind.MESSAGES else st.none())
)


@given(histories, lists, versions)
def test_a_token_reads_back(history: bytes, listed: Listed, version: int) -> None:
    text = Bookmarks(history, *listed).token(version)
    assert Bookmarks(history, *listed).read_token(text) == version
    assert set(text) <= set("0123456789abcdef.")
    assert len(text) <= 64


@given(histories, lists, places)
def test_a_cursor_reads_back_and_fits_a_url(history: bytes, listed: Listed, place: Place) -> None:
    text = Bookmarks(history, *listed).cursor(*place)
    assert Bookmarks(history, *listed).read_cursor(text) == place
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(histories, lists, lists, versions)
def test_a_token_of_another_user_or_list_resets(history: bytes, one: Listed, other: Listed, version: int) -> None:
    assume(one != other)
    token = Bookmarks(history, *one).token(version)
    assert Bookmarks(history, *other).read_token(token) is ResetReason.FOREIGN


@given(histories, histories, lists, lists, versions)
def test_a_token_of_another_history_resets_and_says_so(
    one: bytes, other: bytes, listed: Listed, of: Listed, version: int
) -> None:
    assume(one != other)
    token = Bookmarks(one, *listed).token(version)
    assert Bookmarks(other, *listed).read_token(token) is ResetReason.RESTORED
    assert Bookmarks(other, *of).read_token(token) is ResetReason.RESTORED


@given(histories, lists, lists, places)
def test_a_cursor_of_another_user_or_list_is_refused(history: bytes, one: Listed, other: Listed, place: Place) -> None:
    assume(one != other)
    with pytest.raises(BadRequest):
        Bookmarks(history, *other).read_cursor(Bookmarks(history, *one).cursor(*place))


@given(histories, histories, lists, places)
def test_a_cursor_of_another_history_resets(one: bytes, other: bytes, listed: Listed, place: Place) -> None:
    assume(one != other)
    cursor = Bookmarks(one, *listed).cursor(*place)
    assert Bookmarks(other, *listed).read_cursor(cursor) is ResetReason.RESTORED


@given(histories, lists, st.integers(1, 10**16 - 1))
def test_a_number_alone_as_the_first_rowbox_gave_it_resets_and_0_is_the_beginning(
    history: bytes, listed: Listed, version: int
) -> None:
    assert Bookmarks(history, *listed).read_token(str(version)) is ResetReason.FOREIGN
    assert Bookmarks(history, *listed).read_token("0") == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "x",
        "-1",
        "+1",
        "01",
        "1.0",
        "1e3",
        "1_0",
        "1 ",
        " 1",
        "\u0661",
        "1" * 17,
        "1.x",
        "1.",
        "1.AB",
        "%00",
        "1\n",
    ],
)
def test_what_no_server_gave_is_no_token(text: str) -> None:
    with pytest.raises(BadRequest):
        Bookmarks(bytes(6), "ann", ListKind.CONVERSATIONS, None).read_token(text)


@pytest.mark.parametrize("version", ["", "01", "-1", "\u0661", "1_0", "1 "])
def test_a_tag_makes_no_token_of_what_is_no_number(version: str) -> None:
    bookmarks = Bookmarks(bytes(6), "ann", ListKind.CONVERSATIONS, None)
    with pytest.raises(BadRequest):
        bookmarks.read_token(bookmarks.token(0).replace("0.", f"{version}.", 1))


@given(st.text(max_size=80))
def test_any_text_is_a_token_or_a_reason_or_a_bad_request(text: str) -> None:
    bookmarks = Bookmarks(bytes(6), "ann", ListKind.MESSAGES, bytes(16))
    try:
        read = bookmarks.read_token(text)
    except BadRequest:
        return
    assert read in {0, ResetReason.FOREIGN, ResetReason.RESTORED}


@given(st.text(max_size=80), lists)
def test_any_text_is_a_cursor_or_a_bad_request(text: str, listed: Listed) -> None:
    with pytest.raises(BadRequest):
        Bookmarks(bytes(6), *listed).read_cursor("!" + text)


@given(st.binary(max_size=80), lists)
def test_any_base64_is_a_cursor_or_a_bad_request(noise: bytes, listed: Listed) -> None:
    try:
        Bookmarks(bytes(6), *listed).read_cursor(base64.urlsafe_b64encode(noise).decode())
    except BadRequest:
        return


@given(lists)
def test_the_bookmarks_of_a_list_are_made_once(listed: Listed) -> None:
    bookmarker = Bookmarker(bytes(16))
    assert bookmarker.of(*listed) is bookmarker.of(*listed)


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
