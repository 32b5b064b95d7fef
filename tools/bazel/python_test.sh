#!/bin/sh
# Runs a Python test with the distribution's interpreter, whose packages tools/setup installs.
exec env PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$@"
