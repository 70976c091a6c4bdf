"""`experiments`: the studies that come with the package, ready to plan and run."""

from scaling_jax.cli.arguments import Json
from scaling_jax.cli.output import print_json


def experiments(*, json: Json = False) -> None:
    """List the experiments: what each answers, its runs, FLOPs and time at each scale, its figure.

    plan, simulate and run take these names instead of a file.
    """
    from scaling_jax import study

    found = study.experiments()
    if json:
        print_json([experiment.data() for experiment in found])
    else:
        print(*found, sep="\n\n")
