import pytest

from upgrade_state import lockfiles
from upgrade_state.lockfiles import Package

PLATFORM = '[tools.node."platforms.linux-x64"]\n'


def tool(version="24.1.0", more="", **checksums):
    platforms = "".join(
        f'[tools.node."platforms.{name}"]\nchecksum = "{checksum}"\n'
        f'url = "https://user:secret@files.example/{name}"\n'
        for name, checksum in checksums.items()
    )
    return f'[[tools.node]]\nversion = "{version}"\n{more}\n{platforms}'


def read(*parts, head=""):
    return lockfiles.read((head + "".join(parts)).encode(), format="mise")


def diff(old, new):
    return lockfiles.diff(read(*old), read(*new)).upgrades


class TestTools:
    def test_tool(self):
        """
        A tool has a version, and its checksums are builds by platform.
        """
        (p,) = read(tool(linux="sha256:1", macos="blake3:2")).packages

        assert (
            Package(
                "node",
                "24.1.0",
                ecosystem="mise",
                builds=(
                    ("linux sha256 []", "sha256:1"),
                    ("macos blake3 []", "blake3:2"),
                ),
                direct=True,
            )
            == p
        )

    @pytest.mark.parametrize("key", ["'cargo:usage-cli'", "'npm:@a/b'", "node"])
    def test_name(self, key):
        """
        The prefix of the back end belongs to the name.
        """
        (p,) = read(f"[[tools.{key}]]\nversion = '1'\nbackend = 'x'\n").packages

        assert key.strip("'") == p.name

    def test_several_versions(self):
        """
        A tool may have several versions.
        """
        assert ["1", "2"] == [p.version for p in read(tool("1"), tool("2")).packages]

    def test_one_version(self):
        """
        A tool of one version was a table once.
        """
        assert ["1"] == [
            p.version for p in read("[tools.node]\nversion = '1'\n").packages
        ]

    @pytest.mark.parametrize(
        "platform",
        [
            "[tools.node.platforms.linux-x64]\nchecksum = 'sha256:1'",
            "[tools.node.'platforms.linux-x64']\nchecksum = 'sha256:1'",
            "platforms = { linux-x64 = { checksum = 'sha256:1', size = 1 } }",
        ],
    )
    def test_platforms(self, platform):
        """
        The table of a platform is nested or has a quoted key.
        """
        (p,) = read(tool(), platform).packages

        assert (("linux-x64 sha256 []", "sha256:1"),) == p.builds

    @pytest.mark.parametrize("info", ["size = 1", "checksum = ''", ""])
    def test_no_checksum(self, info):
        """
        A platform may have no checksum.
        """
        (p,) = read(tool(), PLATFORM, info).packages

        assert () == p.builds

    @pytest.mark.parametrize("version", [0, 1, 2, 3])
    def test_version(self, version):
        """
        All versions of the format have their tools in one place.
        """
        head = f"lockfile_version = {version}\n"

        assert 1 == len(read(tool(), head=head).packages)

    @pytest.mark.parametrize(
        ("version", "expected"),
        [
            ("4", "unsupported version 4"),
            ("-1", "unsupported version"),
            ("true", "not a mise lockfile"),
            ("'3'", "not a mise lockfile"),
            ("3.0", "not a mise lockfile"),
        ],
    )
    def test_other_version(self, version, expected):
        """
        Any other is opaque.
        """
        assert expected == read(tool(), head=f"lockfile_version = {version}\n").problem


class TestRule:
    def test_rebuild(self):
        """
        Another checksum on any platform is a rebuild.
        """
        (row,) = diff(
            [tool(linux="sha256:1", macos="sha256:2")],
            [tool(linux="sha256:1", macos="sha256:3")],
        )

        assert ("rebuild", "sha256:2", "sha256:3", None) == (
            row.kind,
            row.old_build,
            row.new_build,
            row.platform,
        )

    @pytest.mark.parametrize(
        "checksums",
        [
            {},
            {"linux": "blake3:2"},
            {"macos": "sha256:2"},
            {"linux": "sha256:1", "macos": "sha256:2"},
        ],
    )
    def test_no_rebuild(self, checksums):
        """
        Another algorithm, or more platforms or fewer, are none.
        """
        old, new = tool(linux="sha256:1"), tool(**checksums)

        assert () == diff([old], [new])
        assert () == diff([new], [old])

    def test_options(self):
        """
        With other options it is another file.
        """
        plain = tool(linux="sha256:1")
        fedora = tool(more="options = { b = 1, a = 'x' }", linux="sha256:2")
        ubuntu = tool(more="options = { b = 2, a = 'x' }", linux="sha256:3")

        assert () == diff([plain], [plain, fedora])
        assert () == diff([fedora], [ubuntu])
        assert ["rebuild"] == [
            u.kind for u in diff([fedora], [fedora.replace("256:2", "256:4")])
        ]

    def test_order_of_options(self):
        """
        Options have no order.
        """
        old, new = (
            tool(more=f"options = {{ {options} }}", linux=checksum)
            for options, checksum in (("a=1, b=2", "s:1"), ("b=2, a=1", "s:2"))
        )

        assert ["rebuild"] == [u.kind for u in diff([old], [new])]

    def test_version(self):
        """
        Beside a new version no checksum is shown.
        """
        (row,) = diff([tool("1", linux="sha256:1")], [tool("2", linux="sha256:2")])

        assert ("version", ("1",), ("2",), None, None) == (
            row.kind,
            row.old,
            row.new,
            row.old_build,
            row.new_build,
        )

    def test_other_back_end(self):
        """
        A tool from another back end is another tool.
        """
        old = "[[tools.'cargo:x']]\nversion = '1'\n"

        assert [("aqua:x", "added"), ("cargo:x", "removed")] == [
            (u.name, u.kind) for u in diff([old], [old.replace("cargo", "aqua")])
        ]

    def test_format_version(self):
        """
        A newer format of the same tools is nothing.
        """
        new = read(tool(more="specifiers = ['24']"), head="lockfile_version = 3\n")

        diff = lockfiles.diff(read(tool()), new)

        assert (True, ()) == (diff.changed, diff.upgrades)

    def test_no_url(self):
        """
        No URL is in any row, and no password with it.
        """
        rows = diff([tool(linux="sha256:1")], [tool(linux="sha256:2")])

        assert 1 == len(rows)
        assert "example" not in repr(rows)


class TestWrong:
    @pytest.mark.parametrize(
        "content",
        [
            "lockfile_version = 3",
            "tools = 1",
            "tools = []",
            "tools.node = '24'",
            "tools.node = ['24']",
            "tools.node = 1",
            "[[tools.node]]",
            "[[tools.node]]\nversion = 24",
            "[[tools.node]]\nversion = ''",
            "[[tools.'']]\nversion = '1'",
            "[[tools.node]]\nversion = '1'\noptions = 1",
            "[[tools.node]]\nversion = '1'\nplatforms = 1",
            "[[tools.node]]\nversion = '1'\nplatforms.linux = 1",
            "[[tools.node]]\nversion = '1'\nplatforms.linux = { checksum = 1 }",
            "[[tools.node]]\nversion = '1'\n'platforms.linux' = 1",
        ],
    )
    def test_shape(self, content):
        """
        One value of another shape makes the lockfile opaque.
        """
        snapshot = read(content)

        assert (None, "not a mise lockfile") == (snapshot.packages, snapshot.problem)
