"""The fifty shapes of Hoffmann et al. 2022, Table A9, and the counts that the paper prints."""

from scaling_jax.accounting.flops import forward_ops
from scaling_jax.config import Shape

# Hoffmann et al. 2022, "Training Compute-Optimal Large Language Models", arXiv 2203.15556,
# Table A9: parameters in millions as printed, d_model, d_ff, head_dim, n_heads, n_layers.
_TABLE_A9 = (
    (44, 512, 2048, 64, 8, 8),
    (57, 576, 2304, 64, 9, 9),
    (74, 640, 2560, 64, 10, 10),
    (90, 640, 2560, 64, 10, 13),
    (106, 640, 2560, 64, 10, 16),
    (117, 768, 3072, 64, 12, 12),
    (140, 768, 3072, 64, 12, 15),
    (163, 768, 3072, 64, 12, 18),
    (175, 896, 3584, 64, 14, 14),
    (196, 896, 3584, 64, 14, 16),
    (217, 896, 3584, 64, 14, 18),
    (251, 1024, 4096, 64, 16, 16),
    (278, 1024, 4096, 64, 16, 18),
    (306, 1024, 4096, 64, 16, 20),
    (425, 1280, 5120, 128, 10, 18),
    (489, 1280, 5120, 128, 10, 21),
    (509, 1408, 5632, 128, 11, 18),
    (552, 1280, 5120, 128, 10, 24),
    (587, 1408, 5632, 128, 11, 21),
    (632, 1536, 6144, 128, 12, 19),
    (664, 1408, 5632, 128, 11, 24),
    (724, 1536, 6144, 128, 12, 22),
    (816, 1536, 6144, 128, 12, 25),
    (893, 1792, 7168, 128, 14, 20),
    (1018, 1792, 7168, 128, 14, 23),
    (1143, 1792, 7168, 128, 14, 26),
    (1266, 2048, 8192, 128, 16, 22),
    (1424, 2176, 8704, 128, 17, 22),
    (1429, 2048, 8192, 128, 16, 25),
    (1593, 2048, 8192, 128, 16, 28),
    (1609, 2176, 8704, 128, 17, 25),
    (1731, 2304, 9216, 128, 18, 24),
    (1794, 2176, 8704, 128, 17, 28),
    (2007, 2304, 9216, 128, 18, 28),
    (2283, 2304, 9216, 128, 18, 32),
    (2298, 2560, 10240, 128, 20, 26),
    (2639, 2560, 10240, 128, 20, 30),
    (2980, 2560, 10240, 128, 20, 34),
    (3530, 2688, 10752, 128, 22, 36),
    (3802, 2816, 11264, 128, 22, 36),
    (4084, 2944, 11776, 128, 22, 36),
    (4516, 3072, 12288, 128, 24, 36),
    (6796, 3584, 14336, 128, 28, 40),
    (9293, 4096, 16384, 128, 32, 42),
    (11452, 4352, 17408, 128, 32, 47),
    (12295, 4608, 18432, 128, 36, 44),
    (12569, 4608, 18432, 128, 32, 47),
    (13735, 4864, 19456, 128, 32, 47),
    (14940, 4992, 19968, 128, 32, 49),
    (16183, 5120, 20480, 128, 40, 47),
)

CHINCHILLA_VOCAB_SIZE = 32_000
CHINCHILLA_SEQ_LEN = 2048

# In the table's order; `chinchilla_params` reproduces the printed counts.
CHINCHILLA_SHAPES: tuple[Shape, ...] = tuple(
    Shape(
        n_layers=n_layers,
        d_model=d_model,
        n_heads=n_heads,
        d_ff=d_ff,
        vocab_size=CHINCHILLA_VOCAB_SIZE,
        seq_len=CHINCHILLA_SEQ_LEN,
        head_dim=head_dim,
    )
    for _, d_model, d_ff, head_dim, n_heads, n_layers in _TABLE_A9
)

CHINCHILLA_MILLIONS: tuple[int, ...] = tuple(row[0] for row in _TABLE_A9)


def chinchilla_params(shape: Shape) -> int:
    """Parameters of `shape` by the formula that reproduces Table A9 of Hoffmann et al. 2022.

    `n_layers (5 d_model d_attn + 2 d_model d_ff) + vocab_size d_model`: five attention
    matrices, one more than `count_params` counts (the published models probably projected
    relative positions, as Transformer-XL does), the embedding once, no gains and no biases.
    With a vocabulary of 32,000, 41 of the 50 rows agree with the printed count within 0.2 %. The
    other nine, all at or below 217M, differ by less than half a million, the table's rounding.
    No row is more than 0.06 % outside the range that rounds to its printed count.
    """
    per_layer = 5 * shape.d_model * shape.d_attn + 2 * shape.d_model * shape.d_ff
    return shape.n_layers * per_layer + shape.vocab_size * shape.d_model


def table_a4_ratio(shape: Shape) -> float:
    """Training FLOPs over 6 N D, as in Table A4 of Hoffmann et al. 2022.

    The FLOPs are those of the blocks alone, with the softmax and without the embedding and the
    final logits; N is `chinchilla_params`. With sequences of 2,048 tokens and a vocabulary of
    32,000 the six rows equal the printed ones: 1.03, 1.10, 1.08, 1.04, 1.03, 0.99.

    In doubt: Appendix F says that the FLOPs of the embedding matrices are included. Counted
    as written there (the `chinchilla` convention) the same six ratios are 1.58, 1.32, 1.23,
    1.15, 1.12 and 1.03, which is not the printed table. The accounting used here was found by
    trying variants until one matched all six rows, so it is a strong hint of what the table's
    authors computed, not proof, and it does not say which count their figures used.
    """
    ops = forward_ops(shape, "chinchilla")
    blocks = ops.total - ops.embedding - ops.logits
    return blocks / (2 * chinchilla_params(shape) * shape.seq_len)
