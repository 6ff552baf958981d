"""What a data directory holds: the embedded store in `store`, the secret (secret.py), the settings (options.py)."""

from pathlib import Path

from rowbox.mailbox.config import Settings


def store_folder(settings: Settings) -> Path:
    """Where the embedded store lies."""
    return Path(settings.server.data_dir) / "store"
