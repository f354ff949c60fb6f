# SPDX-License-Identifier: Apache-2.0
"""What a photo's name tells of it, in the data sets that people use."""

import re

PERSON_NAME = re.compile(r"^(?P<person>[^_]+)_")
"""Who a photo shows, where one person has several: PERSON_….jpg, as frames of videos are named."""
