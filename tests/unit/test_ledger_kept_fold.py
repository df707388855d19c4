"""Kept fold of a ledger: whatever became of it or of the ledger, the history is that of a fold from the beginning."""

import json
import random
import shutil
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from vaeforge.ledger import kept_fold
from vaeforge.ledger.history import SearchHistory, read_history
from vaeforge.ledger.kept_fold import KeptFold

LEDGERS = Path(__file__).parents[1] / "ledgers"
NAMES = ("faults", "population", "budget")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "artifacts" / "searches" / "s" / "ledger.jsonl"


def lines_of(name: str) -> list[bytes]:
    return (LEDGERS / f"{name}.jsonl").read_bytes().splitlines(keepends=True)


def standing(history: SearchHistory) -> dict[str, Any]:
    """All that a history knows, orders included."""
    orders = {"order": list(history.trials), "open": [trial.number for trial in history.unfinished()]}
    reports = {number: (list(trial.reports), list(trial.decisions)) for number, trial in history.trials.items()}
    return {**vars(history), **orders, "reports": reports}


def require_same(path: Path) -> KeptFold:
    """What is kept at `path` leads to the history that the ledger alone tells."""
    found = KeptFold(path)
    assert standing(found.history) == standing(read_history(path, slim=True))
    return found


def write(path: Path, lines: list[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(lines))


def grown(path: Path, lines: list[bytes], steps: list[int]) -> None:
    """A ledger that grew to each of these numbers of lines, and what was kept then."""
    for step in steps:
        write(path, lines[:step])
        KeptFold(path).keep()


@pytest.mark.parametrize("name", NAMES)
def test_at_every_line_of_a_ledger_with_what_was_kept_at_those_before(name: str, path: Path) -> None:
    restored = set()
    lines = lines_of(name)
    for number in [*range(1, len(lines), 3), len(lines)]:
        write(path, lines[:number])
        found = require_same(path)
        found.keep()
        restored.add(found.restored)
    assert len(restored) > 1


@pytest.mark.parametrize("seed", range(2))
def test_drawn_searches_with_crashes_retries_and_sessions(seed: int, path: Path) -> None:
    draw = random.Random(seed)
    lines, times = [*lines_of("budget")[:1]], count(10)

    def add(kind: str, **content: Any) -> None:
        lines.append(json.dumps({"event": kind, "time": float(next(times)), **content}, separators=(",", ":")).encode())
        lines[-1] += b"\n"

    leases, ended = dict[int, int](), set[int]()
    for _ in range(200):
        trial = draw.randrange(12)
        if trial not in leases:
            repeat = draw.choice([None, None, *ended]) if ended else None
            add("submitted", trial=trial, params={"a": draw.random(), "n": trial}, group="g", repeat_of=repeat)
            leases[trial] = 0
        elif trial in ended:
            if draw.random() < 0.3:
                add("retried", trial=trial, cause="lost")
                ended.remove(trial)
        elif not leases[trial] or draw.random() < 0.2:
            if leases[trial]:
                add("crashed", trial=trial, attempt=1, cause="lost", traceback="", most=draw.choice([None, 2]))
            leases[trial] += 1
            add("leased", trial=trial, attempt=leases[trial], host=draw.randrange(3), generation=1)
        elif draw.random() < 0.6:
            state = {"file": f"elsewhere/{trial}/epoch-00001.pt", "sha256": "0", "epoch": 1}
            spent = {"core_seconds": draw.random(), "wall_seconds": draw.choice([None, draw.random()])}
            value = draw.choice([None, draw.random()])
            add("reported", trial=trial, epoch=draw.randrange(1, 5), metrics={"a": 1}, value=value, best=state, **spent)
        else:
            state = draw.choice(["completed", "stopped", "failed"])
            add("finished", trial=trial, state=state, value=draw.choice([None, 1.5]), epoch=3, seconds=0.1)
            ended.add(trial)
        if draw.random() < 0.05:
            add(draw.choice(["resumed", "interrupted", "later-kind"]), trials=5)
        if draw.random() < 0.03:
            lines.append(b'{"event":"reported","time":1.0,"trial":3,"damaged\n')
    at = 1
    while at < len(lines):
        at = min(len(lines), at + draw.randrange(1, 40))
        write(path, lines[:at])
        require_same(path).keep()


def test_what_is_kept_is_used_and_only_the_rest_is_folded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, lines_of("faults"))
    KeptFold(path).keep()
    read, whole = list[bytes](), kept_fold.event_of
    monkeypatch.setattr(kept_fold, "event_of", lambda line: (read.append(line), whole(line))[1])
    assert require_same(path).restored == 7
    assert read and not any(b'"trial":' in line and b'"reported"' in line for line in read)


@pytest.mark.parametrize("change", ["cut", "other", "torn in between"])
def test_a_kept_fold_that_is_damaged_anywhere_is_not_believed(change: str, path: Path) -> None:
    """As after a kill while it is written, or by a disk: what is whole before may be used, nothing else."""
    lines = lines_of("faults")
    grown(path, lines, [len(lines) // 2, len(lines)])
    kept = path.with_name(kept_fold.NAME)
    whole = kept.read_bytes()
    for place in range(0, len(whole), len(whole) // 12):
        if change == "cut":
            kept.write_bytes(whole[:place])
        elif change == "other":
            kept.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        else:
            kept.write_bytes(whole[:place] + whole[place + 40 :])
        require_same(path).keep()  # goes on behind what is whole
        require_same(path)


def test_a_ledger_that_was_cut_or_changed_under_it(path: Path) -> None:
    lines = lines_of("faults")
    grown(path, lines, [len(lines) // 3, len(lines) // 2, len(lines)])
    kept = path.with_name(kept_fold.NAME).read_bytes()
    used = set()
    for length in range(1, len(lines), len(lines) // 8):  # newer than its ledger
        path.with_name(kept_fold.NAME).write_bytes(kept)
        write(path, lines[:length])
        used.add(require_same(path).restored)
    assert len(used) > 1
    path.with_name(kept_fold.NAME).write_bytes(kept)
    whole = b"".join(lines)
    path.write_bytes(whole.replace(b'"value":', b'"valve":', 1))  # as long as before
    assert require_same(path).restored == 0
    path.with_name(kept_fold.NAME).write_bytes(kept)
    path.write_bytes(whole + b'{"event":"resumed","ti')
    assert KeptFold(path).restored > 0


def test_of_another_code_or_of_a_project_that_was_moved_nothing_is_used(path: Path, tmp_path: Path) -> None:
    write(path, lines_of("faults"))
    KeptFold(path).keep()
    moved = tmp_path / "moved" / "artifacts" / "searches" / "s"
    shutil.copytree(path.parent, moved)
    assert require_same(moved / path.name).restored == 0
    kept = path.with_name(kept_fold.NAME)
    kept.write_bytes(kept.read_bytes().replace(b'"code":"', b'"code":"0', 1))
    assert require_same(path).restored == 0


@pytest.mark.parametrize("first", [b"", b"\n\n", b"[]\n", b'{"fold":1}\n', b"\xff" * 65])
def test_a_file_that_is_none(first: bytes, path: Path) -> None:
    write(path, lines_of("budget"))
    path.with_name(kept_fold.NAME).write_bytes(first)
    require_same(path).keep()
    assert require_same(path).restored == 3


def test_where_it_cannot_be_written_or_would_come_back_otherwise_the_search_goes_on(path: Path) -> None:
    write(path, lines_of("budget"))
    path.with_name(kept_fold.NAME).mkdir()
    require_same(path).keep()
    path.with_name(kept_fold.NAME).rmdir()
    write(path, [line.replace(b'"params":{', b'"params":{"odd":NaN,', 1) for line in lines_of("budget")])
    found = KeptFold(path)
    found.keep()
    assert len(found.history.ended_trials) == 3 and not path.with_name(kept_fold.NAME).exists()
    assert KeptFold(path).restored == 0


def test_no_ledger(path: Path) -> None:
    assert KeptFold(path).history.header is None
