# SPDX-License-Identifier: Apache-2.0
"""Similarity transforms of point sets (numpy), as the registration and the evaluation align heads."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Similarity:
    """x ↦ scale · R x + t."""

    scale: float
    rotation: np.ndarray
    translation: np.ndarray

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Map points (..., 3)."""
        return self.scale * points @ self.rotation.T + self.translation


def fit_similarity(
    source: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None, with_scale: bool = True
) -> Similarity:
    """Least-squares similarity of point pairs (Umeyama 1991).

    Args:
        source: (N, 3).
        target: (N, 3).
        weights: (N,) non-negative; equal by default.
        with_scale: False keeps scale one.
    """
    weights = np.ones(len(source)) if weights is None else weights
    weights = (weights / weights.sum())[:, None]
    mean_source, mean_target = (weights * source).sum(0), (weights * target).sum(0)
    p, q = source - mean_source, target - mean_target
    u, singular, vt = np.linalg.svd((weights * q).T @ p)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    scale = float((singular * sign).sum() / (weights * p * p).sum()) if with_scale else 1.0
    return Similarity(scale, rotation, mean_target - scale * rotation @ mean_source)
