"""
The built site stands alone, and its search finds every public name.

`nox -s docs` builds it and names its directory in ``UPGRADE_STATE_SITE``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

import upgrade_state
from upgrade_state import checks, exceptions, lockfiles, testing

SITE = Path(os.environ.get("UPGRADE_STATE_SITE", ""))

pytestmark = pytest.mark.skipif(not SITE.name, reason="nox -s docs builds the site")

PAGES = sorted(SITE.rglob("*.html")) if SITE.name else []

# Writes the number of pixels that each page hides on a phone into the title.
FRAMES = """\
<!doctype html>
<title></title>
<script>
onload = () => {
  // The theme lets its column scroll, so the page alone would always fit.
  const columns = Array.from(frames, (f) => f.document.querySelector(".content"));
  const hidden = (table) => table.scrollWidth - table.clientWidth;
  const excess = columns.map((column) => Math.max(
    column.scrollWidth - 390,
    ...Array.from(column.querySelectorAll(".table-wrapper"), hidden)));
  document.title = excess.join();
};
</script>
"""

DOORS = (upgrade_state, lockfiles, checks, exceptions, testing)


class Assets(HTMLParser):
    """
    Collect the addresses that a browser loads without a click.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in {"src", "srcset", "data", "poster"} or (
                name == "href" and tag in {"link", "use", "image"}
            ):
                self.found.append(value or "")


class TestSite:
    def test_stands_alone(self):
        """
        No page, style or script loads anything from another host.
        """
        foreign = set()
        for page in PAGES:
            assets = Assets()
            assets.feed(page.read_text())
            foreign |= {url for url in assets.found if re.match(r"\w+:|//", url)}
        for style in SITE.rglob("*.css"):
            loads = re.findall(
                r"(?:url\(|@import)\s*['\"]?([^'\")]+)", style.read_text()
            )
            foreign |= {url for url in loads if re.match(r"https?:|//", url)}

        assert PAGES
        assert set() == foreign

    def test_front_page(self):
        """
        The front page is the README, and its links stay on the site.
        """
        page = (SITE / "index.html").read_text()

        assert "An activation waits for nothing." in page
        assert 'href="tutorial.html"' in page
        assert "/main/docs/" not in page

    def test_names_are_found(self):
        """
        The search finds the public names, and methods such as `claim_notice`.
        """
        index = (SITE / "searchindex.js").read_text()
        names = {name for door in DOORS for name in getattr(door, "__all__", ())}

        assert set() == {name for name in names if f'"{name}"' not in index}
        assert '"claim_notice"' in index

    def test_returns_are_no_types(self):
        """
        No `Returns:` of a docstring has a colon that makes a type of its beginning.
        """
        pages = [page.read_text() for page in (SITE / "api").glob("*.html")]

        assert [] == [page for page in pages if "Return type" in page]

    def test_fits_a_phone(self, tmp_path):
        """
        No page is wider than a phone: its tables wrap, and its code scrolls inside.
        """
        browser = shutil.which("chromium") or shutil.which("google-chrome")
        if browser is None:
            pytest.skip("needs chromium")
        frame = '<iframe width="390" height="844" src="{}"></iframe>'
        frames = [frame.format(page.as_uri()) for page in PAGES]
        (tmp_path / "frames.html").write_text(FRAMES + "".join(frames))
        options = ["--headless", "--no-sandbox", "--allow-file-access-from-files"]
        address = (tmp_path / "frames.html").as_uri()
        done = subprocess.run(
            [browser, *options, f"--user-data-dir={tmp_path}", "--dump-dom", address],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        excess = re.findall(r"<title>([\d,-]+)</title>", done.stdout)[0].split(",")

        wide = zip(PAGES, map(int, excess), strict=True)
        assert [] == [(page.name, pixels) for page, pixels in wide if pixels > 0]

    def test_methods_have_anchors(self):
        """
        A method can be linked to under its public name.
        """
        page = (SITE / "api" / "state.html").read_text()

        assert 'id="upgrade_state.EnvironmentState.claim_notice"' in page
