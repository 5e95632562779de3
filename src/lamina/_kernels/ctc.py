"""Connectionist temporal classification (CTC): the loss of label sequences, and the most probable label sequences.

Source: Graves et al., Connectionist Temporal Classification, 2006.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from lamina._arrays.arrays import Array

NEVER = -1e5
"""A finite number that stands for the logarithm of 0, so that gradients are finite too."""


def label_loss(labels: Array, logits: Array, label_lengths: Array, lengths: Array | None, nothing: int = 0) -> Array:
    """The CTC loss of each sequence: minus the logarithm of the probability of its labels in this order.  -> (batch,)

    labels are (batch, length), and logits are (batch, time, classes). `label_lengths` and `lengths`, both (batch,), say
    how many labels and how many steps each sequence has; the rest is ignored. The class `nothing` is the blank.
    """
    chances = jax.nn.log_softmax(logits.astype(jnp.promote_types(logits.dtype, "float32")))  # (batch, time, classes)
    # A blank stands between the labels, before them and after them: - a - b -.
    states = jnp.full((len(labels), 2 * labels.shape[1] + 1), nothing, "int32").at[:, 1::2].set(labels)
    said = jnp.take_along_axis(chances, states[:, None], axis=-1)  # (batch, time, states)
    before = jnp.pad(states, ((0, 0), (2, 0)), constant_values=nothing)[:, :-2]
    # A path may go from a label directly to the next one, unless the two are equal.
    skips = jnp.where((jnp.arange(states.shape[1]) % 2 == 1) & (states != before), 0.0, NEVER)
    start = jnp.where(jnp.arange(states.shape[1]) < 2, said[:, 0], NEVER)
    lasts = jnp.full(len(labels), logits.shape[1]) if lengths is None else lengths

    def step(ways: Array, now: tuple[Array, Array]) -> tuple[Array, None]:
        time, spoken = now
        one, two = (jnp.pad(ways, ((0, 0), (n, 0)), constant_values=NEVER)[:, :-n] for n in (1, 2))
        onward = jnp.logaddexp(jnp.logaddexp(ways, one), two + skips) + spoken
        return (onward if lengths is None else jnp.where((time < lasts)[:, None], onward, ways)), None

    ways, _ = lax.scan(step, start, (jnp.arange(1, logits.shape[1]), said[:, 1:].swapaxes(0, 1)))
    last = 2 * label_lengths[:, None]  # the state after the last label
    ends = jnp.take_along_axis(ways, jnp.concatenate([last, jnp.maximum(last - 1, 0)], axis=1), axis=1)
    return -jnp.where(last[:, 0] > 0, jnp.logaddexp(ends[:, 0], ends[:, 1]), ends[:, 0])


def greedy_labels(scores: Array, lengths: Array, merge_repeated: bool, nothing: int) -> tuple[Array, Array]:
    """The most probable class of each step, without blanks.  -> (1, batch, time), padded with -1, and (batch, 1)

    The second result is minus the sum of the chosen scores. With `merge_repeated`, repeated classes count once.
    """
    count = scores.shape[1]
    over = jnp.arange(count) >= lengths[:, None]  # (batch, time)
    best = jnp.where(over, nothing, jnp.argmax(scores, axis=-1).astype("int32"))
    total = -jnp.sum(jnp.where(over, 0.0, jnp.max(scores, axis=-1)), axis=1, keepdims=True)
    silent = best == nothing
    if merge_repeated:
        silent |= jnp.pad(best[:, 1:] == best[:, :-1], ((0, 0), (1, 0)))
    order = jnp.argsort(silent, axis=-1, stable=True)  # the labels first, in order, then the blanks
    return jnp.take_along_axis(jnp.where(silent, -1, best), order, axis=-1)[None], total


def beam_labels(scores: Array, lengths: Array, width: int, top: int, nothing: int) -> tuple[Array, Array]:
    """The `top` most probable label sequences of a beam search that keeps `width` sequences at each step.

    scores are (batch, time, classes). The results are the sequences (top, batch, time), padded with -1, and their
    log-probabilities (batch, top). The search keeps each sequence once, with two probabilities: the first is for paths
    whose last step is a blank, the second for all other paths.
    """
    chances = jax.nn.log_softmax(scores)
    time, classes = scores.shape[1:]

    def step(kept: tuple[Array, ...], now: tuple[Array, Array]) -> tuple[tuple[Array, ...], None]:
        paths, sizes, silent, loud = kept  # (width, time), and three of (width,)
        chance, counts = now
        last = jnp.where(sizes > 0, jnp.take_along_axis(paths, jnp.maximum(sizes - 1, 0)[:, None], 1)[:, 0], -1)
        total = jnp.logaddexp(silent, loud)
        labels = jnp.arange(classes)
        longer = jnp.where(labels == last[:, None], silent[:, None], total[:, None]) + chance  # (width, classes)
        longer = jnp.where(labels == nothing, -jnp.inf, longer)
        # If path j is path i plus one label, extending path i adds to the probability of path j.
        cut = jnp.where(jnp.arange(time) == sizes[:, None] - 1, -1, paths)
        same = (cut[None] == paths[:, None]).all(-1) & (sizes[None] == sizes[:, None] + 1)  # (width i, width j)
        more = jnp.where(same, longer[:, jnp.maximum(last, 0)], -jnp.inf)
        found = jnp.where(sizes > 0, loud + chance[jnp.maximum(last, 0)], -jnp.inf)
        stay_loud = jnp.logaddexp(found, jax.nn.logsumexp(more, axis=0))
        stay_silent = total + chance[nothing]
        doubled = (same[:, :, None] & (labels == last[None, :, None])).any(1)  # (width, classes)
        longer = jnp.where(doubled, -jnp.inf, longer)
        ranked, at = lax.top_k(jnp.concatenate([jnp.logaddexp(stay_silent, stay_loud), longer.ravel()]), width)
        grows = at >= width
        parent = jnp.where(grows, (at - width) // classes, at)
        label = jnp.where(grows, (at - width) % classes, -1).astype("int32")
        place = jnp.arange(time) == sizes[parent, None]
        new = jnp.where(place & grows[:, None], label[:, None], paths[parent])
        after = (
            new, sizes[parent] + grows, jnp.where(grows, -jnp.inf, stay_silent[parent]),
            jnp.where(grows, ranked, stay_loud[parent]),
        )  # fmt: skip
        return tuple(jnp.where(counts, a, b) for a, b in zip(after, kept, strict=True)), None

    def search(chance: Array, length: Array) -> tuple[Array, Array]:
        never = jnp.full(width, -jnp.inf, chance.dtype)
        paths, sizes = jnp.full((width, time), -1, "int32"), jnp.zeros(width, "int32")
        start: tuple[Array, ...] = paths, sizes, never.at[0].set(0.0), never
        (paths, _, silent, loud), _ = lax.scan(step, start, (chance, jnp.arange(time) < length))
        best, at = lax.top_k(jnp.logaddexp(silent, loud), top)
        return paths[at], best

    paths, best = jax.vmap(search)(chances, lengths)
    return paths.swapaxes(0, 1), best
