"""The command line as `python -m scaling_jax`, where no script of that name is on the path."""

from scaling_jax.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
