"""Data, training and evaluation scripts: verbs are scripts, nouns are importable."""
