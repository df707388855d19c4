"""The walls of docs/architecture.md, read off the imports."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
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
    {"score", "serve"},
    {"search", "registry"},
    {"package", "diffuse", "generate", "importing"},
    {"evaluation", "track"},
    {"trained"},
    {"ledger", "manifests"},
    {"data"},
    {"training"},
    {"provenance"},
    {"config"},
    {"records"},
    {"paths", "seeds", "samples", "plugins", "remarks"},
    {"errors", "version"},
]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def room(path: Path) -> str:
    return path.relative_to(ROOT / "platform" / "vaeforge").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_libraries_stay_in_their_rooms(path: Path) -> None:
    inside = str(path.relative_to(ROOT)).removeprefix("platform/vaeforge/")
    for name in imports(path):
        allowed = ONLY_IN.get(name.split(".")[0])
        assert allowed is None or inside.startswith(allowed), f"{inside} imports {name}"


@pytest.mark.parametrize("path", sorted((ROOT / "models").rglob("*.py")), ids=lambda path: path.name)
def test_models_know_torch_and_settings_only(path: Path) -> None:
    allowed = {*sys.stdlib_module_names, "torch", "pydantic", "vaeforge_models"}
    allowed |= {"diffusers"} if path.name == "diffusion.py" else set()
    assert {name.split(".")[0] for name in imports(path)} <= allowed - {"json", "pathlib", "os"}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "platform").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_imports_run_one_way(path: Path) -> None:
    depth = {name: level for level, names in enumerate(LAYERS) for name in names}
    here = room(path)
    if here == "__init__":
        return
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "vaeforge" or len(parts) < 2 or parts[1] == here:
            continue
        assert depth[parts[1]] > depth[here], f"{path.relative_to(ROOT)} imports {name}"


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts[1:]).removesuffix(".__init__")


def imported_modules(path: Path) -> Iterator[str]:
    """Names of modules, or of what is in them, that a file imports, later and for types included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_file_imports_itself_by_way_of_others() -> None:
    known = {module(path) for path in SOURCES}
    graph: dict[str, set[str]] = {}
    for path in SOURCES:
        names = {name if name in known else name.rpartition(".")[0] for name in imported_modules(path)}
        graph[module(path)] = names & known - {module(path)}
    TopologicalSorter(graph).prepare()  # raises a CycleError that names the circle


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_answers_one_question(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_source_roots_do_not_shadow_the_standard_library() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()
    assert not (ROOT / "models" / "__init__.py").exists()
    program = "import platform; print(platform.system())"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip()


@pytest.mark.parametrize("module", ["search.dispatch.trial", "registry.fetch", "score.step", "serve.server"])
def test_thin_trials_scoring_and_serving_import_no_torch(module: str) -> None:
    program = f"import sys, vaeforge.{module}; assert not {{'torch', 'mlflow'}} & set(sys.modules)"
    environment = {"PYTHONPATH": f"{ROOT / 'platform'}:{ROOT / 'models'}", "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


def test_the_page_on_architecture_names_what_there_is() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    paths = [path.as_posix() for path in (*SOURCES, *(ROOT / "tests").rglob("*.py"))]
    for name in set(re.findall(r"`([a-z_/]+\.py)", page)):
        assert any(path.endswith(f"/{name}") for path in paths), name
    code = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    for name in set(re.findall(r"`([A-Z][a-z]+[A-Z][A-Za-z]+)`", page)):
        assert re.search(rf"\bclass {name}\b|^{name}\b", code, re.MULTILINE), name
