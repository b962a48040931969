import sys

import pytest

from helpers import run_python

# No server answers there.
URL = "postgresql:///team?host=/nowhere&connect_timeout=1"

# Runs a command, and prints the connections that it opens and the modules it loads.
ACTIVATION = f"""
import sys
sys.path = {sys.path}
before, events = set(sys.modules), []
watched = ("socket.", "subprocess.", "os.posix_spawn", "os.fork", "os.exec")
def watch(event, args):
    if event.startswith(watched):
        events.append(event)
sys.addaudithook(watch)
from upgrade_state.cli import main
status = main(sys.argv[1:])
print(*["MARK", status, *events])
print(*sorted(sys.modules.keys() - before))
"""


def activation(*words):
    """
    Return the status, the connections and the modules of a command in a new process.
    """
    code = ACTIVATION.replace("MARK", "\\nactivation")
    out = run_python(code, *words, measured=False)
    seen, modules = out.rpartition("\nactivation ")[2].splitlines()
    return seen.split(), modules.split()


class TestActivations:
    @pytest.mark.parametrize(
        "words",
        [
            ("notify",),
            ("notify", "--check"),
            ("notify", "--peek"),
            ("notify", "--max-age=12h", "--check"),
            ("hook", "bash"),
            ("completion", "zsh"),
            ("completion", "--environments"),
            ("show",),
            ("list",),
        ],
    )
    def test_no_connection(self, environment, commit, lock_of, run, monkeypatch, words):
        """
        With shared results, no activation opens a connection or imports more.
        """
        commit(environment, lock_of(attrs="24.3.0", idna="3.9"), by="uv")
        run("notify", "--always")
        alone = activation(*words)
        monkeypatch.setenv("UPGRADE_STATE_SHARED", URL)
        shared = activation(*words)

        assert ["0"] == shared[0]
        assert alone == shared
