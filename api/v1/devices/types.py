"""The types of the calls about devices: they validate requests, encode answers, and make a part of openapi.json."""

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from rowbox.api.v1.reading.fields import ActingUserId
from rowbox.cacheserver.port import DeviceShown, DevicesResult, SignOutResult
from rowbox.mailbox.devices import DEVICE_ID_PATTERN, MOST_DEVICES
from rowbox.mailbox.representation import Timestamp

MAX_NAME_CHARACTERS: Final = 64
MAX_PLATFORM_CHARACTERS: Final = 32

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


class FetchDevicesResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The devices that are signed in, the one that was seen last first."""

    devices: Annotated[list[Device], Meta(max_length=MOST_DEVICES, description="Each once.")]


class SignOutResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Who was signed in until this request."""

    device_ids: Annotated[
        list[DeviceId],
        Meta(description="The devices that this request signed out: none where an earlier one had done it."),
    ]


_encode = msgspec.json.Encoder().encode


def encode_device(result: DevicesResult) -> bytes:
    """The body of registerDevice's answer."""
    return _encode(_shown(result.devices[0]))


def encode_devices(result: DevicesResult) -> bytes:
    """The body of fetchDevices' answer."""
    return _encode(FetchDevicesResponse(devices=[_shown(one) for one in result.devices]))


def encode_sign_out(result: SignOutResult) -> bytes:
    """The body of signOut's answer."""
    return _encode(SignOutResponse(device_ids=list(result.device_ids)))


def _shown(device: DeviceShown) -> Device:
    return Device(
        device_id=device.device_id,
        name=device.name,
        platform=device.platform,
        created_timestamp=device.created_us,
        last_seen_timestamp=device.seen_us,
        current=device.is_asking,
    )
