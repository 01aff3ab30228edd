"Reads settings.ini, the one place where name, version and requirements stand"

from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

cfg = ConfigParser(delimiters=["="])
cfg.read("settings.ini", encoding="utf-8")
cfg = cfg["DEFAULT"]

extras = [key.removesuffix("_requirements") for key in cfg if key.endswith("_requirements")]

setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    keywords=cfg["keywords"],
    author=cfg["author"],
    license="Apache-2.0",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    packages=[p for p in find_packages() if p.startswith("seg_course")] + ["seg_course.lessons"],
    # the lessons travel in the wheel, since `seg_course run` needs them
    package_dir={"seg_course.lessons": "nbs/lessons"},
    package_data={"seg_course": ["py.typed"], "seg_course.lessons": ["*.ipynb", "*.json"]},
    python_requires=">=" + cfg["min_python"],
    install_requires=cfg["requirements"].split(),
    extras_require={k: cfg[f"{k}_requirements"].split() for k in extras},
    entry_points={
        "console_scripts": cfg["console_scripts"].split(),
        "nbdev": ["seg_course=seg_course._modidx:d"],
    },
)
