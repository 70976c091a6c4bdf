"""The entropy of corpora that have a known one: the floor that no model can beat."""

import functools

from scaling_jax.config.strict import require_positive
from scaling_jax.data.registry import load_corpus
from scaling_jax.data.tokenizer import TOKENS

_KNOWN = "synthetic:"


@functools.lru_cache(maxsize=256)
def entropy(corpus: str, tokenizer: str, seq_len: int) -> float | None:
    """The least held-out loss, in nats per token, of any model with a window of `seq_len` tokens.

    It is the mean over a window of a token's entropy given the tokens before it in the window, for
    a model that knows the language exactly. A held-out loss lies around it with its standard error.

    >>> from scaling_jax import data
    >>> round(data.entropy("synthetic:markov", "bytes", 128), 4)
    1.4122
    >>> data.entropy("embedded", "bytes", 128) is None
    True

    Returns:
        The entropy; None for a corpus whose entropy is unknown, under a tokenizer other than
        `bytes` and `tokens`, and for windows that cut sentences of a grammar or words of
        `synthetic:zipf` anywhere.

    Raises:
        InputError: a `synthetic:` corpus that does not exist, or a `seq_len` below 1.
    """
    require_positive("seq_len", seq_len)
    # Other corpora may be files that are no longer here, and have no known entropy.
    if not corpus.startswith(_KNOWN):
        return None
    source = load_corpus(corpus)
    wanted = "bytes" if source.vocab_size is None else TOKENS
    if source.entropy is None or tokenizer != wanted:
        return None
    return source.entropy(seq_len)
