# SPDX-License-Identifier: Apache-2.0
"""Draw the picture of docs/conventions.md: frames, angles, pixel grid and the nine lighting functions.

Run `python tools/draw_conventions.py docs/conventions.png`. The three-dimensional parts are computed by the package's
own camera and light, so the picture shows what the code does.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from scipy.spatial import ConvexHull

from facefactor.camera.pose import matrix_from_euler_deg
from facefactor.light.spherical_harmonics import evaluate_basis

WIDTH, HEIGHT = 1200, 860
SCALE = 2
"""Everything is drawn this much larger and reduced at the end, which smooths the lines."""
INK, FAINT, PAPER = (40, 40, 46), (172, 176, 184), (255, 255, 255)
AXIS_COLOURS = {"x": (204, 50, 47), "y": (40, 140, 60), "z": (44, 92, 200)}
BASIS_LABELS = ("Y00  1", "Y1-1  y", "Y10  z", "Y11  x", "Y2-2  xy", "Y2-1  yz", "Y20  3zz-1", "Y21  xz", "Y22  xx-yy")
OBLIQUE = np.array([[0.82, 0.0, 0.57], [-0.20, 0.94, 0.28]])
"""Image right and up as seen by the onlooker of the frames' panel, from the world's x, y, z."""


class Sheet:
    """A white sheet to draw on in pixels of the finished picture."""

    def __init__(self) -> None:
        self.image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), PAPER)
        self.draw = ImageDraw.Draw(self.image)

    def line(self, points, colour=INK, width=1.6) -> None:
        scaled = [(x * SCALE, y * SCALE) for x, y in points]
        self.draw.line(scaled, fill=colour, width=round(width * SCALE), joint="curve")

    def arrow(self, start, end, colour=INK, width=2.4) -> None:
        self.line([start, end], colour, width)
        direction = np.subtract(end, start) / (np.hypot(*np.subtract(end, start)) + 1e-9)
        side = np.array([-direction[1], direction[0]])
        corners = [np.array(end) + 4 * direction, end - 8 * direction + 5 * side, end - 8 * direction - 5 * side]
        self.draw.polygon([tuple(corner * SCALE) for corner in corners], fill=colour)

    def dot(self, centre, radius=4, colour=INK) -> None:
        (x, y), r = centre, radius
        self.draw.ellipse([(x - r) * SCALE, (y - r) * SCALE, (x + r) * SCALE, (y + r) * SCALE], fill=colour)

    def polygon(self, points, colour) -> None:
        self.draw.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=colour)

    def text(self, place, words, size=15, colour=INK, anchor="la") -> None:
        font = ImageFont.load_default(size * SCALE)
        self.draw.multiline_text((place[0] * SCALE, place[1] * SCALE), words, colour, font, anchor=anchor, spacing=10)

    def paste(self, picture, left, top) -> None:
        self.image.paste(Image.fromarray(picture), (left * SCALE, top * SCALE))

    def save(self, path: Path) -> None:
        reduced = self.image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
        reduced.quantize(255, dither=Image.Dither.NONE).save(path, optimize=True)


def draw_frames(sheet: Sheet) -> None:
    """Show a head before the camera, each with its axes, from the side."""
    sheet.text((24, 16), "Frames (right-handed, millimetres):  x_camera = R x_head + t", 17)
    head, camera = np.array([0.0, 0.0, -250.0]), np.array([0.0, 0.0, 120.0])

    def onto(point):
        right, up = OBLIQUE @ np.asarray(point)
        return 310 + right, 210 - up

    for ring in head_rings():
        sheet.line([onto(head + point) for point in ring], FAINT, 1.2)
    draw_axes(sheet, onto, head, 105.0)
    draw_axes(sheet, onto, camera, 70.0)
    corners = [camera + np.array([x, y, -60.0]) for x, y in ((-30, -30), (30, -30), (30, 30), (-30, 30))]
    sheet.line([onto(corner) for corner in [*corners, corners[0]]], INK, 1.4)
    for corner in corners:
        sheet.line([onto(camera), onto(corner)], INK, 1.0)
    sheet.line([onto(camera), onto(head)], FAINT, 1.0)
    sheet.text((250, 318), "head: x to the subject's left, y up, z out of the face", 14)
    sheet.text((250, 342), "camera: x right, y up, z toward the viewer;", 14)
    sheet.text((250, 366), "it looks along -z, the head is near z = -1000", 14)


def head_rings():
    """Rings of an egg with a nose, in the head frame."""
    turn = np.linspace(0, 2 * math.pi, 73)
    for height in np.linspace(-0.8, 0.8, 7):
        radius = math.sqrt(1 - height * height)
        nose = 22 * np.exp(-((turn / 0.22) ** 2)) + 22 * np.exp(-(((turn - 2 * math.pi) / 0.22) ** 2))
        out = nose * math.exp(-(((height + 0.15) / 0.22) ** 2))
        x, z = 62 * radius * np.sin(turn), 78 * radius * np.cos(turn) + out
        yield np.stack((x, np.full_like(x, 95 * height), z), axis=-1)
    yield np.stack((0 * turn, 95 * np.cos(turn), 78 * np.sin(turn)), axis=-1)


def draw_axes(sheet: Sheet, onto, origin, length: float) -> None:
    """Draw x, y and z as coloured arrows with their names."""
    for (name, colour), axis in zip(AXIS_COLOURS.items(), np.eye(3), strict=True):
        sheet.arrow(onto(origin), np.array(onto(origin + length * axis)), colour)
        sheet.text(onto(origin + (length + 18) * axis), name, 16, colour, "mm")


def draw_angles(sheet: Sheet) -> None:
    """Show a face turned by +30° about each angle, as the camera sees it."""
    sheet.text((648, 16), "Angles:  R = Rz(-roll) Ry(yaw) Rx(-pitch)", 17)
    words = ("yaw > 0: turns\nto image right", "pitch > 0:\nlooks up", "roll > 0: clockwise\nin the image")
    for index, label in enumerate(words):
        centre = np.array([730.0 + 180 * index, 160.0])
        euler_deg = torch.zeros(3, dtype=torch.float64)
        euler_deg[index] = 30.0
        rotation = matrix_from_euler_deg(euler_deg).numpy()
        draw_face(sheet, rotation, centre)
        sheet.text((centre[0], 268), label, 14, INK, "ma")


def draw_face(sheet: Sheet, rotation, centre) -> None:
    """Draw a turned head as the camera sees it: outline, eyes, nose, mouth and the head's axes."""

    def onto(point):
        x, y, _ = rotation @ np.asarray(point)
        return centre + np.array([x, -y]) * 0.85

    points = np.array([onto(point) for ring in head_rings() for point in ring])
    sheet.polygon(points[ConvexHull(points).vertices], (233, 235, 239))
    for side in (-24, 24):
        sheet.dot(onto((side, 22, 68)), 5)
    sheet.line([onto(point) for point in ((-3, 18, 76), (-9, -20, 84), (0, -24, 100), (9, -20, 84))], INK, 1.8)
    mouth = [(x, -50 + x * x / 90, 66 - x * x / 60) for x in range(-22, 23, 4)]
    sheet.line([onto(point) for point in mouth], INK, 2.2)
    draw_axes(sheet, onto, np.zeros(3), 92.0)


def draw_pixels(sheet: Sheet) -> None:
    """Show the corner of an image with its pixel centres."""
    sheet.text((24, 420), "Pixels:  pixel = K (x, -y, -z) / (-z)", 17)
    left, top, cell = 76, 492, 62
    for line in range(6):
        sheet.line([(left + line * cell, top), (left + line * cell, top + 4 * cell)], FAINT, 1.2)
    for line in range(5):
        sheet.line([(left, top + line * cell), (left + 5 * cell, top + line * cell)], FAINT, 1.2)
    for row in range(4):
        for column in range(5):
            sheet.dot((left + (column + 0.5) * cell, top + (row + 0.5) * cell), 2.5, FAINT)
    sheet.dot((left + 0.5 * cell, top + 0.5 * cell), 5, AXIS_COLOURS["z"])
    sheet.text((left + 0.5 * cell, top + 0.78 * cell), "(0.5, 0.5)", 12, AXIS_COLOURS["z"], "mm")
    sheet.dot((left, top), 5)
    sheet.text((left - 10, top - 16), "(0, 0)", 13, INK, "mm")
    sheet.arrow((left, top), np.array((left + 1.9 * cell, top)), AXIS_COLOURS["x"])
    sheet.text((left + 2.1 * cell, top - 13), "x right, columns", 14, AXIS_COLOURS["x"], "lm")
    sheet.arrow((left, top), np.array((left, top + 1.9 * cell)), AXIS_COLOURS["y"])
    sheet.text((left - 22, top + 1.5 * cell), "y\ndown,\nrows", 14, AXIS_COLOURS["y"], "mm")
    sheet.text((left, top + 4 * cell + 16), "array[row, column], row 0 at the top, RGB", 14)
    sheet.text((left, top + 4 * cell + 42), "T_photo_crop takes crop pixels to photo pixels", 14)


def draw_light(sheet: Sheet) -> None:
    """Show the nine basis functions on spheres seen by the camera, red positive and blue negative."""
    sheet.text((500, 420), "Light:  colour = albedo * sum_k  c_k (A_l / pi) Y_k(n),   n in the camera frame", 17)
    for index, label in enumerate(BASIS_LABELS):
        column, row = index % 5, index // 5
        left, top = 512 + 136 * column, 462 + 186 * row
        sheet.paste(basis_ball(index, 116 * SCALE), left, top)
        sheet.text((left + 58, top + 126), f"{index}:  {label}", 14, INK, "ma")
    sheet.text((1056, 700), "seen by the camera:\nx right, y up, z to you\nred > 0, blue < 0\nA/pi = 1, 2/3, 1/4", 13)


def basis_ball(index: int, size: int) -> np.ndarray:
    """Colour the front of a sphere by one basis function."""
    ticks = (torch.arange(size, dtype=torch.float64) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(-ticks, ticks, indexing="ij")
    inside = x * x + y * y < 1
    z = (1 - x * x - y * y).clamp_min(0).sqrt()
    value = (evaluate_basis(torch.stack((x, y, z), dim=-1))[..., index] / 0.65).clamp(-1, 1).numpy()[..., None]
    positive, negative, grey = np.array([214, 60, 50]), np.array([50, 90, 205]), np.array([240, 240, 240])
    colour = grey + np.where(value > 0, value * (positive - grey), -value * (negative - grey))
    return np.where(inside.numpy()[..., None], colour, 255).astype(np.uint8)


def main() -> None:
    """Draw the picture and write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", type=Path, help="where to write the PNG")
    sheet = Sheet()
    for panel in (draw_frames, draw_angles, draw_pixels, draw_light):
        panel(sheet)
    sheet.save(parser.parse_args().path)


if __name__ == "__main__":
    main()
