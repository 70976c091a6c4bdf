"""Choices that change the speed and memory of a run, but not its result or its run id.

This module does not import JAX, so that the command line can offer the options without loading it.
"""

import importlib.util
from dataclasses import dataclass, replace
from typing import Any, Literal

from scaling_jax.architectures.own import class_of, takes_dtype
from scaling_jax.config import OwnModule, RunConfig, Shape
from scaling_jax.config.strict import divisors, require_one_of, require_positive, settle_numbers
from scaling_jax.errors import InputError
from scaling_jax.mesh_spec import CHOSEN, MeshSpec

Attention = Literal["xla", "blocks", "cudnn", "splash", "tokamax"]
Remat = Literal["none", "dots", "full"]

# Short steps are dispatched together, because the host needs about a millisecond per dispatch. A
# dispatch may take up to a second of device time, during which the process does not react to
# signals.
MAX_STEPS_PER_DISPATCH = 16
_NOMINAL_FLOPS_PER_SECOND = {"cpu": 1e11}
_ACCELERATOR_FLOPS_PER_SECOND = 1e14

# Up to this many layers are unrolled, which is faster on these platforms; deeper models are
# compiled as a loop, to limit the time of compilation. Other platforms always use the loop.
MAX_UNROLLED_LAYERS = {"cpu": 16, "gpu": 32, "cuda": 32}

# Bytes of float32 logits that a device computes at once: about the size of a CPU's cache, and
# enough to keep an accelerator busy.
_LOGITS_BYTES = {"cpu": 2**23, "gpu": 2**31, "cuda": 2**31}
_TPU_LOGITS_BYTES = 2**28

# Architectures whose scores, if they have any, no kernel computes.
_WITHOUT_KERNEL = ("lstm", "module")
_NO_KERNEL: Attention = "xla"

_GPU_PLATFORMS = ("gpu", "cuda")
_SPLASH_MULTIPLE = 128
# Largest head size that cuDNN supports on any GPU, and from Hopper on.
_CUDNN_HEAD_SIZES = (128, 256)


@dataclass(frozen=True)
class Execution:
    """How a run is computed; what is None is chosen from the platform, the shape and the memory.

    Losses under different choices differ only by float32 rounding, because sums are added in
    another order.

    Attributes:
        attention: attention kernel: plain matrix products (xla), matrix products in blocks that
            skip most masked scores (blocks, for CPUs), cuDNN's kernel (cudnn, for NVIDIA GPUs in
            bfloat16), JAX's splash attention (splash, for TPUs), or the kernel of the package
            tokamax for the device (tokamax).
        remat: what the backward pass recomputes in each layer: nothing (none), everything but the
            matrix products with weights (dots), or everything (full). By default, and with
            `accumulate` and `mesh`, what `scaling_jax.execution_choice` estimates to fit.
        scan_layers: run the layers in a loop, which compiles faster than unrolled layers.
        loss_chunks: number of chunks of a sequence whose logits are computed one after another.
        accumulate: number of microbatches in a batch, whose gradients are averaged.
        steps_per_dispatch: number of steps that the host dispatches to the device at once.
        mesh: sizes of the device mesh.

    Raises:
        InputError: an unknown kernel or policy, or a count below 1.
    """

    attention: Attention | None = None
    remat: Remat | None = None
    scan_layers: bool | None = None
    loss_chunks: int | None = None
    accumulate: int | None = None
    steps_per_dispatch: int | None = None
    mesh: MeshSpec = CHOSEN

    def __post_init__(self) -> None:
        if self.attention is not None:
            require_one_of("attention", self.attention, Attention)
        if self.remat is not None:
            require_one_of("remat", self.remat, Remat)
        if not isinstance(self.scan_layers, bool | None):
            raise InputError(f"scan_layers {self.scan_layers!r} must be True, False or None")
        if not isinstance(self.mesh, MeshSpec):
            raise InputError(f"mesh {self.mesh!r} must be a MeshSpec")
        settle_numbers(self)
        for name in ("loss_chunks", "accumulate", "steps_per_dispatch"):
            if getattr(self, name) is not None:
                require_positive(name, getattr(self, name))

    @property
    def microbatches(self) -> int:
        """Number of microbatches in a batch; 1 if none is chosen."""
        return self.accumulate or 1

    @property
    def policy(self) -> Remat:
        """What the backward pass recomputes; nothing if none is chosen."""
        return self.remat or "none"

    def resolved(
        self, config: RunConfig, platform: str, n_devices: int = 1, is_split: bool = False
    ) -> "Execution":
        """This execution with every None chosen for `config` on `n_devices` of `platform`.

        `is_split` says that the parameters are sharded (`fsdp`). The layers then run in a loop,
        which gathers the parameters of one layer at a time.

        Raises:
            InputError: a kernel that cannot run there, or a count that does not divide the batch
                or the sequence.
        """
        _check_attention(self.attention, config, platform)
        name = "batch_size" if config.batch_ramp is None else "the batch ramp's smaller batch"
        _check_divides("accumulate", self.microbatches, name, config.smallest_batch)
        if config.shape.module is not None:
            return self._of_own_module(config, config.shape.module, platform)
        _check_divides("loss_chunks", self.loss_chunks or 1, "seq_len", config.shape.seq_len)
        scan_layers = is_split or config.shape.depth > MAX_UNROLLED_LAYERS.get(platform, 0)
        microbatch = config.batch_size // self.microbatches
        return replace(
            self,
            attention=self.attention or _attention(config, platform),
            remat=self.policy,
            accumulate=self.microbatches,
            scan_layers=scan_layers if self.scan_layers is None else self.scan_layers,
            loss_chunks=self.loss_chunks
            or fewest_loss_chunks(config.shape, microbatch, platform, n_devices),
            steps_per_dispatch=self.steps_per_dispatch or _steps_per_dispatch(config, platform),
        )

    def _of_own_module(self, config: RunConfig, module: OwnModule, platform: str) -> "Execution":
        """This execution for a user's own module, which computes its layers and logits itself."""
        only: dict[str, Any] = {"remat": "none", "scan_layers": True, "loss_chunks": 1}
        for name, value in only.items():
            if getattr(self, name) not in (None, value):
                raise InputError(
                    f"{name} {getattr(self, name)} has no effect in the own module {module.name}, "
                    "which computes its layers and logits itself: leave it out"
                )
        if config.precision == "bfloat16" and not takes_dtype(class_of(module)):
            raise InputError(
                f"the own module {module.name} cannot compute in bfloat16: give its __init__ a "
                "parameter dtype, or train in float32"
            )
        steps = self.steps_per_dispatch or _steps_per_dispatch(config, platform)
        only |= {"attention": _NO_KERNEL, "steps_per_dispatch": steps}
        only |= {"accumulate": self.microbatches}
        return replace(self, **only)


DEFAULT = Execution()


def _attention(config: RunConfig, platform: str) -> Attention:
    if config.shape.architecture in _WITHOUT_KERNEL:
        return _NO_KERNEL
    if platform == "tpu" and not _refusal("splash", config, platform):
        return "splash"
    if platform == "cpu" and not _refusal("blocks", config, platform):
        return "blocks"
    small = config.shape.head_size <= _CUDNN_HEAD_SIZES[0]
    if platform in _GPU_PLATFORMS and small and not _refusal("cudnn", config, platform):
        return "cudnn"
    return "xla"


def _check_attention(attention: Attention | None, config: RunConfig, platform: str) -> None:
    refusal = _refusal(attention, config, platform)
    if refusal:
        raise InputError(
            f"attention {attention!r} {refusal}: use {_attention(config, platform)!r}, the default "
            "here"
        )


def _refusal(attention: Attention | None, config: RunConfig, platform: str) -> str | None:
    """Why a kernel cannot run; None if it can."""
    shape = config.shape
    if config.dropout.attention and attention not in (None, "xla"):
        return "drops no attention weights, as dropout.attention asks"
    if shape.architecture in _WITHOUT_KERNEL and attention not in (None, _NO_KERNEL):
        return f"has no effect in the architecture {shape.architecture_name!r}"
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
        raise InputError(f"{name} {n} does not divide {of} {size}: choose one of {divisors(size)}")


def fewest_loss_chunks(shape: Shape, batch_size: int, platform: str, n_devices: int) -> int:
    """The fewest equal chunks of a sequence whose logits fit in `_LOGITS_BYTES` per device."""
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
    # A rough count is enough here: it only separates short steps from long ones.
    if shape.module is not None:
        return shape.module.forward_flops // (2 * shape.seq_len)
    d_ff = shape.experts_per_token * shape.d_ff
    return shape.d_model * (shape.vocab_size + shape.depth * 4 * (shape.d_attn + d_ff))
