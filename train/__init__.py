"""Data, training and evaluation: the recipe, and the packages it uses.

common      Plumbing: files, command lines, processes, precision, Markdown, chains of jobs.
models      Networks and losses that exist only in training.
data        From scores and soundfonts to clips, caches and aligned pairs.
trainers    One file per trained network, and the loop they share.
evaluation  Metrics, compared systems, and the report on the test split.
experiments One question per file; each writes a page of results.
"""
