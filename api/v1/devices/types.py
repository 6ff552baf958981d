"""The types of the calls about devices: they validate requests, encode answers, and make a part of openapi.json."""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from rowbox.api.v1.reading.fields import ActingUserId
from rowbox.cacheserver.port import DeviceShown, DevicesResult, SignOutResult
from rowbox.mailbox.devices import DEVICE_ID_PATTERN, MOST_DEVICES
from rowbox.mailbox.push.target import MAX_URL_CHARACTERS
from rowbox.mailbox.representation import Timestamp

MAX_NAME_CHARACTERS: Final = 64
MAX_PLATFORM_CHARACTERS: Final = 32
MAX_SECRET_CHARACTERS: Final = 94
CODE_PATTERN: Final = "^[0-9a-f]{32}$"

DeviceId: TypeAlias = Annotated[
    str,
    Meta(
        description="Chosen by the client for one sign-in, or what its token names.",
        examples=["9b2f6f0e-laptop"],
        extra_json_schema={"pattern": DEVICE_ID_PATTERN},
    ),
]
Name: TypeAlias = Annotated[
    str,
    Meta(
        description=f"What the user knows it by: up to {MAX_NAME_CHARACTERS} characters; it may be empty.",
        examples=["Alice's laptop"],
        extra_json_schema={"maxLength": MAX_NAME_CHARACTERS},
    ),
]
Platform: TypeAlias = Annotated[
    str,
    Meta(
        description=f"What it is: up to {MAX_PLATFORM_CHARACTERS} characters; it may be empty.",
        examples=["web"],
        extra_json_schema={"maxLength": MAX_PLATFORM_CHARACTERS},
    ),
]


class RegisterDevice(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A device that is signed in, or another name for one that is."""

    device_id: DeviceId
    name: Name = ""
    platform: Platform = ""
    user_id: ActingUserId | UnsetType = UNSET


class WebKeys(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The keys of a browser's subscription, in base64url."""

    p256dh: Annotated[str, Meta(description="The browser's public key.", extra_json_schema={"maxLength": 100})]
    auth: Annotated[
        str, Meta(description="What only the browser and this server know.", extra_json_schema={"maxLength": 32})
    ]


class WebTarget(
    Struct, tag_field="kind", tag="web", rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True
):
    """A browser's subscription, for Web Push, which `PushSubscription.toJSON()` gives."""

    endpoint: Annotated[
        str,
        Meta(
            description="The push service's address for this browser: https, and a host of push.allowed_hosts.",
            examples=["https://updates.push.services.mozilla.com/wpush/v2/gAAAAABn"],
            extra_json_schema={"maxLength": MAX_URL_CHARACTERS},
        ),
    ]
    keys: Annotated[WebKeys, Meta(description="With which what is told is encrypted for the browser.")]


class WebhookTarget(
    Struct, tag_field="kind", tag="webhook", rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True
):
    """A program's address, which is called with signed requests (Standard Webhooks)."""

    url: Annotated[
        str,
        Meta(
            description="The program's address: https, and a host of push.allowed_hosts.",
            examples=["https://hooks.example.com/rowbox"],
            extra_json_schema={"maxLength": MAX_URL_CHARACTERS},
        ),
    ]
    secret: Annotated[
        str,
        Meta(
            description="What requests are signed with: 24 to 64 random bytes in base64, behind `whsec_`.",
            examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
            extra_json_schema={"maxLength": MAX_SECRET_CHARACTERS},
        ),
    ]
    code: (
        Annotated[
            str,
            Meta(
                description="What the first request to the address said (`confirm`): it shows whose the address is.",
                extra_json_schema={"pattern": CODE_PATTERN},
            ),
        ]
        | UnsetType
    ) = UNSET


class SetPush(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Where a device is told of new messages."""

    device_id: DeviceId
    push: Annotated[WebTarget | WebhookTarget | None, Meta(description="The address; null is none: told nowhere.")]
    user_id: ActingUserId | UnsetType = UNSET


class SignOut(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A device to sign out; or `all`."""

    device_id: DeviceId | UnsetType = UNSET
    all: Annotated[bool, Meta(description="True: all devices, and all tokens that were issued until now.")] = False
    except_device_id: (
        Annotated[
            str,
            Meta(
                description="With `all`: not this device, and not the tokens that name it themselves (the claim did).",
                examples=["9b2f6f0e-laptop"],
                extra_json_schema={"pattern": DEVICE_ID_PATTERN},
            ),
        ]
        | UnsetType
    ) = UNSET
    user_id: ActingUserId | UnsetType = UNSET


class FetchDevicesQuery(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Whose devices."""

    user_id: ActingUserId | UnsetType = UNSET


class Push(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Where a device is told of new messages, without what is secret of it."""

    kind: Annotated[Literal["web", "webhook"], Meta(description="A browser (Web Push), or a program.")]
    host: Annotated[str, Meta(description="The host that is called.", examples=["updates.push.services.mozilla.com"])]
    confirmed: Annotated[
        bool, Meta(description="False: a webhook's code was not given back yet, and it is told nothing.")
    ]


class Device(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A device that is signed in."""

    device_id: DeviceId
    name: Name
    platform: Platform
    created_timestamp: Annotated[Timestamp, Meta(description="When it was registered, in microseconds.")]
    last_seen_timestamp: Annotated[
        Timestamp,
        Meta(description="When it last registered, connected, or came back with a token, in microseconds."),
    ]
    current: Annotated[bool, Meta(description="Whether this request came from it.")]
    push: Annotated[Push, Meta(description="Where it is told of new messages.")] | UnsetType = UNSET


class FetchDevicesResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The devices that are signed in, the one that was seen last first."""

    devices: Annotated[list[Device], Meta(max_length=MOST_DEVICES, description="Each once.")]
    push_key: (
        Annotated[
            str,
            Meta(description="What a browser subscribes with (`applicationServerKey`). Missing: there is no Web Push."),
        ]
        | UnsetType
    ) = UNSET


class SignOutResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Who was signed in until this request."""

    device_ids: Annotated[
        list[DeviceId],
        Meta(description="The devices that this request signed out: none where an earlier one had done it."),
    ]


_encode = msgspec.json.Encoder().encode


def encode_device(result: DevicesResult) -> bytes:
    """The body of the answer of registerDevice and setPush."""
    return _encode(_shown(result.devices[0]))


def encode_devices(result: DevicesResult) -> bytes:
    """The body of fetchDevices' answer."""
    shown = [_shown(one) for one in result.devices]
    return _encode(FetchDevicesResponse(devices=shown, push_key=result.server_key or UNSET))


def encode_sign_out(result: SignOutResult) -> bytes:
    """The body of signOut's answer."""
    return _encode(SignOutResponse(device_ids=list(result.device_ids)))


def _shown(device: DeviceShown) -> Device:
    push = device.push
    return Device(
        device_id=device.device_id,
        name=device.name,
        platform=device.platform,
        created_timestamp=device.created_us,
        last_seen_timestamp=device.seen_us,
        current=device.is_asking,
        push=UNSET if push is None else Push(kind=push.kind, host=push.host, confirmed=push.is_confirmed),
    )
