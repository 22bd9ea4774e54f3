"""``python -m autoact predict``: score the rows of a file with a model of the registry."""

from __future__ import annotations

from collections.abc import Sequence

from autoact.cli.simple_arguments import PLACES, words

USAGE = """usage: python -m autoact predict model=models:/NAME@champion input=new.csv output=scores.csv [runs=DIR]
       [tracking.uri=URI]

Scores new rows with the preprocessing that the model was trained with. input and output are csv or parquet files; the
target's column may be absent. The output holds the number of each row from 0 (messages count rows from 1), the columns
that training left out (data.drop, such as ids), the score and the prediction. A column of the input that is called row,
score or prediction is written as input_row, input_score or input_prediction. model is models:/NAME/3,
models:/NAME@alias, runs:/ID/model, or a folder that holds a logged model.
"""


def run(arguments: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    given = words(arguments, ("model", "input", "output", *PLACES))
    source = given.need("model", "which model scores, such as models:/churn-autoact@candidate")
    path = given.need("input", "the file of new rows")
    target = given.need("output", "the file to write, such as output=scores.csv")
    from autoact.workflows.predict import predict

    scored = predict(source, path, output=target, **given.places)
    for note in scored.notes:
        print(f"note: {note}")
    print(scored.summary)
    return 0
