import codecs

import pytest

from lockfiles.helpers import COMMITS, DIGESTS, cases, packages, problem, read, rows
from upgrade_state.lockfiles import Package

CASES = cases("requirements")

NAME = "requirements"
WHEEL = "https://files.example/x-1.0-py3-none-any.whl"


def package(*lines):
    """
    Return the only package that *lines* require.
    """
    (p,) = packages("\n".join(lines), NAME)
    return p


def pins(*lines):
    return [(p.name, p.version) for p in packages("\n".join(lines), NAME)]


def x(version=None, **fields):
    return Package("x", version, ecosystem="pypi", **fields)


class TestPins:
    @pytest.mark.parametrize("line", CASES["pins forms"])
    def test_forms(self, line):
        """
        A pin is a name and a version, whatever else is on the line.
        """
        assert x("1.0") == package(line)

    @pytest.mark.parametrize("version", ["1!2.0rc1.post2.dev3", "2.7.1+cpu", "2024a-1"])
    def test_version(self, version):
        """
        A version is whole.
        """
        assert [("x", version)] == pins(f"x=={version}")


class TestLines:
    def test_continued(self):
        """
        A line goes on after a backslash.
        """
        assert [("x", "1.0"), ("y", "2")] == pins(
            "x==1.0 ; \\", "  a == 'b' \\", "  --hash=sha256:1 \\", "  --hash=sha256:2",
            "    # via y", "y==\\", "2",
        )  # fmt: skip

    def test_comment_ends_it(self):
        """
        A comment is the end of a line that goes on, and does not go on itself.
        """
        assert [("x", "1.0"), ("y", "2"), ("z", "3")] == pins(
            "x==1.0\\", "# via y \\", "y==2", "  # y \\", "z==3", "# z"
        )

    def test_comment_at_the_end_of_a_line(self):
        """
        One behind a requirement goes on, as it does for pip.
        """
        assert [("x", "1.0"), ("z", "3")] == pins("x==1.0 # a \\", "y==2", "z==3")

    def test_hash_sign(self):
        """
        Only after a blank does it start a comment.
        """
        p = package(f"x @ {WHEEL}#sha256={DIGESTS[0]} # {DIGESTS[1]}")

        assert f"sha256:{DIGESTS[0]}" == p.build

    @pytest.mark.parametrize("option", CASES["lines options"])
    def test_options(self, option):
        """
        An option adds no package.
        """
        assert [("x", "1.0")] == pins(option, "x==1.0")

    @pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
    def test_utf_16(self, encoding):
        """
        A mark of UTF-16 says how to read the rest, as it does to pip.
        """
        content = "\ufeffx==1.0\r\ny==2.0  # \u00fc\r\n".encode(encoding)

        assert ["1.0", "2.0"] == [p.version for p in packages(content, NAME)]

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (b"x\0=\0=\x001\0\n", "not valid UTF-16"),
            (b"\x00\xd8x\0", "not valid UTF-16"),
            (b"", "empty"),
            (b"x\0", "not pinned"),
            (b"\0" * 16 * 1024 * 1024, "larger than 16 MiB"),
        ],
        ids=["half a character", "half a pair", "mark only", "a wish", "large"],
    )
    def test_bad_utf_16(self, content, expected):
        """
        Damaged, empty and too large files in UTF-16 are opaque.
        """
        assert expected == problem(codecs.BOM_UTF16_LE + content, NAME)


class TestRepository:
    @pytest.mark.parametrize("line", CASES["repository commit"])
    def test_commit(self, line):
        """
        The build of a package from a repository is its commit.
        """
        assert x(build=COMMITS[0]) == package(line)


class TestArchive:
    @pytest.mark.parametrize("line", CASES["archive version"])
    def test_version(self, line):
        """
        The name of an archive has name and version of the package.
        """
        assert x("1.0") == package(line)

    @pytest.mark.parametrize(
        ("file", "expected"),
        [
            ("my_x-1.0%2Bcpu-py3-none-any.whl", ("my-x", "1.0+cpu")),
            ("my-x-1.0.post1.tar.bz2", ("my-x", "1.0.post1")),
        ],
    )
    def test_file(self, file, expected):
        """
        A wheel's name has no hyphens, that of a source distribution may.
        """
        assert [expected] == pins(f"https://files.example/{file}")

    @pytest.mark.parametrize(
        "file", ["v1.0.zip", "y-1.0.zip", "x", "x-.whl", "x.whl", "x-main.zip"]
    )
    def test_no_version(self, file):
        """
        A file called otherwise says nothing about the version.
        """
        assert [("x", None)] == pins(f"x @ https://files.example/{file}")

    @pytest.mark.parametrize("line", CASES["archive build"])
    def test_build(self, line):
        """
        The build of an archive is its hash.
        """
        assert f"sha256:{DIGESTS[0]}" == package(line).build


class TestDirectory:
    @pytest.mark.parametrize("line", CASES["directory name"])
    def test_name(self, line):
        """
        A directory is local.
        """
        assert x(local=True) == package(line)

    @pytest.mark.parametrize("line", ["-e .", "-e x", "-e .[a]", "./x", ".", "/srv/x"])
    def test_no_name(self, line):
        """
        One that does not say its name is left out.
        """
        assert [("y", "1")] == pins(line, "y==1")


class TestOpaque:
    @pytest.mark.parametrize(
        ("line", "expected"),
        [(line, why) for why, row in CASES["opaque line"].items() for line in row],
    )
    def test_line(self, line, expected):
        """
        One such line makes the file opaque.
        """
        assert expected == problem(f"y==1\n{line}", NAME)

    @pytest.mark.parametrize("line", ["# x==1.0", "-i https://index.example", "-e ."])
    def test_nothing(self, line):
        """
        A file that pins nothing has not lost its packages.
        """
        assert "not pinned" == problem(line, NAME)

    @pytest.mark.parametrize(
        "line",
        [
            " " * 100_000 + "#x",
            "x" * 100_000 + "!",
            "x" + " " * 100_000 + "!",
            "x==" + "1" * 100_000 + "!(",
            "x @ ./" + "-1" * 100_000 + ".whl ;" + " " * 100_000 + "-",
            "x[" * 100_000,
        ],
    )
    def test_hostile(self, line):
        """
        A long line takes no longer than several short ones.
        """
        read(line, NAME)


class TestDiff:
    def test_version(self):
        """
        Another pin is a version change; hashes, comments and order are none.
        """
        old = f"y==1\nx==1.9 --hash=sha256:{DIGESTS[0]}"
        same = f"x==1.9 --hash=sha256:{DIGESTS[1]}\n# z\nY == 1"

        assert [("version", ("1.9",), ("1.10",), None, None)] == rows(
            old, "x==1.10\ny==1 # z", NAME
        )
        assert [] == rows(old, same, NAME)
