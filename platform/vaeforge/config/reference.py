"""Reference of all settings as a page: key, default, what is allowed, meaning; `python -m vaeforge.config.reference`.

A meaning is the description of the field, its line under `Attributes` in the docstring of its class, or, where the name
alone is enough in code, a line here. A field without any is an error, so that a new setting comes with its meaning.
"""

import re
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MultipleOf
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from vaeforge.config.experiment import Optimizer, Search, Training
from vaeforge.config.gates import Gates
from vaeforge.config.layouts import layout_named
from vaeforge_models.diffusion import DiffusionSettings
from vaeforge_models.families import families
from vaeforge_models.family import Family
from vaeforge_models.schedules import SCHEDULES

MEANINGS = {
    "beta.c_max": "largest capacity C, nats per sample",
    "beta.cycles": "how often it rises from `min` to `max`",
    "beta.ema": "decay of the average of (distortion - tolerance)",
    "beta.gamma": "gamma, weight of |rate - C(t)|",
    "beta.ki": "Ki, weight of the summed error target - rate",
    "beta.knots": "pairs [t, β]: from the share t of the training on, β",
    "beta.kp": "Kp, weight of the present error",
    "beta.max": "largest β",
    "beta.min": "smallest β",
    "beta.ramp": "share of a cycle in which it rises",
    "beta.schedule": "which schedule this is",
    "beta.shape": "how it rises within a cycle",
    "beta.value": "β at its full weight",
    "beta.warmup": "share of the training until β (of `capacity`: C) is full",
    "diffusion.batch_size": "latents a step",
    "diffusion.clip_norm": "largest norm of the gradient",
    "diffusion.lr": "learning rate",
    "diffusion.sampler": "how samples are drawn: all steps with noise, or fewer without",
    "diffusion.weight_decay": "of the optimiser",
    "gates.min_active_units": "least latent dimensions that carry information",
    "model.bounds_weight": "weight of the term that keeps outputs in [0, 1], where `bounded`",
    "model.coordinates": "how positions are given to the network",
    "model.dropout": "share of units that a training step leaves out",
    "model.heads": "heads of the attention; divides `hidden`",
    "model.l1_weight": "weight of Σ|μ|",
    "model.latent_dim": "size of the latent space L",
    "model.likelihood": 'of the training: docs/families.md, "What holds for all"',
    "model.spatial_weight": "weight of the difference between neighbouring points",
    "model.width": "channels of the first convolution; the next have 2, 4 and 8 times as many",
    "optimizer.lr": "learning rate (its largest one, where a schedule lowers it)",
    "optimizer.name": "Adam, or Adam with decoupled weight decay",
    "optimizer.weight_decay": "of the optimiser",
    "prepare.seed": "of the division into parts",
    "prepare.test": "share of the data that is the test set",
    "prepare.validation": "share of the data by which trials are compared",
    "search.budget.wall_hours": "on the clock, over all sessions of the search",
    "search.device": "auto: GPUs where Ray finds some; cuda: refuse to start without one",
    "search.seed": "of sampler and trials",
    "search.trials": "how many configurations are tried",
    "training.augment": "vary training samples, in families that can",
    "training.epochs": "of a training alone, and of searches whose space names no `fidelity.max`",
    "training.plateau_factor": "what a plateau multiplies the learning rate by",
    "training.plateau_patience": "epochs without improvement until then",
    "training.seed": "of weights, order and noise",
}
HEAD = """\
# Settings

Made from the code (`python -m vaeforge.config.reference > docs/settings.md`); a test compares the two. Later layers
win: these defaults, the family's, its preset, `params.yaml` (common sections, then those of the family), what the data
set was imported with, the command line (`--set section.key=value`). In `params.yaml`, the sections `prepare`, `model`,
`beta`, `optimizer`, `training`, `diffusion` and `gates` stand at the top for all families or under a family's name for
it alone; `search` stands at the top. Unknown keys and values that are not allowed are refused, all at once.

`family` (`endoscopy` unless said) and `preset` (`sample`, or `published` for the source's network) are two words at the
top of the file. "None" in a meaning is `null`. A search varies keys of `model`, `beta`, `optimizer` and `training`:
`tune_spaces/README.md`.
"""
SIGNS = {Ge: ("≥", "ge"), Gt: (">", "gt"), Le: ("≤", "le"), Lt: ("<", "lt"), MultipleOf: ("multiple of", "multiple_of")}


def _shipped() -> dict[str, Family]:
    """The families of this package, by name; those of other packages have their own pages."""
    return {
        name: one for name, one in sorted(families().items()) if one.settings.__module__.startswith("vaeforge_models.")
    }


def page() -> str:
    """The whole page, as Markdown."""
    parts = [HEAD]
    parts += _section("`search`: how a search runs", "search", Search)
    parts += _section("`training`", "training", Training)
    parts += _section("`optimizer`", "optimizer", Optimizer)
    parts += ["## `beta`\nOne of these, by `beta.schedule`; formulas: `tune_spaces/README.md`.\n"]
    for name, kind in sorted(SCHEDULES.items()):
        parts += _section(f"`beta.schedule: {name}`", "beta", kind, level=3, without=("schedule",))
    parts += [
        "## `prepare`\nBy the layout of the family's data. A change makes other data, and another data identity.\n"
    ]
    shipped = _shipped()
    for name in sorted({family.data for family in shipped.values()}):
        users = ", ".join(f"`{family}`" for family, one in shipped.items() if one.data == name)
        parts += _section(f"Layout `{name}` ({users})", "prepare", layout_named(name).settings, level=3)
    parts += ["## `model`\n"]
    for name, family in shipped.items():
        parts += _section(f"Family `{name}`", "model", family.settings, level=3)
    parts += _section("`gates`", "gates", Gates)
    parts += _section("`diffusion` (`speckle`, `fmri`)", "diffusion", DiffusionSettings)
    parts += ["## What families set otherwise\n", *_differences()]
    return "\n".join(parts)


def _section(
    title: str, section: str, kind: type[BaseModel], level: int = 2, without: tuple[str, ...] = ()
) -> Iterator[str]:
    rows = [_row(*entry) for entry in _fields(section, kind) if entry[0].rpartition(".")[2] not in without]
    yield "\n".join([f"{'#' * level} {title}", "| key | default | allowed | meaning |", "|---|---|---|---|", *rows, ""])


def _fields(section: str, kind: type[BaseModel]) -> Iterator[tuple[str, FieldInfo, str]]:
    said = _attributes(kind)
    for name, field in kind.model_fields.items():
        path = f"{section}.{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(path, field.annotation)
            continue
        meaning = field.description or said.get(name) or MEANINGS.get(path)
        if not meaning:
            raise ValueError(f"{path}: has no meaning: give its field a description, or {__name__}.MEANINGS a line")
        yield path, field, meaning.rstrip(".")


def _attributes(kind: type[BaseModel]) -> dict[str, str]:
    """The lines under `Attributes` in the docstring of a class, by name."""
    found = re.search(r"Attributes:\n(.*)", kind.__doc__ or "", re.DOTALL)
    entries = re.findall(r"^ {8}(\w+): (.*?)(?=^ {8}\w|\Z)", found[1], re.DOTALL | re.MULTILINE) if found else []
    return {name: " ".join(text.split()) for name, text in entries}


def _row(path: str, field: FieldInfo, meaning: str) -> str:
    default = field.get_default(call_default_factory=True)
    cells = (f"`{path}`", f"`{_value(default)}`", allowed(field.annotation, field.metadata), meaning)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _value(value: Any) -> str:
    """As it would stand in YAML."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_value(one)}' for key, one in value.items())}}}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def allowed(annotation: Any, metadata: Any = ()) -> str:
    """The values that a type and its bounds allow, in words."""
    bounds = [
        f"{sign} {_value(getattr(bound, name))}"
        for bound in metadata
        for kind, (sign, name) in SIGNS.items()
        if isinstance(bound, kind)
    ]
    if get_origin(annotation) in (Union, UnionType) and NoneType in get_args(annotation):
        kinds = [_kind(one) for one in get_args(annotation) if one is not NoneType]
        return ", or ".join([", ".join([", or ".join(kinds), *bounds]), "`null`"])
    return ", ".join([_kind(annotation), *bounds])


def _kind(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner, *found = arguments
        fields = [one.metadata if isinstance(one, FieldInfo) else [one] for one in found]
        return allowed(inner, [bound for one in fields for bound in one])
    if origin is Literal:
        return ", ".join(f"`{_value(value)}`" for value in arguments)
    if origin in (Union, UnionType):
        return ", or ".join(map(_kind, arguments))
    if origin is tuple:
        return f"list of: {_kind(arguments[0])}"
    if origin is dict:
        return "metric to `{min: …, max: …}`"
    return {bool: "`true`, `false`", int: "whole number", float: "number", str: "text"}[annotation]


def _differences() -> Iterator[str]:
    yield "| family | preset | set to |"
    yield "|---|---|---|"
    for name, family in _shipped().items():
        layers = {"(all)": family.defaults, **{preset: family.presets[preset] for preset in sorted(family.presets)}}
        for layer, tree in layers.items():
            said = [f"`{path}: {_value(value)}`" for path, value in _leaves(tree)]
            yield f"| `{name}` | {layer} | {', '.join(said) or 'nothing'} |"
    yield ""


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


if __name__ == "__main__":
    print(page(), end="")
