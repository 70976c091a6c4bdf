"""The error of a law's form in a design: what its fit answers where another law is the truth."""

from collections.abc import Mapping

import numpy as np

from scaling_jax.laws.catalogue import SKALING
from scaling_jax.laws.extrapolation.other_laws import refitted
from scaling_jax.laws.planning.answers import ANSWERS, Target
from scaling_jax.laws.planning.known import KnownLaw


def form_errors(
    law: KnownLaw, values: Mapping[str, np.ndarray], target: Target, noise: float
) -> np.ndarray:
    """The largest errors of `Target.answers` of a fit where its form is not the truth's.

    To each other law's losses, without noise, the assumed law's form is fitted. Errors where those
    losses differ from the assumed law's by more than the noise count in part (`hidden_share`).

    Args:
        law: the assumed law; its form is fitted.
        values: params and tokens of every run.
        target: what is asked.
        noise: standard deviation of a run's log loss.
    """
    errors_A = np.zeros(len(ANSWERS))
    for each in refitted(law.form, law.constants_P, values, noise, tuple(law.form.held)):
        answers_A = target.answers(law.form, np.array(each.fitted))
        missed_A = each.share * np.abs(answers_A - target.answers(SKALING, np.array(each.truth)))
        errors_A = np.maximum(errors_A, np.nan_to_num(missed_A, nan=np.inf, posinf=np.inf))
    return errors_A
