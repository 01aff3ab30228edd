# the documentation site, from the notebooks; needs: pip install -e '.[site]'
site:
	python site/build.py _site

# the same in headless Chromium; needs: pip install -e '.[dev]'
check-site: site
	python .ci/site.py _site

.PHONY: site check-site
