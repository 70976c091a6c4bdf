"""The models that are timed."""

from typing import NamedTuple


class Size(NamedTuple):
    """A GPT-2-style model, float32: learned positions, GELU, tied embedding, no biases."""

    n_layers: int
    d_model: int
    n_heads: int
    vocab_size: int
    seq_len: int
    batch_size: int

    @property
    def tokens(self) -> int:
        """Tokens of one step."""
        return self.batch_size * self.seq_len


SIZES = {
    "0.12M": Size(2, 64, 2, 256, 128, 16),
    "3M": Size(4, 256, 4, 4096, 256, 8),
    "25M": Size(8, 512, 8, 8192, 256, 8),
}
