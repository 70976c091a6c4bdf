"""A trained model as a model of lm-evaluation-harness, the package lm_eval.

The harness then evaluates the model on its own tasks, without an export to PyTorch.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from scaling_jax.data.requests import request
from scaling_jax.errors import InputError
from scaling_jax.trained.language_model import LanguageModel


def harness_model(model: LanguageModel) -> Any:
    """The model as an `lm_eval.api.model.LM`, for `lm_eval.simple_evaluate(model=...)`.

    Raises:
        InputError: the package lm_eval is not installed.
    """
    try:
        from lm_eval.api.model import LM
    except ImportError as error:
        raise InputError(
            "this needs the package lm_eval, which is not installed: "
            "pip install 'scaling_jax[eval]'"
        ) from error

    class ScalingJaxLM(LM):
        """Answers the harness's requests."""

        def loglikelihood(self, requests: Sequence[Any], **_: Any) -> list[tuple[float, bool]]:
            found = model.log_likelihoods([each.args for each in requests])
            pairs = zip(found.log_likelihood_N, found.is_greedy_N, strict=True)
            return [(float(likelihood), bool(greedy)) for likelihood, greedy in pairs]

        def loglikelihood_rolling(self, requests: Sequence[Any], **_: Any) -> list[float]:
            return [_rolling(model, each.args[0]) for each in requests]

        def generate_until(self, requests: Sequence[Any], **_: Any) -> list[str]:
            return [_generated(model, *each.args) for each in requests]

    return ScalingJaxLM()


def _rolling(model: LanguageModel, text: str) -> float:
    """The log-likelihood of a text, each token after as much of the text as fits."""
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

    coder, seq_len = model.tokenizer, model.config.shape.seq_len
    windows = get_rolling_token_windows(
        [int(i) for i in coder.encode(text)],
        prefix_token=coder.separator,
        max_seq_len=seq_len,
        context_len=1,
    )
    requests = [
        request(context_ids, ids, seq_len, "a window of the text")
        for context_ids, ids in map(make_disjoint_window, windows)
    ]
    return float(model.score_requests(requests).log_likelihood_N.sum())


def _generated(model: LanguageModel, context: str, options: dict[str, Any]) -> str:
    """What the model writes after `context`, up to the first of the `until` texts."""
    temperature = float(options.get("temperature", 0.0)) if options.get("do_sample") else 0.0
    n_tokens = int(options.get("max_gen_toks", 256))
    coder = model.tokenizer
    start = coder.decode([int(i) for i in coder.encode(context)])
    text = model.generate(context, n_tokens, temperature)[len(start) :]
    until: str | Iterable[str] = options.get("until") or ()
    for stop in [until] if isinstance(until, str) else until:
        text = text.split(stop)[0] if stop else text
    return text
