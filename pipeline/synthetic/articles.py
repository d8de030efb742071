"""What the catalogue sells: each type of article, how much of it there is, and in which words it is described."""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.synthetic import eyewear, fragrances, jewelry, others, shoes, topwear, underwear
from pipeline.synthetic.draw import Brush, Colour

COLOURS: dict[str, Colour] = {
    "Black": (34, 33, 36), "White": (240, 240, 238), "Blue": (48, 98, 190), "Brown": (112, 72, 44),
    "Grey": (140, 141, 144), "Red": (200, 32, 42), "Green": (44, 130, 70), "Pink": (238, 130, 172),
    "Navy Blue": (30, 38, 84), "Purple": (108, 54, 142), "Silver": (196, 198, 204), "Yellow": (244, 208, 52),
    "Beige": (222, 202, 168), "Gold": (212, 172, 84), "Maroon": (112, 24, 40), "Orange": (238, 124, 36),
    "Olive": (108, 108, 52), "Cream": (244, 236, 206), "Steel": (160, 168, 178), "Charcoal": (68, 70, 76),
    "Peach": (250, 192, 160), "Skin": (228, 186, 156), "Lavender": (182, 162, 218), "Khaki": (172, 158, 112),
    "Magenta": (204, 36, 130), "Teal": (22, 122, 124), "Tan": (190, 142, 92), "Mustard": (206, 156, 44),
    "Bronze": (164, 112, 60), "Copper": (186, 108, 72), "Turquoise Blue": (52, 182, 196),
}  # fmt: skip

_DYED = ("Black", "White", "Blue", "Navy Blue", "Red", "Green", "Pink", "Purple", "Yellow", "Orange", "Grey", "Maroon",
         "Teal", "Turquoise Blue", "Olive", "Peach", "Mustard", "Magenta", "Lavender", "Cream", "Charcoal",
         "Khaki")  # fmt: skip
_INNER = ("Black", "White", "White", "Navy Blue", "Grey", "Skin", "Pink", "Red", "Blue", "Purple", "Maroon", "Charcoal",
          "Peach", "Green")  # fmt: skip
_LEATHER = ("Black", "Black", "Brown", "Brown", "Tan", "Maroon", "Navy Blue", "Olive", "Beige", "Grey")
_DARK = ("Black", "Black", "Brown", "Brown", "Tan", "Maroon")
_METAL = ("Gold", "Gold", "Silver", "Silver", "Steel", "Bronze", "Copper")
_SCENT = ("Blue", "Pink", "Purple", "Green", "Yellow", "Orange", "Red", "Turquoise Blue", "Gold", "Black", "Peach",
          "Beige", "Navy Blue")  # fmt: skip
_FRAME = ("Black", "Black", "Brown", "Brown", "Grey", "Red", "White", "Purple", "Blue", "Gold", "Silver", "Green")
_DENIM = ("Blue", "Blue", "Navy Blue", "Black", "Grey")

_MEN, _WOMEN, _BOTH = ("Men",), ("Women",), ("Men", "Women")
_ADULTS = ("Men", "Women", "Unisex")
_ALL = ("Men", "Men", "Men", "Women", "Women", "Boys", "Girls", "Unisex")

_CASUAL, _SPORTS, _FORMAL, _ETHNIC = ("Casual",), ("Sports",), ("Formal",), ("Ethnic",)
_OFFICE, _PARTY, _FESTIVE = ("Casual", "Formal"), ("Casual", "Party"), ("Casual", "Ethnic")


@dataclass(frozen=True)
class Article:
    """A type of article; a value that stands twice among its choices is twice as common."""

    category: str  # masterCategory/subCategory/articleType
    quota: int  # how many of each hundred products
    draw: Callable[[Brush], None]  # draws one on the brush's layer
    noun: str  # what a product's name calls it
    colours: tuple[str, ...]  # names in `COLOURS` it comes in
    genders: tuple[str, ...]
    usages: tuple[str, ...]


# The six classes; each has at least 12 of a hundred.
IN_CLASSES: tuple[Article, ...] = (
    Article("Apparel/Topwear/Tshirts", 8, topwear.tshirt, "Tshirt", _DYED, _ALL, _CASUAL + _SPORTS),
    Article("Apparel/Topwear/Shirts", 5, topwear.shirt, "Shirt", _DYED, ("Men", "Men", "Women", "Boys"), _OFFICE),
    Article("Apparel/Topwear/Tops", 4, topwear.top, "Top", _DYED, ("Women", "Women", "Girls"), _PARTY),
    Article("Apparel/Topwear/Kurtas", 3, topwear.kurta, "Kurta", _DYED, ("Women", "Women", "Men"), _ETHNIC),
    Article("Footwear/Shoes/Casual Shoes", 5, shoes.casual_shoe, "Casual Shoes", _DYED, _ALL, _CASUAL),
    Article("Footwear/Shoes/Sports Shoes", 4, shoes.sports_shoe, "Running Shoes", _DYED, _BOTH, _SPORTS),
    Article("Footwear/Shoes/Heels", 2, shoes.heels, "Heels", _LEATHER + _DYED, _WOMEN, _PARTY),
    Article("Footwear/Shoes/Formal Shoes", 2, shoes.formal_shoe, "Formal Shoes", _DARK, _MEN, _FORMAL),
    Article("Footwear/Flip Flops/Flip Flops", 2, shoes.flip_flops, "Flip Flops", _DYED, _BOTH, _CASUAL),
    Article("Footwear/Sandal/Sandals", 1, shoes.sandals, "Sandals", _LEATHER, _BOTH, _CASUAL),
    Article("Apparel/Innerwear/Briefs", 5, underwear.briefs, "Briefs", _INNER, _BOTH, _CASUAL),
    Article("Apparel/Innerwear/Bra", 4, underwear.bra, "Bra", _INNER, _WOMEN, _CASUAL),
    Article("Apparel/Innerwear/Trunk", 2, underwear.trunks, "Trunks", _INNER, _MEN, _CASUAL),
    Article("Apparel/Innerwear/Boxers", 2, underwear.boxers, "Boxers", _DYED, _MEN, _CASUAL),
    Article("Accessories/Jewellery/Earrings", 3, jewelry.earrings, "Earrings", _METAL, _WOMEN, _FESTIVE),
    Article("Accessories/Jewellery/Ring", 3, jewelry.ring, "Ring", _METAL, _BOTH, _CASUAL),
    Article(
        "Accessories/Jewellery/Necklace and Chains", 2, jewelry.necklace, "Necklace", _METAL + _DYED, _WOMEN, _CASUAL
    ),
    Article("Accessories/Jewellery/Bangle", 2, jewelry.bangle, "Bangles", _METAL + _DYED, _WOMEN, _FESTIVE),
    Article("Accessories/Jewellery/Pendant", 2, jewelry.pendant, "Pendant with Chain", _METAL, _WOMEN, _CASUAL),
    Article("Personal Care/Fragrance/Perfume and Body Mist", 7, fragrances.perfume, "Perfume", _SCENT, _BOTH, _CASUAL),
    Article("Personal Care/Fragrance/Deodorant", 5, fragrances.deodorant, "Deodorant", _SCENT, _BOTH, _CASUAL),
    Article("Accessories/Eyewear/Sunglasses", 12, eyewear.sunglasses, "Sunglasses", _FRAME, _ADULTS, _CASUAL),
)
_OUTSIDE: tuple[Article, ...] = (
    Article("Accessories/Watches/Watches", 5, others.watch, "Analogue Watch", _LEATHER, _BOTH, _CASUAL),
    Article("Accessories/Bags/Handbags", 4, others.handbag, "Handbag", _LEATHER + _DYED, _WOMEN, _CASUAL),
    Article("Accessories/Belts/Belts", 3, others.belt, "Belt", _LEATHER, _BOTH, _OFFICE),
    Article("Apparel/Bottomwear/Jeans", 3, others.jeans, "Jeans", _DENIM, _BOTH, _CASUAL),
)
ARTICLES = IN_CLASSES + _OUTSIDE
