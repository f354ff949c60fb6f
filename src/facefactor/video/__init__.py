# SPDX-License-Identifier: Apache-2.0
"""From a video to the faces of its people: read, track, encode, share identities, smooth, draw (no torch)."""
