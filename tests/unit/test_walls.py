"""The walls of docs/architecture.md, read off the imports."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "platform").rglob("*.py"), *(ROOT / "models").rglob("*.py")])
ONLY_IN = {
    "ray": ("training/distributed.py", "search/"),
    "optuna": ("search/samplers/optuna_bridge/",),
    "mlflow": ("track/", "registry/"),
    "diffusers": ("models/vaeforge_models/diffusion.py",),
    "onnx": ("package/",),
    "onnxruntime": ("package/",),
    "onnxscript": ("package/",),
}
LAYERS = [  # a room imports from rooms of later lines and from its own
    {"__main__"},
    {"cli"},
    {"api"},
    {"pipeline"},
    {"score", "serve", "chaos", "doctor", "report", "watch"},
    {"registry"},
    {"search"},
    {"package", "diffuse", "generate", "importing", "new_project", "scaffold"},
    {"evaluation", "track"},
    {"trained"},
    {"ledger", "manifests"},
    {"data"},
    {"training"},
    {"provenance", "patch_secrets"},
    {"config"},
    {"records"},
    {"progress_bar"},
    {"notebook"},
    {
        "csv_cells",
        "dvc_command",
        "paths",
        "progress",
        "seeds",
        "samples",
        "plugins",
        "remarks",
        "job_limits",
        "work_ahead",
    },
    {"errors", "version"},
]


@cache
def import_statements(path: Path) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """Those of a file, later ones and those for types included."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return tuple(node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))


def imports(path: Path) -> Iterator[str]:
    for node in import_statements(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif node.module:
            yield node.module


def imported_modules(path: Path) -> Iterator[str]:
    """Names of modules, or of what is in them."""
    for node in import_statements(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def inside(path: Path) -> str:
    return str(path.relative_to(ROOT)).removeprefix("platform/vaeforge/")


def room(path: Path) -> str:
    return path.relative_to(ROOT / "platform" / "vaeforge").parts[0].removesuffix(".py")


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts[1:]).removesuffix(".__init__")


# one test for all files, not one for each: a thousand tests of a millisecond take ten seconds


def test_libraries_stay_in_their_rooms() -> None:
    strangers = [
        f"{inside(path)} imports {name}"
        for path in SOURCES
        for name in imports(path)
        if not inside(path).startswith(ONLY_IN.get(name.split(".")[0], ("",)))
    ]
    assert not strangers


def test_models_know_torch_and_settings_only() -> None:
    known = {*sys.stdlib_module_names, "torch", "pydantic", "vaeforge_models"} - {"json", "pathlib", "os"}
    strangers = [
        f"{path.name} imports {name}"
        for path in sorted((ROOT / "models").rglob("*.py"))
        for name in imports(path)
        if name.split(".")[0] not in known | ({"diffusers"} if path.name == "diffusion.py" else set())
    ]
    assert not strangers


def test_imports_run_one_way() -> None:
    depth = {name: level for level, names in enumerate(LAYERS) for name in names}
    against = [
        f"{inside(path)} imports {name}"
        for path in sorted((ROOT / "platform").rglob("*.py"))
        if (here := room(path)) != "__init__"
        for name in imports(path)
        if (parts := name.split("."))[0] == "vaeforge" and parts[1:] and parts[1] != here
        if depth[parts[1]] <= depth[here]
    ]
    assert not against


def test_no_file_imports_itself_by_way_of_others() -> None:
    known = {module(path) for path in SOURCES}
    graph: dict[str, set[str]] = {}
    for path in SOURCES:
        names = {name if name in known else name.rpartition(".")[0] for name in imported_modules(path)}
        graph[module(path)] = names & known - {module(path)}
    TopologicalSorter(graph).prepare()  # raises a CycleError that names the circle


def test_a_file_answers_one_question() -> None:
    long = [inside(path) for path in SOURCES if len(path.read_text(encoding="utf-8").splitlines()) > 400]
    assert not long


def test_source_roots_do_not_shadow_the_standard_library() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()
    assert not (ROOT / "models" / "__init__.py").exists()
    program = "import platform; print(platform.system())"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip()


@pytest.mark.slow
def test_thin_trials_scoring_serving_and_questions_about_models_import_no_torch() -> None:
    program = "\n".join(
        f"import sys, vaeforge.{module}; assert not {{'torch', 'mlflow', 'scipy'}} & set(sys.modules), '{module}'"
        for module in (
            "search.dispatch.dispatcher_actor",
            "search.dispatch.trial",
            "registry.listing",
            "registry.trace",
            "score.step",
            "serve.server",
        )
    )
    environment = {"PYTHONPATH": f"{ROOT / 'platform'}:{ROOT / 'models'}", "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


@pytest.mark.slow
def test_the_page_on_architecture_names_what_there_is() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    paths = [path.as_posix() for path in (*SOURCES, *(ROOT / "tests").rglob("*.py"))]
    for name in set(re.findall(r"`([a-z_/]+\.py)", page)):
        assert any(path.endswith(f"/{name}") for path in paths), name
    code = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    for name in set(re.findall(r"`([A-Z][a-z]+[A-Z][A-Za-z]+)`", page)):
        assert re.search(rf"\bclass {name}\b|^{name}\b", code, re.MULTILINE), name
