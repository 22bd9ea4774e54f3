"""What Hydra and OmegaConf raise, put into one line with the nearest valid name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from autoact.config.groups import GROUPS, options
from autoact.config.key_names import unknown_key
from autoact.core.errors import AutoactError, unknown

# What they say, and what the user is told.
_SAID = {
    r"(?s)In '([^']+)': (?!.*full_key: \S).*(?:is not a subclass of|Cannot merge DictConfig with ListConfig)": (
        r"\1.yaml must hold names with values: key: value"
    ),
    r"Multiple values for (\w+)\.": r"\1 is chosen without a plus sign: \1=CHOICE",
    r"(?s)does not support deletion.*full_key: (\S+)": r"\1 cannot be deleted: give it another value",
}


def one_line(error: Exception, overrides: Sequence[str] = (), config_dirs: Sequence[str] = ()) -> AutoactError:
    """The user's mistake behind an error of Hydra, OmegaConf or PyYAML."""
    import yaml
    from hydra.errors import OverrideParseException

    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    own = [one for one in chain if isinstance(one, AutoactError)]
    if own:
        return own[0]
    if isinstance(error, yaml.MarkedYAMLError):
        return _not_yaml(error)
    if isinstance(error, OverrideParseException):
        given = error.override.removeprefix("++")
        return AutoactError(f"cannot read {given}: a value with special characters needs quotes, key='value'")
    text = "\n".join(str(one) for one in chain)
    return (
        _choice(text, config_dirs) or _key(text, str(chain[-1]), overrides) or _first_lines(str(error), bool(overrides))
    )


def _not_yaml(error: object) -> AutoactError:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = f"{mark.name.removeprefix('file://')}, line {mark.line + 1}" if mark else "a configuration file"
    return AutoactError(f"{where} is not YAML: {problem or error}")


def _choice(text: str, config_dirs: Sequence[str]) -> AutoactError | None:
    """A group or a choice that does not exist, or one that is given in the wrong way."""
    choice = re.search(r"Could not (?:find|load) '([\w-]+)/([^']+)'", text)
    if choice:
        return unknown(choice[1], choice[2], options(choice[1], config_dirs))
    for pattern, advice in _SAID.items():
        found = re.search(pattern, text)
        if found:
            return AutoactError(found.expand(advice))
    group = re.search(r"Could not override '([^'=]+)[^']*'\.\s*No match in the defaults list", text)
    if group is None:
        return None
    own = options(group[1], config_dirs)
    if own:
        return AutoactError(
            f"{group[1]} is a group of your own: add it with +{group[1]}=NAME. Allowed: {', '.join(own)}"
        )
    return unknown("configuration group", group[1], GROUPS)


def _key(text: str, last: str, overrides: Sequence[str]) -> AutoactError | None:
    """A key that does not exist, or a value that does not fit it; the file that holds it where one does."""
    key = re.search(r"full_key: (\S+)", text)
    if key is None:
        return None
    if "not in" in text:
        return unknown_key(key[1])
    reason, *more = last.splitlines()
    reason, more = _plain(reason, key[1]), [_plain(line, key[1]) for line in more]
    file = re.match(r"In '(.+)': \w+ raised while composing config:", reason)
    if file and more:
        return AutoactError(f"{file[1]}.yaml: {key[1]}: {more[0]}".replace(": must be", " must be"))
    given = next((o for o in reversed(overrides) if o.partition("=")[0].lstrip("+~") == key[1]), key[1])
    return AutoactError(f"{given} {reason}" if reason.startswith(("must", "cannot", "takes")) else f"{given}: {reason}")


# What OmegaConf says of a value that does not fit, and what is allowed in words.
_ALLOWED = {
    r"^Value .* could not be converted to Integer$": "must be a whole number",
    r"^Value .* could not be converted to Float$": "must be a number",
    r"^Value .* is not a valid bool.*$": "must be true or false",
    r"^field '.*' is not Optional$": "cannot be null: leave it out, or give a value",
    r"^(Cannot assign \w+ to Dict.*|Cannot merge DictConfig with ListConfig.*)$": "takes names: {key}.NAME=VALUE",
    r"^(.* is not a ListConfig.*|Cannot merge ListConfig with DictConfig.*)$": "must be a list: {key}=[VALUE]",
}


def _plain(line: str, key: str) -> str:
    """What is allowed, where OmegaConf said what it could not do."""
    for pattern, allowed in _ALLOWED.items():
        if re.match(pattern, line):
            return allowed.format(key=key)
    return line


def _first_lines(text: str, two: bool) -> AutoactError:
    """Whatever else was said, without the list of folders that were searched."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return AutoactError(" ".join(lines[: 2 if two else 1]))
