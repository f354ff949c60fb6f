# SPDX-License-Identifier: Apache-2.0
"""How the face model file is made from free sources; needed only to rebuild it (`facefactor model build`)."""
