"""Silence: no library that Hilum stands on may report to its maker.

``import hilum`` calls ``keep_silent`` before it imports anything else: most switches are looked at
once, when their library is imported. Child processes inherit them.
"""

from __future__ import annotations

import os

SWITCHES: dict[str, str] = {
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime: else a queue under ~/.cache and a look-up
    "HF_HUB_DISABLE_TELEMETRY": "1",  # transformers, by way of huggingface_hub
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",  # what several others agreed on: https://consoledonottrack.com
}
"""Environment variable -> the value that switches reports off."""


def keep_silent() -> None:
    """Switch reports off in this process and its children, whatever the environment said before."""
    os.environ.update(SWITCHES)
