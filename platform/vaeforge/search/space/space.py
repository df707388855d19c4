"""Spaces: what is searched, towards what, by which sampler and scheduler; read from a file of `tune_spaces/`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import ValidationError

from vaeforge.config.strict_yaml import read_yaml
from vaeforge.errors import ConfigError
from vaeforge.search.samplers.base import Sampler
from vaeforge.search.samplers.settings import SamplerSettings
from vaeforge.search.schedulers.base import Scheduler
from vaeforge.search.schedulers.settings import SchedulerContext, SchedulerSettings
from vaeforge.search.space.dimension_form import read_dimensions, share_names
from vaeforge.search.space.dimensions import Params
from vaeforge.search.space.fidelity import Fidelity
from vaeforge.search.space.fixed_params import searched_dimensions
from vaeforge.search.space.form import checked, problems_of
from vaeforge.search.space.search_space import SearchSpace
from vaeforge.search.space.space_file import SpaceFile, read_frozen, read_sampler, read_scheduler

if TYPE_CHECKING:  # brings torch
    from vaeforge.config.experiment import Experiment

T = TypeVar("T")


@dataclass(frozen=True)
class Space(SearchSpace):
    """What is searched, for which family, towards what, by which strategies, and what is frozen meanwhile.

    Attributes:
        rung: whether a trial is compared with those of its own schedule, or with all.
        start: points that are tried first, with the frozen values; what one leaves out is proposed.
        content: the mapping that all of this was read from, command line included.
    """

    family: str
    search: SamplerSettings
    scheduler: SchedulerSettings
    fidelity: Fidelity
    rung: Literal["schedule", "global"]
    start: tuple[Params, ...]
    content: Mapping[str, Any]

    def group(self, params: Params, base: "Experiment") -> str:
        """The schedule within which a trial is compared."""
        schedule = self.with_fixed_params(params).get("beta.schedule", base.beta.schedule)
        return "all" if self.rung == "global" else str(schedule)

    def build_sampler(self, seed: int) -> Sampler:
        """The sampler of a search under `seed`."""
        return self.search.build(self, seed)

    def build_scheduler(self, seed: int, trials: int) -> Scheduler:
        """The scheduler of a search of `trials` under `seed`."""
        return self.scheduler.build(SchedulerContext(self.fidelity, self.dimensions, trials, seed))

    def with_epochs(self, epochs: int | None) -> "Space":
        """The space with another largest number of epochs; rungs and intervals move along in proportion."""
        if epochs is None or epochs == self.fidelity.max:
            return self
        changed: dict[str, Any] = {"fidelity": self.fidelity.shortened(epochs)}
        if "scheduler" in self.content:
            changed["scheduler"] = self.scheduler.shortened(epochs, self.fidelity.max)
        return parse_space({**self.content, **changed}, self.source)

    def with_changes(
        self,
        search: str | Mapping[str, Any] | None = None,
        scheduler: str | Mapping[str, Any] | None = None,
        freeze: Mapping[str, Any] | None = None,
    ) -> "Space":
        """The space with strategies and frozen parameters of the command line, which hold over the file's.

        A strategy that is named as in the file keeps the file's options; frozen parameters add to the file's, and
        start points that say otherwise are left out.

        Raises:
            ConfigError: with every problem of what was given.
        """
        problems: list[str] = []
        changed: dict[str, Any] = {}
        if search not in (None, self.search.name):
            sampler = _attempt(lambda: read_sampler(search, self.objective), "--search", problems)
            changed |= {"search": search} if sampler != self.search else {}
        if scheduler not in (None, self.scheduler.name):
            decides = _attempt(
                lambda: read_scheduler(scheduler, self.objective, self.fidelity), "--scheduler", problems
            )
            changed |= {"scheduler": scheduler} if decides != self.scheduler else {}
        frozen = {**self.fixed, **(freeze or {})}
        if frozen != self.fixed:
            dimensions = read_dimensions(self.content.get("space", {}))
            _attempt(lambda: read_frozen(frozen, dimensions), "--freeze", problems)
            changed["freeze"] = frozen
            changed["start"] = [p for p in self.start if all(p.get(k, v) == v for k, v in (freeze or {}).items())]
        if problems:
            raise ConfigError(problems)
        return parse_space({**self.content, **changed}, self.source) if changed else self


def read_space(path: Path) -> Space:
    """The space in the YAML file at `path`.

    Raises:
        ConfigError: with every problem of its form; `check` finds what does not fit the configuration.
    """
    return parse_space(read_yaml(path), str(path))


def single_point(family: str, epochs: int) -> Space:
    """The space of one configuration: a plain training is a search that searches nothing."""
    fidelity = {"max": epochs, "min": epochs, "reduction": 2}
    return parse_space({"family": family, "fidelity": fidelity, "space": {}}, "train")


def parse_space(content: Mapping[str, Any], source: str) -> Space:
    """A Space from a mapping of the form of a space file.

    Raises:
        ConfigError: with every problem of its form.
    """
    file = checked(lambda: SpaceFile.model_validate(content), source)
    return Space(
        source=source,
        objective=file.objective,
        dimensions=share_names(searched_dimensions(file.narrowed, file.freeze)),
        fixed=file.freeze,
        narrowed=file.narrowed,
        family=file.family,
        search=file.search,
        scheduler=file.scheduler,
        fidelity=file.fidelity,
        rung=file.rung,
        start=file.start_points,
        content=dict(content),
    )


def _attempt(part: Callable[[], T], where: str, problems: list[str]) -> T | None:
    """What `part` gives; what it finds wrong joins `problems`."""
    try:
        return part()
    except ValidationError as error:
        problems += problems_of(error, where)
        return None
