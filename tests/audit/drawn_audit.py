"""An audit of products that never were."""

import io

from PIL import Image

from components.audit.collect import Audit
from components.audit.suspects import Suspect
from components.transform.taxonomy import NO_CLASS

HOSTILE = "<script>alert(1)</script></script><!--\"'&amp;{{7*7}}"
CLASSES = ("Flats", "Heels", "Röcke", "<b>Shoes</b>")


def drawn_audit(count: int = 12) -> Audit:
    """Suspects of two pairs of classes in turn, and a blank picture at the end."""
    suspects = [
        Suspect(
            str(100 + number), HOSTILE, "train", *(("Flats", "Heels"), ("Röcke", "<b>Shoes</b>"))[number % 2], 0.9,
            ("17 of the 20 pictures most like its own are others",),
        )
        for number in range(count - 1)
    ]  # fmt: skip
    suspects.append(Suspect("=1+1", "", "test", "Flats", NO_CLASS, 0.0, ("its picture is blank",)))
    file = io.BytesIO()
    Image.new("RGB", (60, 80), "red").save(file, "JPEG")
    pictures = {each.id: file.getvalue() for each in suspects[:-1]} | {"7": file.getvalue()}
    return Audit("run-1", "shoes", CLASSES, 400, count + 3, tuple(suspects), {"Heels": ("7",)}, pictures, (0.6, 0.3))
