"""`doctor`: what this machine has."""

from scaling_jax.cli.arguments import Json
from scaling_jax.cli.output import print_json


def doctor(*, json: Json = False) -> None:
    """Show Python, packages, devices, measured speed, memory and the token cache."""
    from scaling_jax.doctor import describe, examine

    found = examine()
    if json:
        print_json(found)
    else:
        print(describe(found))
