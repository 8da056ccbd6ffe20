"""The console in a real Chromium: the way of an owner from the link to the history, with a phone's
width and a screen's, its accessibility by axe-core, and what is left with scripts off."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from edgeface.cli import main
from tests.helpers.chromium import Page, chromium
from tests.helpers.command import call
from tests.helpers.console import PASSWORD, console
from tests.helpers.service import PORTRAITS, Running

PAGES = ("people", "live", "history", "attendance", "status", "access")
WIDTHS = (390, 1280)


def axe() -> str:
    """The script of axe-core, from the package that carries it."""
    found = find_spec("axe_core_python")
    assert found is not None, "axe-core-python is not installed: run make test"
    assert found.origin is not None
    return Path(found.origin).with_name("axe.min.js").read_text()


def serious(page: Page) -> list[str]:
    """What axe-core finds on a page that keeps somebody from using it."""
    found = page.run(
        "axe.run().then(r => r.violations.filter(v => ['serious', 'critical'].includes(v.impact))"
        ".map(v => v.id + ': ' + v.nodes.map(n => n.html).join(' ')))"
    )
    return list(found)


def test_the_way_of_an_owner_in_a_real_browser(service: Running, tmp_path: Path) -> None:
    state = tmp_path / "console"
    link = call(main, "console", "link", "--state", state)
    secret = link.stdout.strip().rpartition("/")[2]
    script = axe()
    with console(service, state) as (port, _, _), chromium(tmp_path) as page:
        base = f"http://localhost:{port}"
        page.width(WIDTHS[0])
        page.open(f"{base}/first/{secret}")
        page.fill("#password", PASSWORD)
        page.fill("#again", PASSWORD)
        page.run(script)
        assert serious(page) == []
        page.click("main form button")
        page.open(f"{base}/people")
        page.fill("#pictured", "Eileen Collins")
        page.choose("#files", PORTRAITS / "collins.jpg")
        page.click("form[action='/people/pictures'] button")
        page.until(".big.good")
        page.open(f"{base}/people")
        assert "Eileen Collins" in page.text()
        for name in PAGES:
            page.open(f"{base}/{name}")
            page.run(script)
            for width in WIDTHS:
                page.width(width)
                page.picture(tmp_path / f"{name}-{width}.png")
                assert serious(page) == [], (name, width)
                assert page.run("document.documentElement.scrollWidth") <= width, name
        assert page.complaints == []
        page.send("Emulation.setScriptExecutionDisabled", value=True)
        page.open(f"{base}/people")
        assert "Eileen Collins" in page.text()
        page.open(f"{base}/history")
        assert "Recognized" in page.text()
        page.open(f"{base}/status")
        assert "The service reports nothing wrong" in page.text()
    # The other tests of this service do not know her.
    service.ask(command="remove", name="Eileen Collins")
