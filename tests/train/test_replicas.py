"""Runs side by side in one program are what each would be alone."""

import os
import signal

import jax
import numpy as np
import pytest
from etils import epath
from helpers import small_run

from scaling_jax.runs.curve_files import read_metrics
from scaling_jax.system.preemption import Preempted
from scaling_jax.train import Execution, MeshSpec, make_mesh, train_replicas, train_run

DISPATCH = Execution(steps_per_dispatch=4)


@pytest.fixture(scope="module")
def configs(text):
    """Another seed, another length, another learning rate, and one that diverges."""
    return [
        small_run(text, steps=steps, shape={"n_layers": 1}, **changes)
        for steps, changes in (
            (24, {}),
            (10, {"seed": 1}),
            (24, {"optimizer": {"peak_lr": 3e-3}}),
            (24, {"optimizer": {"peak_lr": 1e30, "warmup_steps": 0}}),
        )
    ]


def curve(directory):
    rows = read_metrics(epath.Path(directory))
    return [row["step"] for row in rows], [row["loss"] for row in rows if row["loss"] is not None]


@pytest.fixture(scope="module")
def alone(configs, cache, tmp_path_factory):
    """Result and loss curve of each run by itself."""
    directory, one = tmp_path_factory.mktemp("alone"), make_mesh(devices=jax.devices()[:1])
    trained = []
    for i, config in enumerate(configs):
        options = dict(cache_dir=cache, mesh=one, execution=DISPATCH, progress=False)
        result = train_run(config, directory / str(i), **options)
        trained.append((result, curve(directory / str(i))))
    return trained


def check_same(results, directories, alone):
    for result, directory, (expected, (steps, losses)) in zip(
        results, directories, alone, strict=True
    ):
        assert (result.status, result.steps) == (expected.status, expected.steps)
        assert curve(directory)[0] == steps
        # Products of several models at once sum in another order: float32 rounding, amplified
        # by the updates.
        np.testing.assert_allclose(curve(directory)[1], losses, rtol=2e-5)
        if expected.loss is not None:
            assert result.loss == pytest.approx(expected.loss, rel=2e-5)


@pytest.mark.parametrize("spec", [MeshSpec(replica=4), MeshSpec(replica=2, tensor=2)])
def test_each_is_what_it_would_be_alone_over_devices(configs, alone, cache, tmp_path, spec):
    directories = [tmp_path / str(i) for i in range(4)]
    mesh = make_mesh(spec, jax.devices()[:4])
    results = train_replicas(
        configs, directories, cache_dir=cache, mesh=mesh, execution=DISPATCH, progress=False
    )
    assert [result.status for result in results] == ["finished"] * 3 + ["diverged"]
    check_same(results, directories, alone)
    again = train_replicas(configs, directories, cache_dir=cache, progress=False)
    assert again == results


def test_stopped_together_each_can_go_on_alone(configs, alone, cache, tmp_path):
    one = make_mesh(devices=jax.devices()[:1])
    options = dict(cache_dir=cache, mesh=one, execution=DISPATCH, progress=False)
    directories = [tmp_path / str(i) for i in range(2)]

    for stop_at in (4, 12):

        def stop(step, *_, stop_at=stop_at):
            if step >= stop_at:
                os.kill(os.getpid(), signal.SIGTERM)

        with pytest.raises(Preempted, match="; saved"):
            train_replicas(configs[:2], directories, reports=[stop, None], **options)
        steps = [len(curve(directory)[0]) for directory in directories]
        assert stop_at < steps[0] < 24
        assert steps[1] == min(steps[0], 10)
    results = [train_run(configs[i], directories[i], **options) for i in range(2)]
    check_same(results, directories, alone[:2])
