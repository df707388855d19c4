"""Files of `deploy/` for Kubernetes: versions, calls, resources and rights of pods."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from vaeforge.cli.app import app
from vaeforge.version import __version__

ROOT = Path(__file__).parents[2]
PINNED = (ROOT / "requirements.lock").read_text()


def read(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / f"deploy/kuberay/{name}.yaml").read_text()))


def cluster_of(name: str) -> dict[str, Any]:
    spec = read(name)["spec"]
    return dict(spec.get("rayClusterSpec", spec))


def pods_of(name: str) -> list[dict[str, Any]]:
    spec = cluster_of(name)
    return [group["template"]["spec"] for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"])]


def test_a_search_of_its_own_and_a_shared_cluster_have_the_same_pods() -> None:
    assert cluster_of("search") == cluster_of("cluster")


@pytest.mark.parametrize("name", ["search", "cluster"])
def test_versions_are_those_of_the_lock(name: str) -> None:
    ray = cluster_of(name)["rayVersion"]
    assert f"\nray=={ray} " in PINNED
    assert f"ray[default]=={ray} " in (ROOT / "deploy/requirements.txt").read_text()
    assert {container["image"] for pod in pods_of(name) for container in pod["containers"]} == {
        f"vaeforge:{__version__}"
    }


@pytest.mark.parametrize("name", ["search", "cluster"])
def test_pods_get_what_they_ask_for_and_may_do_no_more_than_they_must(name: str) -> None:
    for pod in pods_of(name):
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 1000
        mounted = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert container["resources"]["requests"] == container["resources"]["limits"]
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {mount["name"] for mount in container["volumeMounts"]} == mounted
            assert [one["secretRef"]["name"] for one in container["envFrom"]] == ["vaeforge"]  # and nothing in clear
    assert [pod["automountServiceAccountToken"] for pod in pods_of(name)] == [True, False]
    assert cluster_of(name)["authOptions"]["mode"] == "token"


def test_the_job_calls_what_there_is_and_without_a_name_so_that_it_goes_on() -> None:
    words = shlex.split(shlex.split(read("search")["spec"]["entrypoint"])[2])
    call = words[words.index("vaeforge") + 1 :]
    command = typer.main.get_command(app).commands[call[0]]  # type: ignore[attr-defined]
    given = command.make_context(call[0], call[1:], resilient_parsing=True).params
    assert (given["family"], given["trials"], given["name"]) == ("endoscopy", 64, None)


def test_the_volume_of_the_pods_is_the_one_that_is_made() -> None:
    claimed = {
        volume["persistentVolumeClaim"]["claimName"]
        for name in ("search", "cluster")
        for pod in pods_of(name)
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert claimed == {read("project")["metadata"]["name"]}
