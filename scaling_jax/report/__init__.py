"""The report: one self-contained page with the optimum, the figures and every run.

What belongs here: everything that turns records and fits into figures, tables and sentences. The
fits come from `laws`; the records and the progress of a study come from `study`.
"""

import importlib
import sys
from types import ModuleType
from typing import Any

from scaling_jax.api import public_names
from scaling_jax.report.content import ReportData as ReportData
from scaling_jax.report.content import Verification as Verification
from scaling_jax.report.page import write_report as write_report


class _Callable(ModuleType):
    """This package, which `scaling_jax.report(...)` calls: `scaling_jax.answers.report`."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        # A dynamic import, since `answers` builds on this package.
        return importlib.import_module("scaling_jax.answers").report(*args, **options)


sys.modules[__name__].__class__ = _Callable


def __dir__() -> list[str]:
    return public_names(globals())
