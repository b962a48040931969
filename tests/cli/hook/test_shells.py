"""
The hook in real, interactive shells on a tty.
"""

import re
import shlex
import subprocess

import pytest

from upgrade_state import lockfiles


class TestTelling:
    def test_on_entering(self, shell, terminal, stand_in, desk):
        """
        Entering a directory with a lockfile runs the command: no input, and no output.
        """
        shown = terminal(shell).run("cd shop")

        (call,) = stand_in.calls
        assert ["notify", "--check"] == call["argv"]
        assert str(desk / "shop") == call["directory"]
        assert ("", [False, False, True]) == (call["input"], call["is_terminal"])
        assert 1 == shown.count("TOLD")
        assert "not to be seen" not in shown

    DEEP = "/".join("abcdefghijklmnopqrstuvwxyz" * 2)

    @pytest.mark.parametrize(
        ("lines", "expected"),
        [
            (["cd shop", "echo a", "", "cd .", "cd ../shop"], ["shop"]),
            (["cd shop", "cd ..", "cd shop"], ["shop", "shop"]),
            (["cd shop; cd ..; cd plain"], []),
            (["cd shop/sub/sub"], ["shop/sub/sub"]),
            (["touch plain/flake.lock", "cd plain/sub"], ["plain/sub"]),
            ([f"mkdir -p shop/{DEEP}", f"cd shop/{DEEP}"], [f"shop/{DEEP}"]),
            # A directory is no lockfile.
            (["cd plain", "mkdir uv.lock", "cd sub", "cd /"], []),
            # The directory above is the physical one, not the one in $PWD.
            (["ln -s ../shop/sub plain/link", "cd plain/link"], ["shop/sub"]),
            (["ln -s ../plain/sub shop/link", "cd plain", "cd ../shop/link"], []),
            # A directory need not be readable.
            (["chmod 100 shop/sub", "cd shop/sub"], ["shop/sub"]),
        ],
    )
    def test_directories(self, shell, terminal, stand_in, desk, lines, expected):
        """
        The command runs in each directory with a lockfile there or above.
        """
        terminal(shell).run(*lines)

        assert [str(desk / name) for name in expected] == stand_in.directories

    def test_first_prompt(self, shell, terminal, stand_in, desk):
        """
        A shell that starts in a directory has entered it.
        """
        tty = terminal(shell, cwd=desk / "shop")

        assert [str(desk / "shop")] == stand_in.directories
        assert "TOLD" in tty.first

    def test_substitution(self, shell, terminal, stand_in):
        """
        Nothing runs in a command substitution or a subshell.
        """
        line = {
            "fish": 'set x (cd shop; cat uv.lock; echo a; cd ..); echo "<$x>"',
        }.get(shell.name, '(cd shop; echo a); x=$(cd shop; echo a); echo "<$x>"')
        shown = terminal(shell).run(line)

        assert "<a>" in shown
        assert [] == stand_in.calls

    def test_not_interactive(self, shell, stand_in, desk):
        """
        Nothing runs in a script.
        """
        done = subprocess.run(
            [shell.program, "-c", f"{shell.hook()}\ncd shop\necho a"],
            env=shell.environment(),
            cwd=desk,
            capture_output=True,
            check=True,
            timeout=60,
        )

        assert (b"a\n", b"") == (done.stdout, done.stderr)
        assert [] == stand_in.calls

    def test_reading(self, shell, terminal, stand_in, desk):
        """
        Nothing runs while a command reads a line.
        """
        tty = terminal(shell)
        tty.send("cd shop; read x; cd ..\n")
        tty.run("a")

        assert [] == stand_in.calls

    def test_every_name(self, shell, terminal, stand_in, desk):
        """
        Every name that needs no pattern is found.
        """
        names = lockfiles.names()
        places = [desk / str(number) for number, _ in enumerate(names)]
        for place, name in zip(places, names, strict=True):
            (place / name).parent.mkdir(parents=True)
            (place / name).touch()
        terminal(shell).run(*(f"cd '{place}'" for place in places))

        assert [str(place) for place in places] == stand_in.directories

    def test_no_terminal(self, shell, terminal, stand_in, desk, tmp_path):
        """
        If stderr is no terminal, nothing is claimed.
        """
        if shell.is_fish:
            with open(tmp_path / "err", "w") as err:
                terminal(shell, stderr=err).run("cd shop")
        else:
            tty = terminal(shell)
            tty.send("exec 3>&2 2>err\ncd shop\ncd ..\n")
            tty.run("exec 2>&3")

        assert [] == stand_in.calls


class TestNotSpawning:
    EVENTS = "trace=clone,clone3,fork,vfork,execve"
    MARK = "/bin/echo MARK"

    def spawned(self, log):
        """
        Return the processes that were started after the mark.
        """
        before, found, after = log.read_text().rpartition('"MARK"]')
        assert "upgrade-state" in before
        assert found
        kinds = re.compile(r"\b(clone3?|v?fork|execve)\(")
        lines = [line for line in after.splitlines()[1:] if kinds.search(line)]
        # A thread is no process; fish has some.
        return [line for line in lines if "CLONE_THREAD" not in line]

    @pytest.fixture
    def trace(self, required, tmp_path):
        strace = required("strace")
        log = tmp_path / "strace"
        argv = [strace, "-f", "-qq", "-s", "4096", "-e", self.EVENTS, "-o", str(log)]
        done = subprocess.run([*argv, "true"], check=False, capture_output=True)
        if done.returncode != 0:
            pytest.skip("strace may not trace here")
        return argv, log

    def leave(self, tty):
        tty.send("exit\n")
        tty.process.wait(60)

    def test_elsewhere(self, shell, terminal, trace):
        """
        In a directory without a lockfile no process is made, at any prompt.
        """
        shell.tracer, log = trace
        tty = terminal(shell)
        tty.run(self.MARK, "cd plain", "", "cd sub", "cd ..", "cd /")
        self.leave(tty)

        assert [] == self.spawned(log)

    def test_there(self, shell, terminal, trace):
        """
        With a lockfile there is one process, so the count is right.
        """
        shell.tracer, log = trace
        tty = terminal(shell)
        tty.run(self.MARK, "cd shop", "", "cd sub")
        self.leave(tty)

        spawned = self.spawned(log)
        executed = [line for line in spawned if "/upgrade-state" in line]
        assert (2, 4) == (len(executed), len(spawned))


class TestStatus:
    def test_of_a_command(self, shell, terminal):
        """
        The prompt shows the status of the user's command, not that of the hook.
        """
        tty = terminal(shell)

        assert "[1|0 1]" in tty.run("cd shop; true | false")
        assert "[1|1 0 1]" in tty.run("false | true | false")

    def test_failing(self, shell, terminal, stand_in):
        """
        A failed command does not change the status.
        """
        stand_in.make("sys.exit(3)")
        shown = terminal(shell).run("cd shop")

        assert "TOLD" in shown
        assert "[0|0]" in shown

    def test_interrupt(self, shell, terminal, stand_in):
        """
        Ctrl-C ends it and leads back to the prompt.
        """
        stand_in.make("import time\nwhile True:\n    time.sleep(0.01)")
        tty = terminal(shell)
        tty.send("cd shop\n")
        tty.until(lambda: "TOLD\r\n" in tty._seen or None)
        tty.send("\x03")
        tty.wait()

        assert "<a>" in tty.run("echo '<'a'>' | tr -d ' '")
        assert 1 == len(stand_in.calls)

    def test_last_argument(self, shell, terminal):
        """
        The last argument of the user's command stays.
        """
        if shell.is_fish:
            pytest.skip("fish does not remember it")

        tty = terminal(shell)
        assert "<a>" in tty.run("cd shop; echo a", 'echo "<$_>"')

    def test_variables(self, shell, terminal, desk):
        """
        Only variables for the directory and, in bash, the status are left.
        """
        names = {
            "bash": "compgen -v",
            "zsh": "print -l ${(k)parameters}",
            "fish": "set -n",
        }[shell.name]
        tty = terminal(shell, before=f"{names} > before")
        tty.run("cd shop/sub", "cd ../..", f"{names} > after")

        before, after = (
            set((desk / name).read_text().split()) for name in ("before", "after")
        )
        own = {name for name in after - before if "upgrade" in name}
        status = {"__upgrade_state_status"} if shell.name == "bash" else set()
        assert {"__upgrade_state_dir"} | status == own


ODD = [
    "with space",
    "new\nline",
    "trailing\n",
    "quo'te",
    'quo"te',
    "-n",
    "--",
    "*",
    "?[a]",
    "$(touch bad)",
    "`touch bad`",
    "\\",
    "~",
    "#",
    "!!",
    "=ls",
    "caffè",
    "\udce8",
    "\x1b[31m",
]


class TestPlaces:
    @pytest.mark.parametrize("name", ODD, ids=ascii)
    def test_odd_names(self, shell, terminal, stand_in, desk, name):
        """
        A directory with any name is found, and its name is not evaluated.
        """
        place = desk / name / name
        place.mkdir(parents=True)
        (desk / name / "uv.lock").touch()
        tty = terminal(shell, env={"ODD": str(place)})
        tty.run('cd -- "$ODD"', "cd ..", "echo")

        assert [str(place), str(place.parent)] == stand_in.directories
        assert not list(desk.rglob("bad"))

    @pytest.mark.parametrize("name", ODD, ids=ascii)
    def test_odd_command(self, shell, terminal, stand_in, tmp_path, name):
        """
        So is the directory of the command.
        """
        stand_in.path = shell.command = tmp_path / name / "upgrade-state"
        stand_in.make()
        terminal(shell).run("cd shop")

        assert 1 == len(stand_in.calls)

    def test_deleted(self, shell, terminal, stand_in):
        """
        A directory that was removed has none above it.
        """
        tty = terminal(shell)
        shown = tty.run("mkdir shop/gone", "cd shop/gone && rmdir ../gone")

        assert [] == stand_in.calls
        assert "upgrade" not in shown
        assert "[0|" in tty.run("true")

    def test_gone(self, shell, terminal, stand_in):
        """
        Without the command, nothing is printed.
        """
        tty = terminal(shell)
        stand_in.path.unlink()
        shown = tty.run("cd shop")

        assert "[0|0]" in shown
        assert "upgrade-state" not in shown

    def test_cache_directory(self, shell, terminal, stand_in, tmp_path):
        """
        The hook sets the cache directory of the command, and of others in the shell.
        """
        where = str(tmp_path / "it's here")
        hook = shell.hook().replace(" hook ", ' hook --cache-dir "$WHERE" ')
        shown = terminal(shell, after=hook, env={"WHERE": where}).run(
            'cd shop; echo "[$UPGRADE_STATE_CACHE_DIR]"'
        )

        (call,) = stand_in.calls
        assert ["notify", "--check"] == call["argv"]
        assert f"[{where}]" in shown

    def test_twice(self, shell, terminal, stand_in):
        """
        A start-up file that is read twice runs the command once.
        """
        terminal(shell, after=shell.hook()).run("cd shop")

        assert 1 == len(stand_in.calls)

    def test_inner_shell(self, shell, terminal, stand_in, desk):
        """
        A shell in a shell has entered the directory, even if all is exported.
        """
        everything = {"bash": "set -a", "zsh": "setopt all_export"}
        before = everything.get(shell.name, "")
        export = "set -gx START 100" if shell.is_fish else "export START=100"
        tty = terminal(shell, before)
        tty.run("cd shop", export, shlex.join(shell.argv(before)))

        assert [str(desk / "shop")] * 2 == stand_in.directories
