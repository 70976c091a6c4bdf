"""The commands, thin: each reads its arguments, calls the package and prints."""

from scaling_jax.cli.app import main as main
