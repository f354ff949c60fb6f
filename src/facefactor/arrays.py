# SPDX-License-Identifier: Apache-2.0
"""Formulas that numpy arrays and torch tensors share, written once against the Python array API standard.

A generic formula asks `array_namespace` for the functions of its arguments' own library, so that it carries gradients
in training and runs without torch in the fast path. What such formulas need besides is here; this module imports no
torch. Standard: https://data-apis.org/array-api/2024.12/

Values are clipped by the arrays' own method `clip`, which both kinds have: the standard's function is slow in numpy.
"""

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import numpy as np
from array_api_compat import array_namespace, device, is_numpy_array

__all__ = [
    "Array",
    "array_namespace",
    "constant_like",
    "on_accelerator",
    "sum_at",
    "to_numpy",
    "unit_vectors",
    "without_gradient",
]

Array = TypeVar("Array", bound=Any)
"""numpy.ndarray or torch.Tensor; all arguments of one call are of one kind."""


def constant_like(values: Sequence | np.ndarray, array: Array) -> Array:
    """Make an array of numbers, nested sequences or numpy's, of the kind, precision and device of another."""
    return array_namespace(array).asarray(values, dtype=array.dtype, device=device(array))


def to_numpy(array: Any) -> np.ndarray:
    """Give the numpy array of either kind; a tensor is detached and brought to the CPU, its precision is kept."""
    return array if is_numpy_array(array) else array.detach().cpu().numpy()


def on_accelerator(array: Any) -> bool:
    """Whether it is a tensor that lies on another device than the CPU."""
    return not is_numpy_array(array) and array.device.type != "cpu"


def without_gradient(array: Array) -> Array:
    """The same values, through which no gradient flows."""
    return array if is_numpy_array(array) else array.detach()


def unit_vectors(vectors: Array) -> Array:
    """Scale vectors (…, n) to length one; zero stays zero, with a gradient of zero."""
    xp = array_namespace(vectors)
    length = xp.linalg.vector_norm(vectors, axis=-1, keepdims=True)
    return vectors / length.clip(min=1e-12)


def sum_at(values: Array, places: Array, count: int) -> Array:
    """Sum rows that go to the same place: (…, N, C) values and (N,) places give (…, count, C), zero where none goes."""
    if not is_numpy_array(values):
        xp = array_namespace(values)
        zeros = xp.zeros((*values.shape[:-2], count, values.shape[-1]), dtype=values.dtype, device=device(values))
        return zeros.index_add(-2, places, values)
    columns = np.moveaxis(values, -2, -1)
    sums = np.zeros((*columns.shape[:-1], count), dtype=values.dtype)
    for index in np.ndindex(columns.shape[:-1]):
        sums[index] = np.bincount(places, columns[index], count)
    return cast(Array, np.moveaxis(sums, -1, -2))
