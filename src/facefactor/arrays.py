# SPDX-License-Identifier: Apache-2.0
"""Formulas that numpy arrays and torch tensors share, written once against the Python array API standard.

A generic formula asks `array_namespace` for the functions of its arguments' own library, so that it carries gradients
in training and runs without torch in the fast path. What such formulas need besides is here; this module imports no
torch. Standard: https://data-apis.org/array-api/2024.12/
"""

from collections.abc import Sequence
from typing import Any, TypeVar

from array_api_compat import array_namespace, device

__all__ = ["Array", "array_namespace", "constant_like", "unit_vectors"]

Array = TypeVar("Array", bound=Any)
"""numpy.ndarray or torch.Tensor; all arguments of one call are of one kind."""


def constant_like(values: Sequence, array: Array) -> Array:
    """Make an array of nested sequences of numbers, of the kind, precision and device of another."""
    return array_namespace(array).asarray(values, dtype=array.dtype, device=device(array))


def unit_vectors(vectors: Array) -> Array:
    """Scale vectors (…, n) to length one; zero stays zero, with a gradient of zero."""
    xp = array_namespace(vectors)
    length = xp.linalg.vector_norm(vectors, axis=-1, keepdims=True)
    return vectors / xp.clip(length, min=1e-12)
