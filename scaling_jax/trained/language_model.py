"""A trained model with its tokenizer: losses, samples, export."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from scaling_jax import data, formatting
from scaling_jax.accounting.flops import count_params
from scaling_jax.architectures import architecture_of, own
from scaling_jax.config import RunConfig
from scaling_jax.data.registry import CORPORA
from scaling_jax.data.requests import Request, encoded, task_requests
from scaling_jax.data.tasks import Task, load_task
from scaling_jax.errors import InputError
from scaling_jax.model.stacking import unstack_layers
from scaling_jax.runs.held_out import HeldOutLoss, held_out_loss
from scaling_jax.runs.task_score import Likelihoods, TaskScore, task_score
from scaling_jax.train.mesh import make_mesh, mesh_for
from scaling_jax.train.programs import evaluation
from scaling_jax.train.scoring import Scoring
from scaling_jax.trained.export import export_model
from scaling_jax.trained.generation import continued


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A model with its parameters, and the tokenizer of its text.

    Attributes:
        config: the run that trained the model. A model that another package trained has a
            configuration of its shape, whose other fields are defaults.
        params: its parameters, as checkpoints store them, with layers stacked.
        fingerprint: hash of the tokenized corpus that it was trained on, if that is known.
    """

    config: RunConfig
    params: Any
    fingerprint: str | None

    def __repr__(self) -> str:
        shape = self.config.shape
        size = formatting.count(count_params(shape).total)
        return formatting.plain_spaces(
            f"{shape.architecture_name} of {size} parameters: {shape.n_layers} layers, width "
            f"{shape.d_model}, vocabulary {shape.vocab_size:,}, context {shape.seq_len:,}"
        )

    def _repr_html_(self) -> str:
        return formatting.preformatted(repr(self))

    @cached_property
    def model(self) -> Any:
        """The Flax module with its parameters: `model(tokens_BxT)` are float32 `logits_BxTxV`."""
        shape, rule = self.config.shape, self.config.parameterization
        if shape.module is not None:
            made = nnx.eval_shape(lambda: own.build(shape, jax.random.key(0), jnp.float32))
            return nnx.merge(nnx.split(made)[0], self.params)

        def initialized() -> Any:
            rngs = nnx.Rngs(params=jax.random.key(0))
            return architecture_of(shape).model_class()(shape, rngs=rngs, parameterization=rule)

        graph = nnx.split(nnx.eval_shape(initialized))[0]
        return nnx.merge(graph, unstack_layers(self.params))

    @cached_property
    def tokenizer(self) -> data.Tokenizer:
        """The tokenizer of the model's text: `encode` and `decode`.

        Raises:
            InputError: its file is missing, or has more token ids than the model.
        """
        tokenizer = data.load_tokenizer(self.config.data.tokenizer)
        if not tokenizer.is_of_text:
            return data.tokens_below(self.config.shape.vocab_size)
        if tokenizer.vocab_size > self.config.shape.vocab_size:
            raise InputError(
                f"tokenizer {tokenizer.name!r} has {tokenizer.vocab_size} ids, but the model has "
                f"{self.config.shape.vocab_size}: restore the tokenizer that the model was "
                "trained with"
            )
        return tokenizer

    def loss(self, text_or_corpus: str | None = None, *, tokens: int | None = None) -> float:
        """The mean loss in nats per token; `evaluate` also gives its error and bits per byte."""
        return self.evaluate(text_or_corpus, tokens=tokens).loss

    def evaluate(
        self, text_or_corpus: str | None = None, *, tokens: int | None = None
    ) -> HeldOutLoss:
        """The loss on the held-out part of a corpus, or on a text.

        On the corpus that a run was trained on, the windows are those of the run's recorded loss,
        and the loss is equal to the last bit on the same devices and CPU threads.

        Args:
            text_or_corpus: the name of a corpus, such as `embedded` or `text:PATH`, or else a
                text, which is read in whole windows of the model's context. By default the corpus
                that the model was trained on.
            tokens: number of tokens to evaluate. By default the run's `eval_tokens`, or all that
                there are if another corpus or a text has fewer.

        Raises:
            InputError: an unknown corpus, or too few tokens.
        """
        windows_NxT1, bytes_per_token = self._windows(text_or_corpus, tokens)
        measure = evaluation(self.config, mesh_of(self.config), len(windows_NxT1))
        return held_out_loss(measure(self.params, windows_NxT1), bytes_per_token)

    def score(self, task: str | Task) -> TaskScore:
        """The model's accuracy on a task, and the bits per byte of the right answers.

        Args:
            task: the path of a file of JSON lines with `context`, `continuations` and `gold`; a
                name such as `task:PATH`, `olmo:arc_easy/rc_0shot` or `cloze:CORPUS`; or a `Task`.

        Raises:
            InputError: an unknown task, a fault in it, or an answer longer than the model's
                context.
        """
        requested = task_requests(
            load_task(task) if isinstance(task, str) else task,
            self.tokenizer,
            self.config.shape.seq_len,
        )
        return task_score(requested, self.score_requests(requested.requests))

    def log_likelihoods(self, pairs: Sequence[tuple[str, str]]) -> Likelihoods:
        """The log-likelihood (nats) of each continuation after its context, and if it is greedy.

        Args:
            pairs: contexts and continuations, which are encoded as lm-evaluation-harness does.

        Raises:
            InputError: a continuation without a token, or longer than the model's context.
        """
        coder, seq_len = self.tokenizer, self.config.shape.seq_len
        requests = [
            encoded(*pair, coder, seq_len, f"pair {number}") for number, pair in enumerate(pairs)
        ]
        return self.score_requests(requests)

    def score_requests(self, requests: Sequence[Request]) -> Likelihoods:
        """As `log_likelihoods`, of tokens."""
        return self._scoring(self.params, requests)

    @cached_property
    def _scoring(self) -> Scoring:
        return Scoring(self.config, mesh_of(self.config))

    def generate(
        self, prompt: str = "", n_tokens: int = 100, temperature: float = 1.0, seed: int = 0
    ) -> str:
        """`prompt` and `n_tokens` sampled tokens after it, as text.

        Each token is drawn from the softmax of the logits divided by `temperature`; at temperature
        0 it is the likeliest. An empty prompt is the start of a document. Once the model's context
        is full, its second half becomes the context of the next tokens.

        Raises:
            InputError: fewer than 1 token, a temperature that is negative or not finite, or a seed
                of more than 32 bits.
        """
        if n_tokens < 1:
            raise InputError(f"n_tokens {n_tokens} must be at least 1")
        if not 0 <= temperature < float("inf"):
            raise InputError(f"temperature {temperature} must be finite and not negative")
        if not 0 <= seed < 2**32:
            raise InputError(f"seed {seed} must lie in [0, 2^32)")
        coder = self.tokenizer
        given = [int(i) for i in coder.encode(prompt)]
        if not given and coder.separator is None:
            raise InputError("a model of tokens needs a prompt: give token ids, such as '3 1 4'")
        first = given or [coder.separator or 0]
        sampling = temperature, seed, coder.vocab_size
        ids = continued(self.model, first, n_tokens, *sampling, shape=self.config.shape)
        return coder.decode(ids if given else ids[1:])

    def export(self, directory: os.PathLike | str) -> Path:
        """Write the model for Hugging Face's transformers into `directory`, and return its path.

        See `scaling_jax.trained.export`.

        Raises:
            InputError: a shape that has no layout there, or a directory that cannot be written.
        """
        return export_model(self.config, self.params, directory)

    def _windows(self, text_or_corpus: str | None, tokens: int | None) -> tuple[Any, float | None]:
        """Windows `tokens_NxT1` to evaluate, and the bytes of their text per token."""
        if tokens is not None and tokens < 1:
            raise InputError(f"tokens {tokens} must be at least 1")
        own = self.config.data.corpus if self.fingerprint is not None else None
        name = own if text_or_corpus is None else text_or_corpus
        if name is None:
            raise InputError("the model's corpus is unknown: name a corpus, or give a text")
        if not _is_corpus(name):
            return self._windows_of_text(name, tokens)
        cache = data.prepare(name, self.tokenizer.name, progress=False)
        cache.check_vocabulary(self.tokenizer.name, self.config.shape.vocab_size)
        if name == own and cache.fingerprint != self.fingerprint:
            raise InputError(
                f"the model was trained on text with fingerprint {self.fingerprint}, but {name} "
                f"now has {cache.fingerprint}: restore the corpus and the tokenizer, or name a "
                "copy of the corpus"
            )
        seq_len, wanted = self.config.shape.seq_len, tokens or self.config.eval_tokens
        at_most = tokens is None and (name != own or self.config.eval_at_most)
        return data.held_out_windows(cache, seq_len, wanted, at_most), cache.bytes_per_token

    def _windows_of_text(self, text: str, tokens: int | None) -> tuple[Any, float | None]:
        coder, seq_len = self.tokenizer, self.config.shape.seq_len
        ids = np.asarray(coder.encode(text), np.int32)
        n_windows = (len(ids) - 1) // seq_len
        n_wanted = n_windows if tokens is None else -(-tokens // seq_len)
        if not 0 < n_wanted <= n_windows:
            needed = "1 window" if n_wanted <= 1 else f"{n_wanted:,} windows"
            raise InputError(
                f"the text has {len(ids)} tokens, but {needed} of the model "
                f"{'needs' if n_wanted <= 1 else 'need'} {max(1, n_wanted) * seq_len + 1}: give a "
                "longer text, or a corpus such as text:PATH"
            )
        offsets_NxT1 = np.arange(n_wanted)[:, None] * seq_len + np.arange(seq_len + 1)
        is_lossless = coder.is_of_text and coder.decode([int(i) for i in ids]) == text
        return ids[offsets_NxT1], len(text.encode()) / len(ids) if is_lossless else None


def mesh_of(config: RunConfig) -> Mesh:
    """The mesh that a run trains on by default, or one device where its batch does not divide."""
    try:
        return mesh_for(config.shape, config.batch_size)
    except InputError:
        return make_mesh(devices=jax.devices()[:1])


def _is_corpus(text: str) -> bool:
    """Whether a string names a corpus: it starts like one, or holds no space that a text has."""
    key, _, argument = text.partition(":")
    return len(text.split()) == 1 or (key in CORPORA and CORPORA[key].takes(argument))
