"""The `objective:` of a space file: one goal, or several with the rule by which one point is chosen."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, InstanceOf, ValidationInfo, create_model, field_validator

from vaeforge.errors import nearest
from vaeforge.ledger.history import SearchHistory
from vaeforge.search.space.dimensions import is_number
from vaeforge.search.space.form import Form, Number, checked, mapping, refuse
from vaeforge.search.space.objective import (
    FLOORS,
    METRIC,
    METRICS,
    MOST_GOALS,
    Choose,
    Constraint,
    Goal,
    Knee,
    Objective,
    Weight,
)

CHOICES = "knee, {constraint: …, best: METRIC} or {weight: …}"
SEVERAL = ("metric", "mode", "choose")  # keys of which each goes with one of the two forms only


def read_objective(content: Any) -> Objective:
    """The objective that an `objective:` describes.

    Raises:
        ValidationError: with every problem.
    """
    kind = SeveralGoalsForm if isinstance(content, Mapping) and "metrics" in content else OneGoalForm
    return kind.model_validate(content).objective()


def objective_of(history: SearchHistory) -> Objective:
    """What the search that wrote a ledger optimises, as its header says; for who has the ledger alone."""
    space = history.header.space if history.header else {}
    return checked(lambda: read_objective(space.get("objective", {})), "ledger: objective")


def _unknown_metric(name: Any) -> str:
    return f"got {name!r}, must be one of {', '.join(METRICS)}{nearest(name, METRICS)}"


def _metric(name: Any) -> str:
    if name not in METRICS:
        refuse([((), _unknown_metric(name))])
    return str(name)


def _floors(content: Any) -> dict[str, float]:
    """`require`: what a winner's metrics must at least be."""
    given = list(content.items()) if isinstance(content, Mapping) else [("require", content)]
    wrong = [(name, floor) for name, floor in given if name not in FLOORS or not is_number(floor)]
    if wrong:
        allowed = f"must be a number for {', '.join(FLOORS)}"
        refuse([((), f"got {name}: {floor!r}, {allowed}") for name, floor in wrong])
    return {name: float(floor) for name, floor in given}


class ObjectiveForm(Form):
    """What both forms of an objective have."""

    example: ClassVar[str] = f"{{metric: {METRIC}, mode: min}}"
    other: ClassVar[str]
    require: Annotated[dict[str, float], BeforeValidator(_floors)] = Field(default_factory=dict)

    @classmethod
    def unknown(cls, key: str) -> str:
        return f"{key} goes with {cls.other}; leave it out" if key in SEVERAL else super().unknown(key)

    @abstractmethod
    def objective(self) -> Objective:
        """The objective that this form describes."""


class OneGoalForm(ObjectiveForm):
    """One goal: the value by which trials are compared during training, too."""

    other: ClassVar[str] = "several goals, given as metrics: {METRIC: min or max, …}"
    metric: Literal["val/nelbo"] = "val/nelbo"
    mode: Literal["min"] = "min"

    def objective(self) -> Objective:
        return Objective((Goal(self.metric, self.mode),), self.require, Knee())


class _MetricsForm(Form):
    example: ClassVar[str] = "{val/rate: min, val/distortion: min}"

    @classmethod
    def unknown(cls, key: str) -> str:
        return _unknown_metric(key)


FIELDS: dict[str, Any] = {name: (Literal[mode], mode) for name, mode in METRICS.items()}
MetricsForm = create_model("MetricsForm", __base__=_MetricsForm, **FIELDS)


def _goals(content: Any) -> tuple[Goal, ...]:
    """Two or three goals, in the order of `METRICS`."""
    given = MetricsForm.model_validate(content).model_fields_set
    if not 2 <= len(given) <= MOST_GOALS:
        refuse([((), f"got {len(given)}, must be 2 or {MOST_GOALS}; for one goal take metric: {METRIC}")])
    return tuple(Goal(name, mode) for name, mode in METRICS.items() if name in given)


def _filled(numbers: dict[str, float]) -> dict[str, float]:
    if not numbers:
        refuse([((), "is empty, must name at least one metric such as {val/active_units: 8}")])
    return numbers


Numbers = Annotated[
    dict[Annotated[str, BeforeValidator(_metric)], Number],
    mapping("{val/active_units: 8}"),
    AfterValidator(_filled),
]


class ConstraintForm(Form):
    """`{constraint: {METRIC: BOUND}, best: GOAL}`."""

    constraint: Numbers
    best: Any = None

    def rule(self, goals: tuple[str, ...]) -> Choose:
        """The rule among `goals`."""
        if self.best not in goals:
            allowed = f"must be one of the goals {', '.join(goals)}{nearest(self.best, goals)}"
            refuse([(("best",), f"got {self.best!r}, {allowed}")])
        return Constraint(self.constraint, str(self.best))


class WeightForm(Form):
    """`{weight: {GOAL: NUMBER}}`."""

    weight: Numbers

    def rule(self, goals: tuple[str, ...]) -> Choose:
        """The rule among `goals`."""
        if set(self.weight) != set(goals) or any(weight <= 0 for weight in self.weight.values()):
            refuse([(("weight",), f"got {self.weight}, must be a number > 0 for each of {', '.join(goals)}")])
        return Weight({name: self.weight[name] for name in goals})


class SeveralGoalsForm(ObjectiveForm):
    """Two or three goals at the same time."""

    other: ClassVar[str] = "one goal"
    metrics: Annotated[tuple[InstanceOf[Goal], ...], BeforeValidator(_goals)]
    choose: InstanceOf[Knee] | InstanceOf[Constraint] | InstanceOf[Weight] = Knee()

    @field_validator("choose", mode="before")
    @classmethod
    def _choose(cls, content: Any, info: ValidationInfo) -> Choose:
        if content == "knee":
            return Knee()
        forms: dict[str, type[ConstraintForm | WeightForm]] = {"constraint": ConstraintForm, "weight": WeightForm}
        kinds = [kind for kind in forms if isinstance(content, Mapping) and kind in content]
        if len(kinds) != 1:
            refuse([((), f"got {content!r}, must be {CHOICES}")])
        form = forms[kinds[0]].model_validate(content)
        goals = info.data.get("metrics", ())  # wrong ones have been told of, and cannot be compared with
        return form.rule(tuple(goal.metric for goal in goals)) if goals else Knee()

    def objective(self) -> Objective:
        return Objective(self.metrics, self.require, self.choose)
