"""Prints what CHANGELOG.md says of a release, for the release's page on the forge: `python3 -m deploy.release_notes
TAG`.

It refuses a tag that is not the version of the code, of the JavaScript client and of the newest section of
CHANGELOG.md, because a release under a wrong name cannot be taken back. It needs Python alone.
"""

import json
import re
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]


def release_notes(tag: str, root: Path = ROOT) -> str:
    """The text of the newest section. ValueError, saying what to change, where `tag` cannot be released yet."""
    (version,) = re.findall(r'^__version__ = "(.+)"$', (root / "src/rowbox/__init__.py").read_text(), re.MULTILINE)
    client = json.loads((root / "api/web/client/package.json").read_text())["version"]
    _, _, newest = (root / "CHANGELOG.md").read_text().partition("\n## ")
    heading, _, rest = newest.partition("\n")
    if tag != f"v{version}":
        raise ValueError(
            f"the tag is {tag}, and the version is {version}: set it in src/rowbox/__init__.py, or tag v{version}"
        )
    if client != version:
        raise ValueError(f"api/web/client/package.json has the version {client}, src/rowbox/__init__.py has {version}")
    if not re.fullmatch(rf"{re.escape(version)}, \d{{4}}-\d\d-\d\d", heading):
        raise ValueError(f'CHANGELOG.md begins with "{heading}": it has to be "{version}, YYYY-MM-DD"')
    return rest.partition("\n## ")[0].strip() + "\n"


def main() -> int:
    """Prints the text and returns 0, or prints one line on stderr and returns 1."""
    try:
        (tag,) = sys.argv[1:]
        print(release_notes(tag), end="")
    except ValueError as error:
        reason = error if len(sys.argv) == 2 else "usage: python3 -m deploy.release_notes TAG"
        print(f"Error: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
