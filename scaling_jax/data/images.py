"""Corpora of images: the grey levels of their pixels, row by row, as tokens."""

import hashlib
from pathlib import Path

import numpy as np

from scaling_jax.data.corpus import Corpus, split_counts
from scaling_jax.errors import InputError

_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
_DIGITS_LEVELS = 17  # grey levels of scikit-learn's digits


def load(argument: str) -> Corpus:
    """The corpus `images:digits`, `images:shapes` or `images:FOLDER`; an image is a document.

    - `images:digits?levels=16`: the 1,797 digits of scikit-learn, 8 x 8 pixels.
    - `images:shapes?images=10000&size=16&levels=16&seed=0`: rectangles and ellipses, drawn by a
      seeded program.
    - `images:FOLDER?size=16&levels=16`: the images in a folder and its subfolders, cut to their
      central square and reduced to `size` x `size` pixels.

    Tokens 0 (black) to `levels` - 1 (white) are grey levels of equal width, and the token `levels`
    ends each image.

    Raises:
        InputError: an option out of range, a folder without images, a package that is missing. When
            the images are read: a file that is no image.
    """
    source = argument.partition("?")[0]
    if source == "digits":
        return _digits(argument)
    return _shapes(argument) if source == "shapes" else _folder(argument)


def pixels(grey_HxW: np.ndarray, n_values: int, levels: int) -> np.ndarray:
    """The tokens of an image whose pixels are whole numbers below `n_values`."""
    tokens = grey_HxW.astype(np.int64).ravel() * levels // n_values
    return np.append(tokens, levels)


def _digits(argument: str) -> Corpus:
    _, options = split_counts("images", argument, {"levels": 16}, {"levels": 2})
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise InputError(
            "images:digits needs the package scikit-learn, which is not installed: "
            "pip install 'scaling_jax[images]'"
        ) from error
    grey_NxHxW, levels = load_digits().images.astype(np.uint8), options["levels"]
    key = f"{hashlib.sha256(grey_NxHxW.tobytes()).hexdigest()}-{levels}"
    return Corpus(
        f"images:{argument}",
        key,
        lambda: (pixels(grey_HxW, _DIGITS_LEVELS, levels) for grey_HxW in grey_NxHxW),
        levels + 1,
    )


def _folder(argument: str) -> Corpus:
    defaults = {"size": 16, "levels": 16}
    name, options = split_counts("images", argument, defaults, {"levels": 2})
    try:
        import PIL
    except ImportError as error:
        raise InputError(
            "images of a folder need the package Pillow, which is not installed: "
            "pip install 'scaling_jax[images]'"
        ) from error
    root = Path(name).expanduser()
    paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in _ENDINGS and p.is_file())
    if not paths:
        raise InputError(
            f"images:{name} is no folder with images: give digits, shapes, or a folder with files "
            f"that end in {', '.join(sorted(_ENDINGS))}"
        )
    size, levels = options["size"], options["levels"]
    # Another version of Pillow may decode or reduce an image to other pixels.
    digest = hashlib.sha256(f"{PIL.__version__} {size} {levels}".encode())
    for path in paths:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return Corpus(
        f"images:{argument}",
        digest.hexdigest(),
        lambda: (pixels(_read(path, size), 256, levels) for path in paths),
        levels + 1,
    )


def _read(path: Path, size: int) -> np.ndarray:
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            square = ImageOps.fit(image.convert("L"), (size, size), Image.Resampling.BOX)
            return np.asarray(square)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} is no image ({error}): repair or remove it") from error


def _shapes(argument: str) -> Corpus:
    defaults = {"images": 10_000, "size": 16, "levels": 16, "seed": 0}
    _, options = split_counts("images", argument, defaults, {"levels": 2, "size": 4})
    n, size, levels, seed = options.values()
    return Corpus(
        f"images:{argument}",
        f"shapes-{n}-{size}-{levels}-{seed}",
        lambda: (pixels(drawn(size, seed, i), 256, levels) for i in range(n)),
        levels + 1,
    )


def drawn(size: int, seed: int, index: int) -> np.ndarray:
    """An image `grey_HxW` below 256: one to three shapes on a background that grows lighter."""
    rng = np.random.default_rng([seed, size, index])
    y_HxW, x_HxW = (np.mgrid[:size, :size] + 0.5) / size
    angle = rng.uniform(0, 2 * np.pi)
    slope_HxW = (x_HxW - 0.5) * np.cos(angle) + (y_HxW - 0.5) * np.sin(angle)
    grey_HxW = rng.uniform(40, 215) + 80 * slope_HxW
    for _ in range(rng.integers(1, 4)):
        centre_x, centre_y = rng.uniform(0.2, 0.8, size=2)
        half_x, half_y = rng.uniform(0.1, 0.35, size=2)
        across, down = abs(x_HxW - centre_x) / half_x, abs(y_HxW - centre_y) / half_y
        inside = (across**2 + down**2 < 1) if rng.random() < 0.5 else np.maximum(across, down) < 1
        grey_HxW = np.where(inside, rng.uniform(0, 255), grey_HxW)
    noisy_HxW = grey_HxW + rng.normal(0, 4, size=(size, size))
    return np.clip(noisy_HxW, 0, 255).astype(np.uint8)
