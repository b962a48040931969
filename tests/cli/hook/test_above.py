"""
How far up the hook looks, on slow file systems too.
"""

import time
from pathlib import Path

import pytest


class TestCeilings:
    @pytest.mark.parametrize(
        ("home", "lines", "expected"),
        [
            # A lockfile in the home directory counts.
            ("shop", ["cd shop/sub/sub", "cd ../../../plain"], ["shop/sub/sub"]),
            ("shop/sub", ["cd shop/sub/sub", "cd ..", "cd .."], ["shop"]),
            # Its name may be that of a symlink, and so may that of the directory.
            ("link", ["ln -s shop/sub link", "cd shop/sub/sub"], []),
            ("link", ["ln -s shop/sub link", "cd link/sub"], []),
            # Another home is no ceiling.
            ("plain", ["cd shop/sub/sub"], ["shop/sub/sub"]),
            ("nowhere", ["cd shop/sub/sub"], ["shop/sub/sub"]),
        ],
    )
    def test_home(self, shell, terminal, stand_in, desk, home, lines, expected):
        """
        The hook looks no higher than the home directory.
        """
        terminal(shell, env={"HOME": str(desk / home)}).run(*lines)

        assert [str(desk / name) for name in expected] == stand_in.directories

    @pytest.mark.parametrize("setting", ["unset HOME", "HOME="])
    def test_no_home(self, bash, terminal, stand_in, setting):
        """
        Without a home directory the hook looks up to the root.
        """
        terminal(bash, after=f"set -u; {setting}").run("cd shop/sub")

        assert 1 == len(stand_in.calls)

    @pytest.mark.parametrize(
        ("ceilings", "expected"),
        [
            ("{0}/shop", ["shop"]),
            ("{0}/shop/", ["shop"]),
            ("/nowhere:{0}/shop:/tmp", ["shop"]),
            ("{0}/link", ["shop"]),
            # Not the directory that is entered, and none beside it or below it.
            ("{0}/shop/sub/sub:{0}/shop/sub", ["shop/sub", "shop"]),
            ("{0}:{0}/plain:/", ["shop/sub/sub", "shop/sub", "shop"]),
            # A relative path means no directory, and an empty one neither.
            ("shop:sub::.:..", ["shop/sub/sub", "shop/sub", "shop"]),
            ("{0}/sh*p:{0}/shop#", ["shop/sub/sub", "shop/sub", "shop"]),
        ],
    )
    def test_list(self, shell, terminal, stand_in, desk, ceilings, expected):
        """
        The hook does not step up to a directory in `UPGRADE_STATE_CEILING`.
        """
        (desk / "link").symlink_to("shop")
        ceiling = ceilings.format(desk)
        tty = terminal(shell, env={"UPGRADE_STATE_CEILING": ceiling})
        tty.run("cd shop/sub/sub", "cd ..", "cd ..")

        assert [str(desk / name) for name in expected] == stand_in.directories

    @pytest.mark.parametrize("setting", ["set -f", "IFS=/:", "shopt -s failglob"])
    def test_settings(self, bash, terminal, stand_in, desk, setting):
        """
        The list is neither split nor matched by the settings of the user.
        """
        ceiling = f"/nowhere*:{desk}/shop"
        env = {"UPGRADE_STATE_CEILING": ceiling}
        shown = terminal(bash, after=setting, env=env).run("cd shop/sub")

        assert [] == stand_in.calls
        assert "bash:" not in shown


class TestBorder:
    @pytest.mark.parametrize("name", ["mounted", "a space"])
    def test_outside(self, shell, terminal, stand_in, desk, mounted, name):
        """
        Outside of home the search ends at the border of the file system.
        """
        place = desk / "shop" / name
        mounted(place)
        (place / "sub" / "sub").mkdir(parents=True)
        tty = terminal(shell, env={"PLACE": str(place)})
        tty.run('cd "$PLACE/sub/sub"')
        assert [] == stand_in.calls

        tty.run('touch "$PLACE/uv.lock"', "cd ..", 'cd "$PLACE"', "cd ..")
        expected = [place / "sub", place, place.parent]
        assert expected == list(map(Path, stand_in.directories))

    @pytest.mark.parametrize(
        ("name", "source"),
        [("bash", "/proc/self/fdinfo"), ("zsh", "zsh/stat"), ("fish", "/proc/self")],
    )
    @pytest.mark.parametrize("setting", ["", "set -eu; set -o posix"])
    def test_unknown(self, shell_of, terminal, stand_in, name, source, setting):
        """
        Where the border cannot be known, the search goes on to the root.
        """
        shell = shell_of(name)
        shell.rewrite = f"s:{source}:/nowhere:"
        tty = terminal(shell, after=setting if name == "bash" else "")
        shown = tty.first + tty.run("cd shop/sub")

        assert 1 == len(stand_in.calls)
        assert "nowhere" not in shown
        assert "[0|0]" in shown

    def test_inside(self, shell, terminal, stand_in, desk, mounted):
        """
        In the home directory it does not, whatever the shell calls the directory.
        """
        mounted(desk / "shop" / "mounted")
        (desk / "shop" / "mounted" / "sub").mkdir()
        (desk / "link").symlink_to("shop/mounted")
        tty = terminal(shell, env={"HOME": str(desk / "shop")})
        tty.run("cd shop/mounted/sub", "cd ../../../link/sub")

        assert [str(desk / "shop/mounted/sub")] * 2 == stand_in.directories

    def test_link_in_home(self, shell, terminal, stand_in, desk, mounted):
        """
        A symlink in the home directory may lead outside.
        """
        mounted(desk / "shop" / "mounted")
        (desk / "shop" / "mounted" / "sub").mkdir()
        (desk / "home").mkdir()
        (desk / "home" / "link").symlink_to("../shop/mounted")
        terminal(shell, env={"HOME": str(desk / "home")}).run("cd home/link/sub")

        assert [] == stand_in.calls


class TestSlow:
    @pytest.mark.parametrize("home", ["home", "net/host"])
    def test_automounter(self, shell, terminal, stand_in, tmp_path, automounter, home):
        """
        Below an automounter, at most two names are looked up in its own directory.
        """
        tty = terminal(shell, env={"HOME": str(tmp_path / home)})
        tty.run(f"cd '{tmp_path}/net/host/project'", "cd ..")

        assert 2 >= len(automounter.unknown)
        assert [] == stand_in.calls

    def test_ceiling(self, shell, terminal, tmp_path, automounter):
        """
        A ceiling keeps the hook out of a directory on the same device, too.
        """
        env = {"UPGRADE_STATE_CEILING": f"{tmp_path}/net", "HOME": str(tmp_path)}
        tty = terminal(shell, env=env)
        tty.run(f"cd '{tmp_path}/net/host/project'")

        assert [] == automounter.unknown

    def test_interrupt(self, shell, terminal, stand_in, tmp_path, automounter):
        """
        Ctrl-C ends the whole search, and leads back to the prompt.
        """
        tty = terminal(shell, env={"HOME": str(tmp_path)})
        tty.send(f"cd '{tmp_path}/net'\n")
        deadline = time.monotonic() + 60
        while not automounter.unknown and time.monotonic() < deadline:
            time.sleep(0.01)
        tty.send("\x03")
        tty.wait()

        assert "<a>" in tty.run("cd /", "echo '<'a'>' | tr -d ' '")
        assert 3 >= len(automounter.unknown)
