# SPDX-License-Identifier: Apache-2.0
"""What yields batches: photos made into corpora, and synthetic faces with exact codes."""
