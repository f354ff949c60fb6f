# SPDX-License-Identifier: Apache-2.0
"""Arrays of two libraries through one formula."""

import numpy as np
import pytest

from facefactor.arrays import constant_like, unit_vectors


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unit_vectors_have_length_one_and_zero_stays_zero(dtype: type) -> None:
    vectors = np.array([[3.0, 0.0, -4.0], [0.0, 0.0, 0.0]], dtype=dtype)
    units = unit_vectors(vectors)
    np.testing.assert_allclose(units, [[0.6, 0.0, -0.8], [0.0, 0.0, 0.0]], rtol=1e-6)
    assert units.dtype == dtype


def test_the_gradient_of_a_unit_vector_is_finite_at_zero() -> None:
    torch = pytest.importorskip("torch", reason="torch (the extra `train`) is not installed")
    vectors = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 2.0]], requires_grad=True)
    unit_vectors(vectors).sum().backward()
    assert torch.isfinite(vectors.grad).all()


def test_constants_take_the_kind_and_precision_of_what_they_meet() -> None:
    torch = pytest.importorskip("torch", reason="torch (the extra `train`) is not installed")
    assert constant_like([1, 2], np.zeros(1, np.float32)).dtype == np.float32
    tensor = constant_like([1, 2], torch.zeros(1, dtype=torch.float64))
    assert (tensor.dtype, tensor.tolist()) == (torch.float64, [1.0, 2.0])
