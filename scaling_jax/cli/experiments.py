"""`experiments`: the named studies that ship, ready to plan and run."""

from typing import TYPE_CHECKING, Any

from scaling_jax import formatting
from scaling_jax.cli.arguments import Json
from scaling_jax.cli.output import print_json

if TYPE_CHECKING:
    from scaling_jax.study import Experiment, Study


def experiments(*, json: Json = False) -> None:
    """List the experiments that ship: what each is after, and its runs and FLOPs at each scale.

    plan, simulate and run take their names in the place of a file.
    """
    from scaling_jax.study import experiments as shipped

    found = shipped()
    if json:
        print_json([_as_json(each) for each in found])
        return
    print("\n\n".join(map(_in_words, found)))


def _as_json(experiment: "Experiment") -> dict[str, Any]:
    source = experiment.source
    return {
        "name": experiment.name,
        "path": str(experiment.path),
        "summary": experiment.summary,
        "paper": source and source.paper,
        "arxiv": source and source.arxiv,
        "figure": source and source.figure,
        "scales": {scale: _size(study) for scale, study in experiment.studies.items()},
    }


def _size(study: "Study") -> dict[str, Any]:
    runs = study.plan()
    spent = float(sum(run.flops_spent for run in runs))
    return {"study": study.name, "runs": len(runs), "flops": spent}


def _in_words(experiment: "Experiment") -> str:
    sizes = {scale: _size(study) for scale, study in experiment.studies.items()}
    rows = [
        f"  {scale:<6}{size['runs']:>5,} runs  {formatting.flops(size['flops']):>8} FLOPs"
        for scale, size in reversed(sizes.items())
    ]
    after = [f"  {experiment.source}"] if experiment.source else []
    return "\n".join([experiment.name, f"  {experiment.summary}", *after, *rows])
