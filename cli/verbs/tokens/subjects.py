"""`rowbox token user-id` and `subject`: translate between an issuer's subject and the userId that it becomes here."""

import click

from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.ids import USER_ID_IS, is_user_id
from rowbox.mailbox.settings.config import AuthSettings
from rowbox.mailbox.subjects import subject_of, user_id_of


@click.command("user-id")
@click.argument("subject")
def user_id(subject: str) -> None:
    """Print the userId of an issuer's SUBJECT, as a server with auth.escape_user_ids makes it.

    Reads and writes nothing but the terminal.
    """
    click.echo(_user_id_of(subject))


@click.command("subject")
@click.argument("user_id")
def subject(user_id: str) -> None:
    """Print the issuer's subject behind a USER_ID: the inverse of `rowbox token user-id`.

    Reads and writes nothing but the terminal.
    """
    try:
        click.echo(subject_of(user_id))
    except ValueError as error:
        raise BadRequest(f"{user_id}: {error}") from error


def user_meant(settings: AuthSettings, text: str, given: str = "--user") -> str:
    """The userId that an operator means by `text`: a userId, or with auth.escape_user_ids also an issuer's subject.

    BadRequest where it is neither; it calls the option or argument by the name in `given`.
    """
    if not settings.escape_user_ids:
        if not is_user_id(text):
            raise BadRequest(f"{given} is {USER_ID_IS}")
        return text
    try:
        subject_of(text)
    except ValueError:
        return _user_id_of(text)
    return text


def _user_id_of(text: str) -> str:
    try:
        return user_id_of(text)
    except ValueError as error:
        raise BadRequest(f"no userId: {error}") from error
