"""The site in a real browser: no failed request, every link inside resolves, the search finds, and both themes are photographed.

usage: python .ci/site.py SITE [FOLDER]      SITE is what `make site` built; screenshots go to FOLDER; needs `chromium` on the path
"""

import shutil
import sys
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

ROOT = Path(__file__).resolve().parent.parent
PAGES = (
    "index.html",
    "gallery.html",
    "reference.html",
    "how/loss.html",
    "nbs/lessons/01_hippocampus.html",
    "nbs/32_batch.oversample.html",
)
SEARCHES = ("oversampling", "hysteresis")


class Links(HTMLParser):
    "Addresses that a page leads to or loads, and the anchors that it has"

    def __init__(self):
        super().__init__()
        self.to, self.anchors = [], set()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors |= {attrs.get("id"), attrs.get("name")}
        for key in ("href", "src"):
            if attrs.get(key):
                self.to.append(attrs[key])


def read_links(site):
    "Page -> its links and anchors"
    found = {}
    for file in site.rglob("*.html"):
        if "_static" in file.parts:  # patterns of the theme
            continue
        links = Links()
        links.feed(file.read_text(encoding="utf-8"))
        found[file.relative_to(site).as_posix()] = links
    return found


def dead_links(site):
    "(page, link) of links inside the site that lead nowhere"
    pages, dead = read_links(site), []
    for page, links in pages.items():
        for link in links.to:
            if urlsplit(link).scheme or link.startswith("//"):
                continue
            target, anchor = urldefrag(unquote(urljoin(page, link)))
            target = target.split("?")[0] or page
            if not (site / target).exists():
                dead.append((page, link))
            elif anchor and target in pages and anchor not in pages[target].anchors:
                dead.append((page, link))
    return sorted(set(dead)), sum(len(links.to) for links in pages.values())


def shown_directives(site):
    "Pages on which a directive of nbdev can be read"
    return [f.name for f in site.rglob("*.html") if "#| export" in f.read_text(encoding="utf-8")]


def left_early(request):
    "Was a picture below the fold still on its way when the next page was opened? That is no fault"
    return "ERR_ABORTED" in (request.failure or "")


def visit(browser, url, folder):
    "Open pages in both themes; requests that failed or went elsewhere"
    failed = []
    for theme in ("light", "dark"):
        context = browser.new_context(color_scheme=theme, viewport=dict(width=1280, height=900))
        page = context.new_page()
        page.on("requestfailed", lambda r: None if left_early(r) else failed.append(r.url))
        page.on("response", lambda r: failed.append(r.url) if r.status >= 400 else None)
        page.on(
            "request", lambda r: None if r.url.startswith((url, "data:")) else failed.append(r.url)
        )
        for name in PAGES:
            page.goto(f"{url}/{name}", wait_until="load")
            assert page.evaluate("document.documentElement.dataset.theme") == theme, name
            shot = f"{Path(name).stem}_{theme}.png"
            page.screenshot(path=folder / shot)
        context.close()
    return failed


def search(browser, url, word):
    "How many pages the search of the site finds"
    page = browser.new_page()
    page.goto(f"{url}/search.html?q={word}")
    page.wait_for_selector("#search-results li", timeout=20000)
    page.wait_for_timeout(1000)
    n = page.locator("#search-results li").count()
    page.close()
    return n


def main(site, folder=ROOT / "runs/site"):
    from playwright.sync_api import sync_playwright

    site, folder = Path(site), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    dead, n = dead_links(site)
    assert not dead, f"{len(dead)} dead links: {dead[:20]}"
    assert not shown_directives(site), shown_directives(site)[:10]
    handler = partial(SimpleHTTPRequestHandler, directory=str(site))
    SimpleHTTPRequestHandler.log_message = lambda *args: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        failed = visit(browser, url, folder)
        assert not failed, f"requests that failed or left the site: {sorted(set(failed))[:10]}"
        found = {word: search(browser, url, word) for word in SEARCHES}
        assert min(found.values()) > 0, found
        browser.close()
    server.shutdown()
    print(f"{n} links, none dead; no request failed; found: {found}")


if __name__ == "__main__":
    main(*sys.argv[1:])
