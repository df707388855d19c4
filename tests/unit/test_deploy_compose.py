"""`deploy/compose.yaml`: what the Compose Specification allows, images of one version, no secret in clear."""

import re
from pathlib import Path
from typing import Any

import yaml

from vaeforge.version import __version__

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy/compose.yaml").read_text()
CONTENT: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = CONTENT["services"]
SECRETS = ("POSTGRES_PASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
# of the Compose Specification, those that are used here; an unknown one is refused by `docker compose`
TOP = {"name", "services", "networks", "volumes"}
OF_A_SERVICE = {
    *("image", "command", "environment", "volumes", "networks", "ports", "healthcheck", "restart", "depends_on"),
}
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}


def test_keys_are_those_of_the_specification_and_names_lead_somewhere() -> None:
    assert set(CONTENT) <= TOP
    for service in SERVICES.values():
        assert set(service) <= OF_A_SERVICE
        assert set(service["networks"]) <= set(CONTENT["networks"])
        assert {volume.partition(":")[0] for volume in service.get("volumes", [])} <= set(CONTENT["volumes"])
        for other, wanted in service.get("depends_on", {}).items():
            assert wanted["condition"] in CONDITIONS
            assert wanted["condition"] != "service_healthy" or "healthcheck" in SERVICES[other]
        assert all(isinstance(value, str) for value in service["environment"].values())  # no YAML booleans


def test_images_are_of_one_version() -> None:
    for service in SERVICES.values():
        name, _, tag = service["image"].partition(":")
        assert re.search(r"\d", tag) and "latest" not in tag
        assert name != "vaeforge" or tag == __version__


def test_every_secret_is_asked_of_the_environment_and_has_no_default() -> None:
    used = re.findall(r"\$\{([^}]*)\}", TEXT)
    assert {one.partition(":?")[0] for one in used} == set(SECRETS)
    assert all(one == f"{name}:?set {name}" for one in used for name in [one.partition(":?")[0]])
    for service in SERVICES.values():
        for key, value in service["environment"].items():
            if re.search("PASSWORD|SECRET|KEY|USER", key) and value != "mlflow":
                assert "${" in value
    assert not re.search(r"\$[A-Za-z]", TEXT)  # without braces a missing one would be empty


def test_only_this_machine_reaches_what_is_published_and_nobody_the_database() -> None:
    published = {name: service.get("ports", []) for name, service in SERVICES.items()}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert published["database"] == [] and SERVICES["database"]["networks"] == ["inner"]
    assert CONTENT["networks"]["inner"] == {"internal": True}
