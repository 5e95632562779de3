"""`ops`: each function of Keras, with equal values, dtypes and gradients."""

import inspect
import re
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from quick import OPTIONS, USUAL_FUSIONS, quickly

import lamina
from lamina import ops
from lamina._weights.weight import Weight
from lamina.errors import LaminaError

ROWS = """
abs(F)  absolute(C)  add(F, G) add(I, H) add(F, 2) add(I, 2.5)  all(B) all(I, axis=1, keepdims=True)
allclose(F, F + 1e-9) allclose(F, G, rtol=1e-3, atol=0.0, equal_nan=True)  amax(F, axis=0)
amin(F, axis=1, keepdims=True)  angle(C)  any(B, axis=0)  append(F, G, axis=0) append(F, I)  arange(4) arange(1, 7, 2)
arange(0.0, 1.0, 0.25) arange(3, dtype="float16")  arccos(U)  arccosh(P + 1) arccosh(I + 2)  arcsin(U)  arcsinh(F)
arctan(F)  arctan2(F, G) arctan2(I, H) arctan2(I, I)  arctanh(U / 2)  argmax(F) argmax(I, axis=1)
argmin(F, axis=0, keepdims=True)  argpartition(V, 2) argpartition(F, 1, axis=None)  argsort(F) argsort(F, axis=None)
array([1, 2.5]) array(F, dtype="int32")  array_split(V, 3) array_split(F, 2, axis=1)  average(F)
average(F, axis=1, weights=P) average(I, axis=0)  bartlett(5)  bincount(J) bincount(J, weights=J + 0.5, minlength=9)
bincount(K, minlength=2)  bitwise_and(I, K)  bitwise_invert(I)  bitwise_left_shift(K, 2)  bitwise_not(B)
bitwise_or(I, K)  bitwise_right_shift(K, 1)  bitwise_xor(I, K)  blackman(6)  broadcast_to(V, (2, 4))  cbrt(F)  ceil(F)
clip(F, -0.5, 0.5) clip(B, 0, 1) clip(I, 1, V3)  concatenate([F, I], axis=1) concatenate([F, G])  conj(C)  conjugate(C)
copy(F)  corrcoef(F)  correlate(V, V3) correlate(V, V3, mode="full")  cos(F)  cosh(F)  count_nonzero(I)
count_nonzero(I, axis=1)  cross(F, G) cross(F, G, axis=1)  cumprod(F, axis=0)  cumsum(F, axis=1, dtype="float16")
deg2rad(F)  diag(V, k=1)  diagflat(F)  diagonal(F, offset=1) diagonal(T, axis1=1, axis2=2)  diff(F) diff(F, n=2, axis=0)
digitize(F, V3)  divide(F, G) divide(I, K + 1)  divide_no_nan(F, I)  dot(V, V) dot(F, S)  dsplit(T, 2)  dstack([F, G])
einsum("ij,kj->ik", F, G) einsum("i,i", E, E)  empty((2, 0)) empty((0,), dtype="int8")  empty_like(Z)  equal(I, K)
equal(F, 1)  exp(F)  exp2(F)  expand_dims(F, 1) expand_dims(F, (0, -1))  expm1(F)  eye(2) eye(2, 3, k=1, dtype="int32")
fabs(F)  flip(F) flip(F, axis=1)  fliplr(F)  flipud(F)  floor(F)  floor_divide(F, G) floor_divide(I, K + 1)  fmax(N, F)
fmin(N, F)  fmod(F, G)  full((2,), 3) full((2,), 3, dtype="int32")  full_like(F, 2) full_like(F, 2, dtype="int8")
gcd(I, K)  geomspace(1.0, 8.0, num=4) geomspace(1, 8, 3, endpoint=False)  get_item(F, 1) get_item(F, (slice(None), 2))
greater(F, G)  greater_equal(I, K)  hamming(5)  hanning(5)  heaviside(F, G)  histogram(V, bins=3)
histogram(V, bins=2, range=(0.0, 4.0))  hsplit(F, 3)  hstack([F, G])  hypot(F, G) hypot(I, K)  i0(F) i0(I)  identity(2)
identity(3, dtype="int32")  imag(C)  inner(F, G)  isclose(F, G, atol=1.0)  isfinite(N)  isin(I, K, invert=True)
isinf(N)  isnan(N)  isneginf(N)  isposinf(N)  isreal(C)  kaiser(5, 2.0)  kron(F, V3)  lcm(I, K)  ldexp(F, I)
left_shift(K, 1)  less(F, G)  less_equal(F, 0)  linspace(0, 1, num=5) linspace(0.0, V3, 3, axis=1)
linspace(0, 4, 3, retstep=True, dtype="int32")  log(P) log(K + 1)  log10(P)  log1p(P)  log2(P)  logaddexp(F, G)
logaddexp(I, K)  logaddexp2(F, I)  logical_and(B, I)  logical_not(F)  logical_or(B, F)  logical_xor(B, I)
logspace(0, 2, num=3) logspace(0, 2, 3, base=2)  matmul(F, S) matmul(E, E)  max(F) max(F, axis=1, initial=0.5)
maximum(F, G) maximum(I, 1.5)  mean(F) mean(I, axis=0) mean(H, axis=(0, 1), keepdims=True) mean(B)  median(F)
median(F, axis=1, keepdims=True)  meshgrid(V3, V) meshgrid(V3, V, indexing="ij")  min(F, axis=0) min(I, initial=0)
minimum(F, I)  mod(F, G) mod(I, K + 1)  moveaxis(T, 0, -1) moveaxis(T, [0, 1], [2, 0])  multiply(F, G) multiply(B, F)
nan_to_num(N) nan_to_num(N, nan=1.0, posinf=2.0, neginf=-2.0)  nanargmax(N)  nanargmin(N, axis=1)  nancumprod(N, axis=0)
nancumsum(N) nancumsum(N, axis=1, dtype="float16")  nanmax(N)  nanmean(M, axis=0)  nanmedian(M)
nanmin(N, axis=1, keepdims=True)  nanpercentile(M, 30.0)  nanprod(M)  nanquantile(M, 0.4, axis=1, method="nearest")
nanstd(M)  nansum(M, axis=0)  nanvar(M, axis=1)  ndim(T)  negative(F)  nextafter(F, G)  nonzero(I)  not_equal(I, K)
ones((2, 3)) ones(2, dtype="int32")  ones_like(I) ones_like(F, dtype="bool")  outer(V, V3)  pad(F, 1)
pad(F, ((1, 0), (0, 2))) pad(F, 1, mode="reflect") pad(F, 1, constant_values=2.0)  percentile(F, 30)
percentile(F, V3, axis=1, keepdims=True)  power(P, F) power(I, 2) power(F, 2)  prod(F) prod(I, axis=0, dtype="float32")
ptp(F, axis=1)  quantile(F, 0.4) quantile(F, U[0], axis=0, method="lower")  rad2deg(F)  ravel(F)  real(C)  reciprocal(F)
repeat(F, 2) repeat(F, 2, axis=1)  reshape(F, (3, 2)) reshape(F, -1)  right_shift(K, 1)  roll(F, 1)
roll(F, (1, 2), axis=(0, 1))  rot90(F) rot90(T, k=2, axes=(1, 2))  round(F) round(F * 10, 1) round(I * 37, -1)
searchsorted(V, V3) searchsorted(V, 1.0, side="right")  select([B, I > 0], [F, G], 9.0)  sign(F)  signbit(F)  sin(F)
sinc(F)  sinh(F)  size(T)  slogdet(S)  sort(F) sort(F, axis=0)  split(V, 2) split(F, [1, 2], axis=1)  sqrt(P)  square(F)
squeeze(F[None]) squeeze(F[None], 0)  stack([F, G]) stack([F, I], axis=-1)  std(F) std(I, axis=1)  subtract(F, G)
subtract(I, 1.0)  sum(F) sum(B) sum(H, axis=(0, 1))  swapaxes(T, 0, 2)  take(F, K, axis=1) take(F, -1)
take_along_axis(F, K, axis=1)  tan(F)  tanh(F)  tensordot(F, S, axes=1) tensordot(T, T, axes=[[1, 2], [1, 2]])
tile(F, 2) tile(F, (2, 1))  trace(S) trace(T, 1, 1, 2)  transpose(F) transpose(T, (2, 0, 1))  trapezoid(V)
trapezoid(F, x=V3, axis=1) trapezoid(F, dx=0.5)  tri(2) tri(2, 3, k=1, dtype="int32")  tril(S) tril(S, k=-1)
triu(S, k=1)  true_divide(I, K + 1)  trunc(F) trunc(I)  unique(I) unique(I, return_counts=True, size=4, fill_value=0)
unravel_index(J, (3, 2))  vander(V3) vander(V3, N=2, increasing=True)  var(F) var(I, axis=0)
var(H, axis=1, keepdims=True)  vdot(F, G)  vectorize(lambda a, b: a + b)(F, G)
vectorize(lambda a: a.sum(), signature="(n)->()")(F)  view(F, "int32")  vsplit(F, 2)  vstack([F, G])  where(B)
where(B, F, I)  zeros((2,)) zeros((2, 1), dtype="int8")  zeros_like(F) zeros_like(F, dtype="int32")

adaptive_average_pool(A, 2) adaptive_average_pool(A, (3, 2), data_format="channels_first")  adaptive_max_pool(A, 3)
adaptive_max_pool(L, 2)  average_pool(A, 2, 2) average_pool(A, 3, strides=2, padding="same")
average_pool(L, 2, 1, data_format="channels_first")  batch_normalization(F, V3, V3 + 1, -1)
batch_normalization(F, V3[:2], V3[:2] + 1, 0, offset=V3[:2], scale=V3[:2], epsilon=0.1)
binary_crossentropy(U * 0.5 + 0.5, P / 4) binary_crossentropy(B * 1.0, F, from_logits=True)
categorical_crossentropy(S, S) categorical_crossentropy(F, G, from_logits=True, axis=0)  celu(F) celu(F, alpha=0.5)
conv(A, W) conv(A, W, strides=2, padding="same") conv(A, W, padding="SAME", dilation_rate=2)
conv(A, W[:, :, :1].repeat(2, -1)) conv(A[..., :2].transpose(0, 3, 1, 2), W, data_format="channels_first")
conv_transpose(A, WT) conv_transpose(A, WT, strides=2, padding="same")
conv_transpose(L, WT[0], strides=2, output_padding=1)  ctc_decode(A[0], LENGTHS)
ctc_decode(A[0], LENGTHS, merge_repeated=False, mask_index=1)
ctc_decode(A[0], LENGTHS, strategy="beam_search", beam_width=6, top_paths=3)
ctc_loss(LABELS, A[0], LABELS[:, 0] * 0 + 2, LENGTHS) ctc_loss(LABELS.at[:, 0].set(0), A[0], LABELS[:, 0] * 2, LENGTHS)
ctc_loss(LABELS[:, :1] - 1, A[0], LABELS[:, 0] * 0 + 1, LENGTHS, mask_index=1)
depth_to_space(A[..., :1].repeat(4, -1), 2)
depth_to_space(A.transpose(0, 3, 1, 2).repeat(2, 1), 2, data_format="channels_first")  depthwise_conv(A, W)
depthwise_conv(A, W, strides=2, padding="same") depthwise_conv(A.transpose(0, 3, 1, 2), W, data_format="channels_first")
dot_product_attention(Q, Q + 1, Q) dot_product_attention(Q, Q, Q, mask=Q[:, :1, :2, :2] > 0, scale=0.5)
dot_product_attention(Q, Q, Q, bias=Q[:, :1, :2, :2], is_causal=True)  elu(F) elu(F, alpha=0.5)
fold(FOLDED, (4, 4), 2, stride=2) fold(FOLDED, 3, 2, dilation=2, padding=1, stride=2)  gelu(F)
gelu(F, approximate=False)  glu(T) glu(T, axis=0)  hard_shrink(F) hard_shrink(F, 1.0)  hard_sigmoid(F)  hard_silu(F)
hard_swish(F)  hard_tanh(F)  layer_normalization(F) layer_normalization(H, V3, V3)
layer_normalization(T, gamma=V3[:2], axis=1, epsilon=0.1) layer_normalization(T, axis=(1, 2))  leaky_relu(F)
leaky_relu(F, negative_slope=0.5)  log_sigmoid(F)  log_softmax(F) log_softmax(T, axis=(0, 2))  max_pool(A, 2, 2)
max_pool(A, (3, 2), strides=1, padding="same")  moments(F, 0) moments(T, (0, 1), keepdims=True) moments(H, [1])
multi_hot(K, 4) multi_hot(J, 6, dtype="int32")  normalize(F) normalize(F, axis=0, order=1)
normalize(F, order=3, epsilon=2.0)  one_hot(I, 3) one_hot(K, 4, axis=0, dtype="int32")  polar(P, F)  psnr(F, G, 2.0)
relu(F)  relu6(F * 5)  rms_normalization(F) rms_normalization(H, V3, epsilon=0.1) rms_normalization(T, axis=(0, 1))
selu(F)  separable_conv(A, W, WP) separable_conv(A, W, WP, strides=2, padding="same")  sigmoid(F)  silu(F)
soft_shrink(F)  softmax(F) softmax(T, axis=(0, 1))  softplus(F)  softsign(F)  space_to_depth(A, 2)
space_to_depth(A.transpose(0, 3, 1, 2), 2, data_format="channels_first")
sparse_categorical_crossentropy(K[0, :2], F + 2) sparse_categorical_crossentropy(K[0, :2, None], F, from_logits=True)
sparse_plus(F)  sparse_sigmoid(F)  sparsemax(F * 10)  squareplus(F) squareplus(F, b=2)  swish(F)  tanh_shrink(F)
threshold(F, 0.5, 9.0)  unfold(A, 2) unfold(A, (2, 1), dilation=2, padding=1, stride=(2, 1))

cdist(F, G)  erf(F)  erfc(F)  erfinv(U / 2)  extract_sequences(V, 2, 1) extract_sequences(F, 2, 1)  fft((F, G))
fft2((F, G))  ifft2((F, G))  in_top_k(K[0, :2], F, 2)  irfft((F, G)) irfft((F, G), fft_length=5)
istft((SP, SP * 0.5), 4, 2, 4) istft((SP, SP), 3, 1, 4, length=7, window=None)
istft((SP, SP), 4, 2, 4, window="hamming", center=False)  logdet(S)  logsumexp(F) logsumexp(F, axis=1, keepdims=True)
rfft(F) rfft(V, fft_length=6)  rsqrt(P)  segment_max(F, J[:2], 4) segment_max(F, K[0, :2], num_segments=3)
segment_min(F, K[0, :2], 3)  segment_prod(F, K[0, :2], 3, sorted=True)  segment_sum(F, K[0, :2], 3)  stft(X, 4, 2, 4)
stft(X, 3, 1, 4, window=None, center=False) stft(X, 4, 2, 6, window="hamming")  top_k(F, 2) top_k(I, 1, sorted=False)
view_as_complex(F[:, :2])  view_as_real(C)

cholesky(S) cholesky(S, upper=True)  cholesky_inverse(S) cholesky_inverse(S, upper=True)  det(S)  eig(S)  eigh(S)
inv(S)  jvp(lambda x: x * x, (F,), (G,))  lstsq(S, V3) lstsq(F.T, V3, rcond=0.1)  lu_factor(S) lu_factor(S[None])
matrix_rank(S) matrix_rank(F, tol=0.5)  norm(F) norm(F, ord=1, axis=1, keepdims=True)  pinv(F) pinv(F, rcond=0.1)
qr(F.T) qr(F.T, mode="complete")  solve(S, V3)  solve_triangular(S, V3) solve_triangular(S, V3, lower=True)
svd(F, full_matrices=False) svd(F, compute_uv=False)

associative_scan(lambda a, b: a + b, F) associative_scan(lambda a, b: a * b, F, reverse=True, axis=1)  cast(F, "int32")
cast(I, "float16")  cond(F[0, 0] > 0, lambda: F, lambda: G)  convert_to_numpy(F)  convert_to_tensor([1, 2])
convert_to_tensor(F, "bfloat16")  custom_gradient(lambda x: (x * x, lambda dy: dy * 3))(F)  dtype(H)
fori_loop(0, 3, lambda i, x: x + i, F)  is_tensor(F) is_tensor([1])  map(lambda x: x * 2, F)
rearrange(T, "a b c -> c (a b)") rearrange(T, "a b (c d) -> (a c) b d", d=2)  saturate_cast(F * 300, "uint8")
saturate_cast(I, "bool") saturate_cast(F * 1e10, "int32") saturate_cast(F * 1e6, "float16")
scan(lambda c, x: (c + x, c), V3, F) scan(lambda c, x: (c + 1, c), 0.0, length=3, reverse=True, unroll=2)
scatter(J[:2, None], F, (6, 3))  scatter_update(F, [[0, 1]], [9.0])
scatter_update(F, J[:2, None] % 2, F[:2], reduction="add") scatter_update(F, [[0, 1]], [9.0], "max")
scatter_update(F, [[0, 1]], [9.0], "mul")  shape(T)  slice(F, (0, 1), (1, 2)) slice(F, (1, 0), (-1, 2))
slice_update(F, (0, 1), F[:1, :2])  stop_gradient(F)  switch(1, [lambda x: x, lambda x: x * 2], F)  unstack(F)
unstack(F, axis=1)  vectorized_map(lambda x: x.sum(), F)
while_loop(lambda i, x: i < 5, lambda i, x: (i + 1, x * 2), (0, F))
while_loop(lambda i: i < 9, lambda i: i + 1, 0, maximum_iterations=4)
"""
IMAGES = """
affine_transform(A, MOVES) affine_transform(A, MOVES, "nearest", "wrap")
affine_transform(A8, MOVES, fill_mode="reflect") affine_transform(A[0], MOVE, fill_mode="constant", fill_value=2.0)
affine_transform(A, MOVES, fill_mode="mirror", data_format="channels_first")
crop_images(A, 1, 1, target_height=2, target_width=2) crop_images(A[0], 1, 0, 1, 2, data_format="channels_first")
elastic_transform(A[:1, :, :, :1], 2.0, 0.7, "nearest", "constant", 1.0, seed=1)  extract_patches(A, 2)
extract_patches(A, (2, 1), strides=1, padding="same") extract_patches(A[0], 2, 1, dilation_rate=2)
extract_patches(A.transpose(0, 3, 1, 2), 2, data_format="channels_first") extract_patches(A[None], (1, 2, 2))
extract_patches_3d(A[None], 2) extract_patches_3d(A[None], (1, 2, 2), strides=1, padding="same")
gaussian_blur(A, data_format="channels_last") gaussian_blur(A, (5, 4), (0.5, 2.0), data_format="channels_first")
hsv_to_rgb(RGB)  rgb_to_hsv(RGB) rgb_to_hsv(RGB[0])  rgb_to_grayscale(RGB) rgb_to_grayscale(A8.repeat(3, -1)[..., :3])
map_coordinates(F, [[0.5, 1.2], [0.1, 3.0]], 1) map_coordinates(F, [[0.5, 1.2], [0.1, 3.0]], 0, fill_mode="nearest")
map_coordinates(I, [[0.5], [0.7]], 1)  pad_images(A, 1, 0, target_height=6, target_width=7)
pad_images(A[0], 1, 1, 1, 1, data_format="channels_first")
perspective_transform(A[0], SQUARE, SQUARE + SHIFT)
perspective_transform(A[:1], SQUARE[None], SQUARE[None] + SHIFT, "nearest", 1.0)
resize(A, (6, 3)) resize(A8, (3, 3), "bicubic", antialias=True) resize(A, (2, 4), crop_to_aspect_ratio=True)
resize(A, (2, 4), pad_to_aspect_ratio=True, fill_value=1.0)
resize(A[0], (3, 3), "nearest", data_format="channels_first")
scale_and_translate(A, (2, 6, 6, 2), V3[:2] + 1, V3[:2], (1, 2), "linear")  sobel_edges(A)
sobel_edges(A, data_format="channels_first")  ssim(A, A + 0.1, filter_size=3)
ssim(A[0], A[0] * 2, max_val=2.0, filter_size=3, filter_sigma=1.0, k1=0.1, k2=0.1)
"""

random = np.random.default_rng(7)
NAN = float("nan")


def normal(*shape):
    return jnp.asarray(random.normal(size=shape), "float32")


F, G, S = normal(2, 3), normal(2, 3), normal(3, 3)
GIVEN = {
    "F": F, "G": G, "T": normal(2, 2, 4), "S": S @ S.T + jnp.eye(3), "SP": normal(5, 3), "X": normal(2, 9),
    "P": jnp.abs(F) + 0.5, "U": jnp.tanh(F), "C": jax.lax.complex(F, G), "H": F.astype("float16"), "B": G > 0,
    "I": jnp.asarray([[2, 0, 1], [1, 3, 0]]),
    "K": jnp.asarray([[0, 2, 1], [2, 0, 1]]), "J": jnp.asarray([4, 1, 1, 0]), "E": jnp.asarray([100, 100], "int8"),
    "V": jnp.asarray([0.0, 1.0, 2.5, 4.0]), "V3": jnp.asarray([0.25, 1.0, 2.0]), "Z": jnp.zeros((0, 2), "int16"),
    "N": jnp.asarray([[1.0, NAN, 3.0], [-jnp.inf, 2.0, jnp.inf]]), "M": jnp.asarray([[1.0, NAN, 3.0], [0.5, 2.0, 4.0]]),
    "A": normal(2, 4, 4, 2), "A8": jnp.asarray(random.integers(0, 256, (2, 4, 4, 2)), "uint8"), "L": normal(2, 5, 2),
    "W": normal(3, 2, 2, 3), "WT": normal(2, 2, 3, 2), "WP": normal(1, 1, 6, 2), "Q": normal(2, 2, 3, 4),
    "RGB": jnp.asarray(random.random((2, 3, 3, 3)), "float32"), "FOLDED": normal(1, 8, 4),
    "LABELS": jnp.asarray([[1, 1], [1, 1], [1, 1], [1, 1]]), "LENGTHS": jnp.asarray([4, 3, 4, 2]),
    "MOVE": jnp.asarray([0.9, 0.2, 0.3, -0.1, 1.1, 0.4, 0.0, 0.0]),
    "MOVES": jnp.asarray([[0.9, 0.2, 0.3, -0.1, 1.1, 0.4, 0.0, 0.0], [0.5, 0.7, -2.0, 0.3, -0.2, 1.0, 0.0, 0.0]]),
    "SQUARE": jnp.asarray([[0.0, 0.0], [0.0, 3.0], [3.0, 0.0], [3.0, 3.0]]),
    "SHIFT": jnp.asarray([[0.1, 0.3], [0.0, 0.2], [-0.4, 0.0], [0.5, 0.1]]), "slice": slice,
}  # fmt: skip


def calls(text):
    """The calls that the lines hold, each as a string."""
    found, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if depth == 0 and letter == ")" and text[place + 1] in " \n":
            found.append(text[start : place + 1].strip())
            start = place + 1
    return found


CALLS = [(call, "ops") for call in calls(ROWS)] + [(call, "ops.image") for call in calls(IMAGES)]
NAMES = {name for name in dir(keras.ops) if name[0] != "_"}
MODULES = {"image", "linalg", "nn", "numpy"}


def called(library, call, module, given=GIVEN):
    return eval(f"library.{module}.{call}", {**given, "library": library})


EAGER = """
    bartlett bincount blackman convert_to_numpy dtype elastic_transform hamming hanning is_tensor kaiser ndim nonzero
    rearrange shape size unique where""".split()
"""What Keras, or the shape of its results, takes no traced arrays for, and what gives no arrays."""
PARTS = 12


def name_of(call):
    return call.partition("(")[0]


def same(ours, theirs, tolerance, call=""):
    ours, theirs = jax.tree.leaves(ours), jax.tree.leaves(theirs)
    assert len(ours) == len(theirs), call
    for mine, other in zip(ours, theirs, strict=True):
        if hasattr(other, "dtype"):
            assert (mine.dtype, mine.shape) == (other.dtype, other.shape), call
            pair = (np.asarray(each, "complex128") for each in (mine, other))
            np.testing.assert_allclose(*pair, tolerance, tolerance, err_msg=call)
        else:
            assert mine == other, call


def tolerance_of(call):
    return 2e-3 if re.search(r"\bH\b|float16", call) else 2e-5


@pytest.mark.parametrize("part", range(PARTS))
def test_compiled_functions_give_what_keras_gives(part):
    """Many calls in one program, which compiles in much less time than each of their operations."""
    arrays = {name: array for name, array in GIVEN.items() if isinstance(array, jax.Array)}
    rows = [(call, module) for call, module in CALLS if name_of(call) not in EAGER][part::PARTS]

    def program(library, arrays):
        return [called(library, call, module, {**GIVEN, **arrays}) for call, module in rows]

    options = OPTIONS | USUAL_FUSIONS
    ours, theirs = (jax.jit(partial(program, each), compiler_options=options)(arrays) for each in (lamina, keras))
    for (call, _), mine, other in zip(rows, ours, theirs, strict=True):
        same(mine, other, tolerance_of(call), call)


@pytest.mark.parametrize(("call", "module"), [row for row in CALLS if name_of(row[0]) in EAGER])
def test_a_function_gives_what_keras_gives(call, module):
    same(called(lamina, call, module), called(keras, call, module), tolerance_of(call))


def test_every_function_has_its_row():
    tested = {name_of(call) for call, _ in CALLS}
    assert tested == NAMES - MODULES | {name for name in dir(keras.ops.image) if name[0] != "_"}
    assert set(ops.__all__) == NAMES
    for module in MODULES:
        theirs = {name for name in dir(getattr(keras.ops, module)) if name[0] != "_"}
        assert set(getattr(ops, module).__all__) == theirs


SMOOTH = """
average(F, axis=1, weights=P)  divide_no_nan(F, I)  clip(F, -0.5, 0.5)  einsum("ij,kj->ik", F, G)  logaddexp(F, G)
matmul(F, S)  mean(H, axis=(0, 1), keepdims=True)  var(F)  pad(F, 1, mode="reflect")  where(B, F, G)  arctan2(F, G)
adaptive_average_pool(A, 3)  adaptive_max_pool(A, 3)  average_pool(A, 3, strides=2, padding="same")  max_pool(A, 2, 1)
batch_normalization(F, V3, V3 + 1, -1, V3, V3)  layer_normalization(F, V3, V3)  rms_normalization(F, V3)  moments(T, 1)
normalize(F)  normalize(F, order=3)  binary_crossentropy(U * 0.5 + 0.5, P / 4)  categorical_crossentropy(G, P)
sparse_categorical_crossentropy(K[0, :2], P)  ctc_loss(LABELS, A[0], LABELS[:, 0], LENGTHS)  conv(A, W)
conv_transpose(A, WT, strides=2, padding="same")  depthwise_conv(A, W, padding="same")  separable_conv(A, W, WP)
dot_product_attention(Q, Q + 1, Q, is_causal=True)  fold(FOLDED, 3, 2, dilation=2, padding=1, stride=2)  unfold(A, 2)
depth_to_space(T[..., None, :], 2)  polar(P, F)  psnr(F, G, 2.0)  gelu(F)  soft_shrink(F)  log_softmax(T, axis=(0, 2))
cdist(F, G)  segment_max(F, K[0, :2], 3)  stft(X, 4, 2, 6, window="hamming")  istft((SP, SP * 0.5), 4, 2, 4)  logdet(S)
cholesky_inverse(S)  norm(F)  scatter(J[:2, None], F, (6, 3))
saturate_cast(F * 1e6, "float16")  scatter_update(F, [[0, 1]], [9.0], "max")  slice_update(F, (0, 1), G[:1, :2])
scan(lambda c, x: (c + x, c * x), V3, F)  stop_gradient(F * F)
custom_gradient(lambda x: (x * x, lambda dy: dy * 3))(F)  vectorized_map(lambda x: x.sum(), F * F)
"""
SMOOTH_IMAGES = """
affine_transform(A, MOVES.at[:, 6:].set(0.0))  crop_images(A, 1, 1, 1, 1)
rgb_to_hsv(RGB)  extract_patches(A, (2, 1), strides=1, padding="same")  gaussian_blur(A, data_format="channels_last")
hsv_to_rgb(RGB)  resize(A, (2, 6), antialias=True)  sobel_edges(A)  ssim(A, A * 0.9, filter_size=3)
"""
GRADIENTS = [(call, "ops") for call in calls(SMOOTH)] + [(call, "ops.image") for call in calls(SMOOTH_IMAGES)]


@pytest.mark.no_cover
@pytest.mark.parametrize("part", range(4))
def test_gradients_are_keras_own(part):
    """Of a sum with different factors over all results, by every array of floats that a call reads."""

    def gradients(library, rows, arrays):
        def total(arrays, call, module):
            leaves = jax.tree.leaves(called(library, call, module, {**GIVEN, **arrays}))
            parts = [(leaf.real, leaf.imag) if jnp.iscomplexobj(leaf) else leaf for leaf in leaves]
            real = [leaf for leaf in jax.tree.leaves(parts) if jnp.issubdtype(leaf.dtype, jnp.floating)]
            return sum((leaf * jnp.cos(jnp.arange(1.0, leaf.size + 1)).reshape(leaf.shape)).sum() for leaf in real)

        return [jax.grad(total)(reads(call, arrays), call, module) for call, module in rows]

    def reads(call, arrays):
        return {name: array for name, array in arrays.items() if name in re.findall(r"\b[A-Z]\w*\b", call)}

    arrays = {name: array for name, array in GIVEN.items() if getattr(array, "dtype", None) in ("float32", "float16")}
    rows = GRADIENTS[part::4]
    ours, theirs = (quickly(partial(gradients, library, rows))(arrays) for library in (lamina, keras))
    for (call, _), mine, other in zip(rows, ours, theirs, strict=True):
        assert all(jnp.abs(each).max() > 0 for each in mine.values()) or "stop_gradient" in call, call
        same(mine, other, max(tolerance_of(call), 1e-4), call)


DTYPES = "bool uint8 int8 int16 uint32 int32 float16 bfloat16 float32 complex64".split()


def dtype_of(function, *dtypes):
    """The dtypes of a function's results, found without computing them; None where it takes no such arrays."""
    given = [jax.ShapeDtypeStruct((3, 3), dtype) if isinstance(dtype, str) else dtype for dtype in dtypes]
    arrays = [each for each in given if not isinstance(each, (int, float))]

    def call(*arrays):
        left = iter(arrays)
        return function(*(each if isinstance(each, (int, float)) else next(left) for each in given))

    try:
        found = jax.eval_shape(call, *arrays)
    except (TypeError, ValueError, AttributeError, AssertionError, Warning):
        return None
    return [str(leaf.dtype) for leaf in jax.tree.leaves(found)]


def required(name):
    parameters = inspect.signature(getattr(keras.ops, name)).parameters.values()
    return [each.name for each in parameters if each.default is each.empty]


UNARY = sorted(name for name in NAMES - MODULES if required(name) == ["x"])
BINARY = sorted(name for name in NAMES - MODULES if required(name) in (["x1", "x2"], ["x", "y"]))


@pytest.mark.no_cover
@pytest.mark.parametrize("floatx", ["float32", "float16"])
def test_dtypes_are_keras_own(floatx):
    assert len(UNARY) > 120
    wrong = {}
    lamina.config.set_floatx(floatx)
    keras.config.set_floatx(floatx)
    try:
        for name in UNARY:
            for dtype in DTYPES if floatx == "float32" else ("bool", "int32", "bfloat16", "float32"):
                pair = [dtype_of(getattr(library.ops, name), dtype) for library in (lamina, keras)]
                if pair[0] != pair[1] and pair[1] is not None:
                    wrong[name, dtype] = pair
    finally:
        keras.config.set_floatx("float32")
    assert wrong == {}


def test_promotion_is_keras_own():
    assert len(BINARY) > 40
    pairs = [
        ("int32", "float16"),
        ("bfloat16", "float16"),
        ("bool", "int8"),
        ("uint8", "int8"),
        ("int8", 2.5),
        ("float16", 2),
    ]
    wrong = {}
    for name in BINARY:
        for one, other in [
            *pairs,
            ("int8", "int8"),
            ("uint32", "int32"),
            (3, "bool"),
            ("int32", "int32"),
            ("bfloat16", 1.5),
        ]:
            pair = [dtype_of(getattr(library.ops, name), one, other) for library in (lamina, keras)]
            if pair[0] != pair[1] and pair[1] is not None:
                wrong[name, one, other] = pair
    assert wrong == {}


@pytest.mark.parametrize("made", [np.asarray, lambda x: x.tolist(), Weight], ids=["numpy", "list", "weight"])
def test_what_can_be_an_array_is_one(made):
    f, i = made(np.asarray(F)), made(np.asarray([[1, 2, 0], [0, 1, 2]]))
    array, whole = jnp.asarray(np.asarray(F)), jnp.asarray([[1, 2, 0], [0, 1, 2]])
    for function in [
        lambda x, k: ops.maximum(x, k), lambda x, k: ops.mean(x, axis=[0, 1]), lambda x, k: ops.concatenate([x, k]),
        lambda x, k: ops.take(x, k, axis=1), lambda x, k: ops.where(k, x, 0.0), lambda x, k: ops.softmax(x),
        lambda x, k: ops.norm(x), lambda x, k: ops.segment_sum(x, k[0][:2], 3), lambda x, k: ops.cast(x, "bfloat16"),
        lambda x, k: ops.scan(lambda c, row: (c + row, c), ops.zeros(3), ops.convert_to_tensor(x))[0],
        lambda x, k: ops.max_pool(ops.expand_dims(x, 0), 1), lambda x, k: ops.stop_gradient(ops.multiply(x, 2)),
        lambda x, k: ops.image.rgb_to_grayscale(ops.expand_dims(x, 0)), lambda x, k: ops.einsum("ij,ij->i", x, k),
        lambda x, k: ops.layer_normalization(x, gamma=x[0]), lambda x, k: ops.binary_crossentropy(k, x, True),
    ]:  # fmt: skip
        same(function(f, i), function(array, whole), 1e-6)


def test_functions_work_in_layers_losses_metrics_and_gradients():
    """The same program under both libraries: ops inside a layer, a Lambda, a loss, a metric and an activation."""

    def trained(keras):
        ops = keras.ops

        class Gate(keras.layers.Layer):
            def build(self, input_shape):
                self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

            def call(self, x):
                best = ops.cond(ops.mean(x) > 0, lambda: ops.sqrt(ops.abs(x)), lambda: ops.tanh(x))
                return ops.einsum("ij,j->ij", best, self.scale) + ops.matmul(x, ops.eye(3)) * ops.cast(2, x.dtype)

        class Span(keras.metrics.Metric):
            def __init__(self, name="span", **kwargs):
                super().__init__(name=name, **kwargs)
                self.most = self.add_weight(name="most", initializer="zeros")

            def update_state(self, y_true, y_pred, sample_weight=None):
                self.most.assign(ops.maximum(self.most, ops.max(ops.abs(ops.subtract(y_true, y_pred)))))

            def result(self):
                return ops.convert_to_tensor(self.most)

        def loss(y_true, y_pred):
            errors = ops.mean(ops.square(ops.cast(y_true, "float32") - y_pred), axis=-1)
            return errors + ops.logsumexp(y_pred, axis=-1) + ops.sum(ops.square(model.layers[-1].kernel))

        model = keras.Sequential([
            keras.Input((3,)), Gate(), keras.layers.Lambda(lambda x: ops.nn.normalize(x)),
            keras.layers.Dense(2, activation=ops.relu, kernel_initializer=keras.initializers.Constant(0.3)),
        ])  # fmt: skip
        model.compile(keras.optimizers.SGD(0.1), loss, metrics=[Span()])
        x, y = np.asarray(GIVEN["A"]).reshape(-1, 1)[:60].reshape(20, 3), np.arange(40).reshape(20, 2) % 3
        history = model.fit(x, y, epochs=2, batch_size=10, shuffle=False, verbose=0).history
        return history, [np.asarray(weight) for weight in model.get_weights()], model.predict(x, verbose=0)

    same(trained(lamina), trained(keras), 1e-5)


def test_loops_and_branches_may_return_weights():
    weight, other = Weight(jnp.ones(3)), jnp.zeros(3)
    for found in (
        ops.cond(True, lambda: weight, lambda: other), ops.switch(0, [lambda x: x, lambda x: other], weight),
        ops.fori_loop(0, 2, lambda i, x: weight, other), ops.while_loop(lambda x: x[0] < 1, lambda x: weight, other),
        ops.map(lambda i: weight, jnp.arange(2))[1], ops.scan(lambda c, x: (weight, c), other, length=2)[0],
        ops.vectorized_map(lambda i: weight, jnp.arange(2))[0],
    ):  # fmt: skip
        assert isinstance(found, jax.Array)
        same(found, jnp.ones(3), 0)


def test_the_modules_are_loaded_when_they_are_first_used():
    program = """
import sys, lamina
assert not [name for name in ("lamina.ops", "lamina.backend", "lamina.tree") if name in sys.modules]
import lamina.ops
from lamina import backend, ops
from lamina.ops import numpy, image
assert lamina.ops is ops and ops.numpy.add is ops.add and not hasattr(ops, "core") and not hasattr(ops, "resize")
assert dir(ops) == sorted(ops.__all__) and backend.floatx() == "float32" and lamina.tree.flatten([1, [2]]) == [1, 2]
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_pools_have_their_window_as_strides():
    """In eager mode Keras 3.15 raises an error where strides are left out."""
    for pool in (ops.max_pool, ops.average_pool):
        same(pool(GIVEN["A"], 2), pool(GIVEN["A"], 2, strides=2), 0)


SPARSE = [
    ("one_hot", ([[2, 0, -1], [1, 1, 0]], 3), {}),
    ("one_hot", ([[2, 0, 1]], 4), {"axis": 1, "dtype": "int32"}),
    ("one_hot", ([1, 0], 3), {"axis": 0}),
    ("multi_hot", ([[2, 0, 2], [1, 1, 1]], 4), {"dtype": "float32"}),
    ("multi_hot", ([1, 3, 1], 5), {"dtype": "int32"}),
    ("bincount", ([1, 4, 1],), {"minlength": 3}),
    ("bincount", ([[1, 2, 1], [0, 0, 1]],), {"weights": [[0.5, 1.0, 2.0], [3.0, 4.0, 5.0]], "minlength": 6}),
]


@pytest.mark.parametrize(("name", "given", "named"), SPARSE)
def test_sparse_results_are_keras_own(name, given, named):
    given = [np.array(each) if isinstance(each, list) else each for each in given]
    named = {key: np.array(each) if isinstance(each, list) else each for key, each in named.items()}
    mine, other = (getattr(library.ops, name)(*given, **named, sparse=True) for library in (lamina, keras))
    assert type(mine) is type(other) and mine.shape == other.shape
    np.testing.assert_array_equal(lamina.ops.convert_to_numpy(mine), other.todense())
    np.testing.assert_array_equal(lamina.ops.convert_to_tensor(mine, sparse=False), other.todense())
    w = np.random.default_rng(0).normal(size=(mine.shape[-1], 2)).astype("float32")
    if mine.ndim == 2:
        np.testing.assert_allclose(lamina.ops.matmul(mine, w), keras.ops.matmul(other, w), rtol=1e-6)
    if name != "bincount":
        assert mine.dtype == other.dtype
    if name == "one_hot":
        again = jax.jit(lambda x: lamina.ops.one_hot(x, *given[1:], **named, sparse=True))(given[0])
        np.testing.assert_array_equal(again.todense(), mine.todense())


@pytest.mark.parametrize("heads", [4, 2])
def test_attention_with_a_cap_on_its_logits(heads):
    """Keras has it on a TPU alone, and elsewhere leaves it out without a word: the formula is that of its docstring."""
    random = np.random.default_rng(0)
    q, k, v = (random.normal(size=(2, 3, h, 5)).astype("float32") * 3 for h in (4, heads, heads))
    bias, mask = random.normal(size=(2, 4, 3, 3)).astype("float32"), random.random((2, 1, 3, 3)) > 0.3
    mask |= np.eye(3, dtype=bool)
    settings = {"bias": bias, "mask": mask, "scale": 0.7, "is_causal": True}
    loose = lamina.ops.dot_product_attention(q, k, v, **settings, attn_logits_soft_cap=1e8)
    np.testing.assert_allclose(loose, keras.ops.dot_product_attention(q, k, v, **settings), atol=1e-4)
    wide_k, wide_v = (np.repeat(each, 4 // heads, 2) for each in (k, v))
    logits = np.einsum("bqhn,bkhn->bhqk", q, wide_k) * 0.7
    logits = logits / (1.0 + abs(logits) / 2.0) + bias
    logits = np.where(mask & np.tri(3, dtype=bool), logits, -1e9)
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = np.einsum("bhqk,bkhn->bqhn", shares, wide_v)
    found = lamina.ops.dot_product_attention(q, k, v, **settings, attn_logits_soft_cap=2.0)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found - loose).max() > 0.1


WRONG = {
    "array_split(V, 0)": "number of parts of at least 1",
    "histogram(F)": "one axis, got shape",
    "histogram(V, bins=-1)": "bins is a whole number",
    "histogram(V, range=(2.0, 1.0))": "the lowest number first",
    "ldexp(F, G)": "integers as x2, got float32",
    "pad(F, 1, mode='edge', constant_values=0)": "takes no constant_values",
    "searchsorted(F, V)": "a sequence of one axis",
    "select([], [])": "neither is empty",
    "vectorize(3)": "takes a function, got 3",
    "where(B, F)": "both x1 and x2",
    "binary_crossentropy(F, V)": "of one shape",
    "categorical_crossentropy(1.0, 1.0)": "an axis of classes",
    "sparse_categorical_crossentropy(J, F)": "without the classes",
    "ctc_decode(T, J, strategy='best')": "'greedy' or 'beam_search'",
    "multi_hot(J)": "needs num_classes",
    "moments(F, 0, synchronized=True)": "Leave it out",
    "normalize(F, order=0)": "at least 1",
    "layer_normalization(F, rms_scaling=True)": "use rms_normalization",
    "layer_normalization(F, center=True)": "no argument 'center'",
    "dot_product_attention(T, T, T)": "arrays of 4 axes",
    "psnr(F, V, 1.0)": "of one shape",
    "conv(A, WT)": None,
    "conv(A, A)": "larger than|groups",
    "conv(A, W[:, :, :1].repeat(3, 2))": "cannot be parted into groups of 3",
    "depthwise_conv(A, W[:, :, :1])": "2 channels, and a kernel for 1",
    "conv_transpose(A, W)": "2 channels, and a kernel for 3",
    "unfold(F, 2)": "unfold takes",
    "fold(T, 3, 3)": "fold takes",
    "depth_to_space(F, 2)": "with a batch axis",
    "space_to_depth(A, 1)": "at least 2 pixels",
    "cdist(F, V)": "cdist takes",
    "segment_sum(F, V, 3)": "segment_ids is",
    "fft(F[0])": "a pair of arrays",
    "fft((F, I))": "two arrays of floats",
    "stft(H, 2, 1, 2)": "float32 or float64",
    "stft(X, 4, 0, 4)": "sequence_stride=0",
    "stft(X, 4, 1, 2)": "fft_length=2 must be at least",
    "stft(X, 4, 1, 4, window='flat')": "expected 'hann', 'hamming'",
    "stft(X, 4, 1, 4, window=V3)": "the window has shape",
    "istft((V, V), 4, 1, 4)": "istft takes parts",
    "view_as_complex(F)": "the real and the imaginary parts",
    "det(V)": None,
    "qr(F, mode='full')": "'reduced' or 'complete'",
    "pinv(V)": "matrices",
    "cholesky(F)": "square matrices",
    "convert_to_tensor(F, ragged=True)": "no ragged arrays",
    "rearrange(F, 'a b c -> c b a')": "does not name the 2 axes",
    "rearrange(F, '(a b) c -> a b c')": "all but one length",
    "scan(lambda c, x: (c, x), 0.0, F, unroll=0)": "at least 1, True or False",
    "scatter_update(F, [[0, 0]], [1.0], 'mean')": "expected None, 'add'",
    "image.affine_transform(A, V)": "transforms",
    "image.perspective_transform(A, F, F)": "points",
    "image.map_coordinates(F, V, 1)": "coordinates",
    "image.map_coordinates(F, [[0.0], [0.0]], 2)": "order is 0 or 1",
    "image.resize(A, (2, 2), crop_to_aspect_ratio=True, pad_to_aspect_ratio=True)": "cannot both be True",
    "image.rgb_to_grayscale(A)": "3 channels or 1",
    "image.rgb_to_hsv(A8)": "floats from 0 to 1",
    "image.extract_patches(A, (1, 2, 3, 4))": "2 or 3 of them",
    "image.crop_images(A, 5, 0, target_height=2, target_width=2)": "may be below 0",
}


@pytest.mark.parametrize("call", WRONG)
def test_wrong_arguments_are_refused(call):
    with pytest.raises((ValueError, TypeError)) as caught:
        called(lamina, call, "ops")
    assert WRONG[call] is None or (isinstance(caught.value, LaminaError) and re.search(WRONG[call], str(caught.value)))
