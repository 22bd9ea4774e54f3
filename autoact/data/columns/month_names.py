"""Dates with the names of months, as SAS and people write them: 25JAN2020, Jan 5, 2020."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

# Ways of writing dates, as ``data.time_format`` takes them; the reader of dates takes the names in any case.
FORMS: Sequence[str] = (
    *(f"%d{gap}{month}{gap}%Y" for month in ("%b", "%B") for gap in ("", "-", " ", "/", ".")),
    *(f"%d{gap}%b{gap}%y" for gap in ("", "-", " ")),
    *(f"{month} %d{comma} %Y" for month in ("%b", "%B") for comma in (",", "")),
    *(f"%Y{gap}%b{gap}%d" for gap in ("-", "")),
    *("%d%b%Y:%H:%M:%S", "%d%b%y:%H:%M:%S", "%d %b %Y %H:%M", "%d-%b-%Y %H:%M:%S", "%b %Y", "%b-%Y", "%B %Y", "%Y-%m"),
)


def date_form(present: pd.Series) -> str | None:
    """The form in which every value is a date; None where there is none.

    Args:
        present: text without missing values.

    Example:
        >>> date_form(pd.Series(["25JAN2020", "01MAR2021"])), date_form(pd.Series(["Jan 5, 2020"]))
        ('%d%b%Y', '%b %d, %Y')
    """
    values = pd.Series(present.unique(), dtype=object)
    for form in FORMS:
        if _all_dates(values.head(1), form) and _all_dates(values, form):
            return form
    return None


def _all_dates(values: pd.Series, form: str) -> bool:
    """Whether each value is a date of this form."""
    return bool(len(values)) and bool(pd.to_datetime(values, format=form, errors="coerce").notna().all())
