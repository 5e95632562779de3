"""Opens each page of the built site in Chromium, and prints a line for each fault. Run by test_site.py.

python site_pages.py SITE CHROMIUM [PICTURES [PAGES]]

PICTURES is a folder for a picture of each page at each width in both schemes, and for its print. PAGES are the
beginnings of the names of the pages that are opened.
"""

import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

WIDTHS = 390, 820, 1280
PAPER = 718
"""Pixels between the margins of A4."""
TOO_WIDE = """() => {
    const said = (node) => node.textContent.trim().slice(0, 60);
    const found = document.documentElement.scrollWidth <= innerWidth ? [] : ["the page scrolls sideways"];
    for (const node of document.querySelectorAll(".md-content :is(p, li, td, h1, h2, h3, img, pre)")) {
        const box = node.getBoundingClientRect();
        if (box.width && box.right > innerWidth + 1 && !node.parentElement.closest("pre, .md-typeset__scrollwrap"))
            found.push(`<${node.localName}> ends at ${box.right}: ${said(node)}`);
        if (node.localName == "img" && !node.naturalWidth) found.push(`no picture: ${node.src}`);
    }
    return found;
}"""
CUT = """() => [...document.querySelectorAll(".md-content :is(pre, pre > code, .md-typeset__scrollwrap)")]
    .filter((node) => node.offsetParent && node.scrollWidth > node.clientWidth + 1)
    .map((node) => `${node.clientWidth} of ${node.scrollWidth} pixels: ${node.textContent.trim().slice(0, 60)}`)"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, and prints nothing."""

    def log_message(self, *told):
        pass


def serious(page):
    """What `axe` finds that is serious, each with the element."""
    found = Axe().run(page).response["violations"]
    found = [each for each in found if each["impact"] in ("serious", "critical")]
    return [f"{each['id']}: {node['html'][:200]}" for each in found for node in each["nodes"]]


def opened(browser, server, name, scheme, said):
    """A page of the site. What it complains of, and asks of others, is added to `said`."""
    page = browser.new_page(color_scheme=scheme, reduced_motion="reduce")
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda each: None if each.url.startswith((server, "data:")) else said.append(each.url))
    page.goto(f"{server}/{name}")
    return page


def faults(browser, server, name, pictures):
    """A line for each fault of one page. The reference has one look, so `axe` reads its pages in one scheme a width."""
    said, kept = [], pictures / name.replace("/", "-").removesuffix(".html") if pictures else None
    for scheme in ("light", "dark"):
        page = opened(browser, server, name, scheme, said)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(100)
            said += [f"{width} px: {each}" for each in page.evaluate(TOO_WIDE)]
            if width != 820 and ("reference/" not in name or (width == 390) == (scheme == "dark")):
                said += [f"{width} px, {scheme}: {each}" for each in serious(page)]
            if kept:
                page.screenshot(path=f"{kept}-{width}-{scheme}.png", full_page=True)
        if scheme == "light":
            page.emulate_media(media="print")
            page.set_viewport_size({"width": PAPER, "height": 1000})
            said += [f"on paper: {each}" for each in page.evaluate(CUT) + page.evaluate(TOO_WIDE)]
            if kept:
                page.pdf(path=f"{kept}.pdf", format="A4")
        page.close()
    return [f"{name}: {each}\n" for each in dict.fromkeys(said)]


def main():
    site, chromium = Path(sys.argv[1]).resolve(), sys.argv[2]
    pictures = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    wanted = tuple(sys.argv[4:]) or ("",)
    handler = partial(Quiet, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, sync_playwright() as tools:
        Thread(target=server.serve_forever, daemon=True).start()
        browser = tools.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name in sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html")):
            if name.startswith(wanted):
                address = f"http://127.0.0.1:{server.server_port}"
                print(*faults(browser, address, name, pictures), sep="", end="", flush=True)
        browser.close()
        server.shutdown()
    print("all of it")


if __name__ == "__main__":
    main()
