# Every target is a word of dev.py, which also works where there is no make: python dev.py run
PYTHON ?= python3

.PHONY: run setup test lint format bench

run setup test lint format bench:
	@$(PYTHON) dev.py $@
