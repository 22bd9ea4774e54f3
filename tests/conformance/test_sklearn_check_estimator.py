"""scikit-learn's own checks of an estimator, with the default arguments of the constructor and no exceptions."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from autoact import AutoActClassifier, AutoActRegressor


@pytest.mark.slow
@parametrize_with_checks([AutoActClassifier(), AutoActRegressor()])
def test_check_estimator(estimator, check):
    check(estimator)
