# SPDX-License-Identifier: Apache-2.0
"""The 52 ARKit expressions from MakeHuman's CC0 face units, with eyelids that close on every face.

MakeHuman's blink overshoots: at weight 1 the lids cross by some 3 mm, and on another identity's eye the lid would sink
into the ball. Here the closed upper lid is constructed for each identity: its margin lands on the identity's own lower
margin, and its skin lies on the identity's own eyeball. The construction is linearised in the shape coefficients α,

    E_blink(α) = E_blink + Σ_k α_k C_k

so that a blink of weight 1 means just closed for everybody; C is stored beside the expression basis.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from facefactor.code.names import EXPRESSION_NAMES
from facefactor.face.build import makehuman
from facefactor.face.build.identity import IdentitySpace
from facefactor.face.build.mesh import HeadTopology
from facefactor.face.build.regions import Regions, Slit, open_slit
from facefactor.face.build.registration import smoothness_matrix

BLINKS = ("eyeBlinkLeft", "eyeBlinkRight")
LID_OVERLAP_MM = 1.2
"""How far the closed upper lid reaches past the lower one's margin, so that no slit of white is left: the margin's
vertices lie about a millimetre inside the ball, and the lower lid's skin comes out of it further down."""
MARGIN_CLEARANCE_MM, LID_CLEARANCE_MM, CLEARANCE_RAMP_MM = 0.2, 1.5, 4.0
"""Height of the closed lid's skin over the eyeball, at its margin and from 4 mm above it."""
LID_REACH_MM = 26.0
MARGIN_TRUST = 100.0
DIFFERENCE_STEP = 0.5
"""Standard deviations, for the derivative of the closed lid with respect to identity."""


@dataclass(frozen=True)
class ExpressionSpace:
    """Displacements of the 52 expressions at weight 1, in the order of EXPRESSION_NAMES."""

    basis: np.ndarray
    """(52, V, 3) mm."""
    blink_vertices: np.ndarray
    """(N,) the vertices whose blink depends on identity."""
    blink_basis: np.ndarray
    """(2, K, N, 3) mm per standard deviation of shape: what identity adds to the left and the right blink."""


def build_expressions(
    topology: HeadTopology, base: makehuman.BaseMesh, regions: Regions, identity: IdentitySpace, scale: float
) -> ExpressionSpace:
    """Carry the face units to the head and make the blinks close.

    Args:
        topology: the head mesh.
        base: MakeHuman's base mesh.
        regions: the head's regions.
        identity: mean head and basis, mm.
        scale: from base.obj's millimetres to the model's.
    """
    units = makehuman.read_face_units(len(base.vertices))
    basis = np.stack([scale * (topology.transfer @ units[name]) for name in EXPRESSION_NAMES])
    changes = []
    for name, eye, loop in zip(
        BLINKS, ("left_eye", "right_eye"), (regions.left_lid_margin, regions.right_lid_margin), strict=True
    ):
        index = EXPRESSION_NAMES.index(name)
        lid = _Lid.of(basis[index], identity.mean, loop, eye, topology, regions)
        basis[index] = lid.close(identity.mean)
        step = DIFFERENCE_STEP
        changes.append(
            [
                (lid.close(identity.mean + step * m) - lid.close(identity.mean - step * m)) / (2 * step)
                for m in identity.basis
            ]
        )
    blink_basis = np.array(changes)
    vertices = np.flatnonzero(np.abs(blink_basis).max(axis=(0, 1, 3)) > 1e-3)
    return ExpressionSpace(basis, vertices, blink_basis[:, :, vertices])


@dataclass(frozen=True)
class _Lid:
    """One eye's closing: what stays the same over identities."""

    unit: np.ndarray
    loop: np.ndarray
    slit: Slit
    eye: str
    topology: HeadTopology
    cover: np.ndarray
    """(V,) in [0, 1]: how fully a vertex of skin lies on the ball when the lid is shut."""
    clearance_mm: np.ndarray
    """(V,) height of the shut lid over the ball."""
    trust: np.ndarray
    """(V,) how firmly each vertex holds the landing's correction."""
    solve: Callable[[np.ndarray], np.ndarray]
    """Spreads trusted corrections (V, 3) smoothly."""

    @classmethod
    def of(
        cls, unit: np.ndarray, mean: np.ndarray, loop: np.ndarray, eye: str, topology: HeadTopology, regions: Regions
    ) -> "_Lid":
        slit = open_slit(loop, mean)
        reach = np.linalg.norm(mean - topology.eye_centre(mean, eye), axis=1)
        trust = np.where(reach > LID_REACH_MM, 1.0, 1e-3)
        trust[loop] = MARGIN_TRUST
        smoothness = smoothness_matrix(topology.edges, len(mean), bending=1.0, stretching=0.02)
        cover = np.zeros(len(mean))
        motion = np.linalg.norm(unit[regions.outer_skin], axis=1)
        share = np.clip((motion / motion.max() - 0.12) / 0.3, 0, 1)
        cover[regions.outer_skin] = share**2 * (3 - 2 * share)
        above = cKDTree(mean[slit.upper]).query(mean)[0]
        ramp = np.clip(above / CLEARANCE_RAMP_MM, 0, 1)
        clearance = MARGIN_CLEARANCE_MM + (LID_CLEARANCE_MM - MARGIN_CLEARANCE_MM) * ramp
        solve = splu((sparse.diags(trust) + smoothness).tocsc()).solve
        return cls(unit, loop, slit, eye, topology, cover, clearance, trust, solve)

    def close(self, neutral: np.ndarray) -> np.ndarray:
        """(V, 3) displacement that shuts this eye of a neutral head (V, 3)."""
        closed = neutral + self.unit
        landing = self.slit.lower_at_upper @ closed[self.loop]
        landing[:, 1] -= LID_OVERLAP_MM
        error = np.zeros_like(neutral)
        error[self.slit.upper] = landing - closed[self.slit.upper]
        closed = closed + self.solve(self.trust[:, None] * error)

        centre = self.topology.eye_centre(neutral, self.eye)
        ball = neutral[self.topology.parts[self.eye]]
        radius = np.linalg.norm(ball - centre, axis=1).mean()
        arms = closed - centre
        distance = np.linalg.norm(arms, axis=1, keepdims=True)
        lift = self.cover[:, None] * (radius + self.clearance_mm[:, None] - distance) * arms / distance
        displacement = closed + lift - neutral
        displacement[self.topology.parts[self.eye]] = 0
        return displacement

    def derivative(self, mean: np.ndarray, mode: np.ndarray) -> np.ndarray:
        """(V, 3) central difference of `close` at the mean along an identity mode (V, 3)."""
        forth, back = self.close(mean + DIFFERENCE_STEP * mode), self.close(mean - DIFFERENCE_STEP * mode)
        return (forth - back) / (2 * DIFFERENCE_STEP)
