"""The calls about devices, over the real owner; every answer is decoded with its documented type."""

import asyncio
from typing import Any

import msgspec
import pytest

from rowbox.api.v1.devices.types import Device, FetchDevicesResponse, SignOutResponse
from tests.http.api import Answer, Api, token


async def asked(api: Api, call: str, fields: Any = None, *, device: str = "", bearer: str = "") -> Answer:
    """As alice. `device`: what X-Device-Id says; `bearer`: another token than any of hers."""
    headers = {"X-Device-Id": device} if device else {}
    if bearer:
        headers["Authorization"] = f"Bearer {bearer}"
    if fields is None:
        return await api.get(f"/v1/{call}", headers=headers)
    return await api.request("POST", f"/v1/{call}", headers=headers, body=msgspec.json.encode(fields))


async def devices(api: Api, device: str = "") -> list[Device]:
    return (await asked(api, "fetchDevices", device=device)).decode(FetchDevicesResponse).devices


async def test_a_device_is_registered_listed_and_signed_out(api: Api) -> None:
    phone = {"deviceId": "phone", "name": "Alice's", "platform": "ios"}
    made = (await asked(api, "registerDevice", phone, device="phone")).decode(Device)
    assert (made.device_id, made.name, made.platform, made.current) == ("phone", "Alice's", "ios", True)
    (await asked(api, "registerDevice", {"deviceId": "laptop"}, device="laptop")).decode(Device)
    assert {one.device_id: one.current for one in await devices(api, "laptop")} == {"phone": False, "laptop": True}
    poll = asyncio.create_task(asked(api, "fetchChanges?wait=30&" + await since(api), device="phone"))
    done = (await asked(api, "signOut", {"deviceId": "phone"}, device="laptop")).decode(SignOutResponse)
    assert done.device_ids == ["phone"]
    (await poll).problem(401, "signed_out")
    for call, fields in (("fetchMessages", None), ("registerDevice", phone), ("signOut", {"deviceId": "laptop"})):
        (await asked(api, call, fields, device="phone")).problem(401, "signed_out")
    (await asked(api, "registerDevice", phone)).problem(401, "signed_out")
    assert [one.device_id for one in await devices(api)] == ["laptop"]
    assert (await asked(api, "signOut", {"deviceId": "phone"})).decode(SignOutResponse).device_ids == []
    (await asked(api, "signOut", {"deviceId": "tablet"})).problem(404, "unknown_device")


async def since(api: Api) -> str:
    return f"lastUpdatedTimestamp={(await api.get('/v1/fetchChanges')).json()['lastUpdatedTimestamp']}"


async def test_all_are_signed_out_but_for_the_tokens_that_name_the_device(api: Api) -> None:
    own, other = token("alice", device="laptop"), token("alice", device="phone")
    (await asked(api, "registerDevice", {"deviceId": "phone"}, bearer=other)).decode(Device)
    (await asked(api, "registerDevice", {"deviceId": "laptop"}, bearer=own)).decode(Device)
    everybody = {"all": True, "exceptDeviceId": "laptop"}
    assert (await asked(api, "signOut", everybody, bearer=own)).decode(SignOutResponse).device_ids == ["phone"]
    old = token("alice", now=1_700_000_000, ttl_s=1e9)
    for bearer, device in ((other, ""), (old, ""), (old, "laptop")):
        (await asked(api, "fetchMessages", bearer=bearer, device=device)).problem(401, "signed_out")
    assert (await asked(api, "fetchMessages", bearer=own)).status == 200
    assert (await asked(api, "fetchMessages", bearer=token("alice"))).status == 200
    (await api.get("/v1/fetchMessages", "bob")).json()


async def test_a_token_of_a_device_is_of_no_other(api: Api) -> None:
    phones = token("alice", device="phone")
    assert (await asked(api, "fetchMessages", bearer=phones, device="phone")).status == 200
    problem = (await asked(api, "fetchMessages", bearer=phones, device="laptop")).problem(403, "forbidden")
    assert problem.detail == "the token is of another device"
    (await asked(api, "registerDevice", {"deviceId": "laptop"}, bearer=phones)).problem(403, "forbidden")
    (await asked(api, "registerDevice", {"deviceId": "laptop"}, device="phone")).problem(403, "forbidden")
    assert await devices(api) == []


@pytest.mark.parametrize("device", ["two words", "x" * 65, "caf\xe9", ","])
async def test_a_header_that_is_no_device_id_is_refused(api: Api, device: str) -> None:
    (await asked(api, "fetchMessages", device=device)).problem(400, "bad_request")


@pytest.mark.parametrize(
    ("call", "fields"),
    [
        ("registerDevice", {}),
        ("registerDevice", {"deviceId": ""}),
        ("registerDevice", {"deviceId": "a b"}),
        ("registerDevice", {"deviceId": "phone", "name": "x" * 65}),
        ("registerDevice", {"deviceId": "phone", "platform": "x" * 33}),
        ("signOut", {}),
        ("signOut", {"all": False}),
        ("signOut", {"deviceId": "phone", "all": True}),
        ("signOut", {"deviceId": "phone", "exceptDeviceId": "laptop"}),
        ("signOut", {"exceptDeviceId": "laptop"}),
        ("signOut", {"all": True, "exceptDeviceId": "a b"}),
        ("signOut", {"deviceId": "a b"}),
    ],
)
async def test_what_is_malformed_changes_nothing(api: Api, call: str, fields: dict[str, object]) -> None:
    (await asked(api, call, fields)).problem(400, "bad_request")
    assert await devices(api) == []


async def test_only_an_admin_asks_for_another(api: Api) -> None:
    bobs = {"deviceId": "phone", "userId": "bob"}
    for call, fields in (("registerDevice", bobs), ("signOut", bobs), ("fetchDevices?userId=bob", None)):
        (await asked(api, call, fields)).problem(403, "forbidden")
    root = token("root", admin=True)
    (await asked(api, "registerDevice", bobs, bearer=root, device="console")).decode(Device)
    shown = (await asked(api, "fetchDevices?userId=bob", bearer=root)).decode(FetchDevicesResponse).devices
    assert [one.device_id for one in shown] == ["phone"]
    assert (await asked(api, "signOut", bobs, bearer=root)).decode(SignOutResponse).device_ids == ["phone"]


async def test_there_are_no_more_than_twenty(api: Api) -> None:
    for number in range(20):
        (await asked(api, "registerDevice", {"deviceId": f"d{number}"})).decode(Device)
    (await asked(api, "registerDevice", {"deviceId": "one-more"})).problem(422, "too_many_devices")
    assert len(await devices(api)) == 20
