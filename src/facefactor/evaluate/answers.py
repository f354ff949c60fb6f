# SPDX-License-Identifier: Apache-2.0
"""What an engine says of photos about whose people or light something is known: light, skin tone, identity, closures.

    photos ─engine─► FaceAnswer each ─┬─ one person under many lights ──► `known_light`
                                      ├─ people of named groups ────────► `skin_tones`
                                      ├─ many photos of each person ────► `identities`
                                      └─ eyes and mouths labelled by eye ► `closures`

A spread is a root mean square: `within` of what one person's photos differ from their mean, `between` of what the
persons' means differ from the mean of all. Where the engine tells light from skin and pose from shape, within is small
against between. With other persons their ratio would be another: it is given with a bootstrap interval.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from facefactor.code.face_code import FaceCode
from facefactor.data.photo_names import GROUP_NAME, PERSON_NAME, LitPerson
from facefactor.errors import AssetMissing
from facefactor.evaluate.tables import Table
from facefactor.face.albedo import albedo_from_log
from facefactor.face.linear_bases import LinearBases, in_triangles, linear_weights
from facefactor.face.model import FaceModel
from facefactor.light.spherical_harmonics import LUMINANCE_WEIGHTS, dominant_direction
from facefactor.photo.colour import linear_to_srgb
from facefactor.photo.landmarks import OPENINGS

SPREAD_COLUMNS = ("what", "within a person", "between persons", "ratio", "95 % from", "to")
RESAMPLINGS = 2000
"""Of the persons, for the interval that their ratio is in."""
GROUPS = ("White", "Black", "Asian", "Indian", "other")
MOST_AZIMUTH_DEG = 90.0
AZIMUTH_BINS_DEG = ((0.0, 30.0), (30.0, 60.0), (60.0, 91.0))
CLOSED_EYE_MM = 1.2
"""Mean gap between the lids, along the head's up, below which an eye is closed; open eyes have 5 to 9. At this gap a
line of the eyeball is left, at 0.4 none."""
OPEN_MOUTH_MM = 3.0
"""By how much the gap of the lips must exceed that of the same face without expression for an open mouth."""


@dataclass(frozen=True, eq=False)
class FaceAnswer:
    """What an engine said of the face in one photo."""

    name: str
    """Of the photo, without its ending."""
    code: FaceCode[np.ndarray]
    photometric: float
    """Mean colour distance over the visible skin, sRGB units of [0, 1]."""


class AnswerMeter:
    """Measures answers with one face model.

    Args:
        model: the face model.
    """

    def __init__(self, model: FaceModel) -> None:
        face = model.regions["face"]
        self._log_mean, self._log_basis = model.log_albedo_mean[face], model.reflectance_basis[:, face]
        self._shape_basis = model.shape_basis[:, face]
        points = in_triangles(model.landmarks478_vertices, model.landmarks478_weights)
        self._landmarks = LinearBases.of(model, points)

    def known_light(self, answers: Sequence[FaceAnswer]) -> list[Table]:
        """How much of the light gets into albedo and shape, and how far the answered light is from the true one.

        Args:
            answers: of photos named PERSON_PnnA±azimuthE±elevation; others are passed over, and lights from behind.

        Raises:
            AssetMissing: nothing is left.
        """
        lit = [(answer, found) for answer in answers if (found := LitPerson.of(answer.name))]
        lit = [(answer, found) for answer, found in lit if abs(found.azimuth_deg) <= MOST_AZIMUTH_DEG]
        if not lit:
            raise AssetMissing("none of the photos is lit from before the face")
        kept, persons = [answer for answer, _ in lit], [found.person for _, found in lit]
        azimuths_deg = np.array([found.azimuth_deg for _, found in lit])
        elevations_deg = np.array([found.elevation_deg for _, found in lit])
        true = light_direction(azimuths_deg, elevations_deg)
        answered = np.stack([dominant_direction(answer.code.illumination) for answer in kept])
        errors_deg = np.degrees(np.arccos(np.clip((true * answered).sum(axis=-1), -1.0, 1.0)))
        rows = []
        for low, high in AZIMUTH_BINS_DEG:
            chosen = (np.abs(azimuths_deg) >= low) & (np.abs(azimuths_deg) < high)
            rows.append((f"azimuth {low:.0f}° to below {high:.0f}°", int(chosen.sum()), _median(errors_deg[chosen])))
        rows.append(("all", len(kept), _median(errors_deg)))
        return [
            self._spreads(kept, persons, "One person under many lights, against different persons"),
            Table("Light: angle between answered and true direction", ("light", "photos", "median °"), tuple(rows)),
        ]

    def skin_tones(self, answers: Sequence[FaceAnswer]) -> list[Table]:
        """Albedo and photometric error of each group of people.

        Args:
            answers: of photos named age_sex_group_…; others are passed over.
        """
        groups = [int(found["group"]) if (found := GROUP_NAME.match(answer.name)) else -1 for answer in answers]
        albedo = self._log_albedo(answers).mean(axis=1)
        errors = np.array([answer.photometric for answer in answers])
        rows = []
        for number, name in enumerate(GROUPS):
            chosen = np.array(groups) == number
            if chosen.any():
                tone = np.rint(255 * linear_to_srgb(np.exp(albedo[chosen].mean(axis=0)))).astype(int)
                rows.append((name, int(chosen.sum()), _median(errors[chosen]), *tone.tolist()))
        worst = max(row[2] for row in rows) / min(row[2] for row in rows) if rows else float("nan")
        columns = ("group", "photos", "photometric, median", "mean albedo, sRGB red", "green", "blue")
        return [Table("Skin tone", columns, tuple(rows), f"Worst group's error over the best one's: {worst:.2f}")]

    def identities(self, answers: Sequence[FaceAnswer]) -> list[Table]:
        """How much closer one person's photos are than different persons'.

        Args:
            answers: of photos named PERSON_….
        """
        named = [(answer, found["person"]) for answer in answers if (found := PERSON_NAME.match(answer.name))]
        kept, persons = [answer for answer, _ in named], [person for _, person in named]
        return [self._spreads(kept, persons, "Photos of one person, against different persons")]

    def closures(self, answers: Sequence[FaceAnswer], labels: Mapping[str, Mapping[str, str]]) -> list[Table]:
        """How often eyes and mouths are answered open or closed as they are.

        Args:
            answers: of labelled photos; others are passed over.
            labels: by the photo's name, "open" or "closed" for any of left_eye, right_eye (the person's) and mouth.
        """
        rows: list[tuple[str, int, float]] = []
        for part in OPENINGS:
            said = [(answer.code, label) for answer in answers if (label := labels.get(answer.name, {}).get(part))]
            for wanted in ("open", "closed"):
                right = [self.is_closed(code, part) == (label == "closed") for code, label in said if label == wanted]
                rows.append((f"{part.replace('_', ' ')}, {wanted}", len(right), _percent(right)))
        total = sum(count for _, count, _ in rows)
        rows.append(("all", total, sum(count * share for _, count, share in rows if count) / max(1, total)))
        return [Table("Closed and open", ("part", "labelled", "right, %"), tuple(rows))]

    def is_closed(self, code: FaceCode[np.ndarray], part: str) -> bool:
        """Whether a face's left_eye, right_eye or mouth is closed."""
        upper, lower = OPENINGS[part]
        expressions = np.stack((code.expression, np.zeros_like(code.expression)))
        points = self._landmarks.points(*linear_weights(np.stack((code.full_shape, code.full_shape)), expressions))
        own_mm, neutral_mm = (points[:, upper[1:-1], 1] - points[:, lower[1:-1], 1]).mean(axis=-1)
        return bool(own_mm < neutral_mm + OPEN_MOUTH_MM if part == "mouth" else own_mm < CLOSED_EYE_MM)

    def _spreads(self, answers: Sequence[FaceAnswer], persons: Sequence[str], title: str) -> Table:
        """Of albedo and shape, within and between persons."""
        log_albedo = self._log_albedo(answers) @ np.array(LUMINANCE_WEIGHTS)
        tone = log_albedo.mean(axis=1, keepdims=True)
        shape = np.tensordot(np.stack([answer.code.full_shape for answer in answers]), self._shape_basis, axes=1)
        distance = np.sqrt(3.0)
        measured = (
            ("skin tone: mean logarithm of the albedo's luminance", tone, 1.0),
            ("albedo: the same at every vertex", log_albedo, 1.0),
            ("shape without expression, mm", shape, distance),
            ("shape coefficients", np.stack([answer.code.shape for answer in answers]), 1.0),
        )
        rows = []
        for name, values, unit in measured:
            each = values.reshape(len(answers), -1)
            within, between = spreads(each, persons)
            ratio = within / between if between else float("nan")
            rows.append((name, unit * within, unit * between, ratio, *ratio_interval(each, persons)))
        note = f"{len(answers)} photos of {len(set(persons))} persons."
        return Table(title, SPREAD_COLUMNS, tuple(rows), note)

    def _log_albedo(self, answers: Sequence[FaceAnswer]) -> np.ndarray:
        """(answers, face vertices, 3), of the albedo that can be, see `albedo_from_log`."""
        reflectance = np.stack([answer.code.full_reflectance for answer in answers])
        return np.log(albedo_from_log(self._log_mean + np.tensordot(reflectance, self._log_basis, axes=1)))


def light_direction(azimuth_deg: np.ndarray, elevation_deg: np.ndarray) -> np.ndarray:
    """Unit vectors (…, 3) in the camera frame toward a light of Extended Yale B."""
    azimuth, elevation = np.radians(azimuth_deg), np.radians(elevation_deg)
    return np.stack(
        (-np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)), axis=-1
    )


def spreads(values: np.ndarray, persons: Sequence[str]) -> tuple[float, float]:
    """Root mean squares within and between persons.

    Args:
        values: (photos, numbers).
        persons: who each photo is of.
    """
    each = np.array(persons)
    means = np.stack([values[each == person].mean(axis=0) for person in sorted(set(persons))])
    place = np.searchsorted(sorted(set(persons)), each)
    within = np.sqrt(np.square(values - means[place]).mean())
    between = np.sqrt(np.square(means - means.mean(axis=0)).mean())
    return float(within), float(between)


def ratio_interval(values: np.ndarray, persons: Sequence[str]) -> tuple[float, float]:
    """What the ratio within over between is in 95 of 100 draws of as many persons, with replacement, from these.

    Args:
        values: (photos, numbers).
        persons: who each photo is of; NaN for fewer than three of them.
    """
    each, names = np.array(persons), sorted(set(persons))
    if len(names) < 3:
        return float("nan"), float("nan")
    groups = [values[each == name] for name in names]
    means, counts = np.stack([group.mean(axis=0) for group in groups]), np.array([len(group) for group in groups])
    squares = np.array([np.square(group - mean).mean(axis=1).sum() for group, mean in zip(groups, means, strict=True)])
    apart = np.stack([np.square(means - mean).mean(axis=1) for mean in means])  # half their mean is the variance
    drawn = np.random.default_rng(0).integers(len(names), size=(RESAMPLINGS, len(names)))
    within = squares[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    between = apart[drawn[:, :, None], drawn[:, None, :]].mean(axis=(1, 2)) / 2
    low, high = np.quantile(np.sqrt(within / np.maximum(between, 1e-12)), (0.025, 0.975))
    return float(low), float(high)


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _percent(right: Sequence[bool]) -> float:
    return 100.0 * sum(right) / len(right) if right else float("nan")
