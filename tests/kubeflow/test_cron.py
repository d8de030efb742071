"""A cron expression is passed on with the seconds that Kubeflow wants, or is refused by the field that is wrong."""

import re

import pytest

from components.errors import RecipeError
from pipeline.kubeflow.cron import kubeflow_cron


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ("0 3 * * *", "0 0 3 * * *"),
        ("30 0 3 * * *", "30 0 3 * * *"),
        ("*/15 8-18 * * MON-fri", "0 */15 8-18 * * MON-fri"),
        ("0,30 0 1,15 JAN-jun/2 ?", "0 0,30 0 1,15 JAN-jun/2 ?"),
        ("5/20 3 29 2 *", "0 5/20 3 29 2 *"),
        ("0 3 31 2 sun", "0 0 3 31 2 sun"),
    ],
)
def test_cron_is_given_the_seconds_that_kubeflow_wants(given: str, fields: str) -> None:
    assert kubeflow_cron(given) == fields


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "give five fields"),
        ("3 * * *", "give five fields"),
        ("@daily", "give five fields"),
        ("0 0 3 * * * 2026", "give five fields"),
        ("60 3 * * *", "minute '60': give *, a number 0-59"),
        ("0 24 * * *", "hour '24': give *, a number 0-23"),
        ("0 3 0 * *", "day of the month '0': give *, a number 1-31"),
        ("0 3 * 13 *", "month '13': give *, a number 1-12 or jan-dec"),
        ("0 3 * * 7", "day of the week '7': give *, a number 0-6 or sun-sat"),
        ("0 3 * * 5-1", "day of the week '5-1'"),
        ("0 3 * * mon-", "day of the week 'mon-'"),
        ("*/0 3 * * *", "minute '*/0'"),
        ("0 3,, * * *", "hour ''"),
        ("0 3am * * *", "hour '3am'"),
        ("0 3 31 4,6 *", "never comes: no such month has a day 31"),
    ],
)
def test_a_cron_expression_that_means_nothing_is_refused(given: str, said: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(said)):
        kubeflow_cron(given)
