"""A lesson in a real browser: JupyterLab, headless Chromium, all cells run, a slider moved, screenshots compared; its report asks for nothing.

usage: python .ci/browser.py [FOLDER]      screenshots go to FOLDER (default: runs/browser); needs `chromium` on the path
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
LESSON = "nbs/lessons/00_look_first.ipynb"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_lab(folder, port):
    "JupyterLab on this machine only, without a token"
    for name, value in (
        ("notebook-extension/tracker", '{"windowingMode": "none"}'),
        ("apputils-extension/notification", '{"fetchNews": "false"}'),
    ):  # all cells are in the page; no question about news
        f = folder / f"settings/@jupyterlab/{name}.jupyterlab-settings"
        f.parent.mkdir(parents=True, exist_ok=True)
        f.write_text(value)
    env = dict(
        os.environ,
        JUPYTER_CONFIG_DIR=str(folder / "config"),
        JUPYTERLAB_SETTINGS_DIR=str(folder / "settings"),
        JUPYTERLAB_WORKSPACES_DIR=str(folder / "workspaces"),
    )
    lab = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "jupyterlab",
            "--no-browser",
            "--allow-root",
            f"--port={port}",
            "--ip=127.0.0.1",
            "--IdentityProvider.token=",
            "--LabApp.news_url=",
            "--LabApp.expose_app_in_browser=True",  # so that the theme can be changed
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ],
        cwd=folder,
        env=env,
        stdout=open(folder / "lab.log", "w"),
        stderr=subprocess.STDOUT,
    )
    for _ in range(120):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=2)
            return lab
        except OSError:
            time.sleep(0.5)
    lab.kill()
    raise SystemExit("JupyterLab did not start:\n" + (folder / "lab.log").read_text()[-2000:])


def read_notebook(file):
    "A notebook that JupyterLab may be saving at this moment: read again until it is whole"
    for _ in range(50):
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except json.JSONDecodeError:
            time.sleep(0.1)
    raise AssertionError(f"{file.name} is no whole notebook, 5 s after it was saved")


def run_all(page, file, seconds):
    "Run all cells from the menu; done when the saved notebook says so"
    for menu, item in (("Edit", "Clear Outputs of All Cells"), ("Run", "Run All Cells")):
        page.get_by_text(menu, exact=True).first.click()
        page.get_by_text(item, exact=True).click()
    for _ in range(seconds // 3):
        page.wait_for_timeout(3000)
        page.keyboard.press("Control+s")
        page.wait_for_timeout(500)
        code = [c for c in read_notebook(file)["cells"] if c["cell_type"] == "code"]
        failed = [o for c in code for o in c["outputs"] if o["output_type"] == "error"]
        if failed:
            raise AssertionError(
                f"a cell of the lesson failed in the browser: {failed[0]['ename']}: {failed[0]['evalue']}"
            )
        if all(c["execution_count"] for c in code):
            return
    raise AssertionError(
        f"{sum(not c['execution_count'] for c in code)} cells were not run in {seconds} s"
    )


class Listener(BaseHTTPRequestHandler):
    "Answers every request, and counts them"

    seen = []

    def do_GET(self):
        self.seen.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass


def open_page(browser, text, file):
    "(requests to other places, pictures that are shown) of a page"
    file.write_text(text, encoding="utf-8")
    page, asked = browser.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_timeout(3000)
    pictures = page.evaluate("[...document.images].filter(i => i.naturalWidth > 1).length")
    page.close()
    return [url for url in asked if not url.startswith(("data:", "file:"))], pictures


def check_report(browser, notebook, folder):
    "The HTML report of a lesson asks for nothing, not even if something in it wants to"
    from seg_course.out.report import report_page

    page = report_page(notebook)
    asked, pictures = open_page(browser, page, folder / "report.html")
    assert not asked, f"the report asks for {asked}"
    assert pictures, "the report shows no picture"
    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = f"http://127.0.0.1:{server.server_port}"
    tries = f"<script src='{here}/a.js'></script><img src='{here}/b.png'>"
    tries += f"<link rel='stylesheet' href='{here}/c.css'><iframe src='{here}/d.html'></iframe>"
    open_page(browser, page.replace("</body>", f"{tries}</body>"), folder / "tries.html")
    assert not Listener.seen, f"the browser was let out to {Listener.seen}"
    free = re.sub("<meta http-equiv=.Content-Security-Policy.*?>", "", page)
    open_page(browser, free.replace("</body>", f"{tries}</body>"), folder / "free.html")
    assert len(Listener.seen) == 4, "without the policy, all of them go out: the listener is awake"
    server.shutdown()
    print(f"report: no request, {pictures} pictures; 4 that were planted are refused")


WIDGETS = """
import numpy as np
from seg_course.draw.tissue import tissue
from seg_course.files.scan import Scan
from seg_course.out.view import browse, browse_thresholds
rgb, targets = tissue(np.random.default_rng(1))
picture = Scan(rgb.transpose(2, 0, 1)[:, None], np.diag([-1.0, -1, 1, 1]))
truth = np.any(targets, axis=0)[None].astype(np.uint8)
probs = np.stack([1 - 0.8 * truth, 0.8 * truth])
browse_thresholds(picture, probs, truth)
---
noise = np.random.default_rng(0).normal(-200, 300, (1, 134, 512, 512)).astype(np.float32)
masses = np.zeros((134, 512, 512), np.uint8)
masses[40:90, 200:300, 200:330] = 1
browse(Scan(noise, np.diag([-0.8, -0.8, 2.5, 1])), dict(truth=masses), {1: "mass"})
---
import ipywidgets
step, said = ipywidgets.IntSlider(description="empty"), ipywidgets.Label("0")
step.observe(lambda change: setattr(said, "value", str(change.new)), "value")
ipywidgets.VBox([step, said])
"""

VOLUME = """
import numpy as np
from seg_course.files.scan import Scan
from seg_course.out.view import browse
z, y, x = np.mgrid[:24, :48, :48]
ball = ((z - 12) ** 2 * 4 + (y - 24) ** 2 + (x - 24) ** 2 < 400).astype(np.uint8)
noise = np.random.default_rng(0).normal(100 * ball, 20).astype(np.float32)
browse(Scan(noise[None], np.diag([-1.0, -1, 2, 1])), dict(truth=ball), {1: "ball"}, "niivue")
"""

# resolves, in ms, when the picture or the text of an output has changed after a key
CHANGED = """
({ output, key }) => new Promise((done) => {
  const handle = output.querySelector(".noUi-handle");
  const start = performance.now();
  const finish = () => { watch.disconnect(); done(performance.now() - start); };
  const picture = output.querySelector("img");
  const said = [...output.querySelectorAll(".widget-label")].pop();
  const state = () => (picture ? picture.src : said.textContent);
  const before = state();
  const watch = new MutationObserver(() => {
    if (state() === before) return;
    if (picture) picture.decode().then(finish, finish); else finish();
  });
  watch.observe(output, { subtree: true, attributes: true, childList: true, characterData: true });
  handle.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
})
"""


def widgets_notebook(file, texts):
    "A notebook of these cells"
    code = [
        dict(
            cell_type="code",
            source=text.strip(),
            metadata={},
            outputs=[],
            execution_count=None,
            id=f"w{i}",
        )
        for i, text in enumerate(texts)
    ]
    kernel = dict(name="python3", display_name="Python 3")
    book = dict(cells=code, metadata=dict(kernelspec=kernel), nbformat=4, nbformat_minor=5)
    file.write_text(json.dumps(book))


def until_other(page, take, before, fault):
    "What `take` returns once it is another than `before`; refuses after 30 s"
    for _ in range(100):
        page.wait_for_timeout(300)
        now = take()
        if now != before:
            return now
    raise AssertionError(fault)


def open_notebook(browser, url):
    "JupyterLab with this notebook alone, whatever was open before"
    page = browser.new_page(viewport=dict(width=1400, height=1000))
    page.goto(f"{url}?reset")
    page.wait_for_selector(".jp-CodeCell", timeout=90_000)
    page.wait_for_timeout(3000)
    return page


def check_pointer(page, viewer, picture):
    "A click in the picture moves the cross-hair, and so do the keys"
    try:
        import anywidget  # noqa: F401
    except ImportError:
        print("pointer: anywidget is not installed, left out")
        return
    words = viewer.locator(".widget-html-content").last
    assert "Cross-hair: x " in picture.get_attribute("alt"), "no alternative text"
    before = words.inner_text()
    picture.click(position=dict(x=100, y=150))
    fault = "a click in the picture did not move the cross-hair"
    clicked = until_other(page, words.inner_text, before, fault)
    page.keyboard.press("ArrowRight")
    moved = until_other(page, words.inner_text, clicked, "an arrow key did not move it")
    x = [int(re.search(r"x (\d+)", text)[1]) for text in (clicked, moved)]
    assert x[1] == x[0] + 1, f"an arrow key in the picture: x {x[0]} to {x[1]}"
    page.keyboard.press("PageUp")
    paged = until_other(page, words.inner_text, moved, "page up did not move the cross-hair")
    z = [int(re.search(r"z (\d+)", text)[1]) for text in (moved, paged)]
    assert z[1] == z[0] + 1, f"page up in the picture: z {z[0]} to {z[1]}"
    print(f"pointer: {before} -> {clicked}")


def check_widgets(browser, url, folder, out):
    "Thresholds; the pointer; and how long a key takes, beside a widget that draws nothing"
    file = folder / "widgets.ipynb"
    widgets_notebook(file, WIDGETS.split("---\n"))
    page = open_notebook(browser, f"{url}/lab/tree/widgets.ipynb")
    run_all(page, file, 120)
    cells = page.locator(".jp-CodeCell")
    outputs = [
        cells.nth(i).locator(".jp-OutputArea-output:has(.noUi-handle)").first for i in range(3)
    ]
    picture = outputs[0].locator("img").first
    picture.scroll_into_view_if_needed()
    before = picture.screenshot()
    outputs[0].locator(".noUi-handle").first.focus()
    for _ in range(80):
        page.keyboard.press("ArrowRight")
    until_other(page, picture.screenshot, before, "the threshold `drop` changes nothing")
    page.wait_for_timeout(1000)
    picture.screenshot(path=out / "thresholds.png")
    picture = outputs[1].locator("img").first
    picture.scroll_into_view_if_needed()
    check_pointer(page, outputs[1], picture)
    picture.screenshot(path=out / "large.png")
    medians = []
    for output in outputs[1:]:
        output.scroll_into_view_if_needed()
        handle = output.element_handle()
        times = []
        for _ in range(9):
            times.append(page.evaluate(CHANGED, dict(output=handle, key="ArrowRight")))
            page.wait_for_timeout(300)
        medians.append(sorted(times)[4])
    slice_ms, empty_ms = medians
    print(
        f"a key changes a slice of 512x512x134 in {slice_ms:.0f} ms, an empty widget in "
        f"{empty_ms:.0f} ms: ratio {slice_ms / empty_ms:.1f}"
    )
    page.screenshot(path=out / "widgets.png")
    page.close()


def check_volume(playwright, chromium, url, folder, out):
    "NiiVue draws a volume with WebGL, which a browser without a GPU computes"
    if find_spec("ipyniivue") is None:
        print("3D: ipyniivue is not installed, left out")
        return
    args = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    browser = playwright.chromium.launch(executable_path=chromium, args=args)
    file = folder / "volume.ipynb"
    widgets_notebook(file, [VOLUME])
    page = open_notebook(browser, f"{url}/lab/tree/volume.ipynb")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    run_all(page, file, 120)
    canvas = page.locator(".jp-OutputArea-output canvas").first
    canvas.wait_for(timeout=30_000)
    page.wait_for_timeout(5000)
    shot = out / "volume.png"
    canvas.screenshot(path=shot)
    small = Image.open(shot).convert("RGB").resize((200, 100))
    colours = len(small.getcolors(small.width * small.height))
    assert colours > 50, f"NiiVue shows {colours} colours: it draws nothing"
    elsewhere = [a for a in asked if not a.startswith((url, "data:", "blob:", "ws:"))]
    assert not elsewhere, f"NiiVue asks for {elsewhere}"
    canvas.click(position=dict(x=60, y=60))
    fault = "a click moves no cross-hair in NiiVue"
    until_other(page, canvas.screenshot, shot.read_bytes(), fault)
    browser.close()
    print(f"3D: {colours} colours, no request to elsewhere")


def viewer_of(page, call):
    "The output with sliders of the cell that contains a call"
    cell = page.locator(f'.jp-CodeCell:has-text("{call}")').first
    cell.scroll_into_view_if_needed()
    viewer = cell.locator(".jp-OutputArea-output:has(.noUi-handle)").first
    viewer.wait_for(timeout=60_000)
    page.wait_for_timeout(1500)
    return viewer


def picture_of(viewer):
    "The picture of a viewer, as it is seen"
    picture = viewer.locator("img").first
    picture.scroll_into_view_if_needed()
    return picture.screenshot()


def check_stain(page, out):
    "The stains of the lesson"
    viewer = viewer_of(page, "browse_stain(pic")
    before = picture_of(viewer)
    viewer.get_by_role("button", name="eosin").click()
    take = partial(picture_of, viewer)
    after = until_other(page, take, before, "the button eosin did nothing")
    (out / "eosin.png").write_bytes(after)


def check_slices(page, viewer, out):
    "Keys, planes and windows of the viewer of slices: each of them changes the picture"

    def press_keys():
        viewer.locator(".noUi-handle").first.focus()
        for _ in range(3):
            page.keyboard.press("ArrowRight")

    window = viewer.locator("select:has(option[value=mediastinum])")
    button = partial(viewer.get_by_role, "button")
    steps = dict(
        after_arrow_keys=press_keys,
        coronal=button(name="coronal").click,
        mediastinum=partial(window.select_option, "mediastinum"),
        three_planes=button(name="three planes").click,
    )
    take = partial(picture_of, viewer)
    shown = take()
    assert take() == shown, "the picture changes by itself"
    for name, do in steps.items():
        do()
        until_other(page, take, shown, f"{name}: the picture is the same as before")
        page.wait_for_timeout(1000)
        shown = take()
        (out / f"{name}.png").write_bytes(shown)


def figures_of(page, file):
    "All figures of a notebook that JupyterLab saves"
    page.keyboard.press("Control+s")
    page.wait_for_timeout(2000)
    return [
        output["data"]["image/png"]
        for cell in read_notebook(file)["cells"]
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    ]


def shoot_themes(page, viewer, out):
    "The page in the light and in the dark theme, to be looked at"
    for name in ("Light", "Dark"):
        change = "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })"
        page.evaluate(change, f"JupyterLab {name}")
        page.wait_for_timeout(4000)
        viewer.scroll_into_view_if_needed()
        page.screenshot(path=out / f"page_{name.lower()}.png")


def check_lesson(browser, url, folder, out):
    "A whole lesson: its viewers work, and no control changes a figure of another cell"
    file = folder / "lesson.ipynb"
    shutil.copy(ROOT / LESSON, file)
    page = open_notebook(browser, f"{url}/lab/tree/lesson.ipynb")
    run_all(page, file, 300)
    viewer = viewer_of(page, "browse(img")
    check_slices(page, viewer, out)
    check_stain(page, out)
    shown = figures_of(page, file)
    assert shown, "the notebook shows no figure"
    before = picture_of(viewer)
    viewer.get_by_role("button", name="axial").click()
    take = partial(picture_of, viewer)
    until_other(page, take, before, "the button axial did nothing")
    assert figures_of(page, file) == shown, "a figure that no control belongs to has changed"
    shoot_themes(page, viewer, out)
    check_report(browser, file, folder)


def find_chromium():
    "Path of a browser, or None"
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def main(out):
    chromium = find_chromium()
    if not chromium:
        print("no Chromium here (Debian: apt-get install chromium): browser test left out")
        return
    from playwright.sync_api import sync_playwright

    out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp())
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    lab = start_lab(folder, port)
    try:
        with sync_playwright() as p:
            args = ["--no-sandbox", "--disable-gpu"]
            browser = p.chromium.launch(executable_path=chromium, args=args)
            check_volume(p, chromium, url, folder, out)
            check_widgets(browser, url, folder, out)
            check_lesson(browser, url, folder, out)
            browser.close()
        print(f"browser test passed: screenshots in {out}")
    finally:
        lab.terminate()
        lab.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "runs/browser").resolve())
