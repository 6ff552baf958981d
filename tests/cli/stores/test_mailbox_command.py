"""`rowbox mailbox` and `rowbox audit`, over a folder that a real owner wrote."""

import asyncio
import re
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from rowbox.cacheserver.cache.commands import CommandResult, ReceiptsCommand
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.port import (
    ChangeAccount,
    ChangeGroup,
    Create,
    FetchChanges,
    ProvenToken,
    RegisterDevice,
    Send,
    SetTtl,
    SignOut,
)
from rowbox.cacheserver.stores.rocksdb.store import RocksStore
from rowbox.cli.main import main
from rowbox.cli.verbs.mail.mailbox_tail import KIND_WORDS
from rowbox.mailbox.account.deeds import SetConversation
from rowbox.mailbox.cells import ChangeKind
from rowbox.mailbox.group import GroupSettings, group_conversation_id, group_name
from rowbox.mailbox.ids import direct_conversation_id, message_id
from rowbox.mailbox.receipts import Receipt
from rowbox.mailbox.revocation import Bearer
from rowbox.mailbox.settings.config import Settings
from tests.cli.stores.store_folder import in_store, nothing, three_messages
from tests.cli.stores.test_check import lose_carols_copy


def run(data_dir: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--data-dir", str(data_dir)])


def test_show_tells_numbers_ids_and_times_and_no_text(tmp_path: Path) -> None:
    in_store(tmp_path, three_messages)
    result = run(tmp_path, "mailbox", "show", "alice")
    assert result.exit_code == 0, result.output
    assert "Conversations   2, 2 of them with unread messages\nMessages        3\n" in result.stdout
    assert direct_conversation_id("alice", "carol").hex() in result.stdout
    assert "number" not in result.stdout, "it shows what somebody wrote"
    assert "carol" not in run(tmp_path, "mailbox", "show", "alice", "--conversations", "0").stdout
    assert "and 1 more (--conversations)" in run(tmp_path, "mailbox", "show", "alice", "--conversations", "1").stdout


def test_show_as_json(tmp_path: Path) -> None:
    in_store(tmp_path, three_messages)
    shown = orjson.loads(run(tmp_path, "mailbox", "show", "alice", "--json").stdout)
    assert (shown["userId"], shown["messages"], shown["conversationCount"], shown["claims"]) == ("alice", 3, 2, [])
    assert [one["participants"] for one in shown["conversations"]] == [["alice", "carol"], ["alice", "bob"]]
    assert [one["unreadCount"] for one in shown["conversations"]] == [1, 1]
    nobody = orjson.loads(run(tmp_path, "mailbox", "show", "nobody", "--json").stdout)
    assert (nobody["head"], nobody["conversations"]) == (0, [])


GROUP = group_conversation_id("alice", "club")
NEWEST = message_id(1_800_000_000_000_000, 1)


async def receipts_of_both_kinds(store: RocksStore, settings: Settings) -> None:
    """Bob has read what alice has sent him, and has got what is in a group of theirs, of which he has read a part."""
    owner = Owner(store, settings)
    await owner.start()
    sent = await owner.send(Send("alice", "bob", "number 1", "c1"))
    await owner.change_group(ChangeGroup("alice", GROUP, Create("club", "Club", ("bob",), GroupSettings())))
    earlier = message_id(1_700_000_000_000_000, 1)
    for name, receipt in (
        ("alice", Receipt(sent.conversation_id, "bob", sent.message_id, sent.message_id, 1_700_000_000_000_000)),
        (group_name(GROUP), Receipt(GROUP, "bob", NEWEST, earlier, 1_700_000_000_000_000)),
    ):
        told: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        owner.pipeline.submit(ReceiptsCommand(name, [receipt], future=told))
        await told
    deed = SetConversation(sent.conversation_id, 1_900_000_000_000_000, is_pinned=True)
    await owner.change_account(ChangeAccount("alice", deed))
    await owner.set_ttl(SetTtl("bob", sent.conversation_id, 7 * 86_400_000))
    await owner.delivery.idle()
    await owner.close()


def test_show_has_the_receipts_of_conversations_and_those_of_members_in_a_groups_row(tmp_path: Path) -> None:
    in_store(tmp_path, receipts_of_both_kinds)
    shown = orjson.loads(run(tmp_path, "mailbox", "show", "alice", "--json").stdout)
    (of_bob,) = [one for one in shown["conversations"] if one["participants"] == ["alice", "bob"]]
    marks = of_bob["receipts"]
    assert marks["deliveredUpTo"] == marks["readUpTo"] == of_bob["lastMessageId"]
    assert (marks["readTimestamp"], marks["toldReadUpTo"], shown["members"]) == (1_700_000_000_000_000, None, [])
    own = [of_bob[name] for name in ("mutedUntil", "archived", "pinned", "markedUnread")]
    assert own == [1_900_000_000_000_000, False, True, False]
    assert [one["ttlMs"] for one in shown["conversations"]].count(None) == 1
    assert of_bob["ttlMs"] == 7 * 86_400_000
    assert " 7d" in run(tmp_path, "mailbox", "show", "alice").stdout
    in_row = orjson.loads(run(tmp_path, "mailbox", "show", GROUP.hex(), "--group", "--json").stdout)
    (bob,) = in_row["members"]
    assert (bob["userId"], bob["deliveredUpTo"]) == ("bob", NEWEST.hex())
    assert bob["moves"] == [{"upTo": bob["readUpTo"], "at": 1_700_000_000_000_000}]
    words = run(tmp_path, "mailbox", "show", GROUP.hex(), "--group").stdout
    assert "has read up to" in words
    assert NEWEST.hex() in words
    refused = run(tmp_path, "mailbox", "show", "alice", "--group")
    assert refused.exit_code == 1
    assert "USER" in refused.stderr


async def two_devices(store: RocksStore, settings: Settings) -> None:
    """Alice's phone, which has all that there is and is pushed to, and her laptop, which she has signed out."""
    owner = Owner(store, settings)
    await owner.start()
    await owner.send(Send("bob", "alice", "number 1", "c1"))
    for device_id in ("phone", "laptop"):
        await owner.register_device(RegisterDevice("alice", device_id, f"Alice's {device_id}", "ios"))
    bearer = Bearer("alice", 0.0, b"", "phone")
    token = (await owner.fetch_changes(FetchChanges("alice", bearer=bearer))).token
    await owner.prove(ProvenToken("alice", token, bearer))
    await owner.sign_out(SignOut("alice", "laptop"))
    await owner.close()


def test_show_has_the_devices_without_their_names(tmp_path: Path) -> None:
    in_store(tmp_path, two_devices)
    words = run(tmp_path, "mailbox", "show", "alice").stdout
    assert "Devices         1 signed in, 1 signed out\n" in words
    assert "phone" in words
    assert "Alice" not in words
    assert "Devices" not in run(tmp_path, "mailbox", "show", "bob").stdout
    shown = orjson.loads(run(tmp_path, "mailbox", "show", "alice", "--json").stdout)
    (phone,) = shown["devices"]
    assert (phone["deviceId"], phone["platform"], phone["hasPush"]) == ("phone", "ios", False)
    assert 0 < phone["acked"] <= shown["head"]
    assert [one["deviceId"] for one in shown["signedOutDevices"]] == ["laptop"]


def test_verify(tmp_path: Path) -> None:
    in_store(tmp_path, three_messages)
    result = run(tmp_path, "mailbox", "verify", "alice")
    assert result.exit_code == 0
    assert result.stdout.startswith("Checked alice: 2 conversations, 3 copies of messages, ")
    assert result.stdout.endswith(" looked up in other mailboxes: nothing found.\n")
    assert "no mailbox of that name" not in run(tmp_path, "mailbox", "verify", "nobody").output


def test_verify_of_a_damaged_mailbox(tmp_path: Path) -> None:
    in_store(tmp_path, lose_carols_copy)
    result = run(tmp_path, "mailbox", "verify", "alice", "--json")
    assert result.exit_code == 1
    shown = orjson.loads(result.stdout)
    assert not shown["clean"]
    assert "last_message" in {finding["code"] for finding in shown["findings"]}


def test_tail_prints_the_changes_and_no_text(tmp_path: Path) -> None:
    in_store(tmp_path, three_messages)
    assert run(tmp_path, "mailbox", "tail", "alice", "--no-follow").stdout == ""
    lines = run(tmp_path, "mailbox", "tail", "alice", "--all", "--no-follow").stdout.splitlines()
    told = [re.fullmatch(r"\S+Z  (message|receipt) +[0-9a-f]{32} [0-9a-f]{32}", line) for line in lines]
    kinds = [match[1] for match in told if match is not None]
    assert len(kinds) == len(lines)
    assert kinds.count("message") == 3, "and bob has read alice's, of which a receipt may have come before the end"
    as_json = run(tmp_path, "mailbox", "tail", "alice", "--all", "--no-follow", "--json").stdout.splitlines()
    versions = [orjson.loads(line)["version"] for line in as_json]
    assert versions == sorted(versions)


def test_tail_has_a_word_for_every_kind_of_change() -> None:
    assert set(KIND_WORDS) == set(ChangeKind)


def test_an_audit_of_everybody(tmp_path: Path) -> None:
    in_store(tmp_path, three_messages)
    result = run(tmp_path, "audit", "--sample", "all", "--reads-per-second", "10000")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Audited 3 of 3 mailboxes, 6 copies of messages, ")
    assert result.stdout.endswith(": nothing found.\n")
    in_store(tmp_path, nothing)


def test_an_audit_prints_the_seed_of_its_sample(tmp_path: Path) -> None:
    in_store(tmp_path, three_messages)
    fast = ("--reads-per-second", "10000", "--json")
    first = orjson.loads(run(tmp_path, "audit", "--sample", "50%", *fast).stdout)
    again = orjson.loads(run(tmp_path, "audit", "--sample", "0.5", "--seed", first["seed"], *fast).stdout)
    assert first == again
    assert first["clean"]


@pytest.mark.parametrize("share", ["0", "101%", "-1%", "much", "nan", ""])
def test_what_is_no_part_of_all_users(tmp_path: Path, share: str) -> None:
    result = run(tmp_path, "audit", "--sample", share)
    assert result.exit_code == 2
    assert "is no part of all users: give 1%, 0.01 or all" in result.output


@pytest.mark.parametrize("verb", ["show", "verify", "tail"])
def test_who_is_no_user(tmp_path: Path, verb: str) -> None:
    result = run(tmp_path, "mailbox", verb, "no user")
    assert result.exit_code == 1
    assert "USER" in result.output
