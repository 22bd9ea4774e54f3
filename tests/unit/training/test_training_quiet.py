"""A training of ours leaves the user's own logging alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoact.core.records import COMPLETE
from autoact.training.quiet import quiet_lightning


@pytest.mark.filterwarnings("ignore")
def test_nothing_is_written_into_the_users_own_run(tmp_path: Path, train, tiny, candidate) -> None:
    import mlflow
    from mlflow.utils import autologging_utils

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    try:
        mlflow.pytorch.autolog(log_models=False)
        with mlflow.start_run() as run:
            with quiet_lightning(), quiet_lightning():
                pass
            assert not autologging_utils._AUTOLOGGING_GLOBALLY_DISABLED
            assert train(tiny(), candidate()).record().status == COMPLETE
            mlflow.log_metric("mine", 1.0)
        found = mlflow.get_run(run.info.run_id).data
        assert (found.params, found.metrics) == ({}, {"mine": 1.0})
        assert len(mlflow.search_runs()) == 1
    finally:
        mlflow.pytorch.autolog(disable=True)
        mlflow.set_tracking_uri(before)
