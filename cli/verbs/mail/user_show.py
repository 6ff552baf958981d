"""`rowbox user show`: who a user is, as the store holds it. Exit 0: he is known; 1: he is not."""

import asyncio
from collections.abc import Iterator

import click
import orjson

from rowbox.cacheserver.check.user_lookup import profile_in
from rowbox.cli.options import with_settings
from rowbox.cli.times import time_text
from rowbox.cli.verbs.tokens.subjects import user_meant
from rowbox.cli.walk import opened
from rowbox.mailbox.people.profile import Erasure, Profile
from rowbox.mailbox.settings.config import LoadedSettings, Settings


@click.command("show")
@click.argument("user", metavar="USER")
@with_settings("server.data_dir", "store.url")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; times in microseconds.")
def show(loaded: LoadedSettings, user: str, *, as_json: bool) -> None:
    """Show the profile of USER: the name, the picture's address, what a program keeps, and since when.

    Of a user who was deleted it shows when that was, and how far the erasure of the mailbox is.

    Reads only. May run beside the server: an embedded store is read as it is when the verb begins. Exit 1 where nobody
    has made the user known, who may have a mailbox all the same.
    """
    settings = loaded.settings
    user_id = user_meant(settings.auth, user, "USER")
    profile = asyncio.run(_read(settings, user_id))
    if profile is None:
        raise click.ClickException(f"nobody has made {user_id} known: there is no profile")
    if as_json:
        click.echo(_as_json(user_id, profile))
        return
    for line in _lines(user_id, profile):
        click.echo(line)


async def _read(settings: Settings, user_id: str) -> Profile | None:
    async with opened(settings) as store:
        return await profile_in(store, user_id)


def _lines(user_id: str, profile: Profile) -> Iterator[str]:
    rows = {
        "User": user_id,
        "Name": profile.name,
        "Picture": profile.avatar,
        "Seen online by": profile.last_seen,
        "Known since": time_text(profile.created_version),
        "Last change": time_text(profile.version),
    }
    if profile.erasure is not None:
        rows = {"User": user_id, **_erasure(profile.erasure)}
    yield from (f"{name:<15} {value}" for name, value in rows.items() if value)
    for number, (name, value) in enumerate(sorted(profile.attributes.items())):
        yield f"{'' if number else 'Attributes':<15} {_on_a_line(name)}: {_on_a_line(value)}"


def _erasure(erasure: Erasure) -> dict[str, str]:
    """Of a user who is deleted: since when, and how far the erasure of his mailbox is."""
    erased = time_text(erasure.done_us) if erasure.done_us else "not yet"
    wiped = time_text(erasure.wiped_us) if erasure.wiped_us else "not yet"
    return {"Deleted": time_text(erasure.begun_us), "Removed": wiped, "Erased": erased}


def _on_a_line(text: str) -> str:
    """A program's text, which may have line breaks and what moves a terminal's cursor."""
    return text if text.isprintable() else repr(text)


def _as_json(user_id: str, profile: Profile) -> bytes:
    return orjson.dumps(
        {
            "userId": user_id,
            "name": profile.name,
            "avatar": profile.avatar or None,
            "attributes": profile.attributes,
            "lastSeen": profile.last_seen,
            "createdTimestamp": profile.created_version,
            "lastUpdatedTimestamp": profile.version,
            "deletedTimestamp": profile.erasure.begun_us if profile.erasure is not None else None,
            "erasedTimestamp": (profile.erasure.done_us or None) if profile.erasure is not None else None,
        },
        option=orjson.OPT_INDENT_2,
    )
