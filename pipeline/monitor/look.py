"""One look at a log: what it is compared with, the verdict, and what is written of it."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from components.errors import AnswerError, FashionError
from components.spreadsheet import csv_lines
from pipeline.monitor.baseline import find_baseline
from pipeline.monitor.log import newest, pictures, read_days, read_tally
from pipeline.monitor.moves import Limits
from pipeline.monitor.next import choose
from pipeline.monitor.verdict import Verdict, judge
from serving.disk import replacing

VERDICT_FILE, PAGE_FILE, NEXT_FILE = "verdict.json", "index.html", "label-next.csv"

_SHOWN = 24  # pictures of a gallery
_NEXT = ("product", "digest", "label", "confidence", "doubt")


def look(log: Path, baseline: Path | None, limits: Limits) -> Verdict:
    """Judges the answers of the model that answered last in a folder that `--log-answers` named.

    For the baseline see `find_against`; None compares with the week before alone.

    Raises:
        AnswerError: the log or the baseline cannot be read.
    """
    model, version = newest(log)
    return judge(read_days(log, model, version), read_tally(baseline) if baseline else None, limits)


def find_against(log: Path, against: str | None, root: Path, database: str | None) -> Path | None:
    """The baseline that is meant: a file, another log, a published model, a run, or the model that answered last.

    Raises:
        FashionError: what was named is not there.
    """
    if against is None:
        model, version = newest(log)
        try:
            return find_baseline(root / "serving" / model / str(version or ""), root, database)
        except AnswerError:
            return None  # it may have been trained elsewhere
    path = Path(against)
    if path.is_file() or any(path.glob("day=*")):
        return path
    return find_baseline(path if path.exists() else _published(against, root, database), root, database)


def write(verdict: Verdict, log: Path, baseline: Path | None, out: Path, budget: int) -> Path:
    """Writes verdict, page, and `budget` pictures to label next, in place of an earlier look's; returns the page.

    Raises:
        AnswerError: `out` cannot be written.
    """
    from components.report.page.production import write_production

    chosen = choose(log, budget) if budget else []
    galleries = {
        "Before": _shown(pictures(baseline, _SHOWN)) if baseline else [],
        f"Now, {verdict.days[-1].day}": _shown(pictures(log, _SHOWN, verdict.days[-1].day)),
        "To label next": _shown(chosen[:_SHOWN]),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        with replacing(out / NEXT_FILE) as file:
            lines = ([row[name] for name in _NEXT] for row in chosen)
            file.write("".join(csv_lines([_NEXT, *lines])).encode())
        against = baseline.stem if baseline else "nothing: no baseline was found"
        write_production(out / PAGE_FILE, verdict.as_json(), log.name, against, galleries)
        with replacing(out / VERDICT_FILE) as file:
            file.write(json.dumps(verdict.as_json(), indent=2).encode())
    except OSError as error:
        raise AnswerError(f"{out}: cannot be written: {error.strerror or error}. Give another --out.") from error
    return out / PAGE_FILE


def read_verdict(folder: Path) -> Mapping[str, Any]:
    """What the last look wrote.

    Raises:
        AnswerError: there is none.
    """
    try:
        verdict: Mapping[str, Any] = json.loads((folder / VERDICT_FILE).read_bytes())
    except (OSError, ValueError) as error:
        raise AnswerError(f"{folder}: holds no verdict of `fashion monitor`: {error}") from None
    return verdict


def _published(run_id: str, root: Path, database: str | None) -> Path:
    from pipeline.history import History
    from pipeline.paths import Paths

    paths = Paths(root, root, database)
    run = History(paths.metadata).find(run_id)
    pushed = run.stage("publish").output("pushed_model")
    if pushed is None or not pushed.properties.get("pushed"):
        raise FashionError(f"run {run.id}: published no model. Give one that did, or a version's folder.")
    return paths.serving / run.name / str(pushed.properties["pushed_version"])


def _shown(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    from components.report.thumbnail import thumbnail

    return [{**row, "picture": thumbnail(row["picture"])} for row in rows if row["picture"]]
