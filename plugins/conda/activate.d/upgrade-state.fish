# Give a notice of the environment that conda activates. An error goes nowhere.
test -t 2 -a -x "$CONDA_PYTHON_EXE"; and $CONDA_PYTHON_EXE -I -m upgrade_state_conda $CONDA_PREFIX >&2 2>/dev/null; or true
