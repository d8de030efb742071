"""How a run is shown: a page for people, a page that compares two runs, a model card."""

from components.report.page.card import write_card
from components.report.page.compare import write_comparison
from components.report.page.page import write_page

__all__ = ["write_card", "write_comparison", "write_page"]
