"""One look at a log: what it is compared with, the verdict, and what is written of it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.answers.inputs import Products
from components.errors import AnswerError, FashionError
from components.features import NAME
from components.ingest.faults import Fault
from components.spreadsheet import csv_lines
from pipeline.monitor.baseline import find_baseline
from pipeline.monitor.log import newest, pictures, pictures_of, read_days, read_tally
from pipeline.monitor.moves import Limits
from pipeline.monitor.next import choose
from pipeline.monitor.verdict import Verdict, judge
from serving.disk import replacing

VERDICT_FILE, PAGE_FILE, NEXT_FILE = "verdict.json", "index.html", "label-next.csv"

_SHOWN = 24  # pictures of a gallery
_NEXT = ("product", "digest", "label", "confidence", "doubt", "why", "suggestion")
_TYPICAL = 3  # pictures that show what a class looks like


def look(log: Path, baseline: Path | None, limits: Limits) -> Verdict:
    """Judges the answers of the model that answered last in a folder that `--log-answers` named.

    For the baseline see `find_against`; None compares with the week before alone.

    Raises:
        AnswerError: the log or the baseline cannot be read.
    """
    model, version = newest(log)
    days = read_days(log, model, version)
    slices = {name for tally in days.values() for name in tally.slices}
    return judge(days, read_tally(baseline, slices) if baseline else None, limits)


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


def read_names(data: Path, log: Path, root: Path) -> dict[str, str]:
    """Reads the products' names from a catalogue, by the recipe of the model that answered last, if it is there.

    Raises:
        FashionError: the log or the catalogue cannot be read.
    """
    model, version = newest(log)
    folder = root / "serving" / model / str(version)
    items = (item for _, item in Products(data, folder if folder.is_dir() else None))
    return {item.id: item.fields[NAME] for item in items if not isinstance(item, Fault) and NAME in item.fields}


def write(
    verdict: Verdict, log: Path, baseline: Path | None, out: Path, budget: int, names: Mapping[str, str]
) -> Path:  # fmt: skip
    """Writes verdict, page, and `budget` pictures to label next, in place of an earlier look's; returns the page.

    `names` are those of products, as far as they are known.

    Raises:
        AnswerError: `out` cannot be written.
    """
    from components.report.page.production import write_production
    from components.report.thumbnail import thumbnail

    chosen = choose(log, budget, baseline, names) if budget else []
    kept = pictures_of(log, {row["digest"] for row in chosen})
    chosen = [row | {"picture": thumbnail(kept.get(row["digest"], b""))} for row in chosen]
    before = _shown(pictures(baseline, 10 * _SHOWN)) if baseline else []
    galleries = {
        "Before": before[:_SHOWN],
        f"Now, {verdict.days[-1].day}": _shown(pictures(log, _SHOWN, verdict.days[-1].day)),
        "To label next": [row for row in chosen if row["picture"]][:_SHOWN],
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        with replacing(out / NEXT_FILE) as file:
            lines = ([row[name] for name in _NEXT] for row in chosen)
            file.write("".join(csv_lines([_NEXT, *lines])).encode())
        _write_review(chosen, before, log, out, names)
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


def _write_review(
    chosen: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]], log: Path, out: Path,
    names: Mapping[str, str],
) -> None:  # fmt: skip
    """Writes the page on which a person labels what was chosen: that of the audit, of answers in place of labels."""
    from components.audit.collect import Audit
    from components.audit.review import write_review
    from components.audit.suspects import Suspect

    suspects = [
        Suspect(row["product"] or row["digest"], names.get(row["product"], ""), "production", row["label"],
                row["suggestion"], 0.0, (f"{row['why']} (confidence {row['confidence']:.2f})",))
        for row in chosen
    ]  # fmt: skip
    typical: dict[str, tuple[str, ...]] = {}
    for row in before:
        typical[row["label"]] = (*typical.get(row["label"], ()), row["product"])[:_TYPICAL]
    classes = sorted({each["label"] for row in chosen for each in row["top"] or ()} | {*typical})
    small = {row["product"]: row["picture"] for row in before}
    small |= {suspect.id: row["picture"] for suspect, row in zip(suspects, chosen, strict=True) if row["picture"]}
    lead = f"{len(suspects)} answers of production whose pictures would teach the model most."
    page = Audit(log.name, "production", tuple(classes), 0, 0, tuple(suspects), typical, small, (1.0, 0.0))
    write_review(page, out, lead)


def _published(run_id: str, root: Path, database: str | None) -> Path:
    from pipeline.history import History
    from pipeline.paths import Paths

    paths = Paths(root, root, database)
    run = History(paths.metadata).find(run_id)
    if run.version is None:
        raise FashionError(f"run {run.id}: published no model. Give one that did, or a version's folder.")
    return paths.serving / run.name / str(run.version)


def _shown(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    from components.report.thumbnail import thumbnail

    return [{**row, "picture": thumbnail(row["picture"])} for row in rows if row["picture"]]
