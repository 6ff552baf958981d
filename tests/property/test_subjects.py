"""The userIds of an issuer's subjects: each subject has its own, and it leads back."""

from hypothesis import assume, example, given
from hypothesis import strategies as st

from rowbox.mailbox.ids import is_user_id
from rowbox.mailbox.subjects import SubjectTooLong, subject_of, user_id_of

near_the_escape = st.text(alphabet="@@@|07CFa é+", min_size=1, max_size=12)
subjects = near_the_escape | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(subjects)
@example("auth0|5f7c1a2b3c4d5e6f7a8b9c0d")
@example("@")
@example("@@")
@example("@|@")
@example("@@7C")
@example("@@40@@40")
@example("\x00\n\x7f")
def test_a_subject_comes_back_from_its_user_id(subject: str) -> None:
    user_id = user_id_of(subject)
    assert is_user_id(user_id)
    assert subject_of(user_id) == subject


@given(subjects, subjects)
@example("@@7C", "|")
@example("@@40", "@")
@example("@", "@@40")
def test_two_subjects_never_have_one_user_id(one: str, other: str) -> None:
    assume(one != other)
    assert user_id_of(one) != user_id_of(other)


@given(st.from_regex(r"[A-Za-z0-9._@+:\-]{1,128}", fullmatch=True))
def test_an_id_of_the_alphabet_stays_as_it_is(user_id: str) -> None:
    assume("@@" not in user_id)
    assert user_id_of(user_id) == subject_of(user_id) == user_id


@given(st.text(alphabet="@|07CFAaf4+", max_size=12) | st.from_regex(r"[A-Za-z0-9._@+:\-]{1,140}", fullmatch=True))
@example("@@61")
@example("@@7c")
@example("@@C3")
@example("@@@@7C")
@example("a@@")
def test_what_has_a_subject_is_the_user_id_of_that_and_nothing_else_has(text: str) -> None:
    try:
        subject = subject_of(text)
    except ValueError:
        return
    assert user_id_of(subject) == text


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200))
def test_one_that_would_be_too_long_is_refused_and_no_other(subject: str) -> None:
    longest = sum(4 * len(character.encode()) for character in subject)
    try:
        user_id = user_id_of(subject)
    except SubjectTooLong as error:
        user_id = "x" * error.length
        assert len(user_id) > 128
    else:
        assert len(user_id) <= 128
    assert len(subject) <= len(user_id) <= longest
