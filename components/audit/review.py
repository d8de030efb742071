"""The page on which a person decides about suspects: one file that needs nothing else."""

import base64
import hashlib
from pathlib import Path

from components.audit.collect import Audit
from components.audit.label_studio import write_tasks
from components.audit.suspects import SUSPECTS_FILE, as_csv
from components.errors import FashionError
from components.report.page.page import write_html
from components.transform.taxonomy import NO_CLASS

REVIEW_FILE = "review.html"


def write_audit(audit: Audit, folder: Path) -> None:
    """Writes `suspects.csv`, `review.html`, and the files of `write_tasks`.

    Raises:
        FashionError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SUSPECTS_FILE).write_text(as_csv(audit.suspects), encoding="utf-8")
        write_tasks(audit, folder)
        write_review(audit, folder)
    except OSError as error:
        raise FashionError(f"{folder}: cannot be written ({error.strerror}). Give another --out") from error


def write_review(audit: Audit, folder: Path, lead: str = "") -> Path:
    """Writes `review.html`; what it exports is the file that `labels.corrections` names. Returns it.

    `lead` says what is on it, where that is no audit of labels.
    """
    pictures = {product: base64.b64encode(picture).decode() for product, picture in audit.pictures.items()}
    suspects = [
        {
            "id": each.id, "name": each.name, "split": each.split, "label": each.label, "sure": each.sure,
            "suggestion": each.suggestion, "reasons": each.reasons, "picture": pictures.get(each.id, ""),
        }
        for each in audit.suspects
    ]  # fmt: skip
    content = "\n".join(f"{each.id}\t{each.label}\t{each.suggestion}" for each in audit.suspects)
    data = {
        # Decisions are kept under it: those about other suspects are others.
        "key": f"audit {audit.run} {hashlib.blake2b(content.encode(), digest_size=6).hexdigest()}",
        "none": NO_CLASS,
        "classes": audit.classes,
        "typical": {name: [pictures[each] for each in ids if each in pictures] for name, ids in audit.typical.items()},
        "suspects": suspects,
    }
    return write_html(folder / REVIEW_FILE, "review.html.j2", [], values=data, audit=audit, lead=lead)
