import pytest

from lockfiles.helpers import SECRET, cases, packages, problem, rows, upgrades
from upgrade_state.lockfiles import Package

CASES = cases("mise")


def tool(version="24.1.0", more="", **checksums):
    platforms = "".join(
        f'[tools.node."platforms.{name}"]\nchecksum = "{checksum}"\n'
        f'url = "{SECRET}/{name}"\n'
        for name, checksum in checksums.items()
    )
    return f'[[tools.node]]\nversion = "{version}"\n{more}\n{platforms}'


def kinds(old, new):
    return [kind for kind, *_ in rows(old, new, "mise")]


class TestTools:
    def test_tool(self):
        """
        A tool has a version, and its checksums are builds by platform.
        """
        builds = (("linux sha256 []", "sha256:1"), ("macos blake3 []", "blake3:2"))

        assert (
            Package("node", "24.1.0", ecosystem="mise", builds=builds, direct=True),
        ) == packages(tool(linux="sha256:1", macos="blake3:2"), "mise")

    @pytest.mark.parametrize("key", ["'cargo:usage-cli'", "'npm:@a/b'", "node"])
    def test_name(self, key):
        """
        The prefix of the back end belongs to the name.
        """
        content = f"[[tools.{key}]]\nversion = '1'\nbackend = 'x'\n"

        assert [key.strip("'")] == [p.name for p in packages(content, "mise")]

    @pytest.mark.parametrize(("content", "versions"), CASES["tools versions"])
    def test_versions(self, content, versions):
        """
        A tool may have several versions.
        """
        assert versions == [p.version for p in packages(content, "mise")]

    @pytest.mark.parametrize(("platform", "builds"), CASES["tools platforms"])
    def test_platforms(self, platform, builds):
        """
        The table of a platform is nested or has a quoted key, and may be empty.
        """
        (p,) = packages(tool() + platform, "mise")

        assert builds == [list(build) for build in p.builds]

    @pytest.mark.parametrize("version", [0, 1, 2, 3])
    def test_version(self, version):
        """
        All versions of the format have their tools in one place.
        """
        assert packages(f"lockfile_version = {version}\n{tool()}", "mise")

    @pytest.mark.parametrize(("version", "expected"), CASES["tools other version"])
    def test_other_version(self, version, expected):
        """
        Any other version is opaque.
        """
        assert expected == problem(f"lockfile_version = {version}\n{tool()}", "mise")


class TestRule:
    def test_rebuild(self):
        """
        Another checksum on any platform is a rebuild, without a platform or URL.
        """
        old, new = (tool(linux="sha256:1", macos=f"sha256:{n}") for n in (2, 3))
        (row,) = upgrades(old, new, "mise")

        assert ("rebuild", "sha256:2", "sha256:3", None) == (
            row.kind, row.old_build, row.new_build, row.platform,
        )  # fmt: skip

    @pytest.mark.parametrize("checksums", CASES["rule no rebuild"])
    def test_no_rebuild(self, checksums):
        """
        Another algorithm, or more platforms or fewer, are none.
        """
        old, new = tool(linux="sha256:1"), tool(**checksums)

        assert [] == kinds(old, new)
        assert [] == kinds(new, old)

    def test_options(self):
        """
        With other options it is another file; options have no order.
        """
        plain, fedora, same, ubuntu = (
            tool(more=f"options = {{ {options} }}", linux=f"sha256:{n}")
            for n, options in enumerate(("", "a=1, b=2", "b=2, a=1", "a=1, b=3"))
        )

        assert [] == kinds(plain, plain + fedora)
        assert [] == kinds(fedora, ubuntu)
        assert ["rebuild"] == kinds(fedora, same)

    def test_version(self):
        """
        Beside a new version no checksum is shown.
        """
        assert [("version", ("1",), ("2",), None, None)] == rows(
            tool("1", linux="sha256:1"), tool("2", linux="sha256:2"), "mise"
        )

    def test_other_back_end(self):
        """
        A tool from another back end is another tool.
        """
        old = "[[tools.'cargo:x']]\nversion = '1'\n"

        assert ["added", "removed"] == kinds(old, old.replace("cargo", "aqua"))

    def test_format_version(self):
        """
        A newer version of the format, with the same tools, is no upgrade.
        """
        new = f"lockfile_version = 3\n{tool(more='specifiers = []')}"

        assert [] == kinds(tool(), new)


class TestWrong:
    @pytest.mark.parametrize("content", CASES["wrong shape"])
    def test_shape(self, content):
        """
        One value of another shape makes the lockfile opaque.
        """
        assert "not a mise lockfile" == problem(content, "mise")
