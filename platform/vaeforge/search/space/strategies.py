"""Settings that samplers and schedulers share.

Those of each one live in its own file, `samplers/NAME.py` or `schedulers/NAME.py`, beside what they configure.
"""

from typing import ClassVar

from vaeforge.search.space.form import Form


class StrategySettings(Form):
    """What samplers and schedulers have in common.

    Attributes:
        several_goals: whether it can serve several goals.
        place: where it stands in lists of names; those of other packages come last.
        name: how a space file and the command line call it.
    """

    several_goals: ClassVar[bool] = True
    place: ClassVar[int] = 100
    name: str

    @classmethod
    def key(cls) -> str:
        """The name under which it is registered."""
        return str(cls.model_fields["name"].default)
