"""What the OpenAPI document says of the calls about devices, beyond what their types say."""

from typing import Final

from rowbox.api.v1.devices.types import (
    Device,
    FetchDevicesQuery,
    FetchDevicesResponse,
    RegisterDevice,
    SetPush,
    SignOut,
    SignOutResponse,
)
from rowbox.api.v1.reading.call_doc import CallDoc
from rowbox.mailbox.devices import MOST_DEVICES

_REGISTER: Final = f"""\
A device is one sign-in of one installation. Its requests name it in the header `X-Device-Id`, a socket in its `hello`;
where the token names one itself (the claim `did`, auth.device_claim), another one is refused. Without a device all
works, but there is nothing that the user could sign out by itself.

The same deviceId again gives the device its name and platform anew, and says that it is in use: a client registers
whenever it starts. A deviceId that was signed out stays so: whoever signs in again takes a new one. A user has
{MOST_DEVICES} devices; one more takes the place of a device that has not registered for 90 days, which is signed out by
that. Counts against the send limit."""

_FETCH: Final = """\
Those that are signed in. `account` of fetchChanges says that it is time to ask again."""

_SET_PUSH: Final = """\
While nobody is looking, the device is told of new messages there: at once where the user was not active for a minute,
else once a message is unread for 15 seconds. What it is told is a small JSON object with a `type`:

- `message`: there is a new message, with conversationId, messageId, sentTimestamp and `badge`, the number of unread
  conversations that are not muted; by push.content also `sender` (a userId), `title` (a group's name) and `snippet`.
  The client fetches the message itself. One that disappears has its `expiresTimestamp`: show it no longer than that.
- `read`: what it was told of a conversation was read elsewhere, or taken back. It may stop showing it.

It may come late, twice or not at all: the mailbox has the messages.

`web` is a browser's subscription, encrypted for that browser alone; subscribe with the `pushKey` of fetchDevices.
`webhook` is an address of a program. Its first request is of type `confirm` and carries a `code`; give that back in
another setPush with the same url and secret, and messages are told there. Until then nothing else is. Every request is
signed as Standard Webhooks says. To set the same target again changes nothing, and sends the code anew where it is
missing. A target that is gone is removed, and `account` of fetchChanges says so. Counts against the send limit."""

_SIGN_OUT: Final = """\
From the answer on, and on every server, what comes from the device is refused with `401 signed_out`; its requests that
wait end with that, its sockets with the close code 4410. It is done by the user's own mailbox, so it holds over
restarts. Counts against the send limit.

A device is known by what its requests say, or by what its token names. So to sign out a device keeps out its client,
and whoever has a token that names it. A stolen token that names none ends with `all`: every token that was issued until
the answer is refused, also those without `iat`. `exceptDeviceId` spares the tokens that name that device themselves,
and no header helps. `all` takes up to a second, so that what is issued after the answer counts. Tokens with the scope
admin end with the sign-outs of their own user only."""

_WRITES: Final = ("message_too_large", "unsupported_media_type", "peer_too_old")

DEVICE_CALLS: Final = (
    CallDoc(
        "registerDevice",
        "post",
        "Has a device signed in, so that it is listed and can be signed out.",
        _REGISTER,
        RegisterDevice,
        {200: "The device, as it is listed from now on."},
        Device,
        ("too_many_devices", *_WRITES),
    ),
    CallDoc(
        "fetchDevices",
        "get",
        "The devices of the user that are signed in.",
        _FETCH,
        FetchDevicesQuery,
        {200: "All of them."},
        FetchDevicesResponse,
        ("peer_too_old",),
    ),
    CallDoc(
        "setPush",
        "post",
        "Has a device told of new messages while nobody is looking.",
        _SET_PUSH,
        SetPush,
        {200: "The device, as it is listed from now on."},
        Device,
        ("unknown_device", "push_off", *_WRITES),
    ),
    CallDoc(
        "signOut",
        "post",
        "Signs out a device, or all.",
        _SIGN_OUT,
        SignOut,
        {200: "It is so."},
        SignOutResponse,
        ("unknown_device", *_WRITES),
    ),
)
