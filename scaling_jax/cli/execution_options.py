"""Options of how runs are computed, apart from those that every command imports."""

from typing import Annotated

import tyro

from scaling_jax.execution import Execution

ExecutionOptions = Annotated[Execution, tyro.conf.OmitArgPrefixes]
