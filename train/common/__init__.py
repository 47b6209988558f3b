"""Plumbing: files, command lines, processes, precision, Markdown, chains of jobs."""
