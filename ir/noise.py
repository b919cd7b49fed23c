"""Noise has an address, not an order.

One exponential variate per (address, token id): an address is (request key, stage, purpose, coordinates). Philox 4x32-10
(Salmon et al., SC 2011) keys each (request, stage, purpose) once; an integer mixer then takes coordinates and token id.
The winner of a race has the least ``E / p``, so masks, narrowing and fusion cannot change it.
"""

import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MASK32, MASK64 = (1 << 32) - 1, (1 << 64) - 1
ROUND_LOW, ROUND_HIGH = 0xD2511F53, 0xCD9E8D57
WEYL_LOW, WEYL_HIGH = 0x9E3779B9, 0xBB67AE85
FOLD, SPREAD, STIR = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
TOKEN, FIRST, SECOND = 0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35
FIFTEEN, THIRTEEN, SIXTEEN, ONE = (np.uint32(n) for n in (15, 13, 16, 1))
STIR_FIRST, STIR_SECOND = np.uint32(FIRST), np.uint32(SECOND)
HALF, SCALE, LEAST = (np.float32(x) for x in (0.5, -(2.0**-31), 2.0**-24 - 1))


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int]:
    """Two 32-bit words of Philox 4x32-10."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c0 * ROUND_LOW, c2 * ROUND_HIGH
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & MASK32, (p0 >> 32) ^ c3 ^ k1, p0 & MASK32
        k0, k1 = (k0 + WEYL_LOW) & MASK32, (k1 + WEYL_HIGH) & MASK32
    return c0, c1


@lru_cache(maxsize=65536)
def stream(key: int, stage: str, purpose: str) -> int:
    """The 64-bit stream of one (request, stage, purpose)."""
    low, high = philox((zlib.crc32(stage.encode()), zlib.crc32(purpose.encode()), 0, 0), (key & MASK32, key >> 32 & MASK32))
    return high << 32 | low


def request_key(seed: int, prompt: Sequence[int], occurrence: int) -> int:
    """The key of a request that brings none: seed, prompt, and how often this prompt came before in the same call."""
    low, high = philox(
        (zlib.crc32(np.asarray(prompt, dtype="<i8").tobytes()), occurrence & MASK32, len(prompt), 0),
        (seed & MASK32, seed >> 32 & MASK32),
    )
    return (high << 32 | low) >> 1


def fold(word: Any, coordinate: Any) -> Any:
    """One address word from the last and a coordinate (splitmix64's finaliser): integers, or uint64 arrays of them."""
    word = (word * 31 + coordinate + FOLD) & MASK64
    word = (word ^ word >> 30) * SPREAD & MASK64
    word = (word ^ word >> 27) * STIR & MASK64
    return word ^ word >> 31


def address(key: int, stage: str, purpose: str, coordinates: Sequence[int]) -> int:
    """The 64-bit address of one draw."""
    word = stream(key, stage, purpose)
    for coordinate in coordinates:
        word = fold(word, coordinate)
    return word


def addresses(key: Tensor, stage: str, purpose: str, coordinates: Sequence[Tensor | int]) -> NDArray[np.uint64]:
    """`address` for every row at once; key ``[b]``, coordinates ``[b]`` or constants."""
    unique, inverse = np.unique(key.numpy(), return_inverse=True)
    word = np.array([stream(int(k), stage, purpose) for k in unique], dtype=np.uint64)[inverse]
    for coordinate in coordinates:
        word = fold(word, coordinate.numpy().astype(np.uint64) if isinstance(coordinate, Tensor) else coordinate)
    return word


@lru_cache(maxsize=64)
def token_words(size: int) -> NDArray[np.uint32]:
    """The premultiplied token ids ``[v]`` that an address is mixed with, stirred once: a shift and xor goes through a xor."""
    return words_of(np.arange(size))


def words_of(ids: NDArray[np.int64]) -> NDArray[np.uint32]:
    """The entries of `token_words` for these ids, of any shape."""
    words: NDArray[np.uint32] = (ids + 1).astype(np.uint32)
    words *= np.uint32(TOKEN)
    words ^= words >> FIFTEEN
    return words


def exponentials(words: NDArray[np.uint64], size: int) -> Tensor:
    """float32 ``[b,v]``: one standard exponential per address and token id, exact in its small values, which decide races."""
    return of_tokens(words, token_words(size))


def of_tokens(words: NDArray[np.uint64], tokens: NDArray[np.uint32]) -> Tensor:
    """float32 ``[b,k]``: the exponentials of each address and its own tokens ``[b,k]``, or the same tokens ``[k]`` for all."""
    low, high = ((words >> np.uint64(shift)).astype(np.uint32)[:, None] for shift in (0, 32))
    return negated(tokens, low, high).neg_()


def negated(tokens: NDArray[np.uint32], low: Any, high: Any) -> Tensor:
    """The exponentials of addresses and token words ``[v]``, their sign changed: float32 ``[v]``, or ``[n,v]`` for columns."""
    uniform = parts(tokens, low, high)
    uniform *= SCALE
    np.maximum(uniform, LEAST, out=uniform)
    return torch.from_numpy(uniform).log1p_()  # torch's, for the very bits of the meaning; numpy's differ by machine


def parts(tokens: NDArray[np.uint32], low: Any, high: Any) -> NDArray[np.float32]:
    """The uniforms of which these exponentials are made, in parts of ``2^-31``: the middles of whole ones."""
    x = tokens ^ (low ^ low >> FIFTEEN)
    x *= STIR_FIRST
    x ^= high
    x ^= x >> THIRTEEN
    x *= STIR_SECOND
    x ^= x >> SIXTEEN
    x >>= ONE
    uniform: NDArray[np.float32] = x.view(np.int32).astype(np.float32)
    uniform += HALF
    return uniform


def exponential(word: int, token: int) -> float:
    """The one exponential of an address and a token id, in host arithmetic (the same bits up to log1p's rounding)."""
    x = ((token + 1) * TOKEN & MASK32) ^ word & MASK32
    x = (x ^ x >> 15) * FIRST & MASK32 ^ word >> 32
    x = (x ^ x >> 13) * SECOND & MASK32
    uniform = min(float(np.float32((x ^ x >> 16) >> 1)) * 2.0**-31 + 2.0**-32, 1 - 2.0**-24)
    return float(-np.log1p(-uniform))
