# SPDX-License-Identifier: Apache-2.0
"""What `facefactor view` is made of.

    files ─opening─► subject ─► state ─painting─► painted mesh ─scene─► page      the browser draws what we computed
                     (a face)   edits    └─────── downloads: the same as GLB, JSON, PNG

`session.py` ties them together. Only `page.py`, `controls.py` and `session.py` know of a browser.
"""
