"""The large arrays of a training step beside its state, in the order in which it makes them.

Which arrays a step has, and from when to when, was read from the layouts of compiled programs and
from JAX's list of residuals.
"""

from collections.abc import Iterator

from scaling_jax.accounting.memory_layers import FLOAT32, layer_bytes, share
from scaling_jax.accounting.memory_layout import Array
from scaling_jax.accounting.memory_step import Step

# Points of a step. What does not change from one microbatch to the next is made once, before them.
# In the backward pass of a layer, first the layer's values are recomputed, then
# the gradient of each matrix is computed and summed over the devices. At the end of the step, the
# gradient of the embedding is made, that of the output matrix is brought into its layout, and both
# are summed over the devices.
_ONCE, _FORWARD, _LOSS, _BACKWARD, _SUMS = range(5)
_LAYERS_DONE = _SUMS + 9
_EMBEDDING, _OTHER_LAYOUT, _SUMMED = (_LAYERS_DONE + n for n in (1, 2, 3))

# A TPU stores the second last axis of a float32 array in multiples of this.
_SUBLANES = 8

# Matrices pass around a ring only in products that are long enough to hide it: of so many rows.
_ROWS_OF_RING = 1024


def arrays(step: Step) -> list[Array]:
    """The arrays of a step, those that are made at the same point in the order of the program."""
    parts = (_throughout, _gathered_first, _kept, _tables, _loss, _gradients, _layer, _end)
    return [array for part in parts for array in part(step) if array.size]


def _throughout(step: Step) -> Iterator[Array]:
    """Copies of the state, and the sum of the gradients of several microbatches."""
    copied, summed = step.copied_of_layers(), _summed(step)
    # The sum lies where the copied part of the state was.
    yield Array(copied - min(summed, copied), _ONCE, _SUMMED)
    yield Array(step.copied_of_embedding(), _ONCE, _SUMMED)
    yield Array(summed, _ONCE, _SUMMED, is_gradient=True)


def _gathered_first(step: Step) -> Iterator[Array]:
    """The shard of the embedding in a whole table, which a sum over the devices fills."""
    if step.spread.is_split and step.pads_shards and not step.is_whole_tiles:
        yield Array(step.table, _once(step), _once(step))


def _once(step: Step) -> int:
    """The point at which is made what does not change from one microbatch to the next."""
    return _FORWARD if step.spread.microbatches == 1 else _ONCE


def _kept(step: Step) -> Iterator[Array]:
    """What is there from the forward pass to the end of the backward pass."""
    yield Array(_in_compute_precision(step), _once(step), _LAYERS_DONE)
    yield Array(step.tokens * layer_bytes(step.shape, step.how).kept, _FORWARD, _LAYERS_DONE)


def _in_compute_precision(step: Step) -> int:
    """Bytes of the layers' matrices that are converted once a step, not in each layer."""
    shape, how, params, spread = step.shape, step.how, step.params, step.spread
    if how.compute == FLOAT32:
        return 0
    is_in_each_layer = step.is_tpu and shape.is_dense and spread.microbatches == 1
    if how.remat == "full" and is_in_each_layer and params.attention:
        return share(how.compute * params.attention, spread.state)
    n = params.layer_matrices
    if step.pads_shards and not shape.is_dense and not step.is_ring:
        n += step.padded(step.outputs) - step.outputs
    return share(how.compute * n, spread.state)


def _tables(step: Step) -> Iterator[Array]:
    """The gathered tables, and the gradient of the output matrix.

    The lookup needs the gathered embedding in another layout than the gather makes it in, unless
    its shards are whole tiles. A tied output matrix is the first of the two.
    """
    if not step.spread.is_split:
        yield Array(step.table, _FORWARD, _OTHER_LAYOUT)
        return
    gradient = Array(step.table, _FORWARD, _OTHER_LAYOUT)
    for_lookup = Array(step.table, _once(step), _SUMMED)
    if _shares_table_in_compute(step):
        # Where shards are padded, it is made when the sum over the devices has its own place.
        yield Array(_table_in_compute(step), _FORWARD if step.pads_shards else _ONCE, _SUMMED)
    is_tied = step.shape.tied_embedding
    gathered = Array(step.table, _FORWARD, _LOSS if is_tied else _FORWARD)
    if step.spread.microbatches > 1:
        gathered = gathered._replace(first=_ONCE, last=_SUMMED)
    if not step.is_tpu or step.is_whole_tiles or (step.pads_shards and is_tied):
        yield from (gradient, for_lookup)
    elif step.pads_shards:
        # The output matrix is gathered in float32, by a sum over the devices.
        output = Array(step.table, _FORWARD, _LOSS)
        yield from (output, gradient._replace(first=_LOSS), for_lookup)
    elif step.width % _SUBLANES and step.spread.microbatches == 1:
        # The gather makes rows of shards, which are copied twice, at last to where they were.
        yield from (gradient, for_lookup, gathered._replace(last=_FORWARD))
    elif is_tied:
        yield from (gradient, gathered, for_lookup)
    else:
        yield from (gathered, gradient._replace(first=_LOSS), for_lookup)


def _shares_table_in_compute(step: Step) -> bool:
    """Whether several microbatches share the output matrix in the compute precision.

    They do if it is the gathered embedding; one of its own is gathered for each microbatch.
    """
    is_shared = step.shape.tied_embedding and step.spread.microbatches > 1
    return step.is_tpu and step.spread.is_split and is_shared


def _table_in_compute(step: Step) -> int:
    """Bytes of one vocabulary table in the compute precision."""
    return step.table * step.how.compute // FLOAT32


def _loss(step: Step) -> Iterator[Array]:
    """The output matrix in the compute precision, and a chunk of the logits."""
    shape, how, spread = step.shape, step.how, step.spread
    if (step.is_tpu or spread.is_split) and not _shares_table_in_compute(step):
        yield Array(_table_in_compute(step), _LOSS, _LOSS)
    logits = share(shape.vocab_size * (FLOAT32 + (not step.is_tpu) * how.compute), spread.tensor)
    yield Array(share(step.tokens * logits, spread.loss_chunks), _LOSS, _LOSS)


def _gradients(step: Step) -> Iterator[Array]:
    """The gradients of the layers.

    They lie where the copied part of the state was, but for the sharded output matrices of the
    feed-forward layers, whose layout they keep.
    """
    matrices = share(FLOAT32 * step.params.layer_matrices, step.spread.state)
    has_own_place = step.is_tpu and step.spread.is_split
    own = share(FLOAT32 * step.outputs, step.spread.state) if has_own_place else 0
    left = max(0, step.copied_of_layers() - _summed(step))
    yield Array(own + max(0, matrices - own - left), _BACKWARD, _SUMMED, is_gradient=True)


def _summed(step: Step) -> int:
    """Bytes of the sum of the gradients of several microbatches."""
    if step.spread.microbatches == 1:
        return 0
    return share(FLOAT32 * step.params.total, step.spread.state)


def _layer(step: Step) -> Iterator[Array]:
    """The backward pass of one layer.

    While the most activations are held, sharded matrices have been gathered: on a TPU those of the
    feed-forward layer and, unless they pass around a ring, one more on its way; elsewhere one.
    """
    shape, how, spread = step.shape, step.how, step.spread
    _, held, held_in_sums, inner = layer_bytes(shape, how)
    if not spread.is_split:
        yield Array(step.tokens * held, _BACKWARD, _BACKWARD)
        return
    in_sums = min(held, held_in_sums)
    yield Array(step.tokens * (in_sums - inner), _BACKWARD, _LAYERS_DONE)
    n_matrices = shape.n_inputs + 1
    passes_around = step.is_ring and step.rows >= _ROWS_OF_RING
    for _ in range(n_matrices + (not passes_around) if step.is_tpu else 1):
        yield Array(how.compute * _matrix(step), _BACKWARD, _BACKWARD)
    yield Array(step.tokens * inner, _BACKWARD, _LAYERS_DONE)
    yield Array(step.tokens * (held - in_sums), _BACKWARD, _BACKWARD)
    if not passes_around:
        yield from _sums(step, n_matrices)


def _sums(step: Step, n_matrices: int) -> Iterator[Array]:
    """Gradients of a layer's matrices, each summed over devices while the next is computed."""
    shape = step.shape
    attention = share((shape.d_attn + 2 * shape.d_kv) * shape.d_model, step.spread.tensor)
    yield Array(FLOAT32 * attention, _SUMS, _LAYERS_DONE)
    for i in range(n_matrices):
        first, size = _SUMS + 2 * i, FLOAT32 * _matrix(step)
        if step.is_whole_tiles:
            yield Array(size, first, _LAYERS_DONE)
        else:
            yield from (Array(size, first, first + 1), Array(size, first + 1, _LAYERS_DONE))


def _matrix(step: Step) -> int:
    """Numbers in one matrix of the feed-forward layer, those of all experts together."""
    shape = step.shape
    return share(shape.n_experts * shape.d_ff * shape.d_model, step.spread.tensor)


def _end(step: Step) -> Iterator[Array]:
    """The gradients of the tables, in another layout and summed over devices."""
    is_split = step.spread.is_split
    is_one_sum = step.shape.tied_embedding or not is_split
    yield Array(step.table, _EMBEDDING, _SUMMED if is_one_sum else _OTHER_LAYOUT)
    yield Array(step.table, _OTHER_LAYOUT, _SUMMED)
    if is_split:
        yield Array(step.table, _SUMMED, _SUMMED)
