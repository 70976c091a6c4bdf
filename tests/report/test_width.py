"""No page is wider than its window, on a laptop and on a telephone, as Chromium lays it out."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scaling_jax.report import write_report
from scaling_jax.report.compared import write_comparison
from scaling_jax.study.status import compare_studies
from tests.report.study import report_data

pytestmark = pytest.mark.usefixtures("svg_alone")

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
WIDTHS = (1280, 390)
# A frame has the width that a window cannot be made to have; its page is of the same origin.
FRAME = '<iframe width="{width}" height="900" style="border:0" srcdoc="{page}"></iframe>'
# For each frame: its width, that of its page, and elements that are cut at the right.
MEASURE = """
<script>
const apart = ".scroll, svg, details, .stack thead";
const measured = (frame) => {
  const root = frame.contentDocument.documentElement;
  const isCut = (each) => each.getBoundingClientRect().right > root.clientWidth + 1;
  const cut = [...root.querySelectorAll("body *")].filter((each) => !each.closest(apart));
  const shown = cut.filter(isCut).slice(0, 5).map((each) => each.outerHTML.slice(0, 80));
  return [root.clientWidth, root.scrollWidth, shown];
};
addEventListener("load", () => {
  const found = [...document.querySelectorAll("iframe")].map(measured);
  document.body.textContent = JSON.stringify(found);
});
</script>
"""


def comparison(path: Path) -> Path:
    n, d = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e6, 1e8, 4), [1e8, 1e9, 1e10]))
    tables = [
        pd.DataFrame(
            {
                "params": n,
                "tokens": d,
                "loss": 1.7 + 400 / (better * n) ** 0.34 + 410 / (better * d) ** 0.28,
                "loss_stderr": 0.003,
                "run_id": [f"{better}-{i}" for i in range(len(n))],
            }
        )
        for better in (1, 2)
    ]
    return write_comparison(compare_studies(tables, bootstrap=20), path)


@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
def test_no_page_is_wider_than_its_window(tmp_path: Path) -> None:
    assert BROWSER is not None
    pages = [write_report(report_data(), tmp_path / "page.html"), comparison(tmp_path / "two.html")]
    frames = [
        FRAME.format(width=width, page=html.escape(page.read_text(encoding="utf-8")))
        for page in pages
        for width in WIDTHS
    ]
    outer = tmp_path / "outer.html"
    outer.write_text(f"<!doctype html><body>{''.join(frames)}{MEASURE}</body>", encoding="utf-8")
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--dump-dom")
    command = [BROWSER, *options, outer.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=300).stdout
    body = re.search(r"<body[^>]*>(.*)</body>", shown, re.S)
    assert body is not None, shown
    measured = json.loads(html.unescape(body[1]))
    assert [inner for inner, _, _ in measured] == [*WIDTHS, *WIDTHS]
    assert [(width, cut) for inner, width, cut in measured if width > inner or cut] == []
