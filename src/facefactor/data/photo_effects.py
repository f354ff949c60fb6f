# SPDX-License-Identifier: Apache-2.0
"""What cameras and files do to a picture: lens and motion blur, noise, tone, colour cast, grey, low resolution, JPEG.

    clean picture ─blur─► ─noise─► ─tone, cast, saturation─► ─lower resolution─► ─JPEG─► photo

None of it moves a pixel, so landmarks and code stay right. Casts and tones are mild: what a stronger or warmer light
would do belongs to the light, whose coefficients say so.
"""

import io

import numpy as np
from PIL import Image, ImageFilter

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
GREY_SHARE = 0.07
MAX_NOISE = 14.0
"""Levels of 255."""
ENDED_SIDE_SHARE = 0.7
"""Of the sides of a photo that ends within its crop."""


def degrade(picture_srgb: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Make a photo of a clean picture.

    Args:
        picture_srgb: (H, W, 3) uint8.
        generator: of all that happens to it.

    Returns:
        (H, W, 3) uint8.
    """
    image = _blur(Image.fromarray(picture_srgb), generator)
    values = np.asarray(image, dtype=np.float32)
    values = _tone(_add_noise(values, generator), generator)
    image = Image.fromarray(np.clip(values, 0.0, 255.0).astype(np.uint8))
    return np.asarray(_compress(_lower_resolution(image, generator), generator))


def end_photo(picture_srgb: np.ndarray, landmarks_px: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Let the photo end within its crop, as tight portraits do: from there its last pixels are repeated outwards.

    Args:
        picture_srgb: (H, W, 3) uint8.
        landmarks_px: (points, 2) of the face, which stays on the photo.
        generator: of where each side ends, between the face and the crop's border.

    Returns:
        (H, W, 3) uint8.
    """
    height, width = picture_srgb.shape[:2]
    low, high = np.clip((landmarks_px.min(axis=0), landmarks_px.max(axis=0)), 0, (width, height))
    share = np.where(generator.random(4) < ENDED_SIDE_SHARE, generator.random(4), 0.0)
    left, top = (share[:2] * low).astype(int)
    right, bottom = np.ceil((width, height) - share[2:] * ((width, height) - high)).astype(int)
    kept = picture_srgb[top:bottom, left:right]
    return np.pad(kept, ((top, height - bottom), (left, width - right), (0, 0)), mode="edge")


def _blur(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """A lens out of focus, or a hand that moved, or neither."""
    kind = generator.random()
    if kind < 0.5:
        return image.filter(ImageFilter.GaussianBlur(generator.uniform(0.2, 1.0)))
    if kind < 0.6:
        return image.filter(ImageFilter.GaussianBlur(generator.uniform(1.0, 2.2)))
    if kind < 0.68:
        return image.filter(_motion_kernel(generator))
    if kind < 0.8:
        return image.filter(ImageFilter.UnsharpMask(radius=1.0, percent=int(generator.uniform(30, 120)), threshold=0))
    return image


def _motion_kernel(generator: np.random.Generator) -> ImageFilter.Kernel:
    """A 5 × 5 kernel along a random line."""
    angle = generator.uniform(0.0, np.pi)
    row, column = np.mgrid[-2:3, -2:3]
    off_line = np.abs(column * np.sin(angle) - row * np.cos(angle))
    kernel = np.clip(1.0 - off_line, 0.0, 1.0)
    return ImageFilter.Kernel((5, 5), (kernel / kernel.sum()).ravel().tolist(), 1.0)


def _add_noise(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Noise of the sensor: mostly of luminance, in part of colour, in grain of 1–2 px."""
    strength = generator.exponential(3.0)
    if strength < 0.7:
        return values
    height, width, _ = values.shape
    grey, colour = 0.8, 0.4
    noise = colour * generator.standard_normal((height, width, 3), dtype=np.float32)
    luminance = grey * generator.standard_normal((height, width, 1), dtype=np.float32)
    if generator.random() < 0.4:
        luminance[:, 1:] = 0.8 * luminance[:, 1:] + 0.6 * luminance[:, :-1]
    noise += luminance
    noise *= np.float32(min(strength, MAX_NOISE))
    return values + noise


def _tone(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Bend the tone curve, lift or crush the blacks, cast a colour, change saturation, drop the colour now and then."""
    gamma = np.exp(0.1 * generator.standard_normal())
    contrast = np.exp(0.12 * generator.standard_normal())
    lift = 6.0 * generator.standard_normal() * (generator.random() < 0.4)
    curve = 255.0 * (np.arange(256) / 255.0) ** gamma
    curve = ((curve - 118.0) * contrast + 118.0 + lift).astype(np.float32)
    values = curve[np.clip(values, 0.0, 255.0).astype(np.uint8)]
    grey = (values @ LUMA)[..., None]
    if generator.random() < GREY_SHARE:
        return np.broadcast_to(grey, values.shape)
    saturation = np.float32(np.exp(0.18 * generator.standard_normal()))
    cast = np.exp(0.03 * generator.standard_normal(3)).astype(np.float32)
    return (grey + saturation * (values - grey)) * cast


def _lower_resolution(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """A face that was small in its photo: shrunk and enlarged again."""
    if generator.random() >= 0.3:
        return image
    small = max(16, int(image.width * np.exp(generator.uniform(np.log(0.3), 0.0))))
    enlarge = Image.Resampling.BICUBIC if generator.random() < 0.6 else Image.Resampling.BILINEAR
    return image.resize((small, small), Image.Resampling.BOX).resize(image.size, enlarge)


def _compress(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    if generator.random() >= 0.7:
        return image
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=int(generator.uniform(30, 95)))
    return Image.open(file).convert("RGB")
