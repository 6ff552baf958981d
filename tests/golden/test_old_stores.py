"""Folders and tables that older Rowboxes wrote open, and read as they read them."""

import tarfile
from pathlib import Path

import pytest

from rowbox.cacheserver.node.tenure import EpochOwnership
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.port import Send
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.cacheserver.stores.port import Store
from rowbox.hbase_schema.families import ttl_ms
from tests.checking import assert_no_findings
from tests.golden.old_stores import STORES, OldStore, answer_again, is_refused, old_store
from tests.integration.rocksdb.rocksdb_fixture import opened
from tests.support.cluster import UNLIMITED
from tests.support.virtual_time import virtual_time


async def assert_reads_equal(store: Store, old: OldStore) -> None:
    """Every recorded answer, then a send, whose version must be new; the checker after it."""
    ownership = EpochOwnership(old.map_version + 1, "today") if store.late_writes else None
    owner = Owner(store, UNLIMITED, ownership=ownership, now_us=lambda: old.now_us)
    await owner.start()
    try:
        for answer in old.answers:
            assert await answer_again(owner, answer) == answer
        for bearer in old.bearers:
            assert await is_refused(owner, bearer) == bearer["is_refused"], bearer
        heads = [answer["head"] for answer in old.answers if answer["user"] in {"ann", "bob"}]
        sent = await owner.send(Send("ann", "bob", "today", "today"))
        assert sent.last_updated_timestamp > max(heads)
        retry = await owner.send(Send("ann", "bob", "hello", "a1"))
        assert retry.duplicate
    finally:
        await owner.close()
    await assert_no_findings(store, UNLIMITED, old.now_us)


@pytest.mark.parametrize("name", ["embedded", "cluster", "embedded-2", "cluster-2"])
@virtual_time
async def test_what_an_old_store_holds_reads_as_it_was_read_then(name: str) -> None:
    old = old_store(name)
    store = MemoryStore(
        old.shards, ttl_ms(UNLIMITED.store), late_writes=name.startswith("cluster"), now_ms=lambda: old.now_us // 1000
    )
    await old.write_to(store)
    await assert_reads_equal(store, old)


@pytest.mark.parametrize("name", ["embedded", "embedded-2"])
async def test_an_old_folder_opens_and_reads_as_it_was_read_then(name: str, tmp_path: Path) -> None:
    old = old_store(name)
    with tarfile.open(STORES / f"{name}-folder.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    folder = tmp_path / "store"
    how = {"shards": old.shards, "ttl_ms": ttl_ms(UNLIMITED.store), "now_ms": lambda: old.now_us // 1000}
    async with opened(folder, **how):
        pass  # what opening it adds does no harm either
    async with opened(folder, **how) as store:
        await assert_reads_equal(store, old)
