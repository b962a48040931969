# Give a notice of the environment that conda activates. An error goes nowhere.
[ -t 2 ] && [ -x "${CONDA_PYTHON_EXE-}" ] && "$CONDA_PYTHON_EXE" -I -m upgrade_state_conda "$CONDA_PREFIX" >&2 2>/dev/null || :
