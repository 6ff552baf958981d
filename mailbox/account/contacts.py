"""The contacts of a user, as a part of the plan of his row; and whether somebody is one."""

from msgspec.structs import replace

from rowbox.mailbox.account.deeds import AccountChanged, SetContact
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import CONTACT, OWN, ChangeKind, LogCell
from rowbox.mailbox.errors import TooManyContacts
from rowbox.mailbox.group import person_key
from rowbox.mailbox.ids import direct_conversation_id
from rowbox.mailbox.people.contact import MOST_CONTACTS, Contact


def contact_of(row: Plan | Mailbox, user_id: str) -> Contact | None:
    """What a row says of a contact of its user; None: the other one is none."""
    known = row.state(CONTACT, person_key(user_id)) if row.has_any(CONTACT) else None
    return known if known is not None and known.is_on else None


def set_contact(plan: Plan, deed: SetContact) -> AccountChanged:
    """Makes somebody a contact, changes what is kept of one, or removes one. TooManyContacts, with nothing planned."""
    key = person_key(deed.user_id)
    known = plan.state(CONTACT, key)
    if deed.is_removed:
        if known is None or not known.is_on:
            return AccountChanged(known.ended if known is not None else 0, changed=False)
        epoch, version = plan.stamp()
        ended = replace(known, version=version, epoch=epoch, ended=version, alias="", is_favourite=False)
        return _put(plan, ended, key)
    if known is not None and known.is_on:
        after = _with(known, deed)
        if after == known:
            return AccountChanged(known.version, changed=False)
        epoch, version = plan.stamp()
        return _put(plan, replace(after, version=version, epoch=epoch), key)
    if known is None and len(plan.keys_of(CONTACT)) >= MOST_CONTACTS:
        raise TooManyContacts(f"you have had {MOST_CONTACTS} contacts, and nobody may have more")
    epoch, version = plan.stamp()
    created = known.created_version if known is not None else version
    _accept(plan, deed.user_id)
    return _put(plan, _with(Contact(version, epoch, deed.user_id, version, 0, created), deed), key)


def _accept(plan: Plan, user_id: str) -> None:
    """A conversation with somebody who becomes a contact waits to be accepted no more."""
    conversation_id = direct_conversation_id(plan.user_id, user_id)
    own = plan.state(OWN, conversation_id) if plan.has_any(OWN) else None
    if own is not None and own.is_request:
        plan.put_own(conversation_id, replace(own, is_request=False))
        plan.note_read(conversation_id)


def _with(contact: Contact, deed: SetContact) -> Contact:
    alias = contact.alias if deed.alias is None else deed.alias
    is_favourite = contact.is_favourite if deed.is_favourite is None else deed.is_favourite
    return replace(contact, alias=alias, is_favourite=is_favourite)


def _put(plan: Plan, contact: Contact, key: bytes) -> AccountChanged:
    plan.put(CONTACT, contact, key)
    plan.log.append(LogCell(contact.version, contact.epoch, ChangeKind.ACCOUNT, b"", b""))
    return AccountChanged(contact.version, changed=True)
