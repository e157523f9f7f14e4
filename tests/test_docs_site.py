"""The site of the docs: every text is in its navigation, once, and is copied for it. `make docs` checks the links."""

import re
import subprocess
from collections.abc import Iterator

import yaml

from tasks.settings import ROOT

SITE = yaml.load((ROOT / "mkdocs.yml").read_text(), yaml.BaseLoader)  # noqa: S506 (without tags it makes texts alone)


def pages(nav: object) -> Iterator[str]:
    for part in nav if isinstance(nav, list) else [nav]:
        if isinstance(part, str):
            yield part
        else:
            for below in part.values():
                yield from pages(below)


def test_every_text_is_in_the_navigation_once() -> None:
    texts = {str(file.relative_to(ROOT)) for folder in ("docs", "benchmarks") for file in (ROOT / folder).rglob("*.md")}
    listed = list(pages(SITE["nav"]))
    assert len(set(listed)) == len(listed)
    assert set(listed) == texts | {"README.md", "CONTRIBUTING.md", "CHANGELOG.md"}


def test_the_site_is_strict_and_made_of_copies_of_these_texts() -> None:
    assert SITE["strict"] == "true"
    assert set(SITE["validation"]["links"].values()) == {"warn"}
    (copied,) = [
        line
        for line in subprocess.check_output(["make", "-n", "docs"], cwd=ROOT, text=True).splitlines()
        if "--parents" in line
    ]
    tops = copied.split()
    assert all(page in tops or page.partition("/")[0] in tops for page in pages(SITE["nav"]))


def test_the_tree_of_the_architecture_names_every_module_and_no_other() -> None:
    tree = (ROOT / "docs" / "architecture.md").read_text().partition("## The tree\n")[2].partition("\n## ")[0]
    for folder in ("eclare", "tasks", "dags", "pages", "local"):
        (section,) = re.findall(rf"^{folder}/.*(?:\n .*)*", tree, re.MULTILINE)
        files = {file.stem for file in (ROOT / folder).rglob("*.py") if file.parent.name != "steps"} - {"__init__"}
        assert files - {"__main__"} <= set(re.findall(r"\w+", section)), folder
        assert set(re.findall(r"(\w+)\.py", section)) <= files, folder
