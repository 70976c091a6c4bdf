"""A finished run, read from its directory."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from etils import epath

from scaling_jax import formatting
from scaling_jax.config import RunConfig
from scaling_jax.config.evaluation import HELD_OUT
from scaling_jax.errors import InputError, suggestion
from scaling_jax.runs.curve_files import read_metrics
from scaling_jax.runs.details import DETAILS_FILE, HeldOutDetails, details_of, read_details
from scaling_jax.runs.module_file import require_module
from scaling_jax.runs.result import Result, read_result
from scaling_jax.system.files import absolute, read_text
from scaling_jax.train.checkpoint import load_checkpoint
from scaling_jax.train.inputs import HeldOut, load_inputs
from scaling_jax.train.preflight import CONFIG_FILE
from scaling_jax.train.programs import abstract_state, evaluation, token_evaluation
from scaling_jax.train.step import weights_of
from scaling_jax.trained.language_model import LanguageModel, mesh_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class TrainedRun(LanguageModel):
    """A finished run: its configuration, its model, its loss curve and its result.

    Attributes:
        directory: where the run is stored.
        result: its losses, and what they were measured with.
    """

    directory: epath.Path
    result: Result

    def __repr__(self) -> str:
        loss, tokens = formatting.loss(self.result.loss), formatting.count(self.result.tokens)
        run = f"run {self.config.run_id}: loss {loss} after {tokens} tokens"
        return formatting.plain_spaces(f"{run}\n{super().__repr__()}")

    @property
    def weights(self) -> str:
        """Which parameters the model has, in words."""
        n = self.config.optimizer.averaged_steps(self.result.steps)
        return f"the mean over the last {n:,} steps" if n else "those after the last step"

    @cached_property
    def history(self) -> "pd.DataFrame":
        """The loss curve: a row for each step, with its tokens, training loss and learning rate."""
        import pandas as pd

        return pd.DataFrame(read_metrics(self.directory))

    def details(self, held_out: str = HELD_OUT) -> HeldOutDetails:
        """The losses at the end on a held-out set, by window and by position.

        They are read from the run's directory if the run was trained with `eval_details`, and
        measured from its model otherwise. `held_out` is the run's own held-out text by default, or
        the name of a further set.

        Raises:
            InputError: a set that the run does not have, a damaged file, or a text that has changed
                since the run was trained.
        """
        names = [HELD_OUT, *(each.name for each in self.config.evals if not each.is_task)]
        if held_out not in names:
            raise InputError(
                f"run {self.config.run_id} has no held-out set {held_out!r}"
                f"{suggestion(held_out, names)}"
            )
        stored = self.result.details
        if stored is not None and (self.directory / DETAILS_FILE).exists():
            return read_details(self.directory, stored)[held_out]
        tokens_NxT1 = self._held_out()[held_out].tokens_NxT1
        where = self.config, mesh_of(self.config), len(tokens_NxT1)
        loss_N, loss_NxT = (
            measure(*where)(self.params, tokens_NxT1) for measure in (evaluation, token_evaluation)
        )
        return details_of(loss_N, loss_NxT, tokens_NxT1)

    def _held_out(self) -> Mapping[str, HeldOut]:
        inputs = load_inputs(self.config, None, progress=False)
        if inputs.fingerprint != self.fingerprint:
            raise InputError(
                f"run {self.config.run_id} was trained on text with fingerprint "
                f"{self.fingerprint}, but {self.config.data.corpus} now has "
                f"{inputs.fingerprint}: restore the corpus and the tokenizer"
            )
        return inputs.held_out


def load_run(path: os.PathLike | str) -> TrainedRun:
    """The finished run in the directory `path`, such as `results/mine/runs/RUN_ID` of a store.

    Its model has the parameters after the last step, or their average over the last steps if the
    run has an `average_share`; `weights` says which. Nothing is written there.

    Raises:
        InputError: no run there, a run that has not finished or has diverged, or damaged files.
    """
    directory = absolute(path)
    config = _config(directory)
    result = read_result(directory, config)
    if result is None:
        raise InputError(f"{directory} has no result: train the run to its end first")
    if result.status == "diverged":
        raise InputError(
            f"the run in {directory} diverged at step {result.steps:,}, so it has no model: load "
            "another run"
        )
    require_module(directory, config)
    state, problem = load_checkpoint(
        directory, result.steps, abstract_state(config, mesh_of(config))
    )
    if problem is not None:
        raise InputError(
            f"the checkpoint of step {result.steps:,} in {directory} cannot be read ({problem}): "
            "restore the directory's checkpoints, or delete the run and train it again"
        )
    return TrainedRun(config, weights_of(state), result.data_fingerprint, directory, result)


def _config(directory: epath.Path) -> RunConfig:
    try:
        return RunConfig.from_json(read_text(directory / CONFIG_FILE))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(
            f"{directory} is not the directory of a run, since it has no {CONFIG_FILE}: give one "
            "such as results/STUDY/runs/RUN_ID"
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(
            f"{directory / CONFIG_FILE} is damaged ({getattr(error, 'strerror', None) or error}): "
            "restore it"
        ) from error
