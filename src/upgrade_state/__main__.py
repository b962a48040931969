"""
The command line, for `python -m upgrade_state`.
"""

import sys

from upgrade_state.cli import main

if __name__ == "__main__":
    sys.exit(main())
