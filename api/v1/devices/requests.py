"""Turns requests about devices into values of the port, as api/v1/requests.py does with all others."""

from typing import Final

import msgspec
from msgspec import UnsetType

from rowbox.api.auth.claims import Claims
from rowbox.api.v1.devices.targets import code_of, target_of
from rowbox.api.v1.devices.types import (
    MAX_NAME_CHARACTERS,
    MAX_PLATFORM_CHARACTERS,
    FetchDevicesQuery,
    RegisterDevice,
    SetPush,
    SignOut,
)
from rowbox.api.v1.reading.query import QueryParser
from rowbox.api.v1.reading.request import ReadUserId, acting_user, decode, given, plain_user_id
from rowbox.cacheserver import port
from rowbox.mailbox.devices import DEVICE_ID_IS, is_device_id
from rowbox.mailbox.errors import BadRequest, Forbidden

_register: Final = msgspec.json.Decoder(RegisterDevice)
_set_push: Final = msgspec.json.Decoder(SetPush)
_sign_out: Final = msgspec.json.Decoder(SignOut)
_fetch: Final = QueryParser(FetchDevicesQuery)


class DeviceRequests:
    """Parses requests about devices. Every method raises BadRequest, UnknownParameter, Forbidden."""

    def __init__(self, read_user_id: ReadUserId = plain_user_id) -> None:
        self._read_user_id = read_user_id

    def register(self, body: bytes, claims: Claims) -> port.RegisterDevice:
        """The device in a body: the one that asks, where a user asks for himself and says from which."""
        request = decode(_register, body)
        device_id = _device_id(request.device_id, "deviceId")
        for text, most, name in (
            (request.name, MAX_NAME_CHARACTERS, "name"),
            (request.platform, MAX_PLATFORM_CHARACTERS, "platform"),
        ):
            if len(text) > most:
                raise BadRequest(f"{name} has more than {most} characters")
        user_id = self._own_device(request.user_id, device_id, claims)
        return port.RegisterDevice(user_id, device_id, request.name, request.platform, claims.bearer)

    def set_push(self, body: bytes, claims: Claims) -> port.SetPush:
        """Where the device in a body is to be told of messages: the one that asks, as of `register`."""
        request = decode(_set_push, body)
        device_id, asked = _device_id(request.device_id, "deviceId"), request.push
        user_id = self._own_device(request.user_id, device_id, claims)
        target, code = (None, b"") if asked is None else (target_of(asked), code_of(asked))
        return port.SetPush(user_id, device_id, target, code, claims.bearer)

    def sign_out(self, body: bytes, claims: Claims) -> port.SignOut:
        """Who is to be signed out, of a body."""
        request = decode(_sign_out, body)
        device_id, spared = given(request.device_id), given(request.except_device_id)
        if (device_id is None) == (not request.all):
            raise BadRequest("give one of deviceId and all")
        if device_id is not None and spared is not None:
            raise BadRequest("exceptDeviceId goes with all")
        user_id = acting_user(request.user_id, "userId", claims, self._read_user_id)
        which = "" if device_id is None else _device_id(device_id, "deviceId")
        but = "" if spared is None else _device_id(spared, "exceptDeviceId")
        return port.SignOut(user_id, which, but, claims.bearer)

    def fetch(self, query: str, claims: Claims) -> port.FetchDevices:
        """Whose devices a query asks for."""
        request = _fetch.parse(query)
        return port.FetchDevices(acting_user(request.user_id, "userId", claims, self._read_user_id), claims.bearer)

    def _own_device(self, user_id: str | UnsetType, device_id: str, claims: Claims) -> str:
        """The user whose device it is. Forbidden where he asks for himself, and from another device."""
        acting = acting_user(user_id, "userId", claims, self._read_user_id)
        asking = claims.bearer.device_id if claims.bearer is not None and acting == claims.user_id else ""
        if asking and asking != device_id:
            raise Forbidden("the request comes from another device")
        return acting


def _device_id(text: str, name: str) -> str:
    if not is_device_id(text):
        raise BadRequest(f"{name} is {DEVICE_ID_IS}")
    return text
