"""The documentation site from the notebooks: their directives leave, signatures become tables, lessons keep their outputs.

usage: python site/build.py [FOLDER]       the site goes to FOLDER (default: _site); needs `pip install -e '.[site]'`
"""

import ast
import base64
import json
import re
import shutil
import sys
import tokenize
from io import StringIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "build" / "site"
GITHUB = "https://github.com/seg-course/seg_course/blob/main/"
PACKAGES = {
    "files": "read everything, refuse what is wrong",
    "look": "know the data before any training",
    "prepare": "from scans of every scale to a store that training reads",
    "batch": "whole batches on the device",
    "nets": "networks and losses",
    "score": "honest numbers",
    "train": "one fold, from wherever it stands",
    "predict": "whole cases, back on their own grid",
    "draw": "phantoms, DICOM files of our own, and where the data is",
    "plan": "from a fingerprint of the data to settings that fit the minutes",
    "out": "what leaves, and what is seen",
}


def comments(source):
    "Line -> comment behind it"
    tokens = tokenize.generate_tokens(StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}


def after(lines, start, end):
    "The comment of an argument: behind its last line, and in lines of their own below it"
    found = [lines[n] for n in range(start, end + 1) if n in lines]
    return " ".join(found)


def arguments(f):
    "(argument, default or None) of a function, in order"
    a = f.args
    plain = a.posonlyargs + a.args
    defaults = [None] * (len(plain) - len(a.defaults)) + a.defaults
    out = list(zip(plain, defaults))
    out += [(a.vararg, None)] if a.vararg else []
    out += list(zip(a.kwonlyargs, a.kw_defaults))
    return out + ([(a.kwarg, None)] if a.kwarg else [])


def cell(text):
    "Text for a cell of a table in Markdown"
    return text.replace("|", "\\|").replace("\n", " ")


def signature_table(source, f):
    "The head of a function as Markdown: what it does, its arguments, what it returns, what it raises"
    lines, doc = comments(source), ast.get_docstring(f) or ""
    head = ", ".join(a.arg for a, _ in arguments(f) if a.arg != "self")
    out = [f"### `{f.name}({head})`", "", doc, ""]
    given = [(a, d) for a, d in arguments(f) if a.arg != "self"]
    if given:
        out += ["| argument | type | default | meaning |", "|---|---|---|---|"]
    ends = [a.lineno for a, _ in given[1:]] + [f.body[0].lineno]
    for (a, default), end in zip(given, ends):
        kind = f"`{ast.unparse(a.annotation)}`" if a.annotation else ""
        value = f"`{ast.unparse(default)}`" if default is not None else ""
        meaning = after(lines, a.lineno, max(a.lineno, end - 1))
        back = lines.get(end - 1, "") if a is given[-1][0] else ""
        meaning = meaning.removesuffix(back).strip() if back and meaning != back else meaning
        out.append(f"| `{a.arg}` | {cell(kind)} | {cell(value)} | {cell(meaning)} |")
    heads = range(f.lineno, f.body[0].lineno)
    returned = next(
        (lines[n] for n in reversed(heads) if n in lines and is_head_end(source, n)), ""
    )
    kind = f"`{ast.unparse(f.returns)}` " if f.returns else ""
    if kind or returned:
        out += ["", f"**Returns** {kind}{returned}"]
    return "\n".join(out)


def is_head_end(source, n):
    "Is this line of a function the end of its head?"
    return re.match(r"\s*\).*:\s*#", source.splitlines()[n - 1]) is not None


def public(node):
    "A definition with a name for users"
    kinds = (ast.FunctionDef, ast.ClassDef)
    return isinstance(node, kinds) and not node.name.startswith("_")


def described(source):
    "Markdown about the public definitions of a cell; '' if it has none"
    try:
        nodes = [n for n in ast.parse(source).body if public(n)]
    except SyntaxError:  # a cell of the shell
        return ""
    texts = []
    for node in nodes:
        if isinstance(node, ast.ClassDef):
            texts.append(f"### `class {node.name}`\n\n{ast.get_docstring(node) or ''}")
            inside = [n for n in node.body if isinstance(n, ast.FunctionDef)]
            made = [n for n in inside if n.name == "__init__"]
            texts += [signature_table(source, n).replace("__init__", node.name) for n in made]
        else:
            texts.append(signature_table(source, node))
    return "\n\n".join(texts)


def plain(source):
    "(source without directives, the directives)"
    found = re.findall(r"^#\|\s*(.*)$", source, re.M)
    return re.sub(r"^#\|.*\n?", "", source, flags=re.M).strip("\n"), found


def outward(text, folder):
    "Links of Markdown to files that are not pages of the site lead to the repository"

    def changed(match):
        target = match[2].split("#")[0]
        if re.match(r"[a-z]+:|#", match[2]) or not target:
            return match[0]
        file = (ROOT / folder / target).resolve()
        if (file.suffix == ".ipynb" or file.parent == ROOT / "pictures") and file.exists():
            return match[0]
        if file.is_relative_to(ROOT) and file.exists():
            return f"{match[1]}({GITHUB}{file.relative_to(ROOT)})"
        return match[0]

    return re.sub(r"(\[[^\]]*\])\(([^)\s]+)\)", changed, text)


def markdown(text):
    return dict(cell_type="markdown", metadata={}, source=text)


def page_cells(nb, folder):
    "The cells of a notebook as the site shows them"
    for c in nb["cells"]:
        source = "".join(c["source"])
        if c["cell_type"] != "code":
            yield markdown(outward(source, folder))
            continue
        source, directives = plain(source)
        words = {d.split()[0] for d in directives if d}
        if not source or words & {"default_exp", "hide"}:
            continue
        tags = list(c["metadata"].get("tags", []))
        if words & {"export", "exports"}:
            about = described(source)
            if about:
                yield markdown(about)
            tags.append("hide-input")
        outputs = [o for o in c["outputs"] if o["output_type"] != "error"]
        yield c | dict(source=source, outputs=outputs, metadata=dict(tags=tags))


def write_page(notebook):
    "A notebook without directives, in the folder that Sphinx reads; (title, sentence, names)"
    nb = json.loads(notebook.read_text(encoding="utf-8"))
    here = notebook.relative_to(ROOT)
    cells = list(page_cells(nb, here.parent))
    for i, c in enumerate(cells):
        c.pop("id", None)
        cells[i] = c | dict(id=f"c{i}")
    target = SOURCE / here
    target.parent.mkdir(parents=True, exist_ok=True)
    kernel = dict(name="python3", display_name="python3", language="python")
    page = dict(cells=cells, metadata=dict(kernelspec=kernel), nbformat=4, nbformat_minor=5)
    target.write_text(json.dumps(page, ensure_ascii=False), encoding="utf-8")
    first = cells[0]["source"]
    title = re.search(r"^# (.*)", first, re.M)[1]
    sentence = re.search(r"^> (.*)", first, re.M)
    names = re.findall(r"^### `(?:class )?(\w+)", "\n".join(map(text_of, cells)), re.M)
    return title, sentence[1] if sentence else "", list(dict.fromkeys(names))


def text_of(c):
    return c["source"] if c["cell_type"] == "markdown" else ""


def pictures(notebook, most=2):
    "The first pictures among the outputs of a notebook"
    nb = json.loads(notebook.read_text(encoding="utf-8"))
    outputs = [o for c in nb["cells"] for o in c.get("outputs", [])]
    found = [o["data"]["image/png"] for o in outputs if "image/png" in o.get("data", {})]
    return ["".join(p) for p in found if len("".join(p)) > 12_000][:most]


def write_gallery(pages):
    "A page of pictures, each a link to the notebook that draws it"
    folder = SOURCE / "_static" / "pictures"
    folder.mkdir()
    lines = ["# Gallery", "", "Each picture is drawn by the notebook that it leads to.", ""]
    lines += ['<div class="gallery">']
    for notebook, (title, *_) in pages.items():
        here = notebook.relative_to(ROOT)
        for i, picture in enumerate(pictures(notebook)):
            name = f"{notebook.stem}_{i}.png"
            (folder / name).write_bytes(base64.b64decode(picture))
            page = here.with_suffix(".html").as_posix()
            image = (
                f'<img src="_static/pictures/{name}" alt="{title}, picture {i + 1}" loading="lazy">'
            )
            lines.append(f'<a href="{page}">{image}<span>{title}</span></a>')
    lines += ["</div>", ""]
    (SOURCE / "gallery.md").write_text("\n".join(lines), encoding="utf-8")


def toctree(caption, pages):
    return "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", *pages, "```", ""])


def write_reference(rooms):
    "All names for users, package after package"
    lines = ["# Reference", "", "Each room is a notebook: prose, code, tests.", ""]
    for package, words in PACKAGES.items():
        lines += [f"## {package}", "", f"{words[0].upper()}{words[1:]}.", ""]
        lines += ["| room | about | names |", "|---|---|---|"]
        for notebook, (title, sentence, names) in rooms.items():
            if title.startswith(f"{package}."):
                page = notebook.relative_to(ROOT).as_posix()
                listed = ", ".join(f"`{n}`" for n in names)
                lines.append(f"| [{title}]({page}) | {cell(sentence)} | {listed} |")
        lines.append("")
    (SOURCE / "reference.md").write_text("\n".join(lines), encoding="utf-8")


def write_index(rooms, lessons):
    "README as the first page, with the table of contents of the site"
    shutil.copytree(ROOT / "pictures", SOURCE / "pictures")
    text = outward((ROOT / "README.md").read_text(encoding="utf-8"), ".")
    text = re.sub(r"^\[!\[.*\n", "", text, flags=re.M)  # badges are for the repository
    how = sorted(f"how/{f.stem}" for f in (SOURCE / "how").glob("*.md"))
    parts = [text, toctree("Start", ["gallery", "reference"])]
    parts.append(toctree("Questions", how))
    parts.append(toctree("Lessons", [f"nbs/lessons/{f.stem}" for f in lessons]))
    for package in PACKAGES:
        inside = [f for f, (title, *_) in rooms.items() if title.startswith(f"{package}.")]
        parts.append(toctree(package, [f"nbs/{f.stem}" for f in inside]))
    rest = [f for f, (title, *_) in rooms.items() if title.split(".")[0] not in PACKAGES]
    parts.append(toctree("The house", [f"nbs/{f.stem}" for f in rest]))
    (SOURCE / "index.md").write_text("\n\n".join(parts), encoding="utf-8")


def make_source():
    "All that Sphinx reads"
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.copytree(ROOT / "site", SOURCE, ignore=shutil.ignore_patterns("build.py", "__pycache__"))
    rooms = {f: write_page(f) for f in sorted((ROOT / "nbs").glob("[0-9]*.ipynb"))}
    lessons = {f: write_page(f) for f in sorted((ROOT / "nbs/lessons").glob("[0-9]*.ipynb"))}
    write_gallery(lessons | rooms)
    write_reference(rooms)
    write_index(rooms, lessons)
    return len(rooms), len(lessons)


def main(out=ROOT / "_site"):
    from sphinx.cmd.build import main as sphinx

    rooms, lessons = make_source()
    code = sphinx(["-q", "-j", "auto", "-b", "html", str(SOURCE), str(out)])
    print(f"{rooms} rooms and {lessons} lessons in {out}")
    return code


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
