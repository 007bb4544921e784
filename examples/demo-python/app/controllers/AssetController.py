"""The style sheet and the icon: those of the demo in C++, read from its source once."""

import re
from pathlib import Path

from masonite.controllers import Controller
from masonite.response import Response

SOURCE = (Path(__file__).resolve().parents[3] / "demo/assets.hpp").read_text(encoding="utf-8")


def literal(name):
    """The text of a raw string R"name(...)name"."""
    (text,) = re.findall(rf'R"{name}\((.*?)\){name}"', SOURCE, re.DOTALL)
    return text


class AssetController(Controller):
    STYLE, ICON = literal("css"), literal("svg")

    def style(self, response: Response):
        response.with_headers({"Content-Type": "text/css; charset=utf-8", "Cache-Control": "max-age=300"})
        return self.STYLE

    def icon(self, response: Response):
        response.with_headers({"Content-Type": "image/svg+xml", "Cache-Control": "max-age=300"})
        return self.ICON
