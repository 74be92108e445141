"""Extras: which optional packages bring which part of Hilum."""

from __future__ import annotations

from importlib.util import find_spec

from hilum.core.errors import MissingExtraError

EXTRAS: dict[str, tuple[str, ...]] = {
    "evaluate": ("pandas", "sklearn", "scipy", "matplotlib"),
    "train": (
        "torch",
        "lightning",
        "monai",
        "onnx",
        "onnxscript",
        "transformers",
        "efficientnet_lite_pytorch",
    ),
    "web": ("fastapi", "uvicorn", "sqlalchemy", "alembic", "argon2", "authlib", "multipart"),
    "postgresql": ("psycopg",),
    "pacs": ("highdicom", "pynetdicom"),
    "batch": ("ray", "pandas", "pyarrow", "fsspec", "aiohttp", "s3fs"),
    "mlflow": ("mlflow", "sqlalchemy", "alembic"),
}
"""Extra -> the modules that must be importable for it."""


def missing(extra: str) -> list[str]:
    """Name the modules of ``extra`` that are not installed, without importing them."""
    return [module for module in EXTRAS[extra] if find_spec(module) is None]


def lacking(error: ModuleNotFoundError) -> MissingExtraError | None:
    """Name the extra that brings the module that was not found; None if no extra does."""
    for extra, modules in EXTRAS.items():
        if error.name in modules:
            return MissingExtraError.of(extra, error.name)
    return None


def require(extra: str) -> None:
    """Raise ``MissingExtraError`` unless every module of ``extra`` is installed."""
    if absent := missing(extra):
        raise MissingExtraError.of(extra, *absent)
