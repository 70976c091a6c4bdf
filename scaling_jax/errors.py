"""The one error a user can cause: bad input, reported as a single clear message."""


class InputError(ValueError):
    """Bad input. The message names the value, the rule it breaks and the remedy.

    The command line prints it alone on standard error and exits with code 2.
    """
