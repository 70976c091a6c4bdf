"""`diff`: how two studies differ."""

from typing import Annotated

import tyro

from scaling_jax.cli.arguments import Json, ScaleOption
from scaling_jax.cli.output import print_json, print_table

Side = Annotated[
    str,
    tyro.conf.Positional,
    tyro.conf.arg(
        metavar="STUDY", help="a study's directory, an experiment's file, or an experiment's name"
    ),
]


def diff(
    a: Side,
    b: Side,
    /,
    *,
    scale: ScaleOption = "full",
    json: Json = False,
) -> None:
    """Show how two studies differ: every field of recipe and design, and the runs they share.

    For two directories, also shows how the text, machine, versions and commit of their runs
    differ. --scale chooses the study of an experiment; a directory holds one study.
    """
    from scaling_jax.study.status import study_difference
    from scaling_jax.study.store.sources import study_or_store

    found = study_difference(study_or_store(a, scale), study_or_store(b, scale))
    if json:
        print_json(found.data())
        return
    print(f"A is {found.a}, B is {found.b}.")
    if found.fields:
        print()
        print_table(found.table())
        print()
    else:
        print("Their recipes and designs are the same.")
    print(found.shared_runs())
