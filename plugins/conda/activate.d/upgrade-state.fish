# Give a notice of the environment that conda activates, unless the user has set
# plugins.upgrade_notice to false. The notice goes to stderr, an error nowhere.
if test -t 2 -a -x "$CONDA_PYTHON_EXE"; and not grep -qs "upgrade_notice: false" \
        "$CONDARC" ~/.condarc "$CONDA_PREFIX/.condarc" (dirname "$CONDA_PYTHON_EXE")/../.condarc
    "$CONDA_PYTHON_EXE" -I -m upgrade_state_conda "$CONDA_PREFIX" >&2 2>/dev/null; or true
end
