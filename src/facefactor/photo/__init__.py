# SPDX-License-Identifier: Apache-2.0
"""From a photo file to an upright photo, its faces, their landmarks and the crop with its way back."""

from facefactor.photo.crop import crop_coverage, crop_image, crop_to_photo, face_crop, photo_to_crop
from facefactor.photo.detect import FaceBox, FaceDetector, SlimeFaceDetector
from facefactor.photo.find import FoundFace, find_faces
from facefactor.photo.landmarks import LandmarkDetector, Landmarks
from facefactor.photo.mediapipe_landmarks import MediaPipeLandmarks
from facefactor.photo.network_landmarks import NetworkLandmarks
from facefactor.photo.read import Photo, photo_from_array, read_photo

__all__ = [
    "FaceBox",
    "FaceDetector",
    "FoundFace",
    "LandmarkDetector",
    "Landmarks",
    "MediaPipeLandmarks",
    "NetworkLandmarks",
    "Photo",
    "SlimeFaceDetector",
    "crop_coverage",
    "crop_image",
    "crop_to_photo",
    "face_crop",
    "find_faces",
    "photo_from_array",
    "photo_to_crop",
    "read_photo",
]
