"""Which strategies a search can follow: a sampler proposes trials (`search:`), a scheduler stops or changes them
(`scheduler:`). Each is a name, or a mapping with `name` and the options of its class.

What a strategy does is in `propose/` and `rules/`; here is what it is called, what it takes and what it needs.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, TypeVar, get_args

from pydantic import Field, ValidationError

from vaeforge.errors import nearest
from vaeforge.search.space.fidelity import Fidelity, scaled
from vaeforge.search.space.objective import Objective
from vaeforge.search.space.parse_helpers import refuse_unknown
from vaeforge_models.settings import Settings

Startup = Annotated[int, Field(ge=1, description="trials that are drawn before the model proposes")]
Separate = Literal["none", "opening", "every"]
MUTABLE = ("optimizer.lr", "optimizer.weight_decay")


class Strategy(Settings):
    """What samplers and schedulers have in common: a name, and whether they can serve several goals."""

    several_goals: ClassVar[bool] = True
    name: str


class Sampler(Strategy):
    """Proposes trials.

    Attributes:
        separate: which choices give each of their options a model of its own, because the sampler cannot hold them in
            one: none, those whose options open dimensions, or every one.
    """

    separate: ClassVar[Separate] = "none"


class TPE(Sampler):
    """Tree-structured Parzen estimators, multivariate and grouped (Bergstra et al. 2011; Falkner et al. 2018)."""

    name: Literal["tpe"] = "tpe"
    startup: Startup = 10


class GP(Sampler):
    """A Gaussian process with expected improvement, of the hypervolume for several goals (Jones et al. 1998)."""

    separate: ClassVar[Separate] = "opening"
    name: Literal["gp"] = "gp"
    startup: Startup = 10


class CMAES(Sampler):
    """Covariance matrix adaptation (Hansen 2016); the search distribution starts in the middle of the ranges."""

    several_goals: ClassVar[bool] = False
    separate: ClassVar[Separate] = "every"
    name: Literal["cmaes"] = "cmaes"
    startup: Startup = 1


class QMC(Sampler):
    """A low-discrepancy sequence: Sobol' (1967), scrambled, or Halton (1960)."""

    separate: ClassVar[Separate] = "opening"
    name: Literal["qmc"] = "qmc"
    kind: Literal["sobol", "halton"] = "sobol"


class Random(Sampler):
    """Independent draws (Bergstra and Bengio 2012)."""

    name: Literal["random"] = "random"


class Grid(Sampler):
    """Every combination of the options and of `points` values of each range, the ends among them."""

    name: Literal["grid"] = "grid"
    points: Annotated[int, Field(ge=1, le=1000, description="values of each range")] = 3


class NSGA2(Sampler):
    """A genetic algorithm for several goals (Deb et al. 2002)."""

    name: Literal["nsga2"] = "nsga2"
    population: Annotated[int, Field(ge=2, description="trials of a generation; the first one is random")] = 20


class Scheduler(Strategy):
    """Decides on trials on their way; all decide by val/nelbo, whatever the goals.

    Attributes:
        begins: the option that names its first decision; where it is none, or there is no option, fidelity.min does.
    """

    begins: ClassVar[str | None] = None

    @abstractmethod
    def epochs(self, fidelity: Fidelity) -> list[int]:
        """The epochs after which it decides on some trial, ascending, the last epoch not among them."""

    @property
    def _own(self) -> int | None:
        return getattr(self, self.begins) if self.begins else None

    def first(self, fidelity: Fidelity) -> tuple[str, int]:
        """The setting that moves its first decision, and that setting's value."""
        return ("fidelity.min", fidelity.min) if self._own is None else (f"scheduler.{self.begins}", self._own)

    def shortened(self, now: int, before: int) -> dict[str, Any]:
        """Its settings for a training of `now` instead of `before` epochs."""
        settings = self.model_dump(exclude_defaults=True) | {"name": self.name}
        if self.begins and self._own is not None:
            settings[self.begins] = min(scaled(self._own, now, before), max(1, now - 1))
        return settings


class Asha(Scheduler):
    """Asynchronous successive halving (Li et al. 2020); its rungs are those of `fidelity`."""

    name: Literal["asha"] = "asha"

    def epochs(self, fidelity: Fidelity) -> list[int]:
        return fidelity.rungs()


class Hyperband(Scheduler):
    """Asynchronous Hyperband (Li et al. 2018): ASHA in brackets, of which s starts at min * reduction^s."""

    name: Literal["hyperband"] = "hyperband"
    brackets: Annotated[int, Field(ge=1)] = 3

    def epochs(self, fidelity: Fidelity) -> list[int]:
        return fidelity.rungs()


class Median(Scheduler):
    """The median stopping rule (Golovin et al. 2017), at each epoch from `grace` on."""

    begins: ClassVar[str | None] = "grace"
    name: Literal["median"] = "median"
    grace: Annotated[int | None, Field(ge=1, description="first epoch that is judged; none: fidelity.min")] = None

    def epochs(self, fidelity: Fidelity) -> list[int]:
        return list(range(self.first(fidelity)[1], fidelity.max))


class PBT(Scheduler):
    """Population based training (Jaderberg et al. 2017), in generations of `interval` epochs."""

    several_goals: ClassVar[bool] = False
    begins: ClassVar[str | None] = "interval"
    name: Literal["pbt"] = "pbt"
    interval: Annotated[int | None, Field(ge=1, description="epochs of a generation; none: fidelity.min")] = None
    quantile: Annotated[float, Field(gt=0, le=0.5, description="share that inherits, and share that bequeaths")] = 0.25
    resample: Annotated[float, Field(ge=0, le=1, description="probability that a parameter is drawn anew")] = 0.25

    def epochs(self, fidelity: Fidelity) -> list[int]:
        interval = self.first(fidelity)[1]
        return list(range(interval, fidelity.max, interval))


class NoScheduler(Scheduler):
    """Every trial trains to its end."""

    name: Literal["none"] = "none"

    def epochs(self, fidelity: Fidelity) -> list[int]:
        return []


AnySampler: TypeAlias = TPE | GP | CMAES | QMC | Random | Grid | NSGA2
AnyScheduler: TypeAlias = Asha | Hyperband | Median | PBT | NoScheduler
SAMPLERS: Mapping[str, type[AnySampler]] = {kind.model_fields["name"].default: kind for kind in get_args(AnySampler)}
SCHEDULERS: Mapping[str, type[AnyScheduler]] = {
    kind.model_fields["name"].default: kind for kind in get_args(AnyScheduler)
}
S = TypeVar("S", bound=Strategy)


def mutable(path: str) -> bool:
    """Whether population based training may change the parameter at `path` between two generations."""
    return path.startswith("beta.") or path in MUTABLE


def read_search(content: Any, where: str, objective: Objective, problems: list[str]) -> AnySampler:
    """The sampler that `search:` names; none given is TPE. What is wrong is added to `problems`."""
    return _read(content, SAMPLERS, TPE(), where, objective, problems)


def read_scheduler(content: Any, where: str, objective: Objective, problems: list[str]) -> AnyScheduler:
    """The scheduler that `scheduler:` names; none given is ASHA, with several goals that none stops a trial."""
    return _read(content, SCHEDULERS, Asha() if objective.single else NoScheduler(), where, objective, problems)


def refuse_misfit(scheduler: AnyScheduler, fidelity: Fidelity, where: str, problems: list[str]) -> None:
    """Add a problem where a scheduler whose first decision lies at or after the last epoch was asked for."""
    if isinstance(scheduler, Median | PBT) and not scheduler.epochs(fidelity):
        setting, epoch = scheduler.first(fidelity)
        problems.append(
            f"{where}: {scheduler.name} first decides after epoch {epoch} ({setting}), and fidelity.max is "
            f"{fidelity.max}: {setting} must be < {fidelity.max}"
        )


def _read(
    content: Any, kinds: Mapping[str, type[S]], default: S, where: str, objective: Objective, problems: list[str]
) -> S:
    if content is None:
        return default
    options = dict(content) if isinstance(content, Mapping) else {"name": content}
    name = options.get("name")
    if not isinstance(name, str) or name not in kinds:
        problems.append(f"{where}: got {name!r}, must be one of {', '.join(kinds)}{nearest(name, kinds)}")
        return default
    kind = kinds[name]
    if not kind.several_goals and not objective.single:
        able = ", ".join(other for other, candidate in kinds.items() if candidate.several_goals)
        problems.append(f"{where}: {name} knows one goal, and the objective has {len(objective.goals)}; take {able}")
    return _checked(kind, options, f"{where}: {name}", problems) or default


def _checked(kind: type[S], options: Mapping[str, Any], where: str, problems: list[str]) -> S | None:
    """The settings, or each problem that pydantic finds in them in the house form."""
    refuse_unknown(options, kind.model_fields, where, problems)
    try:
        return kind.model_validate({key: value for key, value in options.items() if key in kind.model_fields})
    except ValidationError as error:
        problems += [f"{where}: {item['loc'][0]}: got {item['input']!r}, {_rule(item)}" for item in error.errors()]
        return None


def _rule(item: Any) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    context = item.get("ctx") or {}
    for name, sign in signs.items():
        if name in context:
            return f"must be {sign} {context[name]}"
    return f"must be {context['expected']}" if "expected" in context else str(item["msg"])
