"""The page calls its user by the userId that the server makes of his token."""

import json
import random
import subprocess
import sys
from pathlib import Path

from rowbox.mailbox.ids import is_user_id
from rowbox.mailbox.subjects import user_id_of

CHAT = Path(__file__).parents[2] / "api" / "web" / "chat"
NODE = Path(sys.executable).with_name("node")
"""A dev dependency brings it."""
KNOWN = ["auth0|5f7c", "@", "@@|", "@|@", "q83v/w==", "Zoë", "日本", "😀", "a b\n", "alice", "+15551234567"]


def test_it_makes_the_same_of_a_name_that_is_no_user_id(tmp_path: Path) -> None:
    dice = random.Random(0)
    names = KNOWN + ["".join(dice.choices("@@|a7é😀", k=6)) for _ in range(200)]
    (tmp_path / "subjects.mjs").write_bytes((CHAT / "subjects.js").read_bytes())
    program = (
        'import { userIdOf } from "./subjects.mjs";'
        "console.log(JSON.stringify(JSON.parse(process.argv[1]).map(userIdOf)))"
    )
    command: list[str | Path] = [NODE, "--input-type=module", "--eval", program, json.dumps(names)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [name if is_user_id(name) else user_id_of(name) for name in names]
