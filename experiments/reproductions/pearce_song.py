"""Kaplan's exponent follows from Chinchilla's law without embeddings (Pearce & Song 2024).

    python experiments/reproductions/pearce_song.py

Most parameters of small models are embeddings. Suppose that losses follow Chinchilla's law in all
parameters N_T, but that sizes and compute are counted without embeddings, over the sizes of Kaplan
et al. 2020. Then the optimal size grows with compute about as fast as Kaplan et al. found
(N ∝ C^0.73), and not as C^0.5.
"""

import numpy as np

from scaling_jax.laws.conventions import FLOPS_PER_PARAM_TOKEN
from scaling_jax.laws.planning.known import PUBLISHED as LAWS
from scaling_jax.laws.planning.known import KnownLaw

SOURCE = "Pearce & Song 2024 (arXiv 2406.12907)"
OMEGA = 47491.0  # N_T = N + omega N^(1/3): 32,000 tokens and the aspect ratio of their models
SIZES = np.logspace(2.9, 9.2, 20)  # non-embedding parameters: Kaplan et al.'s range
TOKENS = np.logspace(6, 25, 4000)
BUDGETS = {"non-embedding": (12.95, 20.7), "total": (13.4, 20.7)}  # decades of FLOPs, as published
N_BUDGETS = 100

PUBLISHED_SLOPES = {
    "chinchilla-besiroglu": {"non-embedding": 0.78, "total": 0.515},
    "chinchilla-hoffmann": {"non-embedding": 0.74, "total": 0.458},
}


def total_params(non_embedding: np.ndarray) -> np.ndarray:
    """All parameters of models with `non_embedding` parameters outside their embeddings."""
    return non_embedding + OMEGA * np.cbrt(non_embedding)


def best_sizes(law: KnownLaw, counted: np.ndarray, budgets: np.ndarray) -> np.ndarray:
    """The size of lowest loss at each budget of FLOPs 6 N D, with N as `counted`."""
    loss = law.loss(total_params(SIZES)[:, None], TOKENS)
    at_budgets = [
        np.interp(
            np.log(budgets / (FLOPS_PER_PARAM_TOKEN * size)), np.log(TOKENS), losses, left=np.inf
        )
        for size, losses in zip(counted, loss, strict=True)
    ]
    return counted[np.argmin(at_budgets, axis=0)]


def slope(law: KnownLaw, count: str) -> float:
    """Exponent of the best N in FLOPs, over the published range of budgets."""
    counted = SIZES if count == "non-embedding" else total_params(SIZES)
    budgets = np.logspace(*BUDGETS[count], N_BUDGETS)
    return float(np.polyfit(np.log(budgets), np.log(best_sizes(law, counted, budgets)), 1)[0])


def local_exponent(law: KnownLaw, non_embedding: np.ndarray) -> np.ndarray:
    """Exponent of the optimal non-embedding N in non-embedding FLOPs, in closed form.

    The exponent starts at beta / (alpha / 3 + beta) for the smallest models. It rises to nearly 1
    where embeddings are most of the parameters but contribute little to the loss. It ends at
    beta / (alpha + beta).
    """
    alpha, beta = law.constants["alpha"], law.constants["beta"]
    x = np.cbrt(non_embedding) ** 2
    third = x + OMEGA / 3
    ratio = (x + OMEGA / 9) / third
    return 1 / (1 - ratio / beta + (alpha + 1) / beta * third / (x + OMEGA))


def main() -> None:
    """Print the exponents beside the published exponents."""
    print(f"Exponent of N_opt in C, {len(SIZES)} sizes. Published: {SOURCE}\n")
    print(f"{'law':<22}{'N and C counted':<17}{'ours':>7}{'published':>11}")
    for name, published in PUBLISHED_SLOPES.items():
        for count, exponent in published.items():
            ours = slope(LAWS[name], count)
            print(f"{name:<22}{count:<17}{ours:>7.3f}{exponent:>11.3f}")
    sizes = np.array([1e3, 1e6, 1e9, 1e12])
    print("\nIn closed form the exponent depends on the size:")
    for name in PUBLISHED_SLOPES:
        values = local_exponent(LAWS[name], sizes)
        text = ", ".join(f"{v:.3f} at {n:.0e}" for n, v in zip(sizes, values, strict=True))
        print(f"{name}: {text}")


if __name__ == "__main__":
    main()
