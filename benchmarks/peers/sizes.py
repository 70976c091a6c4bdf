"""The models that are timed."""

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from scaling_jax.config import Positions, Shape


class Size(NamedTuple):
    """A GPT-2-style model: learned positions, GELU, tied embedding, no biases."""

    n_layers: int
    d_model: int
    n_heads: int
    vocab_size: int
    seq_len: int
    batch_size: int
    precision: Literal["float32", "bfloat16", "float32_fast"] = "float32"

    @property
    def tokens(self) -> int:
        """Tokens of one step."""
        return self.batch_size * self.seq_len

    def shape(self, positions: "Positions", n_experts: int = 1) -> "Shape":
        """The model as this package describes it, of which each token uses one of the experts."""
        # Here, as the Python that has PyTorch need not have this package.
        from scaling_jax.config import Shape

        return Shape(
            n_layers=self.n_layers,
            d_model=self.d_model,
            n_heads=self.n_heads,
            d_ff=4 * self.d_model,
            vocab_size=self.vocab_size,
            seq_len=self.seq_len,
            positions=positions,
            n_experts=n_experts,
        )


# The larger two are GPT-2 small and GPT-3 XL, whose heads are widened to 128; GPT-2's vocabulary
# is rounded up to a multiple of 128.
SIZES = {
    "0.12M": Size(2, 64, 2, 256, 128, 16, "float32_fast"),
    "3M": Size(4, 256, 4, 4096, 256, 8),
    "25M": Size(8, 512, 8, 8192, 256, 8),
    "124M": Size(12, 768, 12, 50_304, 1024, 32, "bfloat16"),
    "1.3B": Size(24, 2048, 16, 50_304, 2048, 8, "bfloat16"),
}
