"""Tables 3 and A3 of Hoffmann et al. 2022 (arXiv 2203.15556), as printed.

Both tables list the FLOPs and tokens at which models of nine sizes are compute-optimal: by
approach 1 in table 3, by approaches 2 and 3 in table A3.
"""

from dataclasses import dataclass

import numpy as np

# Rows: N, then FLOPs and tokens by approaches 1, 2 and 3.
# fmt: off
_ROWS = np.array([
    (400e6, 1.92e19, 8.0e9,    1.84e19, 7.7e9,    2.21e19, 9.2e9),
    (1e9,   1.21e20, 20.2e9,   1.20e20, 20.0e9,   1.62e20, 27.1e9),
    (10e9,  1.23e22, 205.1e9,  1.32e22, 219.5e9,  2.46e22, 410.1e9),
    (67e9,  5.76e23, 1.5e12,   6.88e23, 1.7e12,   1.71e24, 4.1e12),
    (175e9, 3.85e24, 3.7e12,   4.54e24, 4.3e12,   1.26e24, 12.0e12),
    (280e9, 9.90e24, 5.9e12,   1.18e25, 7.1e12,   3.52e25, 20.1e12),
    (520e9, 3.43e25, 11.0e12,  4.19e25, 13.4e12,  1.36e26, 43.5e12),
    (1e12,  1.27e26, 21.2e12,  1.59e26, 26.5e12,  5.65e26, 94.1e12),
    (10e12, 1.30e28, 216.2e12, 1.75e28, 292.0e12, 8.55e28, 1425.5e12),
])
# fmt: on


@dataclass(frozen=True)
class HoffmannTable:
    """The columns of one approach.

    Attributes:
        approach: 1, 2 or 3.
    """

    approach: int

    @property
    def params(self) -> np.ndarray:
        """N of the nine rows."""
        return _ROWS[:, 0]

    @property
    def flops(self) -> np.ndarray:
        """FLOPs at which each N is optimal.

        Table A3 prints 1.26e24 for 175B by approach 3, out of order with its neighbours; the
        tokens beside it imply 1.26e25.
        """
        return _ROWS[:, 2 * self.approach - 1]

    @property
    def tokens(self) -> np.ndarray:
        """Training tokens at which each N is optimal."""
        return _ROWS[:, 2 * self.approach]
