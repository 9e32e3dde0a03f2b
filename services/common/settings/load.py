"""Where settings come from: profile, file, environment, command line; and what an error says."""

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from rapidfuzz import process as fuzzy

from services.common.errors import SettingsError
from services.common.settings.tree import PROFILES, Settings

ENV_PREFIX = "TRUNKLINE__"


def load_settings(
    path: Path | None = None,
    *,
    profile: str | None = None,
    env: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Read the tree. Raises SettingsError naming the key, what was expected and the nearest known key."""
    from_file = _read_toml(path) if path else {}
    from_env = env_tree(os.environ if env is None else env)
    chosen = profile or (overrides or {}).get("profile") or from_env.get("profile") or from_file.get("profile") or "cpu"
    overlay = PROFILES.get(str(chosen))
    if overlay is None:
        raise SettingsError(f"profile: expected one of {', '.join(PROFILES)}, got {chosen!r}.")
    tree: dict[str, Any] = {}
    for layer in (
        {"profile": chosen},
        overlay,
        from_file,
        from_env,
        dict(overrides or {}),
        {"profile": chosen},
    ):
        tree = _merge(tree, layer)
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        raise SettingsError("; ".join(_explain(error)), remedy=_where(path)) from None
    return settings


def known_keys(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    """Every key of the tree, dotted."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from known_keys(field.annotation, f"{prefix}{name}.")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"Cannot read the settings file {path}: {error.strerror}.", remedy="Name a readable TOML file."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}.") from error


def env_tree(env: Mapping[str, str]) -> dict[str, Any]:
    """`TRUNKLINE__ASR__MAX_BATCH=4` → {"asr": {"max_batch": "4"}}; a list is written comma-separated."""
    tree: dict[str, Any] = {}
    for name, value in env.items():
        if not name.startswith(ENV_PREFIX):
            continue
        *parents, leaf = name[len(ENV_PREFIX) :].lower().split("__")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise SettingsError(f"{name}: {parent} is set as a value and as a section.", remedy="Keep one of them.")
        node[leaf] = _env_value([*parents, leaf], value)
    return tree


def _env_value(path: list[str], value: str) -> Any:
    model: Any = Settings
    for key in path[:-1]:
        field = model.model_fields.get(key) if isinstance(model, type) and issubclass(model, BaseModel) else None
        model = field.annotation if field else None
    is_model = isinstance(model, type) and issubclass(model, BaseModel)
    field = model.model_fields.get(path[-1]) if is_model else None
    if field is not None and "tuple" in str(field.annotation):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _merge(base: dict[str, Any], layer: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in layer.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return merged


def _explain(error: ValidationError) -> Iterator[str]:
    keys = list(known_keys())
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            nearest = fuzzy.extractOne(key, keys)
            hint = f" Did you mean {nearest[0]}?" if nearest else ""
            yield f"{key}: no such setting.{hint}"
        else:
            # The value may be a secret put in the wrong place: say its type, never the value.
            yield f"{key}: {item['msg']} (got {type(item['input']).__name__})."


def _where(path: Path | None) -> str:
    return f"Settings come from {path} and from {ENV_PREFIX}… in the environment." if path else ""
