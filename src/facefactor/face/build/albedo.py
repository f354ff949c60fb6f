# SPDX-License-Identifier: Apache-2.0
"""The albedo space of the face model: people drawn from a model of pigment, and their principal components.

Fifth step of the model build. A person's traits (two pigments and how they vary over the face, hair, irises, skin
texture) become one albedo, linear sRGB at the subdivided vertices:

    log a = (1 − h) · [log skin(c_m, c_h) + texture] + h · log hair,      h = density × map of brows, beard, …

and eyes, teeth and mouth have colours of their own. The model's space is

    a(β) = exp(log-mean + Σ β_k B_k),   β ~ N(0, 1)

the principal components of log a over many people, weighted by area and importance. Components of a logarithm keep
albedo positive and multiplicative, as pigment is. `draw_person` draws real people, ancestry, sex and age jointly. The
components come from `draw_gaussian_person` instead, whose traits spread evenly to both sides, for a Gaussian prior
knows no other shape: skin tone is normal in log luminance, and a beard is a faint shade whose spread is smaller than
its mean, so that a coefficient two spreads below it lightens the jaw by a tenth only. A full beard lies far out.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from facefactor.face.build.albedo_maps import NUM_MODES, AlbedoMaps, build_maps
from facefactor.face.build.mesh import HeadTopology
from facefactor.face.build.pigment import LUMINANCE, MEAN_HAEMOGLOBIN, PigmentTable, melanin_for_luminance
from facefactor.face.model import ALBEDO_RANGE

NUM_TRAINING_PEOPLE = 1500

PIGMENT_REGIONS = {
    # region: log melanin (mean, spread), log haemoglobin (mean, spread)
    "lips": (-0.15, 0.22, 1.35, 0.25),
    "cheeks": (0.00, 0.07, 0.34, 0.22),
    "nose": (0.02, 0.07, 0.28, 0.20),
    "ears": (-0.05, 0.08, 0.35, 0.20),
    "chin": (0.02, 0.06, 0.10, 0.12),
    "lids": (0.10, 0.10, 0.15, 0.12),
    "under_eyes": (0.08, 0.10, 0.10, 0.12),
    "forehead": (0.08, 0.08, -0.05, 0.10),
    "neck": (-0.04, 0.08, -0.05, 0.10),
    "around_mouth": (0.03, 0.08, 0.00, 0.10),
}
MODE_MELANIN, MODE_HAEMOGLOBIN = 0.10, 0.10
"""Standard deviation over the face of the smooth irregularity of each pigment, in its logarithm."""
EVENING_MELANIN = 0.08
"""Share of melanin at which regional differences of its logarithm are halved."""
TEXTURE_SPREAD = 0.45
LASH_DENSITY = 0.30
LIP_TINT = (-0.12, -0.15, -0.03)
"""Added to log albedo of lips: their blood lies closer to the surface and holds less oxygen than the cheeks'."""

MEAN_LOG_LUMINANCE, SPREAD_LOG_LUMINANCE = np.log(0.20), 0.60
"""Skin tone in the components: two coefficients either way reach from L* 28 to 79."""
RACE_TONES = {"african": (0.165, 0.45), "asian": (0.045, 0.40), "caucasian": (0.020, 0.65)}
"""Median share of melanin and spread of its logarithm in the order of `makehuman.RACES`."""

HAIR = {
    "black": (0.012, 0.010, 0.009),
    "brown": (0.045, 0.026, 0.016),
    "blond": (0.26, 0.16, 0.075),
    "grey": (0.33, 0.29, 0.25),
}
IRIS = {
    "dark": (0.035, 0.018, 0.010),
    "brown": (0.105, 0.047, 0.020),
    "hazel": (0.155, 0.105, 0.045),
    "green": (0.140, 0.150, 0.085),
    "blue": (0.165, 0.235, 0.310),
    "grey": (0.200, 0.230, 0.250),
}
"""Linear sRGB of hair as it stands on skin, and of irises."""
PUPIL, SCLERA, TEETH = (0.010, 0.010, 0.010), (0.68, 0.65, 0.61), (0.66, 0.60, 0.48)
MOUTH, TONGUE = (0.12, 0.030, 0.028), (0.32, 0.11, 0.10)


@dataclass(frozen=True)
class Person:
    """Traits of one person, all that `sample_albedo` needs. Pigments are logarithms of shares (see `pigment`)."""

    log_melanin: float
    log_haemoglobin: float
    yellowness: float
    """Natural logarithm by which carotene dims blue."""
    region_log_melanin: np.ndarray
    """(R,) added in each of PIGMENT_REGIONS."""
    region_log_haemoglobin: np.ndarray
    mode_log_melanin: np.ndarray
    """(NUM_MODES,) coefficients of the smooth modes."""
    mode_log_haemoglobin: np.ndarray
    texture: np.ndarray
    """(K,) shares of the photographed skins' detail."""
    brow_density: float
    """0 none to 1 opaque; likewise the next four."""
    brow_bushiness: float
    beard_density: float
    moustache_density: float
    scalp_density: float
    log_hair: np.ndarray
    """(3,) log linear sRGB, as are the next three."""
    log_iris: np.ndarray
    log_sclera: np.ndarray
    log_teeth: np.ndarray


@dataclass(frozen=True)
class AlbedoModel:
    """a(β) = exp(log_mean + Σ β_k basis_k) at the S subdivided vertices, linear sRGB."""

    log_mean: np.ndarray
    """(S, 3)"""
    basis: np.ndarray
    """(K, S, 3), scaled so that coefficients have variance one."""
    explained_variance: np.ndarray
    """(K,) share of the weighted variance of log albedo that each component explains, largest first."""
    weights: np.ndarray
    """(S,) importance of the vertices, with sum one."""
    mean_log_luminance: float
    """Natural logarithm of CIE Y of the mean's cheeks, forehead and chin."""
    log_luminance_basis: np.ndarray
    """(K,) what each coefficient adds to it: its norm is the spread of skin tone."""

    def albedo(self, coefficients: np.ndarray) -> np.ndarray:
        """Albedo (S, 3) of coefficients (K,), held inside ALBEDO_RANGE."""
        log_albedo = self.log_mean + np.tensordot(coefficients, self.basis, axes=1)
        return inside_range(np.exp(log_albedo))

    def coefficients(self, albedo: np.ndarray) -> np.ndarray:
        """Coefficients (K,) of the weighted least-squares fit of log albedo (S, 3)."""
        weighted = self.basis * self.weights[:, None]
        strength = np.einsum("ksc,ksc->k", weighted, self.basis)
        return np.einsum("ksc,sc->k", weighted, np.log(albedo) - self.log_mean) / strength


def build_albedo(
    topology: HeadTopology,
    mean_vertices: np.ndarray,
    subdivision: sparse.csr_matrix,
    quads: np.ndarray,
    skins: Path,
    seed: int = 0,
    count: int = 80,
) -> AlbedoModel:
    """Build the albedo space.

    Args:
        topology: the head.
        mean_vertices: (V, 3) mm.
        subdivision: (S, V) one Catmull–Clark step.
        quads: (Q', 4) of the refined mesh.
        skins: folder of MakeHuman's system skins.
        seed: of the people drawn.
        count: of the components kept.
    """
    return albedo_space(build_maps(topology, mean_vertices, subdivision, quads, skins), seed, count)


def albedo_space(maps: AlbedoMaps, seed: int, count: int, num_people: int = NUM_TRAINING_PEOPLE) -> AlbedoModel:
    """Components of people drawn over the maps of the head; arguments as in `build_albedo`."""
    table, generator = PigmentTable.build(), np.random.default_rng(seed)
    people = (draw_gaussian_person(generator, len(maps.textures)) for _ in range(num_people))
    return principal_components(np.stack([_log_albedo(maps, table, person) for person in people]), maps, count)


def principal_components(log_albedos: np.ndarray, maps: AlbedoMaps, count: int) -> AlbedoModel:
    """Weighted principal components of log albedos (N, S, 3), by the eigenvectors of their N × N Gram matrix."""
    number, num_vertices, _ = log_albedos.shape
    log_mean = log_albedos.mean(axis=0)
    centred = (log_albedos - log_mean).reshape(number, -1)
    gram = np.zeros((number, number))
    for columns in np.array_split(np.arange(centred.shape[1]), 16):
        block = centred[:, columns] * np.sqrt(maps.weights[columns // 3]).astype(centred.dtype)
        gram += block @ block.T
    values, vectors = np.linalg.eigh(gram / number)
    values, vectors = values[::-1], vectors[:, ::-1]
    scores = np.sqrt(number) * vectors[:, :count]
    basis = (scores.T @ centred / number).reshape(count, num_vertices, 3)
    basis *= _lighter_sign(basis, maps)[:, None, None]
    mean_luminance, luminance_basis = _luminance(log_mean, basis, maps)
    return AlbedoModel(
        log_mean=log_mean.astype(np.float32),
        basis=basis.astype(np.float32),
        explained_variance=values[:count] / values.sum(),
        weights=maps.weights,
        mean_log_luminance=mean_luminance,
        log_luminance_basis=luminance_basis,
    )


def sample_albedo(maps: AlbedoMaps, table: PigmentTable, person: Person) -> np.ndarray:
    """Albedo (S, 3) of a person, linear sRGB inside ALBEDO_RANGE."""
    return inside_range(np.exp(_log_albedo(maps, table, person)))


def inside_range(albedo: np.ndarray) -> np.ndarray:
    """Hold albedo (..., 3) inside ALBEDO_RANGE; a colour too light keeps its hue, lest it turn green."""
    low, high = ALBEDO_RANGE
    return np.maximum(albedo * np.minimum(high / albedo.max(axis=-1, keepdims=True), 1.0), low)


def draw_person(
    generator: np.random.Generator,
    num_textures: int,
    races: np.ndarray,
    female: float,
    age_years: float,
    melanin: float | None = None,
) -> Person:
    """Draw traits that go together.

    Args:
        generator: source of chance.
        num_textures: of the maps used.
        races: (3,) weights of `makehuman.RACES`, summing to one.
        female: 1 female, 0 male.
        age_years: greys hair, deepens texture, and lets beards grow from 15.
        melanin: share of melanin instead of one drawn for the ancestry.
    """
    median, spread = (
        np.exp(races @ np.log([tone[0] for tone in RACE_TONES.values()])),
        races @ [tone[1] for tone in RACE_TONES.values()],
    )
    log_melanin = np.log(median) + spread * generator.standard_normal() if melanin is None else np.log(melanin)
    fairness = np.clip((np.log(0.03) - log_melanin) / 1.5, 0.0, 1.0) * races[2]
    is_bearded = female < 0.5 and age_years > 15 and generator.random() < 0.55
    beard = float(is_bearded) * generator.uniform(0.05, 0.75)
    return _person(
        generator,
        num_textures,
        log_melanin=float(np.clip(log_melanin, np.log(0.003), np.log(0.45))),
        brow_density=generator.uniform(0.25, 0.7) + 0.1 * (1 - female),
        brow_bushiness=generator.uniform(0.0, 0.5),
        beard_density=beard,
        moustache_density=beard * generator.uniform(0.0, 0.6),
        scalp_density=0.6 * generator.beta(1.0, 2.0),
        log_hair=_draw_hair(generator, fairness, age_years),
        log_iris=_draw_iris(generator, fairness),
    )


def draw_gaussian_person(generator: np.random.Generator, num_textures: int) -> Person:
    """Draw traits from the nearest Gaussian to people of all ancestries, for the principal components."""
    tone = float(np.clip(generator.standard_normal(), -2.3, 2.0))
    luminance = np.exp(MEAN_LOG_LUMINANCE + SPREAD_LOG_LUMINANCE * tone)
    fair = 0.7 * tone + 0.7 * generator.standard_normal()
    log_hair = np.log(HAIR["brown"]) - 0.35 + 0.20 * fair + 0.12 * generator.standard_normal()
    log_iris = _between(IRIS, ("brown", "hazel", "blue"), (0.62, 0.20, 0.18)) - 0.22
    log_iris += 0.24 * generator.standard_normal()
    log_iris += 0.36 * fair * (np.log(IRIS["blue"]) - np.log(IRIS["brown"]))
    log_iris += generator.standard_normal() * 0.12 * (np.log(IRIS["green"]) - np.log(IRIS["grey"]))
    return _person(
        generator,
        num_textures,
        log_melanin=float(np.log(melanin_for_luminance(luminance))),
        brow_density=0.50 + 0.11 * generator.standard_normal(),
        brow_bushiness=0.25 + 0.12 * generator.standard_normal(),
        beard_density=0.06 + 0.05 * generator.standard_normal(),
        moustache_density=0.02 + 0.02 * generator.standard_normal(),
        scalp_density=0.13 + 0.06 * generator.standard_normal(),
        log_hair=log_hair,
        log_iris=log_iris,
    )


def _person(generator: np.random.Generator, num_textures: int, **given) -> Person:
    """A person with the traits given, the others drawn."""
    regions = np.array(list(PIGMENT_REGIONS.values()))
    draw = generator.standard_normal
    return Person(
        log_haemoglobin=float(np.log(MEAN_HAEMOGLOBIN) + 0.18 + 0.18 * draw()),
        yellowness=float(-0.03 + 0.035 * draw()),
        region_log_melanin=regions[:, 0] + regions[:, 1] * draw(len(regions)),
        region_log_haemoglobin=regions[:, 2] + regions[:, 3] * draw(len(regions)),
        mode_log_melanin=MODE_MELANIN * draw(NUM_MODES),
        mode_log_haemoglobin=MODE_HAEMOGLOBIN * draw(NUM_MODES),
        texture=0.8 / num_textures + TEXTURE_SPREAD / np.sqrt(num_textures) * draw(num_textures),
        log_sclera=np.log(SCLERA) + 0.05 * draw() + 0.02 * draw() * np.array([0.0, 0.5, 1.5]),
        log_teeth=np.log(TEETH) + 0.08 * draw() + 0.05 * draw() * np.array([0.0, 0.5, 1.5]),
        **given,
    )


def _draw_hair(generator: np.random.Generator, fairness: float, age_years: float) -> np.ndarray:
    light = fairness * generator.beta(1.0, 1.4)
    log_hair = _between(HAIR, ("black", "brown", "blond"), _three_stops(0.35 * generator.random() + light))
    grey = np.clip((age_years - 40) / 35 + 0.25 * generator.standard_normal(), 0, 1) if age_years > 35 else 0.0
    return (1 - 0.8 * grey) * log_hair + 0.8 * grey * np.log(HAIR["grey"])


def _draw_iris(generator: np.random.Generator, fairness: float) -> np.ndarray:
    light = generator.random() < 0.85 * fairness
    names = ("hazel", "green", "blue", "grey") if light else ("dark", "brown", "hazel")
    shares = generator.dirichlet((0.5, 0.4, 1.2, 0.5) if light else (1.2, 1.0, 0.15 + fairness))
    return _between(IRIS, names, shares) + 0.12 * generator.standard_normal()


def _three_stops(position: float) -> np.ndarray:
    return np.array([np.interp(position, [0, 0.5, 1], stop) for stop in np.eye(3)])


def _between(colours: dict[str, tuple], names: tuple[str, ...], shares: np.ndarray | tuple) -> np.ndarray:
    """Geometric mean (3,) of colours by their shares, as a logarithm."""
    return np.asarray(shares) @ np.log([colours[name] for name in names])


def _log_albedo(maps: AlbedoMaps, table: PigmentTable, person: Person) -> np.ndarray:
    """Log albedo (S, 3), float32."""
    log_albedo = _log_skin(maps, table, person)
    regions = maps.regions
    brows = person.brow_density * (regions["brow"] + person.brow_bushiness * regions["brow_fringe"])
    beard = person.beard_density * regions["beard"] + person.moustache_density * regions["moustache"]
    hair = brows + beard + person.scalp_density * regions["scalp"]
    hair = np.minimum(hair + LASH_DENSITY * (0.6 + person.brow_density) * regions["lash"], 0.97)
    layers = (
        (hair, person.log_hair),
        (regions["mouth_inside"], np.log(MOUTH)),
        (regions["tongue"], np.log(TONGUE)),
        (regions["teeth"], person.log_teeth),
    )
    for cover, colour in layers:
        at = np.flatnonzero(cover)
        log_albedo[at] += cover[at, None] * (colour - log_albedo[at])
    eyes = np.isfinite(maps.eye_angle_rad)
    log_albedo[eyes] = _log_eye(maps.eye_angle_rad[eyes], regions["sclera_corner"][eyes], person)
    return log_albedo


def _log_skin(maps: AlbedoMaps, table: PigmentTable, person: Person) -> np.ndarray:
    """Skin without hair, (S, 3). The darker the skin, the less its melanin varies over the face, as a share."""
    fields = np.concatenate([np.stack([maps.regions[name] for name in PIGMENT_REGIONS], axis=1), maps.modes], axis=1)
    melanin = np.concatenate([person.region_log_melanin, maps.mode_strength * person.mode_log_melanin])
    haemoglobin = np.concatenate([person.region_log_haemoglobin, maps.mode_strength * person.mode_log_haemoglobin])
    evenness = 1 / (1 + np.exp(person.log_melanin) / EVENING_MELANIN)
    change = fields @ np.stack([evenness * melanin, haemoglobin], axis=1).astype(np.float32)
    log_skin = table.look_up(person.log_melanin + change[:, 0], person.log_haemoglobin + change[:, 1])
    log_skin += np.tensordot(person.texture.astype(np.float32), maps.textures, axes=1)
    log_skin += maps.regions["lips"][:, None] * np.array(LIP_TINT, dtype=np.float32)
    return log_skin - np.float32(person.yellowness) * np.array([-0.1, 0.1, 1.0], dtype=np.float32)


def _log_eye(angle_rad: np.ndarray, corner: np.ndarray, person: Person) -> np.ndarray:
    """Pupil, iris with a darker rim and a lighter, warmer collar, and the white, by the angle from the axis."""
    degrees = np.degrees(angle_rad)[:, None]
    collar = np.exp(-0.5 * ((degrees - 10.5) / 2.5) ** 2) * np.array([0.25, 0.12, 0.0])
    rim = np.exp(-0.5 * ((degrees - 23.5) / 2.0) ** 2) * 0.7
    iris = person.log_iris + collar - rim
    white = person.log_sclera - corner[:, None] * np.array([0.03, 0.22, 0.20])
    to_iris = np.clip((degrees - 7.0) / 1.5, 0, 1)
    to_white = np.clip((degrees - 23.6) / 1.6, 0, 1)
    return (1 - to_iris) * np.log(PUPIL) + to_iris * ((1 - to_white) * iris + to_white * white)


def _plain_skin(maps: AlbedoMaps) -> np.ndarray:
    """Weights (S,) with sum one on cheeks, forehead and chin, by which skin tone is measured."""
    weights = (maps.regions["cheeks"] + maps.regions["forehead"] + maps.regions["chin"]) * maps.weights
    return weights / weights.sum()


def _lighter_sign(basis: np.ndarray, maps: AlbedoMaps) -> np.ndarray:
    """Sign (K,) with which a component lightens the skin, so that its direction is not left to chance."""
    return np.where(np.einsum("ksc,s->k", basis, _plain_skin(maps)) < 0, -1.0, 1.0)


def _luminance(log_mean: np.ndarray, basis: np.ndarray, maps: AlbedoMaps) -> tuple[float, np.ndarray]:
    """Log luminance of the mean's skin, and its derivative by each coefficient."""
    weights = _plain_skin(maps)
    colour = np.exp(weights @ log_mean)
    luminance = colour @ LUMINANCE
    return float(np.log(luminance)), np.einsum("ksc,s->kc", basis, weights) @ (colour * LUMINANCE) / luminance
