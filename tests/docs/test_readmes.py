"""The two READMEs say the same: commands, code, numbers and links."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))


def commands(text: str) -> list[str]:
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.S | re.M)
    return [re.sub(r"\s+#.*", "", line).rstrip() for block in blocks for line in block.splitlines()]


def test_they_have_the_same_commands_and_code():
    assert commands(ENGLISH) == commands(CHINESE)


def test_they_have_the_same_numbers_in_their_tables():
    rows = [re.findall(r"^\|.*\|$", text, flags=re.M) for text in (ENGLISH, CHINESE)]
    english, chinese = ([re.findall(r"\d+\.\d+", row) for row in of] for of in rows)
    assert english == chinese
    assert len(english) >= 8


def test_they_link_to_the_same_pages():
    pages = [set(re.findall(r"\]\(([^)#]+)", text)) - {"README.md", "README.zh-CN.md"} for text in (ENGLISH, CHINESE)]
    assert pages[0] == pages[1]
    assert all((ROOT / page).exists() for page in pages[0])
