.PHONY: install lint type test test-all app

install:
	pip install -e ".[test]" && pip install --no-deps -r train/no-deps.txt

lint:
	ruff check . && ruff format --check .

type:
	mypy

test:
	python -m pytest -n 2 --dist loadfile -m "not slow and not browser"

test-all:
	python -m pytest -n 2 --dist loadfile -m "not browser" && python -m pytest -n 2 -m browser tests/page

app:
	python app.py
