"""A plugin of Hydra: ``+autoact/recommendation=file`` and ``+autoact/space=site`` work in any Hydra application.

It is installed as ``hydra_plugins.autoact_searchpath``, where Hydra looks for plugins. Every application of Hydra
imports it, so it imports nothing heavy.
"""

from __future__ import annotations

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from autoact.config.groups import conf_dir


class AutoactSearchPath(SearchPathPlugin):
    """Adds one folder, last, which holds nothing but the group ``autoact``: no name of the application's is touched."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the folder."""
        search_path.append(provider="autoact", path=f"file://{conf_dir() / 'plugin'}")
