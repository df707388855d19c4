"""Space files: the form of a file of `tune_spaces/`, with every problem of one told at once."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import (
    BeforeValidator,
    Field,
    InstanceOf,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from vaeforge.errors import nearest
from vaeforge.search.samplers.settings import SamplerSettings
from vaeforge.search.schedulers.settings import SchedulerSettings
from vaeforge.search.space.dimension_form import read_dimensions
from vaeforge.search.space.dimensions import Choice, Dimension, Params, Range
from vaeforge.search.space.fidelity import DEFAULT, Fidelity
from vaeforge.search.space.fixed_params import frozen_problems, narrow, with_fixed_params
from vaeforge.search.space.form import Form, gather, mapping, refuse, whole_number
from vaeforge.search.space.objective import SINGLE, Objective
from vaeforge.search.space.objective_form import read_objective
from vaeforge.search.space.strategies import StrategySettings
from vaeforge.search.strategy_registry import sampler_named, samplers, schedulers

S = TypeVar("S", bound=StrategySettings)


class FidelityForm(Form):
    """`{max: 18, min: 6, reduction: 3}`."""

    example: ClassVar[str] = "{max: 18, min: 6, reduction: 3}"
    max: Annotated[int, whole_number(1)] = DEFAULT.max
    min: Annotated[int, whole_number(1)] = DEFAULT.min
    reduction: Annotated[int, whole_number(2)] = DEFAULT.reduction

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            refuse([((), f"min is {self.min} and max is {self.max}, min must be <= max")])
        return self


def read_fidelity(content: Any) -> Fidelity:
    """The fidelity that a `fidelity:` describes."""
    form = FidelityForm.model_validate(content)
    return Fidelity(form.max, form.min, form.reduction)


def read_sampler(content: Any, objective: Objective) -> SamplerSettings:
    """The sampler that `search:` names; none given is TPE."""
    return _read("tpe" if content is None else content, samplers(), sampler_named, objective)


def read_scheduler(content: Any, objective: Objective, fidelity: Fidelity | None = None) -> SchedulerSettings:
    """The scheduler that `scheduler:` names; none given is ASHA, with several goals that none stops a trial.

    With `fidelity`, one whose first decision lies at or after the last epoch is refused.
    """
    if content is None:
        content = "asha" if objective.single else "none"
    found = _read(content, schedulers(), schedulers().get, objective)
    late = found.too_late(fidelity) if fidelity else None
    if late is not None:
        refuse([((), late)])
    return found


def _read(
    content: Any, kinds: Mapping[str, type[S]], named: Callable[[str], type[S] | None], objective: Objective
) -> S:
    options = dict(content) if isinstance(content, Mapping) else {"name": content}
    name = options.get("name")
    kind: Any = (
        kinds.get(name) or (sampler_named(name) if kinds is samplers() else None) if isinstance(name, str) else None
    )
    if kind is None:
        refuse([((), f"got {name!r}, must be one of {', '.join(kinds)}{nearest(name, kinds)}")])
    problems: list[tuple[tuple[str, ...], str]] = []
    if not kind.several_goals and not objective.single:
        able = ", ".join(other for other, candidate in kinds.items() if candidate.several_goals)
        problems.append(((), f"{name} knows one goal, and the objective has {len(objective.goals)}; take {able}"))
    try:
        found: S = gather([(str(name), lambda: kind.model_validate(options))])[0]
    except ValidationError as error:
        refuse([*problems, *((tuple(map(str, item["loc"])), item["msg"]) for item in error.errors())])
    if problems:
        refuse(problems)
    return found


def read_frozen(content: Params, dimensions: tuple[Dimension, ...]) -> Params:
    """`content`, where each of `dimensions` that it names can be frozen so."""
    problems = frozen_problems(dimensions, content)
    if problems:
        refuse(problems)
    return content


def _list_of_mappings(content: Any) -> list[Params]:
    if not isinstance(content, list) or not all(isinstance(point, Mapping) for point in content):
        refuse([((), "must be a list of mappings of path to value")])
    return [dict(point) for point in content]


class SpaceFile(Form):
    """What a space file holds, read; a part that depends on another is checked where that one is right.

    Attributes:
        dimensions: every one that `space` describes, frozen ones included.
        start: the start points as they were given.
    """

    example: ClassVar[str] = "{family: endoscopy, space: {model.latent_dim: {int: [2, 64]}}}"
    family: str
    objective: Annotated[InstanceOf[Objective], BeforeValidator(read_objective)] = SINGLE
    search: InstanceOf[SamplerSettings] = Field(default=None, validate_default=True)
    fidelity: Annotated[InstanceOf[Fidelity], BeforeValidator(read_fidelity)] = DEFAULT
    scheduler: InstanceOf[SchedulerSettings] = Field(default=None, validate_default=True)
    rung: Literal["schedule", "global"] = "schedule"
    dimensions: Annotated[tuple[InstanceOf[Range] | InstanceOf[Choice], ...], BeforeValidator(read_dimensions)] = Field(
        default=(), alias="space"
    )
    freeze: Annotated[Params, mapping("{model.latent_dim: 32}")] = Field(default_factory=dict)
    start: Annotated[list[Params], BeforeValidator(_list_of_mappings)] = Field(default_factory=list)

    @field_validator("search", mode="before")
    @classmethod
    def _search(cls, content: Any, info: ValidationInfo) -> SamplerSettings:
        return read_sampler(content, info.data.get("objective", SINGLE))

    @field_validator("scheduler", mode="before")
    @classmethod
    def _scheduler(cls, content: Any, info: ValidationInfo) -> SchedulerSettings:
        return read_scheduler(content, info.data.get("objective", SINGLE), info.data.get("fidelity"))

    @field_validator("freeze")
    @classmethod
    def _freeze(cls, content: Params, info: ValidationInfo) -> Params:
        return read_frozen(content, info.data["dimensions"]) if "dimensions" in info.data else content

    @field_validator("start")
    @classmethod
    def _start(cls, content: list[Params], info: ValidationInfo) -> list[Params]:
        fixed = info.data.get("freeze", {})
        problems = [
            (
                (f"point {number}", path),
                f"got {value!r}, but it is frozen at {fixed[path]!r} (freeze); "
                "leave the point out, or freeze what it says",
            )
            for number, point in enumerate(content, start=1)
            for path, value in point.items()
            if path in fixed and fixed[path] != value
        ]
        if problems:
            refuse(problems)
        return content

    @property
    def narrowed(self) -> tuple[Dimension, ...]:
        """Every dimension, the frozen ones narrowed to their value."""
        return narrow(self.dimensions, self.freeze)

    @property
    def start_points(self) -> tuple[Params, ...]:
        """The start points with the frozen values."""
        return tuple(with_fixed_params(self.narrowed, self.freeze, point) for point in self.start)
