"""Watching a search: a kept ledger that another process writes, line by line, as a search does; and its page."""

import http.client
import json
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from project import command_line
from reported import KEPT, header, kept_search, made_trial, registered_groups, written_search
from vaeforge.ledger.history import read_history
from vaeforge.paths import Project
from vaeforge.watch.followed import GONE, NOTHING, FollowedSearch, Standing
from vaeforge.watch.page import serve_page
from vaeforge.watch.waiting import waits_for

WRITER = """
import sys, time
from pathlib import Path
from filelock import FileLock
folder, kept, go = (Path(word) for word in sys.argv[1:])
with FileLock(folder / "lock", preserve_lock_file=True), (folder / "ledger.jsonl").open("ab", buffering=0) as ledger:
    print("locked", flush=True)
    for number, line in enumerate(kept.read_bytes().splitlines(keepends=True)):
        while number == 20 and not go.exists():
            time.sleep(0.02)
        ledger.write(line[:20])  # as a torn write is seen
        time.sleep(0.02)
        ledger.write(line[20:])
"""


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Path]:
    """The folder of a search whose ledger a process of its own writes; after 20 lines it waits for a file `go`."""
    folder = Project(tmp_path).search("faults")
    folder.mkdir(parents=True)
    command = [sys.executable, "-c", WRITER, str(folder), str(KEPT / "faults.jsonl"), str(tmp_path / "go")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == b"locked\n"
        yield folder
        writer.wait(60)


def of(lines: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"] == event]


def test_a_search_is_followed_until_its_end(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, look = [], FollowedSearch.look

    def looked(followed: FollowedSearch, recent: int) -> Standing:
        seen.append(look(followed, recent))
        if len(seen) > 1:
            (tmp_path / "go").touch()
        return seen[-1]

    monkeypatch.setattr(FollowedSearch, "look", looked)
    done = command_line(tmp_path, "watch", "faults", "--json")
    assert done.code == 0, done
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    history = read_history(KEPT / "faults.jsonl")
    assert [lines[0]["event"], lines[-1]["event"]] == ["start", "end"]
    told = {line["trial"]: line for line in of(lines, "trial")}
    assert len(of(lines, "trial")) == len(told) and set(told) == set(history.trials)
    assert {number: line["state"] for number, line in told.items()} == {
        number: trial.state for number, trial in history.trials.items()
    }
    assert lines[-1]["trials"] == history.counts() and lines[-1]["reason"] == "trials"
    assert of(lines, "waits")
    assert sorted(path.name for path in written.iterdir()) == ["ledger.jsonl", "lock"]  # nothing was written


def test_a_search_that_has_ended_is_shown_with_its_ranking(tmp_path: Path) -> None:
    kept_search(tmp_path, "faults")
    done = command_line(tmp_path, "watch", "faults")
    assert done.code == 0 and "Search 'faults' finished in" in done.stdout and "Best trials by val/nelbo" in done.stdout
    assert "`vaeforge report faults` makes one" in done.stdout
    refused = command_line(tmp_path, "watch", "other")
    assert refused.code == 2 and "`vaeforge searches` lists those there are" in refused.stderr


def test_a_search_whose_process_is_gone_is_over_unless_it_is_another_machines(tmp_path: Path) -> None:
    lines = [header("gone", trials=7), *registered_groups(), *made_trial(0, {"beta.schedule": "constant"}, -1.0)[:4]]
    folder = written_search(tmp_path, "gone", lines).search("gone")
    followed = FollowedSearch(folder)
    assert followed.look().over == GONE and followed.total == 7 and followed.epochs == 6
    (folder / "lock").write_text("process 1 on another-machine", encoding="utf-8")
    assert followed.look().over is None
    (folder.parent / "empty").mkdir()
    assert FollowedSearch(folder.parent / "empty").look().over == NOTHING


def test_it_is_said_what_a_search_waits_for(tmp_path: Path) -> None:
    trial = made_trial(3, {"beta.schedule": "constant"}, -1.0)
    stages = {
        "waits for its data and its cluster": [],
        "waits for the first worker (last news 5 s ago)": [header("w")],
        "waits for the next trial to be proposed, or for its end": [header("w"), *registered_groups()],
        "waits for a worker that takes trial 3": [header("w"), *registered_groups(), trial[0]],
        "waits for the first epoch of trial 3": [header("w"), *registered_groups(), *trial[:2]],
        "waits for the next epoch of trial 3 (last news 5 s ago; an epoch of trial 3 takes 0 s)": [
            header("w"),
            *registered_groups(),
            *trial[:3],
        ],
    }
    for place, (said, lines) in enumerate(stages.items()):
        folder = written_search(tmp_path / str(place), "w", lines).search("w")
        history = read_history(folder / "ledger.jsonl")
        assert waits_for(history, history.newest + 5).startswith(said)


def get(address: str, path: str, host: str | None = None) -> tuple[int, bytes]:
    parts = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    connection.request("GET", path, headers={"Host": host or parts.netloc})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def test_the_page_keeps_up_with_the_ledger_and_answers_its_own_address_alone(tmp_path: Path) -> None:
    odd = "</script><b>x</b>"
    lines = [header("p", trials=3), *registered_groups(), *made_trial(0, {"beta.schedule": odd}, -5.0)]
    folder = written_search(tmp_path, "p", lines).search("p")
    (folder / "lock").write_text("process 1 on another-machine", encoding="utf-8")
    with serve_page(folder) as address:
        assert address.startswith("http://127.0.0.1:")
        code, page = get(address, "/")
        assert code == 200 and b"/state.json" in page and b"http://" not in page.replace(b"http://www.w3.org", b"")
        first = json.loads(get(address, "/state.json")[1])
        assert (first["ended"], first["total"], first["over"]) == (1, 3, None) and odd in first["trials"][0][
            "parameters"
        ]
        with (folder / "ledger.jsonl").open("a", encoding="utf-8") as ledger:
            for line in made_trial(1, {"beta.schedule": "linear"}, -9.0):
                ledger.write(json.dumps({"time": 2000.0, **line}) + "\n")
        second = json.loads(get(address, "/state.json")[1])
        assert second["ended"] == 2 and second["best"] == {"trial": 1, "value": -9.0}
        assert second["values"] == [[0, "completed", -5.0], [1, "completed", -9.0]]
        assert get(address, "/", host="evil.example")[0] == 403
        assert get(address, "/../ledger.jsonl")[0] == 404
