"""One question per file; each writes a page of results."""
