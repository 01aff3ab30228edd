"Sphinx reads this in the folder that build.py writes"

project = "seg_course"
author = "The seg_course founders"
copyright = "2026 onwards, the seg_course founders"
extensions = ["myst_nb"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
exclude_patterns = ["_static"]
html_theme = "sphinx_book_theme"
html_title = "seg_course"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = []
html_copy_source = False
html_show_sourcelink = False
html_theme_options = dict(
    repository_url="https://github.com/seg-course/seg_course",
    use_repository_button=True,
    use_issues_button=True,
    use_download_button=False,
    navbar_persistent=[],  # one search field is enough, in the side bar
    show_navbar_depth=1,
    show_toc_level=2,
    home_page_in_toc=True,
)
nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js = {}  # no widget is alive on a page, and nothing is fetched from elsewhere
myst_heading_anchors = 3
# the alternative texts of figures are sentences of the notebooks
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type"]
