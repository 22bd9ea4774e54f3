"""``AutoActClassifier`` and ``AutoActRegressor``: the search as a scikit-learn estimator."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import Tags, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.extmath import softmax
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_is_fitted, validate_data

from autoact.data.preparation.preprocessing import encode
from autoact.integrations.sklearn.parameters import EstimatorParameters, RefusedError, in_sklearn_terms
from autoact.integrations.sklearn.rows import Columns, typed_rows

# Of numpy, or an extension type of pandas.
Dtype: TypeAlias = np.dtype | pd.api.extensions.ExtensionDtype
Table: TypeAlias = ArrayLike | pd.DataFrame
Checked: TypeAlias = np.ndarray | pd.DataFrame

# Rows that go through the network at a time.
PREDICTED_AT_ONCE = 65_536


class AutoActEstimator(EstimatorParameters):
    """What both estimators share; see ``AutoActClassifier``."""

    def __sklearn_tags__(self) -> Tags:
        """Missing values and, in a DataFrame, categories are taken."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _checked_rows(self, X: Table) -> Checked:  # noqa: N803  (scikit-learn's own name)
        """New rows: numbers as an array, a DataFrame with other columns as it is."""
        if _has_categories(X):
            return validate_data(self, X, reset=False, skip_check_array=True)
        return validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite="allow-nan")

    def _checked_training(self, X: Table, y: ArrayLike) -> tuple[Checked, np.ndarray]:  # noqa: N803
        numeric = isinstance(self, RegressorMixin)
        if not _has_categories(X):
            return validate_data(
                self, X, y, dtype=np.float64, y_numeric=numeric, ensure_all_finite="allow-nan", ensure_min_samples=2
            )
        frame, targets = validate_data(self, X, y, skip_check_array=True)
        targets = column_or_1d(targets, warn=True)
        check_consistent_length(frame, targets)
        assert_all_finite(targets, input_name="y")
        if len(frame) < 2:
            raise RefusedError(f"Found array with {len(frame)} sample(s) while a minimum of 2 is required.")
        return frame, targets.astype(np.float64) if numeric else targets

    def _columns(self, X: Table, checked: Checked) -> Columns:  # noqa: N803
        given = [str(name).strip() for name in X.columns] if isinstance(X, pd.DataFrame) else []
        names = given if len(set(given)) == checked.shape[1] else [f"x{k}" for k in range(checked.shape[1])]
        if isinstance(checked, pd.DataFrame):
            return Columns.of_frame(checked, names)
        return Columns.of_numbers(names)

    def _search(self, X: Table, checked: Checked, y: np.ndarray, classes: list[str] | None) -> None:  # noqa: N803
        """Search and train; sets the attributes that both estimators have."""
        from autoact.integrations.sklearn.fit import front_of, search_and_train

        with in_sklearn_terms():
            columns = self._columns(X, checked)
            rows = typed_rows(columns, checked, y, classes)
            seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max // 2))
            found = search_and_train(rows, self, seed)
        self._columns_seen = columns
        self._target_scale = found.prepared.target_scale
        self.preprocessing_ = found.prepared.preprocessing
        self.module_ = found.module
        self.recommendation_ = found.recommendation
        self.front_ = front_of(found.result)
        self.study_ = found.study
        self.verdict_ = found.result.verdict
        self.protocol_ = found.protocol.name
        self.note_ = found.protocol.note

    def _outputs(self, X: Table) -> np.ndarray:  # noqa: N803
        """What the network gives, in float64. **Shape**: ``[rows, outputs]``."""
        import torch

        check_is_fitted(self)
        checked = self._checked_rows(X)
        with in_sklearn_terms():
            inputs = encode(self.preprocessing_, self._columns_seen.table(checked))
        with torch.no_grad():
            parts = torch.from_numpy(inputs).split(PREDICTED_AT_ONCE)
            return torch.cat([self.module_(part.double()) for part in parts]).numpy()


class AutoActClassifier(ClassifierMixin, AutoActEstimator):
    """A multi-layer perceptron whose activations are searched, checked and then used.

    ``fit`` searches as ``autoact.search`` does: trials on training and validation rows, then the final check
    with fresh seeds on a sealed test part. What is recommended, or the kept baseline, is trained once more on all rows.
    Fewer than 500 rows, or fewer than 10 of some class, take a reduced protocol, which says so in ``note_``: fewer
    trials and no final check, so that the baseline is kept, with the training settings that suited it best.

    Args:
        trials: trials of the search, the baseline's among them.
        minutes: wall-clock minutes for search and final check; results then depend on the machine.
        metric: what decides, by name: ``log_loss`` (``mse`` for the regressor) unless given.
        policy: ``quality``, ``balanced``, ``economy`` or ``baseline``; unless given ``balanced`` where latency is
            traded, else ``quality``.
        candidates: activations to try; autoact's own dozen unless given.
        granularity: ``site``, ``block`` or ``model``.
        objectives: what is traded: ``quality``, and ``latency`` where wanted.
        width: of every hidden layer.
        depth: number of hidden layers.
        dropout: probability.
        learning_rate: of AdamW, as configured; the search tries a tenth to ten times of it.
        weight_decay: of AdamW, as configured.
        max_epochs: of a training.
        patience: epochs without a better validation value before a training stops; None: never.
        batch_size: rows in a batch; an eighth of the training rows, between 32 and 128, unless given.
        scaling: of numeric columns: ``quantile``, ``standard`` or ``none``.
        confirm_seeds: fresh seeds of each stage of the final check; 0: no check, and nothing is recommended.
        device: where to train: ``cpu``, ``cuda`` or ``auto``.
        n_jobs: worker processes; None or 1: this process; -1: one per core.
        random_state: seed of split, search and final training.
        output: folder for the study and the report; nothing is left on disk unless given.
        tracking: ``none``, ``mlflow``, or in full (``TrackingSettings``).
        verbose: print progress and the final table.

    Attributes:
        classes_: the classes, sorted.
        recommendation_: what ``recommended.yaml`` would hold.
        front_: the trials that no other beats: ``trial``, ``assignment``, ``settings``, ``values``.
        study_: the Optuna study, in memory.
        verdict_: in words.
        protocol_: ``full`` or ``reduced``.
        note_: what is reduced and why; empty under the full protocol.
        module_: the fitted network, in float64.
        preprocessing_: from columns to network inputs, a fitted scikit-learn transformer.
        n_features_in_: columns of ``X``.
        feature_names_in_: their names, where ``X`` was a DataFrame.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> x, y = load_iris(return_X_y=True)
        >>> model = AutoActClassifier(trials=1, random_state=0).fit(x, y)
        >>> model.predict(x[:2]), model.protocol_
        (array([0, 0]), 'reduced')
    """

    def fit(self, X: Table, y: ArrayLike) -> AutoActClassifier:  # noqa: N803
        """Search, check, and train on all rows.

        Args:
            X: numbers, **Shape** ``[rows, columns]``, or a DataFrame that may hold categories too. Missing values are
                taken: the median stands in, and a further column says where.
            y: labels, **Shape** ``[rows]``.

        Raises:
            ValueError: something does not fit, in one line.
        """
        checked, y = self._checked_training(X, y)
        check_classification_targets(y)
        self.classes_, indices = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise RefusedError(f"y holds one class only, {str(self.classes_[0])!r}: there is nothing to learn")
        self._search(X, checked, indices.astype(np.int64), [str(name) for name in self.classes_])
        return self

    def decision_function(self, X: Table) -> np.ndarray:  # noqa: N803
        """Log-odds of the second class, **Shape** ``[rows]``; of more classes the logits, ``[rows, classes]``."""
        outputs = self._outputs(X)
        return outputs[:, 0] if len(self.classes_) == 2 else outputs

    def predict_proba(self, X: Table) -> np.ndarray:  # noqa: N803
        """Probability of each class. **Shape**: ``[rows, classes]``."""
        scores = self.decision_function(X)
        return softmax(scores if scores.ndim == 2 else np.column_stack([np.zeros_like(scores), scores]))

    def predict_log_proba(self, X: Table) -> np.ndarray:  # noqa: N803
        """Logarithm of ``predict_proba``."""
        with np.errstate(divide="ignore"):  # a probability may be too small for a float: its logarithm is -inf
            return np.log(self.predict_proba(X))

    def predict(self, X: Table) -> np.ndarray:  # noqa: N803
        """The most probable class. **Shape**: ``[rows]``."""
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)]


class AutoActRegressor(RegressorMixin, AutoActEstimator):
    """A multi-layer perceptron for one number; everything else is as in ``AutoActClassifier``.

    Example:
        >>> from sklearn.datasets import load_diabetes
        >>> x, y = load_diabetes(return_X_y=True)
        >>> model = AutoActRegressor(trials=1, random_state=0).fit(x, y)
        >>> model.predict(x[:2]).shape, model.predict(x[:2]).dtype
        ((2,), dtype('float64'))
    """

    def fit(self, X: Table, y: ArrayLike) -> AutoActRegressor:  # noqa: N803
        """Search, check, and train on all rows; see ``AutoActClassifier.fit``.

        Args:
            X: **Shape** ``[rows, columns]``.
            y: numbers, **Shape** ``[rows]``.

        Raises:
            ValueError: something does not fit, in one line.
        """
        checked, y = self._checked_training(X, y)
        self._search(X, checked, np.asarray(y, dtype=np.float64), None)
        return self

    def predict(self, X: Table) -> np.ndarray:  # noqa: N803
        """Numbers in the unit of ``y``. **Shape**: ``[rows]``."""
        outputs = self._outputs(X)[:, 0]
        scale = self._target_scale
        assert scale is not None, "the target of a regression is standardised"
        return outputs * scale.std[0] + scale.mean[0]


def _has_categories(X: Table) -> bool:  # noqa: N803
    """Whether it is a DataFrame with columns that are no numbers."""
    return isinstance(X, pd.DataFrame) and not all(map(_number, X.dtypes))


def _number(dtype: Dtype) -> bool:
    """Whether scikit-learn takes a column for numbers, and so do we: truth values are categories, as in files."""
    return pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)
