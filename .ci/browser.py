"""A lesson in a real browser: JupyterLab, headless Chromium, all cells run, a slider moved, screenshots compared.

usage: python .ci/browser.py [FOLDER]      screenshots go to FOLDER (default: runs/browser); needs `chromium` on the path
"""
import os, shutil, socket, subprocess, sys, tempfile, time, urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LESSON = 'nbs/lessons/00_look_first.ipynb'

def free_port():
    with socket.socket() as s: s.bind(('127.0.0.1',0)); return s.getsockname()[1]

def start_lab(folder, port):
    "JupyterLab on this machine only, without a token"
    env = dict(os.environ, JUPYTER_CONFIG_DIR=str(folder/'config'), JUPYTERLAB_SETTINGS_DIR=str(folder/'settings'), JUPYTERLAB_WORKSPACES_DIR=str(folder/'workspaces'))
    lab = subprocess.Popen([sys.executable,'-m','jupyterlab','--no-browser','--allow-root',f'--port={port}','--ip=127.0.0.1','--IdentityProvider.token=','--LabApp.news_url=','--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate'],
        cwd=folder, env=env, stdout=open(folder/'lab.log','w'), stderr=subprocess.STDOUT)
    for _ in range(120):
        try: urllib.request.urlopen(f'http://127.0.0.1:{port}/api', timeout=2); return lab
        except OSError: time.sleep(.5)
    lab.kill(); raise SystemExit('JupyterLab did not start:\n'+(folder/'lab.log').read_text()[-2000:])

def idle(page, seconds):
    "Wait until the kernel has run every cell"
    page.wait_for_function("() => [...document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')].length>0 && ![...document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')].some(e => e.innerText.includes('[*]'))", timeout=seconds*1000)

def main(out):
    chromium = next((p for n in ('chromium','chromium-browser','google-chrome') if (p := shutil.which(n))), None)
    if not chromium: print('no Chromium here (Debian: apt-get install chromium): browser test left out'); return
    from playwright.sync_api import sync_playwright
    out.mkdir(parents=True, exist_ok=True); folder = Path(tempfile.mkdtemp()); shutil.copy(ROOT/LESSON, folder/'lesson.ipynb')
    port = free_port(); lab = start_lab(folder, port)
    try:
        with sync_playwright() as p:
            browser = p.chromium.launch(executable_path=chromium, args=['--no-sandbox','--disable-gpu'])
            page = browser.new_page(viewport=dict(width=1400,height=1000)); page.goto(f'http://127.0.0.1:{port}/lab/tree/lesson.ipynb')
            page.wait_for_selector('.jp-CodeCell', timeout=90_000); page.wait_for_timeout(3000)
            page.get_by_text('Edit', exact=True).first.click(); page.get_by_text('Clear Outputs of All Cells').click()
            page.get_by_text('Run', exact=True).first.click(); page.get_by_text('Run All Cells', exact=True).click()
            page.wait_for_timeout(3000); idle(page, 300)
            errors = page.locator('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.stderr"]:has-text("Traceback"), .jp-RenderedText[data-mime-type="application/vnd.jupyter.error"]').count()
            assert not errors, f'{errors} cells of the lesson failed in the browser'
            viewer = page.locator('.jp-OutputArea-output:has(.widget-slider):has(.widget-image):has-text("window")').first
            viewer.scroll_into_view_if_needed(); page.wait_for_timeout(1500)
            picture,still = viewer.locator('img').first,page.locator('.jp-RenderedImage img').first
            handle = viewer.locator('.noUi-handle').first
            def shoot(name): picture.scroll_into_view_if_needed(); return picture.screenshot(path=out/f'{name}.png')
            still_before = still.get_attribute('src'); before = shoot('before'); again = shoot('before'); assert before==again, 'the picture changes by itself'
            handle.focus(); [page.keyboard.press('ArrowRight') for _ in range(3)]; page.wait_for_timeout(2500); after = shoot('after_arrow_keys')
            assert after!=before, 'three arrow keys on the slider did not change the slice'
            viewer.get_by_role('button', name='coronal').click(); page.wait_for_timeout(2500); coronal = shoot('coronal'); assert coronal!=after, 'the button coronal did nothing'
            viewer.locator('select').select_option('mediastinum'); page.wait_for_timeout(2500); assert shoot('mediastinum')!=coronal, 'the window did not change'
            assert still.get_attribute('src')==still_before, 'a figure that no control belongs to has changed'
            page.screenshot(path=out/'page.png'); browser.close()
        print(f'browser test passed: screenshots in {out}')
    finally:
        lab.terminate(); lab.wait(20); shutil.rmtree(folder, ignore_errors=True)

if __name__=='__main__': main(Path(sys.argv[1] if len(sys.argv)>1 else ROOT/'runs/browser').resolve())
