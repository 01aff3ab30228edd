"The lessons, as notebooks"
