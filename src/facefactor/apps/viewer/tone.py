# SPDX-License-Identifier: Apache-2.0
"""The page's tone curve, and its inverse, so that colours arrive on the screen as they were computed.

viser draws every mesh through three.js' default curve, ACES filmic in Stephen Hill's fit, which changes every colour:

    displayed = M_out f(M_in colour / 0.6),    f(v) = (v (v + a) - b) / (v (c v + d) + e)

A renderer cannot ask viser to leave it out. So it sends the colours that the curve takes to the ones it wants: f is a
quotient of quadratics, and its inverse the positive root of one. Source of the constants: three.js r150 and later,
`tonemapping_pars_fragment.glsl`; the test in a browser would notice another curve.
"""

import numpy as np

EXPOSURE = 1.0 / 0.6
M_IN = np.array([[0.59719, 0.35458, 0.04823], [0.07600, 0.90834, 0.01566], [0.02840, 0.13383, 0.83777]])
"""Linear sRGB to the curve's colour space."""
M_OUT = np.array([[1.60475, -0.53108, -0.07367], [-0.10208, 1.10813, -0.00605], [-0.00327, -0.07276, 1.07602]])
"""And back."""
A, B, C, D, E = 0.0245786, 0.000090537, 0.983729, 0.4329510, 0.238081


def apply_page_curve(colours_linear: np.ndarray) -> np.ndarray:
    """What the page shows for (…, 3) linear colours, linear RGB clamped to [0, 1]."""
    v = EXPOSURE * colours_linear @ M_IN.T
    return np.clip((v * (v + A) - B) / (v * (C * v + D) + E) @ M_OUT.T, 0.0, 1.0)


def undo_page_curve(colours_linear: np.ndarray) -> np.ndarray:
    """What to send for the page to show (…, 3) linear colours in [0, 1]; some of it lies outside that range."""
    w = colours_linear @ np.linalg.inv(M_OUT).T
    square, linear, constant = 1.0 - C * w, A - D * w, -B - E * w
    v = (-linear + np.sqrt(linear * linear - 4.0 * square * constant)) / (2.0 * square)
    return (v / EXPOSURE) @ np.linalg.inv(M_IN).T
