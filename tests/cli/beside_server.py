"""What verbs find that ask the running server on a data directory."""

from pathlib import Path

from rowbox.cli.secret import FILE
from tests.cli.test_health import listening
from tests.http.api import SECRET


def put_secret(data_dir: Path) -> None:
    """Has the directory know the secret that `serving` goes by, as its server would."""
    (data_dir / FILE).write_bytes(SECRET)
    (data_dir / FILE).chmod(0o600)


def silent_port() -> int:
    """A port on which no server answers."""
    with listening(lambda _: b"") as port:
        return port
