"""Training and serving costs together (Sardana et al. 2024), and smaller models at equal loss.

    python experiments/reproductions/sardana_inference.py

The numbers of Sardana et al. (arXiv 2401.00448) are second-hand: reviews and notes quote them, and
we have not read them in the paper. The same holds for the constants. The constants of "Harm's law",
as a public calculator states them (huggingface.co/spaces/lvwerra/harms-law), reproduce every
printed digit of the examples. The constants of Hoffmann et al. 2022, at the precision of their TeX
source, nearly do.
"""

from dataclasses import dataclass

from scaling_jax.laws import (
    Demand,
    ServedOptimum,
    Surface,
    cheapest_served,
    law_named,
    size_deviation,
)

PUBLISHED = law_named("chinchilla").published
LAWS = {
    "Harm's law": Surface.of("chinchilla", PUBLISHED["de-vries-2023"]),
    "TeX source": Surface.of("chinchilla", PUBLISHED["hoffmann-2022"]),
}


@dataclass(frozen=True)
class Example:
    """A printed example: a model as good as the training-optimal model of `quality` parameters.

    Attributes:
        quality: parameters of the training-optimal model.
        served: tokens that the model serves in its lifetime.
        params: parameters of the cheapest model.
        data_ratio: training tokens of the cheapest model over those of the training-optimal model.
        saving, flops_saved: share and FLOPs of training and serving that the cheapest model saves.
    """

    quality: float
    served: float
    params: float
    data_ratio: float | None = None
    saving: float | None = None
    flops_saved: float | None = None


EXAMPLES = (
    # Second-hand: "7B quality with 1e11 tokens: 6B on 1.18 times the data".
    Example(7e9, 1e11, 6e9, data_ratio=1.18),
    # Caption of figure 1, as quoted at liner.com/review: "13B, 2 trillion tokens ... reduce their
    # total compute by 1.7e22 FLOPs (17%) by instead training a 7B model on more data".
    Example(13e9, 2e12, 7e9, saving=0.17, flops_saved=1.7e22),
)

# Second-hand: 30B quality at about 1.5e9 requests, priced by phase.
PRICED_QUALITY, PRICED_PARAMS, PRICED_TOKENS, PRICED_SAVING = 30e9, 16e9, 3.35e12, 0.17
PRICED_REQUESTS = 1.5e9

# Share of the optimal size -> extra compute in per cent. The first three: announcement of
# harmdevries.com/post/model-size-vs-compute-overhead (the second also in the post itself); the
# last is second-hand, from a translation of the post.
OVERHEADS = {0.57: 12, 0.5: 20, 0.3: 100, 0.25: 188}


def flops_of_optimum(surface: Surface, params: float) -> float:
    """Training FLOPs at which `params` parameters are compute-optimal; N grows as C^a."""
    alpha, beta = float(surface.alpha_R[0]), float(surface.beta_R[0])
    return float((params / surface.training_optimum(1.0)[0][0]) ** ((alpha + beta) / beta))


def answer(surface: Surface, quality: float, demand: Demand) -> ServedOptimum:
    """The cheapest model, to train and serve, with the loss of a model of `quality` parameters."""
    return cheapest_served(surface, demand, training_flops=flops_of_optimum(surface, quality))


def implied_demand(surface: Surface, quality: float, tokens: float) -> Demand:
    """The served tokens for which the cheapest model of that quality trains on `tokens` tokens.

    Serving is priced as training is, per FLOP. The first-order condition of the total cost is
    D_served = 3 D (epsN / epsD - 1), with epsN = alpha A / N^alpha and epsD = beta B / D^beta.
    """
    plain = answer(surface, quality, Demand())
    floor, _, b, alpha, beta = surface.constants_RxP[0]
    from_data = b / tokens**beta
    from_size = plain.loss.value - floor - from_data
    return Demand(3 * tokens * (alpha * from_size / (beta * from_data) - 1))


def _print_example(example: Example) -> None:
    print(f"\nQuality of {example.quality:.3g} parameters, {example.served:.3g} tokens served:")
    optima = [answer(law, example.quality, Demand(example.served)) for law in LAWS.values()]
    saved = [o.cost.value * o.saving.value / (1 - o.saving.value) for o in optima]
    rows = (
        ("params N", example.params, [o.params.value for o in optima]),
        ("data ratio", example.data_ratio, _data_ratios(optima)),
        ("saving", example.saving, [o.saving.value for o in optima]),
        ("FLOPs saved", example.flops_saved, saved),
    )
    for name, published, ours in rows:
        theirs = "-" if published is None else f"{published:.3g}"
        print(f"{name:<14}" + "".join(f"{value:>14.4g}" for value in ours) + f"{theirs:>12}")


def _data_ratios(optima: list[ServedOptimum]) -> list[float]:
    return [o.tokens.value / o.train_only_tokens.value for o in optima]


def _print_priced() -> None:
    """Print the example that prices the phases of serving separately.

    We do not know the prices and the lengths of requests. They enter only through the cost of
    serving one parameter, so the printed tokens imply that cost, and the printed size and saving
    then have to follow.
    """
    surface = LAWS["Harm's law"]
    demand = implied_demand(surface, PRICED_QUALITY, PRICED_TOKENS)
    optimum = answer(surface, PRICED_QUALITY, demand)
    print(f"\nQuality of {PRICED_QUALITY:.3g} parameters, phases priced apart, given the tokens:")
    print(f"{'params N':<14}{optimum.params.value:>14.4g}{PRICED_PARAMS:>12.3g}")
    print(f"{'tokens D':<14}{optimum.tokens.value:>14.4g}{PRICED_TOKENS:>12.3g}")
    print(f"{'saving':<14}{optimum.saving.value:>14.4g}{PRICED_SAVING:>12.3g}")
    per_request = demand.prefill_tokens / PRICED_REQUESTS
    print(
        f"A request then costs as much as {per_request:,.0f} tokens at training's price of a FLOP."
    )


def main() -> None:
    """Print the computed values beside the published values."""
    heads = "".join(f"{name:>14}" for name in LAWS)
    print("Sardana et al. 2024 (arXiv 2401.00448), all published numbers second-hand")
    print(f"{'':<14}{heads}{'published':>12}")
    for example in EXAMPLES:
        _print_example(example)
    _print_priced()
    print("\nExtra compute of a smaller model at equal loss, per cent (de Vries 2023)")
    print(f"{'of optimal N':<14}{'ours':>14}{'published':>12}")
    for ratio, percent in OVERHEADS.items():
        ours = 100 * (size_deviation(LAWS["Harm's law"], ratio).compute_ratio.value - 1)
        print(f"{ratio:<14}{ours:>14.1f}{percent:>12}")


if __name__ == "__main__":
    main()
