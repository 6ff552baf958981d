"""Each API process's part of the server's budgets. What they may take together is what one process may take without
them.

    max_connections, held_bytes, bodies_bytes    divided
    sockets.max_per_server, handshakes_per_second  divided
    bodies_bytes_per_user                        at most the process's bodies_bytes
    sockets.max_per_user                         not divided: where a user's connections come to is chance
    poll, rate_limits, commit, cache             not divided: the owner of the mailboxes keeps these, for all of them
    auth.token_cache_entries                     each process remembers so many: any of them may meet any token
"""

from msgspec.structs import replace

from rowbox.mailbox.settings.config import Settings


def share_of(settings: Settings, port: int) -> Settings:
    """The settings of each of `server.api_processes` processes, which all listen at `port`."""
    server, count = settings.server, settings.server.api_processes
    bodies_bytes = server.bodies_bytes // count
    share = replace(
        server,
        port=port,
        max_connections=server.max_connections // count,
        held_bytes=server.held_bytes // count,
        bodies_bytes=bodies_bytes,
        bodies_bytes_per_user=min(server.bodies_bytes_per_user, bodies_bytes),
    )
    sockets = replace(
        settings.sockets,
        max_per_server=max(1, settings.sockets.max_per_server // count),
        handshakes_per_second=max(1, settings.sockets.handshakes_per_second // count),
    )
    return replace(settings, server=share, sockets=sockets)
