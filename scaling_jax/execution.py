"""How a run is computed: what changes its speed and memory, but not what it is.

Nothing here imports JAX, so that the command line can offer the choices without loading it.
"""

import importlib.util
from dataclasses import dataclass, replace
from typing import Literal

from scaling_jax.config import RunConfig, Shape
from scaling_jax.config.strict import require_one_of, require_positive, settle_numbers
from scaling_jax.errors import InputError
from scaling_jax.mesh_spec import CHOSEN, MeshSpec

Attention = Literal["xla", "blocks", "cudnn", "splash", "tokamax"]
Remat = Literal["none", "dots", "full"]

# Several steps go out in one dispatch where a step is short: the host's work per step is
# about a millisecond, and up to a second of device time may pass before a signal is heeded.
MAX_STEPS_PER_DISPATCH = 16
_NOMINAL_FLOPS_PER_SECOND = {"cpu": 1e11}
_ACCELERATOR_FLOPS_PER_SECOND = 1e14

# Up to this many layers are unrolled, where that is faster; more are compiled as a loop, to keep
# compilation in bounds. A platform that is absent has its layers in a loop.
MAX_UNROLLED_LAYERS = {"cpu": 16, "gpu": 32, "cuda": 32}

# Float32 logits that a device may hold at once: about its cache on a CPU, and on an accelerator
# enough to keep it busy.
_LOGITS_BYTES = {"cpu": 2**23, "gpu": 2**31, "cuda": 2**31}
_TPU_LOGITS_BYTES = 2**28

_GPU_PLATFORMS = ("gpu", "cuda")
_SPLASH_MULTIPLE = 128
# cuDNN takes heads up to the first on any GPU, and up to the second from Hopper on.
_CUDNN_HEAD_SIZES = (128, 256)


@dataclass(frozen=True)
class Execution:
    """Choices that leave a run's identity alone; None is chosen by platform and shape.

    Losses differ between choices only by float32 rounding, since sums are taken in another
    order.

    Attributes:
        attention: kernel: plain products (xla), on a CPU the same without most of what the causal
            mask hides (blocks), cuDNN's on NVIDIA in bfloat16, JAX's splash attention on a TPU, or
            what the package tokamax has for the device.
        remat: what the backward pass recomputes of each layer: nothing, all but the matrix
            products of weights (dots), or everything (full).
        scan_layers: run the layers in a loop, which compiles faster, instead of unrolled.
        loss_chunks: pieces of every sequence whose logits are computed one after the other.
        accumulate: microbatches of a batch, whose gradients are averaged into one update.
        steps_per_dispatch: steps that go to the device at once.
        mesh: how the devices are shared out.

    Raises:
        InputError: a kernel or policy that does not exist, or a count below 1.
    """

    attention: Attention | None = None
    remat: Remat = "none"
    scan_layers: bool | None = None
    loss_chunks: int | None = None
    accumulate: int = 1
    steps_per_dispatch: int | None = None
    mesh: MeshSpec = CHOSEN

    def __post_init__(self) -> None:
        if self.attention is not None:
            require_one_of("attention", self.attention, Attention)
        require_one_of("remat", self.remat, Remat)
        if not isinstance(self.scan_layers, bool | None):
            raise InputError(f"scan_layers {self.scan_layers!r} must be True, False or None")
        if not isinstance(self.mesh, MeshSpec):
            raise InputError(f"mesh {self.mesh!r} must be a MeshSpec")
        settle_numbers(self)
        for name in ("loss_chunks", "accumulate", "steps_per_dispatch"):
            if getattr(self, name) is not None:
                require_positive(name, getattr(self, name))

    def resolved(
        self, config: RunConfig, platform: str, n_devices: int = 1, is_split: bool = False
    ) -> "Execution":
        """The same choices with every None decided for `config` on `n_devices` of `platform`.

        `is_split` says that each holds a part of the parameters, of which a loop over layers
        gathers one layer's at a time.

        Raises:
            InputError: a kernel that cannot run there, or pieces of unequal size.
        """
        _check_attention(self.attention, config, platform)
        _check_divides("accumulate", self.accumulate, "batch_size", config.batch_size)
        _check_divides("loss_chunks", self.loss_chunks or 1, "seq_len", config.shape.seq_len)
        scan_layers = is_split or config.shape.n_layers > MAX_UNROLLED_LAYERS.get(platform, 0)
        microbatch = config.batch_size // self.accumulate
        return replace(
            self,
            attention=self.attention or _attention(config, platform),
            scan_layers=scan_layers if self.scan_layers is None else self.scan_layers,
            loss_chunks=self.loss_chunks
            or fewest_loss_chunks(config.shape, microbatch, platform, n_devices),
            steps_per_dispatch=self.steps_per_dispatch or _steps_per_dispatch(config, platform),
        )


DEFAULT = Execution()


def _attention(config: RunConfig, platform: str) -> Attention:
    if platform == "tpu" and not _refusal("splash", config, platform):
        return "splash"
    small = config.shape.head_size <= _CUDNN_HEAD_SIZES[0]
    if platform in _GPU_PLATFORMS and small and not _refusal("cudnn", config, platform):
        return "cudnn"
    return "blocks" if platform == "cpu" else "xla"


def _check_attention(attention: Attention | None, config: RunConfig, platform: str) -> None:
    refusal = _refusal(attention, config, platform)
    if refusal:
        raise InputError(
            f"attention {attention!r} {refusal}: use {_attention(config, platform)!r}, which is "
            "chosen when none is given"
        )


def _refusal(attention: Attention | None, config: RunConfig, platform: str) -> str | None:
    """Why a kernel cannot run, if it cannot."""
    shape = config.shape
    if attention == "cudnn":
        if platform not in _GPU_PLATFORMS:
            return f"runs on NVIDIA GPUs, not on {platform!r}"
        if config.precision != "bfloat16":
            return f"computes in bfloat16, not in {config.precision}"
        if shape.head_size % 8 or shape.head_size > _CUDNN_HEAD_SIZES[1]:
            return f"needs a head size that is a multiple of 8 up to 256, not {shape.head_size}"
    if attention == "blocks" and platform != "cpu":
        return f"is for CPUs, not for {platform!r}"
    if attention == "splash":
        if platform != "tpu":
            return f"runs on TPUs, not on {platform!r}"
        if shape.seq_len % _SPLASH_MULTIPLE:
            return f"needs a seq_len that is a multiple of 128, not {shape.seq_len}"
    if attention == "tokamax":
        if platform == "cpu":
            return "has kernels for accelerators, not for 'cpu'"
        if importlib.util.find_spec("tokamax") is None:
            return "needs the package tokamax, which is not installed"
    return None


def _check_divides(name: str, n: int, of: str, size: int) -> None:
    if size % n:
        choices = [k for k in range(1, size + 1) if size % k == 0]
        raise InputError(f"{name} {n} does not divide {of} {size}: choose one of {choices}")


def fewest_loss_chunks(shape: Shape, batch_size: int, platform: str, n_devices: int) -> int:
    """The fewest equal pieces of a sequence whose logits are small enough on each device."""
    limit = _LOGITS_BYTES.get(platform, _TPU_LOGITS_BYTES) * n_devices
    position = 4 * batch_size * shape.vocab_size
    return next(
        (
            n
            for n in range(1, shape.seq_len)
            if shape.seq_len % n == 0 and shape.seq_len // n * position <= limit
        ),
        shape.seq_len,
    )


def _steps_per_dispatch(config: RunConfig, platform: str) -> int:
    rate = _NOMINAL_FLOPS_PER_SECOND.get(platform, _ACCELERATOR_FLOPS_PER_SECOND)
    step_flops = 6 * _matrix_params(config.shape) * config.tokens_per_step
    affordable = max(1, int(rate / step_flops))
    return min(MAX_STEPS_PER_DISPATCH, 1 << (affordable.bit_length() - 1))


def _matrix_params(shape: Shape) -> int:
    """Rough parameter count, enough to tell a short step from a long one."""
    d_ff = shape.experts_per_token * shape.d_ff
    return shape.d_model * (shape.vocab_size + shape.n_layers * 4 * (shape.d_attn + d_ff))
