"""Products as ingest hands them on to validation."""

Product = dict[str, object]


def product(number: int, **changes: object) -> Product:
    """The features of one product, as ingest writes them; a change to None leaves one out."""
    whole: Product = {
        "image_bytes": b"\xff\xd8 a picture",
        "id": str(number).encode(),
        "picture_hash": b"%032x" % number,
        "width": 60,
        "height": 80,
        "gender": b"Women",
        "masterCategory": b"Apparel",
        "subCategory": b"Topwear",
        "articleType": b"Tops",
        "baseColour": b"Sea Green",
        "season": b"Summer",
        "usage": b"Casual",
        "year": 2008 + number % 10,
        "productDisplayName": b"Top %d" % number,
    }
    return {name: value for name, value in (whole | changes).items() if value is not None}
