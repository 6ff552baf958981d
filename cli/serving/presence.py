"""Where the presence of a server's clients is kept, by its settings."""

from rowbox.cacheserver.clocks import wall_clock_us
from rowbox.cacheserver.ephemeral.memory import MemoryEphemeral
from rowbox.cacheserver.ephemeral.presence import NoPresence, Presence
from rowbox.cacheserver.ephemeral.store import EphemeralStore
from rowbox.cacheserver.port import MailboxPort
from rowbox.mailbox.settings.config import Settings


def shared_store(settings: Settings) -> EphemeralStore | None:
    """The store that all servers of a cluster share: Redis; None where none is named."""
    if not settings.cluster.redis_url:
        return None
    from rowbox.cacheserver.ephemeral.redis_store import RedisEphemeral  # redis is a sixth of a server's start

    return RedisEphemeral(settings.cluster.redis_url, settings.cluster.name)


def is_alone(settings: Settings) -> bool:
    """Whether nobody but this server serves its users, and presence is kept in its memory."""
    cluster = settings.cluster
    return not (cluster.redis_url or cluster.peer_listen or settings.server.role == "api")


def own_store(settings: Settings) -> EphemeralStore | None:
    """The memory of a server that is alone; None where others serve its users as well."""
    return MemoryEphemeral() if is_alone(settings) else None


def presence_over(port: MailboxPort, store: EphemeralStore | None) -> Presence | NoPresence:
    """The presence of the clients of one process, kept in `store`; None: nowhere."""
    return NoPresence(port) if store is None else Presence(port, store, wall_clock_us)
