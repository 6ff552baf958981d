"""Tells whether the end of RocksDB's write-ahead log was torn by a kill or is damaged.

A log is blocks of 32 KiB; a block is records, and zeros where less than a header fits::

    masked crc32c of type and payload (4) | length (2) | type (1) | payload       little-endian

A record that does not fit into its block goes on in the next one. Type 1 is a whole record, 2 its beginning, 3 a middle
part, 4 its end.

A process that is killed leaves the beginning of a record at the very end of the log; that record was never confirmed. A
record that claims to go on beyond the end of the log, although records follow it, has a damaged length. Those that
follow it were confirmed. (RocksDB wiki, "Write Ahead Log File Format". Logs are not recycled here, so the longer
headers do not occur.)
"""

from pathlib import Path

_BLOCK = 32 << 10
_HEADER = 7
_TYPES = frozenset({1, 2, 3, 4})
_GOES_ON = frozenset({2, 3})
_MASK = 0xFFFFFFFF
_POLYNOMIAL = 0x82F63B78


def ends_torn(folder: Path) -> bool:
    """Whether the newest log of the folder ends within a record, and the layout of the records in the others is whole.

    RocksDB verifies the checksums of records when it reads them.
    """
    logs = sorted((path for path in folder.glob("*.log") if path.stat().st_size), key=lambda path: int(path.stem))
    return bool(logs) and all(_is_whole(log.read_bytes()) for log in logs[:-1]) and _is_torn(logs[-1].read_bytes())


def _is_whole(data: bytes) -> bool:
    end, goes_on = _walk(data)
    return end >= len(data) and not goes_on


def _is_torn(data: bytes) -> bool:
    end, goes_on = _walk(data)
    if end >= len(data):
        return goes_on
    return not _goes_beyond_block(data, end) and not _holds_record(data[end + 1 :])


def _walk(data: bytes) -> tuple[int, bool]:
    """The offset at which the whole records end, and whether the last of them goes on in a part that is missing."""
    at, goes_on = 0, False
    while at < len(data):
        room = _BLOCK - at % _BLOCK
        if room < _HEADER:
            at += room
            continue
        size = _record_size(data, at)
        if at + size > min(len(data), at + room):
            break
        goes_on = data[at + 6] in _GOES_ON
        at += size
    return at, goes_on


def _record_size(data: bytes, at: int) -> int:
    return _HEADER + int.from_bytes(data[at + 4 : at + 6], "little")


def _goes_beyond_block(data: bytes, at: int) -> bool:
    """Whether the record at `at` claims to be longer than its block, which no writer makes."""
    return len(data) - at >= _HEADER and _record_size(data, at) > _BLOCK - at % _BLOCK


def _holds_record(data: bytes) -> bool:
    """Whether a whole record with a right checksum stands anywhere in `data` (less than a block of it)."""
    return any(_is_record(data, at) for at in range(len(data) - _HEADER + 1))


def _is_record(data: bytes, at: int) -> bool:
    end = at + _record_size(data, at)
    if data[at + 6] not in _TYPES or end > len(data):
        return False
    return int.from_bytes(data[at : at + 4], "little") == _masked(_crc32c(data[at + 6 : end]))


def _masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & _MASK


def _crc32c_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ _POLYNOMIAL * (crc & 1)
        table.append(crc)
    return tuple(table)


_TABLE = _crc32c_table()


def _crc32c(data: bytes) -> int:
    """Castagnoli's CRC-32, by table. It takes 0.1 us a byte, for at most some hundred KB, and only after a kill."""
    crc = _MASK
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ _MASK
