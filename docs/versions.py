"""The page from which one chooses a version: python docs/versions.py build/docs, which has a folder for each."""

from __future__ import annotations

import re
import sys
from pathlib import Path

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>quickstudy: versions</title>
<style>body {{ font: 18px/1.6 system-ui, sans-serif; max-width: 36rem; margin: 4rem auto; padding: 0 1rem }}</style>
<h1>quickstudy</h1>
<p>The documentation of each version:</p>
<ul>
{links}
</ul>
</html>
"""


def main(site: Path) -> None:
    """Writes the page; the newest version first."""
    names = [folder.name for folder in site.iterdir() if (folder / "index.html").is_file()]
    names.sort(key=lambda name: [int(part) for part in re.findall(r"\d+", name)], reverse=True)
    links = "\n".join(f'<li><a href="{name}/index.html">{name}</a></li>' for name in names)
    (site / "index.html").write_text(PAGE.format(links=links), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
