"""What `vaeforge doctor` finds, each fault there for real, and what a search makes of it before it starts."""

import hashlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from project import ROOT, EmptyProject
from stores import new_database
from vaeforge.doctor import environment, machine, project_files, services
from vaeforge.doctor.report import examine, exit_code
from vaeforge.errors import ResourceError
from vaeforge.paths import Project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An empty project, in which nothing of this machine's user counts."""
    for name in [name for name in os.environ if name.startswith(("RAY_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return Project(tmp_path)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_project_with_data_is_well_and_nothing_is_left_in_it(project: Project) -> None:
    (project.root / "data/endoscopy/normal").mkdir(parents=True)
    (project.root / "data/endoscopy/normal/one.png").write_bytes(b"1")
    found = examine(project)
    assert exit_code(found) == 0, found
    assert len({one.check for one in found}) == len(found) == 14
    assert all(bool(one.advice) == (one.level != "ok") for one in found)
    assert sorted(path.name for path in project.root.iterdir()) == ["data", "home"]


def test_it_exits_with_2_and_says_what_to_do_as_a_table_and_as_json(project: Project) -> None:
    called = EmptyProject(project.root)
    output = called.call("doctor", code=2)
    assert "data/endoscopy is not there" in output and "vaeforge import" in output
    lines = [json.loads(line) for line in called.call("doctor", "--json", code=2).splitlines()]
    assert [line["check"] for line in lines if line["level"] == "fail"] == ["data"]
    assert set(lines[0]) == {"check", "level", "found", "advice"}


def test_it_imports_nothing_large(project: Project) -> None:
    program = (
        "import sys, pathlib; from vaeforge.doctor.report import examine; from vaeforge.paths import Project\n"
        "examine(Project()); print({'torch', 'ray', 'mlflow', 'pandas'} & set(sys.modules))"
    )
    path = f"{ROOT / 'platform'}:{ROOT / 'models'}"
    variables = {**os.environ, "PYTHONPATH": path}
    call = [sys.executable, "-c", program]
    done = subprocess.run(call, cwd=project.root, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_packages_that_are_not_those_of_the_lock_are_named(project: Project) -> None:
    lock = project.root / "requirements.lock"
    lock.write_text("numpy==0.1  # arrays\nPyYAML==6.0.3\n")
    found = environment.packages(project.root)
    assert (found.level, found.found.partition(" ")[0]) == ("warn", "numpy") and "not 0.1" in found.found
    lock.write_text("no-such-package==1\n")
    found = environment.packages(project.root)
    assert (found.level, found.found) == ("fail", "no-such-package is missing")
    lock.write_text(f"numpy=={__import__('numpy').__version__}\n")
    assert environment.packages(project.root).level == "ok"


def test_without_a_lock_the_wheels_own_pins_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PACKAGE", tmp_path / "site-packages/vaeforge/doctor")
    asked = [f"numpy=={__import__('numpy').__version__}", "pandas==0.1", 'no-such-package==1; extra == "test"']
    monkeypatch.setattr(environment, "requires", lambda _: asked)
    found = environment.packages(tmp_path)
    assert found.level == "warn" and "pandas" in found.found and "not 0.1" in found.found and "with pip" in found.advice
    del asked[1]
    assert environment.packages(tmp_path).found == "1 as in vaeforge's wheel"
    monkeypatch.setattr(environment, "requires", lambda _: None)
    assert "no requirements.lock" in environment.packages(tmp_path).found


def test_gpus_that_torch_cannot_use_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "DEVICES", tmp_path)
    assert environment.gpus().found == "none"
    (tmp_path / "nvidia0").touch()
    (tmp_path / "nvidiactl").touch()
    monkeypatch.setattr(environment, "version", lambda _: "2.13.0+cpu")
    found = environment.gpus()
    assert (found.level, found.found) == ("warn", "1, but torch 2.13.0+cpu cannot use them")


def test_a_temporary_folder_that_cannot_be_written_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/proc/self")
    assert machine.temporary_folder().level == "fail"
    (long := tmp_path / ("x" * 100)).mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(long))
    found = machine.temporary_folder()
    assert found.level == "ok" and "sockets in /tmp" in found.found


def test_a_home_that_cannot_be_written_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/proc/nobody")
    assert machine.home().level == "warn"


def test_a_folder_that_cannot_be_written_fails() -> None:
    found = project_files.permissions(Project("/proc/self"))
    assert found.level == "fail" and "cannot be written" in found.advice
    assert project_files.locks(Project("/proc/self")).level == "fail"


def test_a_folder_of_anothers_and_one_that_everybody_writes_are_warned_of(project: Project) -> None:
    project.root.chmod(0o757)
    assert "chmod o-w" in project_files.permissions(project).advice
    project.root.chmod(0o700)
    other = project.search("theirs")
    other.mkdir(parents=True)
    if os.getuid() == 0:  # only root can give it away
        os.chown(other, 65534, -1)
        assert project_files.permissions(project).found == f"{other} belongs to another user"


def test_data_that_are_others_than_dvc_has_are_warned_of(project: Project) -> None:
    folder, digest = project.data("lipid") / "own", hashlib.md5(b"1").hexdigest()
    folder.mkdir(parents=True)
    (folder / "one.csv").write_bytes(b"1")
    (project.root / "params.yaml").write_text("family: lipid\n")
    (project.root / "data.dvc").write_text("outs:\n- {md5: abcdef.dir, path: data}\n")
    cached = project.root / ".dvc/cache/files/md5/ab/cdef.dir"
    cached.parent.mkdir(parents=True)
    cached.write_text(json.dumps([{"md5": digest, "relpath": "lipid/own/one.csv"}]))
    assert project_files.data(project).level == "ok"
    (folder / "one.csv").write_bytes(b"2")
    assert project_files.data(project).level == "warn"


def test_rays_token_and_its_cluster(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert services.ray(None).level == "ok"
    token = Path("~/.ray/auth_token").expanduser()
    token.parent.mkdir()
    token.write_text("t")
    token.chmod(0o644)
    assert services.ray(None).found == "others can read its token"
    token.chmod(0o600)
    nobody = f"127.0.0.1:{free_port()}"
    assert "does not answer" in services.ray(nobody).found
    token.unlink()
    assert services.ray(nobody).found == f"no token for {nobody}"
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert services.ray(None).level == "warn"


@pytest.mark.slow
def test_the_tracking_database_is_one_of_this_mlflow_and_none_is_made(project: Project) -> None:
    uri = f"sqlite:///{project.root}/mlflow.db"
    assert services.tracking(uri).level == "ok"
    assert not (project.root / "mlflow.db").exists()
    new_database(project.root)
    assert services.tracking(uri).found.endswith(f"schema {services.newest_schema()}")
    with sqlite3.connect(project.root / "mlflow.db") as store:
        store.execute("UPDATE alembic_version SET version_num = 'old'")
    store.close()
    assert (services.tracking(uri).level, "has the schema old" in services.tracking(uri).found) == ("fail", True)
    (project.root / "text.db").write_text("no database")
    assert services.tracking(f"sqlite:///{project.root}/text.db").level == "fail"


def test_a_tracking_server_that_is_down_or_behind_a_proxy_fails(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "no_proxy", "HTTP_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    uri = f"http://127.0.0.1:{free_port()}"
    assert "did not answer" in services.tracking(uri).advice
    monkeypatch.setenv("http_proxy", "http://me:hidden@proxy.example:3128")
    found = services.tracking(uri)
    assert "no_proxy" in found.advice and "proxy.example" in found.found and "hidden" not in found.found


def test_a_search_makes_the_cheap_checks_before_anything_else(project: Project) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    output = EmptyProject(project.root).call("tune", "--offline", "true", "--register", "false", code=2)
    assert "tune_spaces" in output  # nothing is there; with one, the next thing is:
    spaces = project.root / "tune_spaces"
    spaces.symlink_to(ROOT / "tune_spaces")
    call = ("tune", "--offline", "true", "--register", "false")
    output = EmptyProject(project.root).call(*call, code=2, RAY_ADDRESS=nobody, RAY_AUTH_TOKEN="t")
    assert f"{nobody} does not answer" in output and "unset RAY_ADDRESS" in output
    assert sorted(path.name for path in project.root.iterdir()) == ["home", "tune_spaces"]


def test_what_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from vaeforge.doctor.report import require_ready

    monkeypatch.setenv("RAY_TMPDIR", "/proc/self")
    with pytest.raises(ResourceError) as caught:
        require_ready(Project("/proc/self"), None, Console(quiet=True))
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "disk",
        "temporary folder",
        "permissions",
        "file locks",
    ]
