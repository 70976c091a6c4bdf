"""Two laws in a row: the response of the first is a variable of the second."""

from dataclasses import dataclass

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.allocation import Prediction, interval
from scaling_jax.laws.law_fit import LawFit


@dataclass(frozen=True)
class Chain:
    """From size, data or compute to a loss, and from the loss to an accuracy.

    Draws of the two fits are used in pairs. After fits of one table with one seed and
    `resampling="rows"`, a pair comes from the same resampled rows, which keeps the correlation
    between the two laws. The first law's draws hold the error of its form.

    Attributes:
        first: its response is one of the variables of `second`.
        second: reads that response, and may have further variables.

    Raises:
        InputError: the second law does not read what the first predicts.
    """

    first: LawFit
    second: LawFit

    def __post_init__(self) -> None:
        first, second = self.first.definition, self.second.definition
        if first.response not in second.variables:
            raise InputError(
                f"the law {second.name!r} reads {', '.join(second.variables)}, not "
                f"{first.response!r}, which {first.name!r} predicts"
            )

    def predict(self, **variables: float) -> Prediction:
        """The second law's response at the variables of both laws, without the one between them.

        Raises:
            InputError: a variable missing, unknown, or not as its law needs it.
        """
        between = self.first.definition.response
        own = {n: v for n, v in variables.items() if n in self.second.definition.variables}
        first = self.first.predict(**{n: v for n, v in variables.items() if n not in own})
        second = self.second.predict(**{**own, between: first.value})
        law_B, run = self._drawn(variables, own)
        return Prediction(
            value=second.value,
            law_interval=None if law_B is None else interval(law_B, self.second.level),
            interval=None if run is None else interval(run, self.second.level),
            outside=(*first.outside, *second.outside),
        )

    def _drawn(
        self, variables: dict[str, float], own: dict[str, float]
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Draws of the chained law, and of a single run with the scatter of both laws."""
        if self.first.draws_BxP is None or self.second.draws_BxP is None:
            return None, None
        n = min(len(self.first.draws_BxP), len(self.second.draws_BxP))
        between, law = self.first.definition.response, self.second.definition.value
        rest = {name: v for name, v in variables.items() if name not in own}
        drawn_B = self.first.drawn(**rest)
        assert drawn_B is not None
        between_B = drawn_B[:n]
        constants_BxP = self.second.draws_BxP[:n]
        law_B = law(constants_BxP, {**own, between: between_B})
        between_BxS = self.first.scattered(between_B)
        run_BxS = law(constants_BxP[:, None], {**own, between: between_BxS})
        return law_B, self.second.scattered(run_BxS.ravel()).ravel()
