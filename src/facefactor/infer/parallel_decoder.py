# SPDX-License-Identifier: Apache-2.0
"""Decode batches on all cores, in threads of our own rather than BLAS's (numpy).

Most of decoding is many passes over arrays, which numpy does on one core each, and a few matrix products, which BLAS
does on all. Its threads then spin for milliseconds on the cores that the next batch's encoder wants. So a batch is cut
into one part for each core, and each part's products stay on its core.
"""

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np
from threadpoolctl import ThreadpoolController

from facefactor.code.face_code import FaceCode
from facefactor.infer.decoder import DecodedFaces, Decoder

LEAST_PART = 4
"""Faces; smaller parts cost more than they save."""


class ParallelDecoder:
    """Decodes on several cores; safe to call from several threads.

    Args:
        decoder: of the face model.
        num_threads: None for as many as there are cores.
    """

    def __init__(self, decoder: Decoder[np.ndarray], num_threads: int | None = None) -> None:
        self._decoder, self._num_threads = decoder, num_threads or os.cpu_count() or 1

    def decode(self, code: FaceCode[np.ndarray]) -> DecodedFaces[np.ndarray]:
        """Make the faces that codes describe; see `Decoder.decode`."""
        count = code.batch_shape[0] if len(code.batch_shape) == 1 else 0
        num_parts = min(self._num_threads, count // LEAST_PART)
        if num_parts < 2:
            return self._decoder.decode(code)
        edges = np.linspace(0, count, num_parts + 1).astype(int).tolist()
        parts = [code.map(_Slice(*ends)) for ends in itertools.pairwise(edges)]
        with self._blas.limit(limits=1, user_api="blas"):
            decoded = list(self._pool.map(self._decoder.decode, parts))
        return DecodedFaces(*(_joined(each) for each in zip(*decoded, strict=True)))

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._num_threads, thread_name_prefix="facefactor-decode")

    @cached_property
    def _blas(self) -> ThreadpoolController:
        return ThreadpoolController()


class _Slice:
    """Takes some rows of an array."""

    def __init__(self, first: int, end: int) -> None:
        self._rows = slice(first, end)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        return values[self._rows]


def _joined(parts: tuple[np.ndarray, ...]) -> np.ndarray:
    """Lay batches end to end as they lie in memory: albedo is transposed planes."""
    if parts[0].flags.c_contiguous:
        return np.concatenate(parts)
    return np.concatenate([part.mT for part in parts]).mT
