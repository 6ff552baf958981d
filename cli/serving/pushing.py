"""What a server tells devices with: the services, and the key by which push services know it."""

import os
import shlex
from pathlib import Path

from rowbox.cacheserver.push.services.services import PushServices
from rowbox.cli.secret import is_open
from rowbox.mailbox.errors import StoreUnusable
from rowbox.mailbox.settings.config import PushSettings


def push_services(settings: PushSettings) -> PushServices:
    """The services of one process, to be made in its loop. StoreUnusable where push.vapid_key_file is of no use."""
    return PushServices(settings, _read_key(Path(settings.vapid_key_file)) if settings.vapid_key_file else None)


def _read_key(path: Path) -> bytes:
    """The text of a key's file."""
    try:
        with path.open("rb") as file:
            if is_open(os.fstat(file.fileno())):
                raise StoreUnusable(
                    f"{path} is open to other accounts, and whoever reads it can push in this server's name:"
                    f" chmod 600 {shlex.quote(str(path))}"
                )
            return file.read()
    except OSError as error:
        raise StoreUnusable(f"push.vapid_key_file: {path}: {error.strerror}; `rowbox push keys` makes one") from error
