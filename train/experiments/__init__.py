"""One question a file; each writes a page of results."""
