"""
The command line, for `python -m upgrade_state`.
"""

import sys

from upgrade_state.cli import script

if __name__ == "__main__":
    sys.exit(script())
