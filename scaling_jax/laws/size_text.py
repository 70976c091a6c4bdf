"""Rows of the table of model sizes along the envelope of training curves."""

from typing import TYPE_CHECKING

from scaling_jax import formatting

if TYPE_CHECKING:
    from scaling_jax.laws.fitted import Fit
    from scaling_jax.laws.frontier_points import EnvelopeSize

COLUMNS = (
    "parameters N",
    "lowest curve, FLOPs",
    "lowest curve, loss",
    "stop at loss",
    "stop at FLOPs",
    "stop at tokens",
)


def size_rows(fit: "Fit | None") -> tuple[tuple[str, ...], ...]:
    """One row per size: where its curve is the lowest, and where Kaplan's rule stops training."""
    return () if fit is None else tuple(map(_row, fit.sizes))


def _row(size: "EnvelopeSize") -> tuple[str, ...]:
    return (formatting.count(size.params), *_span(size), *_stop(size))


def _span(size: "EnvelopeSize") -> tuple[str, str]:
    if size.span is None:
        return "never", ""
    return (
        formatting.interval(size.span.flops, formatting.flops),
        formatting.interval(size.span.loss, formatting.loss),
    )


def _stop(size: "EnvelopeSize") -> tuple[str, str, str]:
    stop = size.stop
    if stop is None:
        return "", "", ""
    if stop.flops is None:
        return formatting.loss(stop.loss), "not reached", ""
    return formatting.loss(stop.loss), formatting.flops(stop.flops), formatting.count(stop.tokens)
