# SPDX-License-Identifier: Apache-2.0
"""Random face codes: who it is, what the face does, where it looks, what light falls on it.

Place in the flow: the first step of a synthetic face; `framing.py` then puts the head into its crop. Each function
takes a numpy Generator and draws one face's part, so a face depends on its own seed alone.

Priors alone would make a dull corpus: skin tone, the first component of log albedo, is drawn evenly over its range for
half of the faces, shape has a few heavier tails, and expressions are combinations that muscles and speech make.
"""

import math

import numpy as np

from facefactor.code.face_code import EXPRESSION_SIZE, REFLECTANCE_SIZE, SHAPE_SIZE
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.light.spherical_harmonics import BAND_1, BAND_2_AXIAL, BAND_2_MIXED, BAND_2_SQUARES, Y00

TAIL_SHARE = 0.15
"""Share of faces whose shape is 1.35 times as far from the mean."""
TAIL_SCALE = 1.35
EVEN_TONE_SHARE = 0.5
"""Share of faces whose skin tone is uniform and not normal."""
TONE_RANGE = (-2.6, 2.4)
"""Standard deviations of reflectance component 0, log luminance 0.57 each: from very dark to very light skin."""
NEUTRAL_SHARE = 0.25
WIDE_YAW_SHARE = 0.25
"""Share of faces whose yaw is uniform in ±75°; the others are normal around the front."""
YAW_LIMIT_DEG, PITCH_LIMIT_DEG, ROLL_LIMIT_DEG = 75.0, 35.0, 25.0
YAW_SPREAD_DEG, PITCH_SPREAD_DEG, ROLL_SPREAD_DEG = 20.0, 11.0, 5.0
WIDE_ROLL_SHARE = 0.2
CLOSED_SHARE, CLOSING_SHARE, WINK_SHARE = 0.18, 0.12, 0.28
"""Shares of faces with both eyes closed, with both on the way and with one closed; far more than photos show, since a
network that sees few of them answers half closed eyes to a wink."""
HARSH_AMBIENT = 0.34
"""Ambient light of 0.25 to 1 below which, for one face in eight, there is one lamp and next to nothing beside it."""

VISEMES: tuple[dict[str, float], ...] = (
    {"jawOpen": 0.7, "mouthLowerDownLeft": 0.3, "mouthLowerDownRight": 0.3},
    {
        "jawOpen": 0.3,
        "mouthStretchLeft": 0.5,
        "mouthStretchRight": 0.5,
        "mouthUpperUpLeft": 0.3,
        "mouthUpperUpRight": 0.3,
    },
    {"jawOpen": 0.35, "mouthFunnel": 0.8},
    {"jawOpen": 0.15, "mouthPucker": 0.9},
    {"mouthPressLeft": 0.6, "mouthPressRight": 0.6, "mouthRollLower": 0.3, "mouthRollUpper": 0.3},
    {"jawOpen": 0.1, "mouthRollLower": 0.7, "mouthUpperUpLeft": 0.3, "mouthUpperUpRight": 0.3},
    {"jawOpen": 0.2, "mouthShrugLower": 0.4, "mouthShrugUpper": 0.3},
    {"jawOpen": 1.0},
    {"jawOpen": 0.6, "mouthClose": 0.5},
)
"""Mouth shapes of speech, at full strength."""
MOODS: tuple[dict[str, float], ...] = (
    {"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9, "cheekSquintLeft": 0.5, "cheekSquintRight": 0.5},
    {
        "mouthSmileLeft": 0.8,
        "mouthSmileRight": 0.8,
        "jawOpen": 0.25,
        "mouthUpperUpLeft": 0.35,
        "mouthUpperUpRight": 0.35,
    }
    | {"mouthLowerDownLeft": 0.3, "mouthLowerDownRight": 0.3, "eyeSquintLeft": 0.5, "eyeSquintRight": 0.5},
    {"mouthSmileLeft": 0.6, "mouthSmileRight": 0.6, "mouthDimpleLeft": 0.4, "mouthDimpleRight": 0.4},
    {"mouthFrownLeft": 0.7, "mouthFrownRight": 0.7, "browInnerUp": 0.6, "mouthShrugLower": 0.4},
    {"browDownLeft": 0.9, "browDownRight": 0.9, "noseSneerLeft": 0.5, "noseSneerRight": 0.5, "mouthPressLeft": 0.5}
    | {"mouthPressRight": 0.5, "eyeSquintLeft": 0.4, "eyeSquintRight": 0.4},
    {"browInnerUp": 0.8, "browOuterUpLeft": 0.8, "browOuterUpRight": 0.8, "eyeWideLeft": 0.7, "eyeWideRight": 0.7}
    | {"jawOpen": 0.6},
    {"noseSneerLeft": 0.8, "noseSneerRight": 0.8, "mouthUpperUpLeft": 0.6, "mouthUpperUpRight": 0.6},
    {"cheekPuff": 0.8, "mouthPressLeft": 0.3, "mouthPressRight": 0.3},
    {"mouthLeft": 0.6, "mouthSmileLeft": 0.4},
    {"mouthRight": 0.6, "mouthSmileRight": 0.4},
    {"tongueOut": 0.9, "jawOpen": 0.6},
    {"jawLeft": 0.7, "jawOpen": 0.2},
    {"jawRight": 0.7, "jawOpen": 0.2},
    {"jawForward": 0.7},
)
"""What moods and grimaces do to a face, at full strength; the first three, smiles, are drawn half of the time."""
NUM_SMILES = 3


def draw_shape(generator: np.random.Generator) -> np.ndarray:
    """Draw an identity: (80,) float32, standard deviations."""
    scale = TAIL_SCALE if generator.random() < TAIL_SHARE else 1.0
    return (scale * generator.standard_normal(SHAPE_SIZE)).astype(np.float32)


def draw_reflectance(generator: np.random.Generator) -> np.ndarray:
    """Draw an albedo whose tones cover the range: (80,) float32, standard deviations."""
    reflectance = generator.standard_normal(REFLECTANCE_SIZE)
    if generator.random() < EVEN_TONE_SHARE:
        reflectance[0] = generator.uniform(*TONE_RANGE)
    return np.clip(reflectance, -3.0, 3.0).astype(np.float32)


def draw_expression(generator: np.random.Generator) -> np.ndarray:
    """Draw a plausible expression: (52,) float32 in [0, 1], mouthClose at most jawOpen, gaze and lids on their own."""
    weights = np.zeros(EXPRESSION_SIZE)
    if generator.random() >= NEUTRAL_SHARE:
        if generator.random() < 0.6:
            mood = generator.integers(NUM_SMILES) if generator.random() < 0.5 else generator.integers(len(MOODS))
            _add(weights, MOODS[mood], generator)
        if generator.random() < 0.5:
            _add(weights, VISEMES[generator.integers(len(VISEMES))], generator)
        if generator.random() < 0.3:
            _add_brows(weights, generator)
        if generator.random() < 0.3:  # whatever else muscles may do
            weights[generator.integers(EXPRESSION_SIZE, size=4)] += 0.4 * generator.random(4)
    _set_eyes(weights, generator)
    weights = np.clip(weights, 0.0, 1.0)
    close, jaw = EXPRESSION_NAMES.index("mouthClose"), EXPRESSION_NAMES.index("jawOpen")
    weights[close] = min(weights[close], weights[jaw])
    return weights.astype(np.float32)


def draw_euler_deg(generator: np.random.Generator) -> np.ndarray:
    """Draw yaw, pitch and roll before the crop levels the eyes: (3,) degrees."""
    if generator.random() < WIDE_YAW_SHARE:
        yaw = generator.uniform(-YAW_LIMIT_DEG, YAW_LIMIT_DEG)
    else:
        yaw = YAW_SPREAD_DEG * generator.standard_normal()
    pitch = PITCH_SPREAD_DEG * generator.standard_normal()
    limits = np.array([YAW_LIMIT_DEG, PITCH_LIMIT_DEG, 0.0])
    return np.clip([yaw, pitch, 0.0], -limits, limits)


def draw_roll_deg(generator: np.random.Generator) -> float:
    """Draw by how much the crop fails to level the eyes, degrees clockwise."""
    if generator.random() < WIDE_ROLL_SHARE:
        return float(generator.uniform(-ROLL_LIMIT_DEG, ROLL_LIMIT_DEG))
    return float(np.clip(ROLL_SPREAD_DEG * generator.standard_normal(), -ROLL_LIMIT_DEG, ROLL_LIMIT_DEG))


def draw_light(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a light as strong as a photo's exposure makes it: an ambient part, a key lamp, up to two more.

    Returns:
        Fill (9, 3) and key (9, 3), whose sum is the face code's illumination, and the key's direction (3,), camera
        frame, float32. A surface that faces the camera reflects 0.45 to 1.4 of its albedo, mostly near 0.95.
    """
    ambient = generator.uniform(0.25, 1.0)
    is_harsh = ambient < HARSH_AMBIENT
    if is_harsh:
        ambient *= 0.3 * generator.random()
    fill = _ambient(ambient * _tint(generator, 0.05)) + _gradient(generator, 0.35 * ambient)
    key_direction = _lamp_direction(generator)
    key = _lamp(key_direction, generator.uniform(0.6 if is_harsh else 0.0, 1.6) * _tint(generator, 0.08))
    for _ in range(0 if is_harsh else generator.integers(3)):
        fill += _lamp(_lamp_direction(generator), generator.uniform(0.05, 0.4) * _tint(generator, 0.12))
    white_balance = _tint(generator, 0.06)
    facing = float(np.mean(harmonics(np.array([0.0, 0.15, 0.99])) * LAMBERT @ (fill + key)))
    exposure = draw_exposure(generator)
    # A face lit from behind or the side is exposed for the scene and stays darker than its front would need.
    scale = exposure / max(facing, 0.45) * white_balance
    return (fill * scale).astype(np.float32), (key * scale).astype(np.float32), key_direction.astype(np.float32)


def draw_exposure(generator: np.random.Generator) -> float:
    """Draw what share of its albedo a surface reflects that the light's exposure is made for."""
    return 0.95 * math.exp(0.22 * float(np.clip(generator.standard_normal(), -2.5, 2.0)))


LAMBERT = np.array([1.0] + [2 / 3] * 3 + [1 / 4] * 5)


def harmonics(direction: np.ndarray) -> np.ndarray:
    """Evaluate the nine basis functions in a unit direction, (9,); `light/spherical_harmonics.py` in numpy."""
    x, y, z = direction
    first = (Y00, BAND_1 * y, BAND_1 * z, BAND_1 * x, BAND_2_MIXED * x * y, BAND_2_MIXED * y * z)
    second = (BAND_2_AXIAL * (3.0 * z * z - 1.0), BAND_2_MIXED * x * z, BAND_2_SQUARES * (x * x - y * y))
    return np.array(first + second)


def _add(weights: np.ndarray, shape: dict[str, float], generator: np.random.Generator) -> None:
    """Add a combination at a random strength, each muscle a little off it."""
    strength = generator.uniform(0.2, 1.1)
    for name, weight in shape.items():
        weights[EXPRESSION_NAMES.index(name)] += strength * weight * generator.uniform(0.75, 1.25)


def _add_brows(weights: np.ndarray, generator: np.random.Generator) -> None:
    raised = generator.random() < 0.6
    names = ("browInnerUp", "browOuterUpLeft", "browOuterUpRight") if raised else ("browDownLeft", "browDownRight")
    _add(weights, {name: generator.uniform(0.3, 1.0) for name in names}, generator)


def _set_eyes(weights: np.ndarray, generator: np.random.Generator) -> None:
    """Let both eyes look somewhere, and close none, both or one of them by some amount."""
    aside, up = np.clip(generator.normal(0.0, (0.28, 0.18)), -1.0, 1.0)
    gaze = {"eyeLookOutLeft": aside, "eyeLookInRight": aside, "eyeLookInLeft": -aside, "eyeLookOutRight": -aside}
    gaze |= {"eyeLookUpLeft": up, "eyeLookUpRight": up, "eyeLookDownLeft": -up, "eyeLookDownRight": -up}
    for name, weight in gaze.items():
        weights[EXPRESSION_NAMES.index(name)] = max(0.0, weight)
    left, right = EXPRESSION_NAMES.index("eyeBlinkLeft"), EXPRESSION_NAMES.index("eyeBlinkRight")
    kind = generator.random()
    lids = generator.uniform(0.0, 0.25)
    if kind < CLOSED_SHARE:
        lids = generator.uniform(0.85, 1.0)
    elif kind < CLOSED_SHARE + CLOSING_SHARE:
        lids = generator.uniform(0.2, 0.9)
    weights[[left, right]] = np.clip(lids + 0.03 * generator.standard_normal(2), 0.0, 1.0)
    if kind > 1.0 - WINK_SHARE:
        weights[generator.choice([left, right])] = generator.uniform(0.6, 1.0)


def _tint(generator: np.random.Generator, spread: float) -> np.ndarray:
    """Draw a colour of luminance about one, between warm and cold, with a little green or magenta."""
    warm, green = spread * generator.standard_normal(2) * (1.0, 0.3)
    return np.exp([warm, green, -warm])


def _ambient(radiance: np.ndarray) -> np.ndarray:
    light = np.zeros((9, 3))
    light[0] = radiance / Y00
    return light


def _gradient(generator: np.random.Generator, strength: float) -> np.ndarray:
    """Draw an uneven surrounding: brighter above as a rule, each band weaker than the one before."""
    light = np.zeros((9, 3))
    grey = strength * generator.standard_normal(8) * ([0.5] * 3 + [0.3] * 5)
    grey[0] += 0.5 * strength
    light[1:] = grey[:, None] / Y00
    return light * _tint(generator, 0.05)


def _lamp(direction: np.ndarray, strength: np.ndarray) -> np.ndarray:
    return math.pi * harmonics(direction)[:, None] * strength


def _lamp_direction(generator: np.random.Generator) -> np.ndarray:
    """Draw a direction: from above and the front as a rule, from anywhere else now and then."""
    azimuth = np.clip(50.0 * generator.standard_normal(), -150.0, 150.0)
    elevation = np.clip(25.0 + 25.0 * generator.standard_normal(), -45.0, 85.0)
    azimuth, elevation = np.radians((azimuth, elevation))
    return np.array([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
