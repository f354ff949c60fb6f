# SPDX-License-Identifier: Apache-2.0
"""Synthetic faces with exact codes, hundreds a second: what the encoder and the landmark network learn from first.

    random code ─face model─► head ─framing─► pose in its crop ─┬─► landmarks and what hides them      (exact)
    hair, glasses, hat, hand, clothes ──────────────────────────┴─► picture over a background ─► photo effects

A face is made from (seed, index) alone, whichever batch or thread it falls into. The picture has more in it than the
code can say (shadows, gloss, pores, hair, noise); code, landmarks and visibility are exact all the same: projecting the
code's mesh gives the landmarks, and `render_bare` draws the code alone, as `render/picture.py` would.
"""

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from scipy import sparse
from scipy.spatial.transform import Rotation

from facefactor.camera.pose import axis_angle_from_matrix, matrix_from_euler_deg
from facefactor.code.face_code import FaceCode
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.data import accessories, hair, random_codes
from facefactor.data.ambient import ambient_visibility
from facefactor.data.backgrounds import Backgrounds
from facefactor.data.batch import CropBatch
from facefactor.data.environments import Environments
from facefactor.data.framing import draw_jitter, frame_head, project
from facefactor.data.photo_detail import PhotoDetail
from facefactor.data.photo_effects import degrade, end_photo
from facefactor.data.surface_kernel import average_and_encode
from facefactor.data.surfaces import Canvas, SceneLight, Surface, View, lay, split_light
from facefactor.data.synthetic_face import SyntheticFace
from facefactor.encode import ENCODER_CROP_PX
from facefactor.face.adjacency import neighbour_average, triangle_edges
from facefactor.face.model import FaceModel, load_face_model
from facefactor.face.morph import MorphableFace
from facefactor.photo.colour import linear_to_srgb, srgb_to_linear
from facefactor.photo.crop import FOCAL_PER_CROP_SIZE

AMBIENT_OF_OPEN_SKIN = 0.78
"""Ambient visibility of cheeks and forehead on a head without hair; what sees as much counts as open."""
AMBIENT_UNDER_LIDS = 0.75
"""Of the eyeballs, for lids and lashes that the mean head's vertices do not show them."""
AMBIENT_OF_INCISORS = 0.65
"""At least, since lips that show the teeth let light onto them, which the mean head's closed lips and dropped jaw do
not tell; it falls to nothing TEETH_DEPTH_MM behind the foremost."""
TEETH_DEPTH_MM = 25.0
AMBIENT_OF_MOUTH = 0.5
"""At least, of what carries a photo's own detail."""
HIDDEN_MM = 5.0
"""A landmark is hidden when a surface is nearer than it by more than this."""
HAIR_UNDER_HAT_MM = 3.0
MOLE = -0.5
"""Change of albedo at a mole."""
NOSE_HALF_WIDTH_MM = 25.0
FADE_STEPS = 10
"""Rounds of averaging over neighbours by which a face that is laid over a photo fades towards its border."""
TEXTURE_PX = 256
JAW_OPEN = EXPRESSION_NAMES.index("jawOpen")

_LINEAR_OF_BYTE = srgb_to_linear(np.arange(256, dtype=np.float32) / np.float32(255)).astype(np.float32)
_BYTE_OF_LINEAR = np.rint(255.0 * linear_to_srgb(np.linspace(0.0, 1.0, 8192))).astype(np.uint8)


@dataclass(frozen=True)
class SyntheticSettings:
    """How synthetic faces are made; shares are of all faces."""

    seed: int = 0
    border_px: int = 0
    """Added to the encoder crop's 128 px on each side, at the same pixels per millimetre."""
    supersample: int = 2
    """Sub-pixels along each side of a pixel."""
    subdivided: bool = True
    """Draw the mesh refined once, whose albedo has the lip line and the brows' hairs; without, half as much work."""
    effects: bool = True
    """Blur, noise, tone and compression."""
    crop_spread: float = 1.0
    """Of crop errors: 0 crops exactly by the landmarks."""
    environment_share: float = 0.4
    """Lit by a real place, when there are any."""
    hat_share: float = 0.08
    scarf_share: float = 0.03
    glasses_share: float = 0.18
    hand_share: float = 0.08
    clothes_share: float = 0.95
    ended_share: float = 0.35
    """Whose photo ends within the crop, as tight portraits do."""

    def __post_init__(self) -> None:
        shares = (
            self.environment_share,
            self.hat_share + self.scarf_share,
            self.glasses_share,
            self.hand_share,
            self.clothes_share,
            self.ended_share,
        )
        if not all(0.0 <= share <= 1.0 for share in shares):
            raise ValueError(f"shares must lie in [0, 1], got {shares}")
        if self.border_px < 0 or self.supersample < 1 or self.crop_spread < 0.0:
            raise ValueError("border_px and crop_spread must not be negative, supersample at least one")

    @property
    def size_px(self) -> int:
        """Width and height of the pictures."""
        return ENCODER_CROP_PX + 2 * self.border_px

    @property
    def K(self) -> np.ndarray:
        """(3, 3) intrinsics of the pictures: the encoder crop's, moved by the border."""
        focal_px, centre_px = FOCAL_PER_CROP_SIZE * ENCODER_CROP_PX, self.size_px / 2
        return np.array([[focal_px, 0.0, centre_px], [0.0, focal_px, centre_px], [0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class _Draft:
    """A face before it is drawn."""

    generator: np.random.Generator
    code: FaceCode[np.ndarray]
    light: SceneLight
    vertices: np.ndarray
    albedo: np.ndarray
    landmarks_head: np.ndarray


@dataclass(frozen=True)
class _Look:
    """What the head's skin is like: per-vertex facts of the face model, drawn mesh."""

    triangles: np.ndarray
    ambient: np.ndarray
    """(2, vertices) with the mouth shut and open."""
    is_skin: np.ndarray
    is_eye: np.ndarray
    is_moist: np.ndarray
    """Lips' inside, gums, tongue, teeth."""
    face_cover: np.ndarray
    """One on the narrow face with eyes and mouth, fading to zero towards scalp, ears and neck."""


class SyntheticFaces:
    """Makes synthetic faces by number.

    Args:
        settings: of all faces.
        backgrounds: photos to put behind them; made up when there are none.
        model: the face model; None loads the one that ships.
        environments: places whose light falls on some of the faces; made-up light alone when left out.
    """

    def __init__(
        self,
        settings: SyntheticSettings | None = None,
        backgrounds: Backgrounds | None = None,
        model: FaceModel | None = None,
        environments: Environments | None = None,
    ) -> None:
        self.settings = settings or SyntheticSettings()
        self.backgrounds = backgrounds or Backgrounds()
        self.environments = environments
        self.model = model or load_face_model()
        self._face = MorphableFace(self.model, native_albedo=not self.settings.subdivided)
        self._look = _measure_look(self.model, self.settings.subdivided)
        self._scalp = hair.chart_scalp(self.model)
        self._texture = _strand_texture()

    def make(self, indices: Sequence[int]) -> list[SyntheticFace]:
        """Make the faces of these numbers."""
        return [self._draw(draft) for draft in self._drafts(indices)]

    def make_batch(self, first: int, batch_size: int) -> CropBatch:
        """Make the faces numbered first, first + 1, … as tensors."""
        return batch_of(self.make(range(first, first + batch_size)))

    def redraw(
        self,
        code: FaceCode[np.ndarray],
        indices: Sequence[int],
        photos_srgb: Sequence[np.ndarray] | None = None,
        details: Sequence[np.ndarray | None] | None = None,
    ) -> list[SyntheticFace]:
        """Draw given faces, as breeding does with what a network saw in photos.

        Args:
            code: (B, …) in the encoder crop's camera.
            indices: B numbers, from which all that the code does not say is drawn.
            photos_srgb: B pictures (size, size, 3) uint8 over which the face alone is laid, so that hair and
                surroundings stay the photo's; without, heads are drawn with made-up hair and backgrounds.
            details: of `take_details`, for each photo: what its face has beyond the code. Without one, shadow, gloss,
                pores and moles are made up.
        """
        generators = [np.random.default_rng([self.settings.seed, index]) for index in indices]
        drafts = self._build(code, [split_light(light) for light in code.illumination], generators)
        if photos_srgb is None:
            return [self._draw(draft) for draft in drafts]
        details = [None] * len(drafts) if details is None else details
        return [self._draw_over(*parts) for parts in zip(drafts, photos_srgb, details, strict=True)]

    def take_details(self, code: FaceCode[np.ndarray], photos_srgb: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What photos show of faces beyond their codes: logarithms of the change of albedo, (vertices, 3) each.

        Args:
            code: (B, …) of what was seen in the photos, in the encoder crop's camera.
            photos_srgb: B pictures (size, size, 3) uint8.
        """
        if not photos_srgb:
            return []
        vertices, albedo, _ = self._decode(code)
        details = []
        for item, photo_srgb in enumerate(photos_srgb):
            view, dimmed = self._view(code[item]), albedo[item] * self._ambient_with_detail(code[item])[:, None]
            placed = vertices[item] @ view.R.T + view.t
            details.append(self._photo_detail.take(placed, dimmed, code[item].illumination, view.K, photo_srgb))
        return details

    def render_bare(self, code: FaceCode[np.ndarray]) -> np.ndarray:
        """Draw one code and nothing else, over black: (size, size, 3) uint8.

        Args:
            code: of one face, in the encoder crop's camera.
        """
        vertices, albedo, _ = self._decode(code.map(lambda part: part[None]))
        light = _without_shadow(code.illumination)
        fine = self.settings.size_px * self.settings.supersample
        canvas = Canvas.over(np.zeros((fine, fine, 3), dtype=np.float32))
        lay(canvas, [Surface(vertices[0], self._look.triangles, albedo[0])], light, self._view(code), self._texture)
        return self._develop(canvas)

    def stream(self, batch_size: int, first: int = 0, num_threads: int = 1, stride: int = 1) -> Iterator[CropBatch]:
        """Yield batches without end, in the order of their numbers whatever the number of threads.

        Args:
            batch_size: faces in a batch.
            first: number of the first face.
            num_threads: batches made at the same time; as many are made ahead.
            stride: batches from one to the next, where several processes share the faces.
        """
        starts = range(first, sys.maxsize, stride * batch_size)
        with ThreadPoolExecutor(num_threads) as pool:
            pending = deque(pool.submit(self.make_batch, start, batch_size) for start in starts[:num_threads])
            for start in starts[num_threads:]:
                batch = pending.popleft().result()
                pending.append(pool.submit(self.make_batch, start, batch_size))
                yield batch

    def _drafts(self, indices: Sequence[int]) -> list[_Draft]:
        """Draw codes and build their heads, all at once."""
        generators = [np.random.default_rng([self.settings.seed, index]) for index in indices]
        parts = {
            "shape": np.stack([random_codes.draw_shape(generator) for generator in generators]),
            "expression": np.stack([random_codes.draw_expression(generator) for generator in generators]),
            "reflectance": np.stack([random_codes.draw_reflectance(generator) for generator in generators]),
        }
        lights = [self._draw_light(generator) for generator in generators]
        neutral = FaceCode.neutral((len(indices),))
        code = neutral.with_shape(parts["shape"]).with_expression(parts["expression"])
        code = code.with_reflectance(parts["reflectance"])
        code = code.with_light(np.stack([light.illumination for light in lights]).astype(np.float32))
        drafts = self._build(code, lights, generators)
        poses = self._poses([draft.landmarks_head for draft in drafts], generators)
        return [
            replace(draft, code=draft.code.with_pose(rotation, translation))
            for draft, rotation, translation in zip(drafts, *poses, strict=True)
        ]

    def _draw_light(self, generator: np.random.Generator) -> SceneLight:
        if self.environments is not None and generator.random() < self.settings.environment_share:
            return self.environments.draw(generator)
        return SceneLight(*random_codes.draw_light(generator))

    def _build(
        self, code: FaceCode[np.ndarray], lights: Sequence[SceneLight], generators: Sequence[np.random.Generator]
    ) -> list[_Draft]:
        """Build the heads of a batch."""
        vertices, albedo, landmarks = self._decode(code)
        return [
            _Draft(generators[item], code[item], lights[item], vertices[item], albedo[item], landmarks[item])
            for item in range(len(generators))
        ]

    @torch.no_grad()
    def _decode(self, code: FaceCode[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Vertices, albedo and landmarks (B, 478, 3) of a batch, head frame."""
        tensors = code.to_torch()
        native = self._face.vertices(tensors.shape, tensors.expression)
        vertices = self._face.subdivide(native) if self.settings.subdivided else native
        corners = native.numpy()[:, self.model.landmarks478_vertices]
        landmarks = (corners * self.model.landmarks478_weights[..., None]).sum(axis=2)
        return vertices.numpy(), self._face.albedo(tensors.reflectance).numpy(), landmarks

    def _poses(
        self, landmarks: Sequence[np.ndarray], generators: Sequence[np.random.Generator]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw poses: axis-angle and translation (B, 3) float32."""
        euler_deg = np.stack([random_codes.draw_euler_deg(generator) for generator in generators])
        turns = matrix_from_euler_deg(torch.from_numpy(euler_deg)).numpy()
        poses = []
        for points, R, generator in zip(landmarks, turns, generators, strict=True):
            roll_rad = np.radians(self.settings.crop_spread * random_codes.draw_roll_deg(generator))
            jitter = draw_jitter(generator, roll_rad, self.settings.crop_spread)
            poses.append(frame_head(points, R, jitter, self.settings.K, self.settings.size_px, ENCODER_CROP_PX))
        rotation = axis_angle_from_matrix(torch.from_numpy(np.stack([R for R, _ in poses]))).numpy()
        return rotation.astype(np.float32), np.stack([t for _, t in poses]).astype(np.float32)

    def _draw(self, draft: _Draft) -> SyntheticFace:
        """Draw one face with all that is around it."""
        background = self.backgrounds.draw(self.settings.size_px, draft.generator)
        face = self._finish(draft, background, [self._head(draft), *self._around(draft)])
        if draft.generator.random() < self.settings.ended_share:
            return replace(face, picture_srgb=end_photo(face.picture_srgb, face.landmarks_px, draft.generator))
        return face

    def _draw_over(self, draft: _Draft, photo_srgb: np.ndarray, detail: np.ndarray | None) -> SyntheticFace:
        """Draw the narrow face of one head over a photo; with a photo's detail nothing is made up."""
        if detail is None:
            return self._finish(draft, photo_srgb, [replace(self._head(draft), cover=self._look.face_cover)])
        face = Surface(
            draft.vertices,
            self._look.triangles,
            draft.albedo * np.exp(detail),
            ambient=self._ambient_with_detail(draft.code),
            cover=self._look.face_cover,
        )
        return self._finish(replace(draft, light=_without_shadow(draft.code.illumination)), photo_srgb, [face])

    def _finish(self, draft: _Draft, background: np.ndarray, surfaces: list[Surface]) -> SyntheticFace:
        """Draw surfaces, see which landmarks can be seen, and make a photo of it."""
        settings, view = self.settings, self._view(draft.code)
        fine = np.repeat(np.repeat(_LINEAR_OF_BYTE[background], settings.supersample, 0), settings.supersample, 1)
        canvas = Canvas.over(fine)
        lay(canvas, surfaces, draft.light, view, self._texture)
        landmarks_camera = draft.landmarks_head @ view.R.T + view.t
        landmarks_px = project(landmarks_camera, view.K)
        visibility = _visibility(canvas, landmarks_px, -landmarks_camera[:, 2], settings.supersample)
        picture = self._develop(canvas)
        if settings.effects:
            picture = degrade(picture, draft.generator)
        return SyntheticFace(picture, draft.code, landmarks_px.astype(np.float32), visibility)

    def _head(self, draft: _Draft) -> Surface:
        """The head with hollows, pores, moles and gloss."""
        generator, look = draft.generator, self._look
        ambient = self._ambient(draft.code)
        noise = generator.standard_normal(len(look.is_skin), dtype=np.float32)
        grain = np.float32(generator.uniform(0.0, 0.05)) * noise
        grain[noise > generator.uniform(2.8, 4.0)] = MOLE
        oiliness = generator.exponential(0.06)
        gloss = oiliness * look.is_skin + generator.uniform(0.05, 0.5) * look.is_eye + 0.1 * look.is_moist
        exponent = np.where(look.is_eye | look.is_moist, 90.0, generator.uniform(6.0, 25.0))
        albedo = draft.albedo * (1.0 + grain * look.is_skin)[:, None]
        return Surface(draft.vertices, look.triangles, albedo, ambient=ambient, gloss=gloss, exponent=exponent,
            coarse_triangles=self.model.triangles)  # fmt: skip

    def _ambient(self, code: FaceCode[np.ndarray]) -> np.ndarray:
        """(vertices,) ambient visibility, between that of a shut mouth and of an open one."""
        jaw_open = float(code.expression[JAW_OPEN])
        return (1.0 - jaw_open) * self._look.ambient[0] + jaw_open * self._look.ambient[1]

    def _ambient_with_detail(self, code: FaceCode[np.ndarray]) -> np.ndarray:
        """The same where a photo's detail tells how dark the mouth is: nothing so dark that teeth cannot show on it."""
        return np.where(self._look.is_moist, np.maximum(self._ambient(code), AMBIENT_OF_MOUTH), self._ambient(code))

    @cached_property
    def _photo_detail(self) -> PhotoDetail:
        model, look = self.model, self._look
        refinement = model.subdivision if self.settings.subdivided else sparse.identity(model.num_vertices).tocsr()
        return PhotoDetail(model, refinement, look.face_cover, look.is_skin)

    def _around(self, draft: _Draft) -> list[Surface]:
        """What is worn and held, in the order in which it is laid over the head."""
        settings, generator = self.settings, draft.generator
        vertices, landmarks = draft.vertices[: self.model.num_vertices], draft.landmarks_head
        colour = hair.draw_hair_colour(generator, float(draft.code.reflectance[0]))
        surfaces = []
        if generator.random() < settings.clothes_share:
            surfaces.append(accessories.dress(_cloth(generator), float(draft.code.rotation[1]), generator))
        kind = generator.random()
        wears_hat = settings.scarf_share <= kind < settings.scarf_share + settings.hat_share
        if kind < settings.scarf_share:
            surfaces += hair.wrap_scarf(self._scalp, vertices, _cloth(generator), generator)
        else:
            room_mm = HAIR_UNDER_HAT_MM if wears_hat else np.inf
            surfaces += hair.draw_hair(self._scalp, vertices, colour, generator, room_mm)
        if generator.random() < settings.glasses_share:
            surfaces += accessories.put_on_glasses(landmarks, generator)
        if wears_hat:
            surfaces += hair.put_on_hat(self._scalp, vertices, _cloth(generator), generator)
        if generator.random() < settings.hand_share:
            skin = draft.albedo[self.model.regions["face"]].mean(axis=0) * np.exp(0.15 * generator.standard_normal())
            surfaces.append(accessories.hold_hand(vertices, landmarks, skin, generator))
        return surfaces

    def _view(self, code: FaceCode[np.ndarray]) -> View:
        R = Rotation.from_rotvec(code.rotation.astype(np.float64)).as_matrix()
        settings = self.settings
        return View(R, code.translation.astype(np.float64), settings.K, settings.size_px, settings.supersample)

    def _develop(self, canvas: Canvas) -> np.ndarray:
        picture = np.empty((self.settings.size_px, self.settings.size_px, 3), dtype=np.uint8)
        average_and_encode(canvas.colour, self.settings.supersample, _BYTE_OF_LINEAR, picture)
        return picture


def batch_of(faces: Sequence[SyntheticFace]) -> CropBatch:
    """Put faces into one batch of tensors."""
    pictures = torch.from_numpy(np.stack([face.picture_srgb for face in faces]))
    packed = np.stack([face.code.pack() for face in faces])
    return CropBatch(
        crops_srgb=pictures.permute(0, 3, 1, 2).float().div_(255.0),
        landmarks_px=torch.from_numpy(np.stack([face.landmarks_px for face in faces])),
        visibility=torch.from_numpy(np.stack([face.visibility for face in faces])),
        code=FaceCode.unpack(torch.from_numpy(packed)),
    )


def _measure_look(model: FaceModel, subdivided: bool) -> _Look:
    """Gather what the drawn mesh needs to know of the head."""

    def refine(values: np.ndarray) -> np.ndarray:
        return model.subdivision @ values if subdivided else values

    def mark(*names: str) -> np.ndarray:
        mask = np.zeros(model.num_vertices, dtype=np.float32)
        mask[np.concatenate([model.regions[name] for name in names])] = 1.0
        return refine(mask)

    ambient = np.minimum(ambient_visibility(model) / AMBIENT_OF_OPEN_SKIN, 1.0)
    ambient[:, model.regions["eyes"]] *= AMBIENT_UNDER_LIDS
    for teeth in (model.regions["upper_teeth"], model.regions["lower_teeth"]):
        behind_mm = model.mean[teeth, 2].max() - model.mean[teeth, 2]
        lit = AMBIENT_OF_INCISORS * np.clip(1.0 - behind_mm / TEETH_DEPTH_MM, 0.0, 1.0)
        ambient[:, teeth] = np.maximum(ambient[:, teeth], lit)
    eyes, moist = mark("eyes") > 0.5, mark("mouth_lining", "teeth", "tongue") > 0.5
    triangles = (model.triangles_subdivided if subdivided else model.triangles).astype(np.int32)
    return _Look(
        triangles=triangles,
        ambient=refine(ambient.T).T.astype(np.float32),
        is_skin=(mark("skin") > 0.5) & ~moist & ~eyes,
        is_eye=eyes,
        is_moist=moist,
        face_cover=refine(_narrow_face(model)),
    )


def _narrow_face(model: FaceModel) -> np.ndarray:
    """One at the native vertices of the face and of what can be seen in it, fading to zero towards its border."""
    cover = np.zeros(model.num_vertices, dtype=np.float32)
    inner = ("face", "eyes", "left_socket", "right_socket", "mouth_lining", "teeth", "tongue")
    cover[np.concatenate([model.regions[name] for name in inner])] = 1.0
    outline = model.mean[model.regions["face"]]
    is_nostril = (np.abs(model.mean[:, 0]) < NOSE_HALF_WIDTH_MM) & (model.mean[:, 2] > 0.0)
    is_nostril &= (model.mean[:, 1] < 0.0) & (model.mean[:, 1] > outline[:, 1].min())
    cover[is_nostril] = 1.0
    average = neighbour_average(triangle_edges(model.triangles), model.num_vertices)
    soft = cover
    for _ in range(FADE_STEPS):
        soft = 0.5 * (soft + average @ soft)
    return np.clip(2.0 * soft - 1.0, 0.0, 1.0).astype(np.float32) * cover


def _visibility(canvas: Canvas, points_px: np.ndarray, depth_mm: np.ndarray, supersample: int) -> np.ndarray:
    """Which points (N, 2) at these depths (N,) nothing hides: (N,) float32, zero or one."""
    size = len(canvas.depth)
    column, row = np.floor(points_px.T * supersample).astype(int)
    inside = (column >= 0) & (row >= 0) & (column < size) & (row < size)
    column, row = np.clip(column, 0, size - 1), np.clip(row, 0, size - 1)
    nearest = canvas.depth[row, column]
    for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):  # a point on the outline is seen beside it
        nearest = np.maximum(
            nearest, canvas.depth[np.clip(row + down, 0, size - 1), np.clip(column + right, 0, size - 1)]
        )
    seen = (depth_mm < nearest + HIDDEN_MM) & (canvas.veil[row, column] < 0.5)
    return (inside & seen).astype(np.float32)


def _without_shadow(illumination: np.ndarray) -> SceneLight:
    """Light (9, 3) that comes from all around."""
    return SceneLight(illumination, np.zeros((9, 3)), np.array([0.0, 0.0, 1.0]))


def _cloth(generator: np.random.Generator) -> np.ndarray:
    """Draw the linear albedo (3,) of cloth: dark or white as a rule, coloured now and then."""
    grey = np.exp(generator.uniform(np.log(0.015), np.log(0.8)))
    return np.clip(grey * np.exp(generator.exponential(0.4) * generator.standard_normal(3)), 0.01, 0.85)


def _strand_texture() -> np.ndarray:
    """Noise drawn out along v, as hair is, of mean zero and deviation one; it repeats without a seam."""
    noise = np.random.default_rng(0).standard_normal((TEXTURE_PX, TEXTURE_PX))
    row, column = (np.fft.fftfreq(TEXTURE_PX) * TEXTURE_PX for _ in range(2))
    fade = np.exp(-((row[:, None] / 3.0) ** 2) - (column[None, :] / 60.0) ** 2)
    texture = np.fft.ifft2(np.fft.fft2(noise) * fade).real
    return ((texture - texture.mean()) / texture.std()).astype(np.float32)
