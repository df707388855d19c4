"""What nodes get that do not share a folder, on two real nodes: the second one sees an empty folder in its place."""

import json
import os
import shutil
import site
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from manifest_samples import prepared_manifest
from outside import install_metadata
from vaeforge.data.prepared import Prepared
from vaeforge.errors import DataError, SearchError
from vaeforge.paths import sha256_of
from vaeforge.samples import Samples
from vaeforge.search.dispatch.data_transfer import DataHandle, code_packages, open_data

ROOT = Path(__file__).parents[2]
CODE = [str(ROOT / "platform/vaeforge"), str(ROOT / "models/vaeforge_models")]
FAMILY = """
from vaeforge_models.families.lipid import FAMILY as LIPID
from dataclasses import replace
FAMILY = replace(LIPID, name="sixth")
"""
PROGRAM = """
import atexit, contextlib, json, os, signal, subprocess, sys, time
from pathlib import Path
folder, addition = Path(sys.argv[1]), sys.argv[2]
sys.path.append(addition)  # as a script's own folder is: workers do not know it
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On
from test_search_data_transfer import make_prepared
from vaeforge.search.dispatch.data_transfer import code_packages, open_data, publish_data, unseen_nodes


def look(handle):
    import vaeforge
    from vaeforge_models.families import families
    arrays = open_data(handle)
    train = arrays.train
    return {
        "code": vaeforge.__file__,
        "families": sorted(families()),
        "mapped": type(train.x).__name__,
        "writable": train.x.flags.writeable,
        "sum": float(train.x.sum()) + float(arrays.validation.condition.sum()),
        "constants": {name: value.tolist() for name, value in arrays.spec.constants.items()},
        "event": arrays.spec.event_shape,
    }


def on(node, handle):
    task = ray.remote(num_cpus=0)(look).options(scheduling_strategy=On(node, soft=False))
    return ray.get(task.remote(handle), timeout=150)


settings = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
ray.init(address="local", num_cpus=1, runtime_env={"py_modules": code_packages()}, **settings)
here = ray.get_runtime_context().get_node_id()
prepared = make_prepared(folder / "hidden")
alone = [publish_data(prepared, prepared.folder, cluster=False).stored]
alone.append(publish_data(prepared, prepared.folder).stored is None)
alone.append(unseen_nodes(folder / "hidden"))
start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1"]
start += ["--address", ray.get_runtime_context().gcs_address]
hide = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(folder / "hidden")]
environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
with open(folder / "second.log", "w") as log:
    second = subprocess.Popen([*hide, *start], env=environment, stdout=log, stderr=log, start_new_session=True)


@atexit.register
def end_second():
    with contextlib.suppress(ProcessLookupError):
        os.killpg(second.pid, signal.SIGTERM)


deadline = time.monotonic() + 150
while len(nodes := [node for node in ray.nodes() if node["Alive"]]) < 2:
    assert time.monotonic() < deadline and second.poll() is None, (folder / "second.log").read_text()
    time.sleep(0.1)
there = next(node["NodeID"] for node in nodes if node["NodeID"] != here)
handle = publish_data(prepared, prepared.folder)
seen = {"alone": alone, "stored": handle.stored is not None}
seen |= {"here": on(here, handle), "there": on(there, handle)}
seen["unseen"] = [unseen_nodes(folder / "hidden"), unseen_nodes(folder / "shared")]
seen["left"] = sorted(path.name for path in folder.rglob(".probe*"))
try:
    on(there, publish_data(prepared, prepared.folder, cluster=False))
except Exception as error:
    seen["refused"] = str(error)
(folder / "seen.json").write_text(json.dumps(seen))
ray.shutdown()
"""


def make_prepared(folder: Path) -> Prepared:
    """Prepared data of 8 training and 4 validation samples, as `prepare` lays them out, and a manifest of some kind."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    parts = {}
    for part, count in (("train", 8), ("validation", 4), ("test", 4)):
        x, condition = rng.normal(size=(count, 7)).astype(np.float32), rng.normal(size=(count, 2)).astype(np.float32)
        np.save(folder / f"{part}.npy", x)
        np.save(folder / f"{part}_condition.npy", condition)
        parts[part] = Samples(np.load(folder / f"{part}.npy", mmap_mode="r"), condition)
    constants = {"mean": np.arange(7, dtype=np.float32)}
    np.savez(folder / "constants.npz", **constants)
    (folder / "manifest.json").write_text("{}")
    nothing = np.zeros(4, dtype=np.int64)
    return Prepared(folder, prepared_manifest(), **parts, test_labels=nothing, test_groups=nothing, constants=constants)


def install(folder: Path) -> None:
    """A family as pip would install it: a module and its metadata."""
    folder.mkdir(exist_ok=True)
    (folder / "sixth_family.py").write_text(FAMILY)
    install_metadata(folder, "sixth", "[vaeforge.families]\nsixth = sixth_family:FAMILY\n")


def test_the_code_travels_with_families_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert code_packages() == CODE
    install(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert code_packages() == [*CODE, str(tmp_path / "sixth_family.py"), str(tmp_path / "sixth-1.0.dist-info")]
    monkeypatch.setattr(site, "getsitepackages", lambda: [str(tmp_path)])
    assert code_packages() == CODE  # an installed one must be on every node, like torch
    (tmp_path / "sixth_family.py").unlink()
    with pytest.raises(SearchError, match="sixth_family"):
        code_packages()


def test_a_package_travels_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path)
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme/__init__.py").touch()
    (tmp_path / "sixth_family.py").rename(tmp_path / "acme/sixth_family.py")
    entry = "[vaeforge.families]\nsixth = acme.sixth_family:FAMILY\n"
    (tmp_path / "sixth-1.0.dist-info/entry_points.txt").write_text(entry)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert code_packages()[2:] == [str(tmp_path / "acme"), str(tmp_path / "sixth-1.0.dist-info")]


def test_data_are_read_where_they_lie_if_they_are_those_meant(tmp_path: Path) -> None:
    prepared = make_prepared(tmp_path / "prepared")
    handle = DataHandle(str(prepared.folder), sha256_of(prepared.folder / "manifest.json"), None)
    arrays = open_data(handle)
    assert isinstance(arrays.train.x, np.memmap)
    np.testing.assert_array_equal(arrays.train.x, prepared.train.x)
    (prepared.folder / "manifest.json").write_text('{"prepared": "again"}')
    with pytest.raises(DataError, match="the prepared data are others on"):
        open_data(handle)
    shutil.rmtree(prepared.folder)
    with pytest.raises(DataError, match=r"cannot be read \(No such file"):
        open_data(handle)


def may_hide() -> bool:
    """Whether this user may give a process a view of the file system of its own."""
    command = ["unshare", "-m", "true"]
    return bool(shutil.which("unshare")) and not subprocess.run(command, capture_output=True, check=False).returncode


@pytest.mark.skipif(not may_hide(), reason="may not make mount namespaces")
@pytest.mark.long
def test_a_node_that_shares_no_folder_gets_code_and_data(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    install(tmp_path / "addition")
    paths = os.pathsep.join(
        [str(ROOT / "platform"), str(ROOT / "models"), str(ROOT / "tests"), str(ROOT / "tests/unit")]
    )
    environment = {**os.environ, "PYTHONPATH": paths, "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token"}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(tmp_path / "addition")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["alone"] == [None, False, []]  # on this machine the folder; on a cluster others may join
    assert seen["stored"]
    here, there = seen["here"], seen["there"]
    assert (here.pop("mapped"), there.pop("mapped")) == ("memmap", "ndarray")
    assert not here["writable"] and not there["writable"]  # maps of the file and of the object store
    assert "py_modules" in here["code"] and "sixth" in here["families"]
    assert here == there
    unseen, shared = seen["unseen"]
    assert len(unseen) == 1 and "is not there, or another folder" in unseen[0]
    assert shared == [] == seen["left"]
    assert "the prepared data cannot be read" in seen["refused"]
