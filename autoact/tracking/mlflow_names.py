"""Names and texts as MLflow takes them: its limits, and keys that it can tell apart."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping

# MLflow's own limits, in characters.
KEY, PARAM, TAG = 250, 6000, 8000


def cut(text: str, limit: int, whole: str) -> str:
    """``text``, cut to MLflow's limit where it must be; the end then says where the whole of it is.

    Example:
        >>> cut("abcdefghijklmnopqrstuvwxyz", 24, "a.json")
        'ab ... (whole in a.json)'
    """
    note = f" ... (whole in {whole})"
    return text if len(text) <= limit else text[: limit - len(note)] + note


def key(text: str) -> str:
    """A name that MLflow takes as a key.

    Example:
        >>> key("layers.0.act"), key("gain [%]"), key("/a//b")
        ('layers.0.act', 'gain ___', 'a/b')
    """
    clean = posixpath.normpath(re.sub(r"[^/\w.\- ]", "_", text).strip("/"))
    return (clean if not clean.startswith(".") else f"_{clean}")[:KEY]


def slug(text: str) -> str:
    """A unit as part of a name.

    Example:
        >>> slug("USD per million samples"), slug("ROC AUC")
        ('usd_per_million_samples', 'roc_auc')
    """
    return re.sub(r"\W+", "_", text.lower()).strip("_")


def unique(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Name -> key; names that MLflow could not tell apart are numbered.

    Args:
        names: whatever a module or a table calls its things.
        taken: keys that the same run gives to values of autoact's own.

    Example:
        >>> unique(["a[0]", "a(0)"])
        {'a[0]': 'a_0_', 'a(0)': 'a_0__2'}
        >>> unique(["val/recall@5", "epochs"], taken=["epochs"])
        {'val/recall@5': 'val/recall_5', 'epochs': 'epochs_2'}
    """
    keys: dict[str, str] = {}
    used = set(taken)
    for name in dict.fromkeys(names):
        plain = found = key(name)
        count = 1
        while found in used:
            count += 1
            found = f"{plain[: KEY - 4]}_{count}"
        keys[name] = found
        used.add(found)
    return keys


def renamed(keys: Mapping[str, str]) -> str:
    """A sentence on the names that MLflow gets otherwise; empty where there are none.

    Example:
        >>> renamed(unique(["val/recall@5", "val_loss"]))
        "in MLflow 'val/recall@5' is called 'val/recall_5'"
    """
    changed = [f"{name!r} is called {found!r}" for name, found in keys.items() if name != found]
    more = f" (and {len(changed) - 3} more)" if len(changed) > 3 else ""
    return f"in MLflow {', '.join(changed[:3])}{more}" if changed else ""
