import pytest

from scaling_jax.accounting.flops import training_flops
from scaling_jax.config import Shape
from scaling_jax.shapes import CHINCHILLA_MILLIONS, CHINCHILLA_SHAPES
from scaling_jax.shapes.chinchilla import chinchilla_params, table_a4_ratio


@pytest.mark.parametrize(
    ("shape", "millions"), list(zip(CHINCHILLA_SHAPES, CHINCHILLA_MILLIONS, strict=True))
)
def test_table_a9_parameters(shape: Shape, millions: int) -> None:
    # The table prints whole millions: a row says "within half a million of this".
    counted = chinchilla_params(shape) / 1e6
    assert max(abs(counted - millions) - 0.5, 0) / millions < 0.002
    if millions > 217:
        assert counted == pytest.approx(millions, rel=0.002)


# Hoffmann et al. 2022, Table A4: (d_model, n_layers) of the Table A9 row, ratio as printed.
TABLE_A4 = {
    (640, 10): 1.03,
    (1024, 20): 1.10,
    (1280, 24): 1.08,
    (1792, 26): 1.04,
    (2048, 28): 1.03,
    (3584, 40): 0.99,
}


@pytest.mark.parametrize(("row", "printed"), list(TABLE_A4.items()))
def test_table_a4_ratio_to_the_printed_decimals(row: tuple[int, int], printed: float) -> None:
    [shape] = [s for s in CHINCHILLA_SHAPES if (s.d_model, s.n_layers) == row]
    assert round(table_a4_ratio(shape), 2) == printed


def test_appendix_f_as_written_is_not_table_a4() -> None:
    rows = {(s.d_model, s.n_layers): s for s in CHINCHILLA_SHAPES}
    ratios = [
        training_flops(rows[row], 1, "chinchilla") / (6 * chinchilla_params(rows[row]))
        for row in TABLE_A4
    ]
    assert [round(ratio, 2) for ratio in ratios] == [1.58, 1.32, 1.23, 1.15, 1.12, 1.03]
