"""SIGKILL in the middle of writing state: what was there before is there, or what was to come, and never half of it."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from project import CODE_PATH
from vaeforge.ledger.events import TrialLeased
from vaeforge.ledger.file import Ledger, LedgerReader
from vaeforge.training.checkpoint_files import CHECKPOINT_NAME
from vaeforge.training.storage import open_storage

KILLS = 8
WRITE_STATE = """
import sys
from pathlib import Path
from vaeforge.paths import write_json
path, number = Path(sys.argv[1]), 0
while True:
    number += 1
    write_json(path, {"number": number, "filling": [number] * 20_000})
"""
WRITE_LEDGER = """
import sys
from pathlib import Path
from vaeforge.ledger.events import TrialLeased
from vaeforge.ledger.file import Ledger
path, attempt = Path(sys.argv[1]), int(sys.argv[2])
ledger = Ledger(path)
while True:
    attempt += 1
    ledger.append(TrialLeased(trial=0, attempt=attempt))
"""

UNMOVED = """
import os, signal, sys
from vaeforge.training.storage import open_storage

def on_event(event, arguments):
    if event == "os.rename":  # is told before it is done
        os.kill(os.getpid(), signal.SIGKILL)

storage = open_storage(sys.argv[1])
storage.write("epoch-00001.pt", lambda file: file.write(b"one"))
sys.addaudithook(on_event)
storage.write("epoch-00002.pt", lambda file: file.write(b"two"))
"""


def killed(program: str, path: Path, *arguments: str, seconds: float) -> None:
    """Run a program that writes `path` again and again, and kill it some time after its first writes."""
    command = [sys.executable, "-c", program, str(path), *arguments]
    before = path.stat().st_mtime_ns if path.exists() else 0
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": CODE_PATH})
    try:
        while not path.exists() or path.stat().st_mtime_ns == before:
            assert process.poll() is None
            time.sleep(0.001)
        time.sleep(seconds)
    finally:
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL


def test_a_state_file_is_whole_whenever_its_writer_is_killed(tmp_path: Path) -> None:
    path, moments, newest = tmp_path / "state.json", random.Random(4), 0
    for _ in range(KILLS):
        killed(WRITE_STATE, path, seconds=moments.uniform(0, 0.1))
        found = json.loads(path.read_text())
        assert found["filling"] == [found["number"]] * 20_000
        newest = max(newest, found["number"])
    assert newest > 1


def test_a_ledger_holds_every_line_that_was_acknowledged_whenever_its_writer_is_killed(tmp_path: Path) -> None:
    path, moments, known = tmp_path / "ledger.jsonl", random.Random(5), 0
    for _ in range(KILLS // 2):
        killed(WRITE_LEDGER, path, str(known), seconds=moments.uniform(0, 0.1))
        ledger = Ledger(path)  # as the next session does, it cuts off what was not finished
        ledger.close()
        reader = LedgerReader(path)
        attempts = [event.attempt for event in reader.read() if isinstance(event, TrialLeased)]
        assert reader.damaged == 0 and attempts == list(range(1, len(attempts) + 1))
        assert len(attempts) > known
        known = len(attempts)


def test_a_checkpoint_whose_writer_is_killed_before_the_move_is_not_seen(tmp_path: Path) -> None:
    command = [sys.executable, "-c", UNMOVED, str(tmp_path)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": CODE_PATH}, timeout=300)
    assert done.returncode == -signal.SIGKILL
    storage = open_storage(str(tmp_path))
    (unfinished,) = (name for name in storage.names() if name != "epoch-00001.pt")
    assert (tmp_path / unfinished).read_bytes() == b"two" and not CHECKPOINT_NAME.fullmatch(unfinished)
    storage.keep_only(["epoch-00001.pt"])  # as at the end of its trial
    assert storage.names() == ["epoch-00001.pt"]
