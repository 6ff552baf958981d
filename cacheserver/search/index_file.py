"""The index of one mailbox: a SQLite file that says which messages may have certain words.

It is asked for candidates and nothing else: whoever asks holds each against the mailbox. So nothing is ever taken out
of it. A message that was edited has its words of before beside those of now, one that was unsent has its words until
the file is thrown away, and a message that is added twice is found once. That is why the FTS5 of any SQLite will do:
`content=''` keeps no text, and deleting from such a table is newer than what Python comes with.

    words           FTS5: terms by place. A term is a letter for its kind and the rest in hexadecimal digits, so that
                    nothing that somebody looks for can be syntax: `w` a word, `c` a conversation, `s` a sender.
    messages        by place: the message, and which cell of it was newest: so it is read by its exact column.
    conversations   their ids by small numbers.
    about           whose index it is, and up to which version the mailbox's changes are in it.

A place is a messageId cut to 63 bits, so places sort as messages do by their time. Two messages of one place are both
candidates wherever one of them is.

Nothing here is durable or has to be: without a journal and without fsync a file that was not closed well may be
damaged, and damage ends in IndexLost, whose answer is another file.

The methods block; each is called in a worker thread, and one waits for another.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from threading import Lock
from typing import Concatenate, Final, NamedTuple, ParamSpec, TypeVar

import msgspec

from rowbox.mailbox.ids import entropy_of, sent_timestamp
from rowbox.mailbox.search.query import Query
from rowbox.mailbox.search.words import fold, words_of

TIE_BITS: Final = 10
"""Of a place, the random bits: a microsecond has room for so many messages that are told apart."""
LAST_PLACE: Final = (1 << 63) - 1
BREATH: Final = 8
"""After so many messages a worker lets go of the interpreter's lock. It would keep it for 5 ms (sys.getswitchinterval),
and the server's loop, which needs it for a moment behind each answer of the store, would wait as long each time."""
CACHE_KIB: Final = 2_048
"""SQLite's memory of one open file."""

_TABLES = """
CREATE TABLE about (user TEXT NOT NULL, epoch BLOB NOT NULL, checkpoint INTEGER NOT NULL);
CREATE TABLE conversations (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE);
CREATE TABLE messages (
    place INTEGER NOT NULL, message BLOB NOT NULL, conversation INTEGER NOT NULL,
    epoch BLOB NOT NULL, version INTEGER NOT NULL, came INTEGER NOT NULL, ends INTEGER NOT NULL,
    PRIMARY KEY (place, message)
) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5(terms, content='', columnsize=0, detail='none', tokenize='ascii');
"""
_CANDIDATES = """
SELECT m.message, c.id, m.epoch, m.version, m.came, m.ends
FROM words CROSS JOIN messages AS m ON m.place = words.rowid CROSS JOIN conversations AS c ON c.number = m.conversation
WHERE words MATCH ? AND words.rowid BETWEEN ? AND ? ORDER BY words.rowid DESC, m.message DESC LIMIT ?
"""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class IndexLost(Exception):
    """The file cannot be used: it is damaged, its device is full, or it was thrown away. Another one has to be made."""


class Words(NamedTuple):
    """A message with its text, as an index takes it in."""

    message_id: bytes
    conversation_id: bytes
    epoch: int
    version: int
    came: int
    ends_us: int
    """When it ends, in microseconds; 0: by retention alone."""
    sender_id: str
    content: str


class Candidate(NamedTuple):
    """A message that may be what is looked for, and which cell of it was newest when the index heard of it last."""

    message_id: bytes
    conversation_id: bytes
    epoch: int
    version: int
    came: int
    ends_us: int


class Wanted(NamedTuple):
    """Which candidates: of a query, and where given of a conversation and a sender, between two places."""

    query: Query
    conversation_id: bytes | None = None
    sender_id: str | None = None
    first_place: int = 0
    last_place: int = LAST_PLACE


def place_of(message_id: bytes) -> int:
    """The place of a message. Of two messages the later one has a place that is not lower."""
    tie = entropy_of(message_id) >> (62 - TIE_BITS)
    return min(LAST_PLACE, sent_timestamp(message_id) << TIE_BITS | tie)


def first_place_at(sent_us: int) -> int:
    """The first place of messages that were sent at a time, or later."""
    return min(LAST_PLACE, max(0, sent_us) << TIE_BITS)


def what_is_missing() -> str | None:
    """Why no index can be made with the SQLite that this Python has; None: it can."""
    try:
        with sqlite3.connect(":memory:") as database:
            database.executescript(_TABLES)
            database.execute("SELECT value ->> 0 FROM json_each('[[1]]')").fetchall()
        database.close()
    except sqlite3.Error as error:
        return f"SQLite {sqlite3.sqlite_version}: {error}"
    return None


def _at_the_file(
    work: "Callable[Concatenate[IndexFile, _P], _T]",
) -> "Callable[Concatenate[IndexFile, _P], _T]":
    """One at a time; whatever SQLite or the device says against it is IndexLost."""

    @wraps(work)
    def do(self: "IndexFile", /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        with self._lock:
            if self.is_discarded:
                raise IndexLost("it was thrown away")
            try:
                return work(self, *args, **kwargs)
            except (sqlite3.Error, OSError) as error:
                raise IndexLost(f"{type(error).__name__}: {error}") from error

    return do


class IndexFile:
    """The index of one mailbox."""

    def __init__(self, path: Path, user_id: str, epoch: int, checkpoint: int) -> None:
        """Makes nothing yet. `checkpoint`: changes of the mailbox up to there need not be told of."""
        self._path = path
        self._user_id = user_id
        self._epoch = epoch
        self._lock = Lock()
        self._database: sqlite3.Connection | None = None
        self._numbers: dict[bytes, int] = {}
        self._is_made = False
        self.is_discarded = False
        self.checkpoint = checkpoint
        """Up to this version all changes of the mailbox are in it, as far as they are of messages that are."""
        self.size_bytes = 0

    @_at_the_file
    def add(self, messages: Iterable[Words], checkpoint: int | None = None) -> int:
        """Adds messages as they are now, in any order; `checkpoint` None leaves that as it is. How many they are.

        All of them and the checkpoint, or IndexLost.
        """
        database = self._opened()
        of_message: list[tuple[int, bytes, int, bytes, int, int, int]] = []
        terms: list[tuple[int, str]] = []
        database.execute("BEGIN")
        for done, one in enumerate(messages):
            if not done % BREATH:
                time.sleep(0)
            place, number = place_of(one.message_id), self._number_of(database, one.conversation_id)
            stamp = one.epoch.to_bytes(8, "big"), one.version, one.came
            of_message.append((place, one.message_id, number, *stamp, one.ends_us))
            terms.append((place, _terms_of(one)))
        terms.sort()  # SQLite writes what it holds whenever a place is lower than the one before
        # One statement for all: each would let go of the GIL and wait for it again.
        rows = "INSERT INTO words (rowid, terms) SELECT value ->> 0, value ->> 1 FROM json_each(?)"
        database.execute(rows, (msgspec.json.encode(terms).decode(),))
        database.executemany(
            "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET epoch = excluded.epoch, "
            "version = excluded.version, came = excluded.came WHERE excluded.version > version",
            of_message,
        )
        if checkpoint is not None:
            database.execute("UPDATE about SET checkpoint = ?", (checkpoint,))
        database.execute("COMMIT")
        if checkpoint is not None:
            self.checkpoint = checkpoint
        self.size_bytes = self._path.stat().st_size
        return len(terms)

    @_at_the_file
    def candidates(self, wanted: Wanted, most: int) -> list[Candidate]:
        """The newest messages that may be what is wanted, newest first; `most` of them at most."""
        of_place = wanted.first_place, wanted.last_place
        found = self._opened().execute(_CANDIDATES, (_match(wanted), *of_place, most)).fetchall()
        return [
            Candidate(message, conversation, int.from_bytes(epoch, "big"), version, came, ends_us)
            for message, conversation, epoch, version, came, ends_us in found
        ]

    @_at_the_file
    def close(self) -> None:
        """Gives back what an open file takes. The next call opens it again."""
        database, self._database = self._database, None
        self._numbers.clear()
        if database is not None:
            database.close()

    def discard(self) -> None:
        """Throws the file away, whatever state it is in: from now on everything raises IndexLost."""
        with self._lock:
            self.is_discarded = True
            database, self._database = self._database, None
            with suppress(sqlite3.Error):
                if database is not None:
                    database.close()
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            if self._is_made and not self._path.exists():
                raise IndexLost("the file is gone")
            if not self._is_made:
                os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            database = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            self._database = database
            for pragma in ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE"):
                database.execute(f"PRAGMA {pragma}").fetchall()
            database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            if not self._is_made:
                database.executescript(_TABLES)
                about = self._user_id, self._epoch.to_bytes(8, "big"), self.checkpoint
                database.execute("INSERT INTO about VALUES (?, ?, ?)", about)
                self._is_made = True
            self._check(database)
        return self._database

    def _check(self, database: sqlite3.Connection) -> None:
        """IndexLost where it is not what was made here last."""
        about = database.execute("SELECT user, epoch, checkpoint FROM about").fetchall()
        if about != [(self._user_id, self._epoch.to_bytes(8, "big"), self.checkpoint)]:
            raise IndexLost("it is of another mailbox, or of another time")

    def _number_of(self, database: sqlite3.Connection, conversation_id: bytes) -> int:
        number = self._numbers.get(conversation_id)
        if number is None:
            database.execute("INSERT OR IGNORE INTO conversations (id) VALUES (?)", (conversation_id,))
            found = database.execute("SELECT number FROM conversations WHERE id = ?", (conversation_id,)).fetchone()
            number = self._numbers[conversation_id] = int(found[0])
        return number


def _terms_of(one: Words) -> str:
    words = map(_of_word, words_of(fold(one.content)))
    return f"c{one.conversation_id.hex()} {_of_sender(one.sender_id)} {' '.join(words)}"


def _of_word(word: str) -> str:
    return f"w{word.encode('utf-8', 'surrogatepass').hex()}"


def _of_sender(sender_id: str) -> str:
    return f"s{sender_id.encode().hex()}"


def _match(wanted: Wanted) -> str:
    """The query of FTS5: terms joined by AND, and nothing that somebody wrote."""
    terms = [_of_word(term.word) + "*" * term.is_beginning for term in wanted.query.terms]
    if wanted.conversation_id is not None:
        terms.append(f"c{wanted.conversation_id.hex()}")
    if wanted.sender_id is not None:
        terms.append(_of_sender(wanted.sender_id))
    return " AND ".join(terms)
