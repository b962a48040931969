import json

import pytest

from lockfiles.helpers import COMMITS, cases, packages, problem, rows
from upgrade_state.lockfiles import Package

CASES = cases("conda")

CHANNEL = "https://user:secret@conda.example/t/token/main"
MD5, SHA256 = "0" * 32, "0" * 64
LINUX = {"platform": "linux-64"}
ZLIB = Package("zlib", "1.3", ecosystem="conda", build="h0_0", **LINUX)


def record(name="zlib", version="1.3", build="h0_0", **fields):
    return {
        "base_url": "https://conda.example/main",
        "build_number": 0,
        "build_string": build,
        "channel": "main",
        "dist_name": f"{name}-{version}-{build}",
        "name": name,
        "platform": "linux-64",
        "version": version,
    } | fields


def pip(version="1.0", channel="pypi"):
    return record("x", version, "pypi_0", channel=channel, platform="pypi")


def listed(*records):
    return json.dumps(records)


class TestList:
    @pytest.mark.parametrize(
        ("entry", "expected"),
        [
            (record(), ZLIB._replace(platform=None)),
            (pip(), Package("x", "1.0", ecosystem="pypi")),
            (
                pip(channel="<develop>"),
                Package("x", "1.0", ecosystem="pypi", local=True),
            ),
        ],
        ids=["conda", "pip", "linked project"],
    )
    def test_record(self, entry, expected):
        """
        A conda package has a build string; no package has a platform.
        """
        assert (expected,) == packages(listed(entry), "conda-list")

    @pytest.mark.parametrize(
        ("old", "new"), [("linux-64", "noarch"), ("noarch", "linux-64")]
    )
    def test_subdir(self, old, new):
        """
        A package that moves to or from noarch is upgraded, not replaced.
        """
        assert [("version", ("1.3",), ("1.4",), "h0_0", "h0_0")] == rows(
            listed(record(platform=old)),
            listed(record(version="1.4", platform=new)),
            "conda-list",
        )

    def test_channel(self):
        """
        The same build from another channel is no upgrade.
        """
        other = record(channel="mirror", base_url="https://files.example/mirror")

        assert [] == rows(listed(record()), listed(other), "conda-list")

    def test_from_conda_to_pip(self):
        """
        A package that changes its ecosystem is another one.
        """
        found = rows(listed(record("x")), listed(pip()), "conda-list")

        assert ["removed", "added"] == [kind for kind, *_ in found]

    @pytest.mark.parametrize("content", CASES["list other document"])
    def test_other_document(self, content):
        """
        An error report of conda is no list, nor is an empty list.
        """
        assert "not a conda-list lockfile" == problem(content, "conda-list")

    @pytest.mark.parametrize("key", ["build_string", "channel", "name", "version"])
    @pytest.mark.parametrize("value", [None, 1, ""])
    def test_entry(self, key, value):
        """
        One record of another shape makes the list opaque, not shorter.
        """
        wrong = record() | {key: value}
        if key == "build_string" and value != 1:
            wrong.pop(key)

        content = listed(record("a"), wrong)

        assert "not a conda-list lockfile" == problem(content, "conda-list")


def explicit(*lines, platform="linux-64"):
    head = [f"# platform: {platform}"] if platform else []
    return "\n".join([*head, "@EXPLICIT", *lines, ""])


def url(file="zlib-1.3-h0_0.conda", subdir="linux-64", checksum=""):
    return f"{CHANNEL}/{subdir}/{file}{checksum}"


class TestExplicit:
    @pytest.mark.parametrize("suffix", [".conda", ".tar.bz2"])
    @pytest.mark.parametrize("checksum", ["", MD5, SHA256, f"sha256:{SHA256}"])
    def test_url(self, suffix, checksum):
        """
        Name, version and build are in the file's name, and nothing else counts.
        """
        line = url(f"zlib-1.3-h0_0{suffix}", checksum=checksum and f"#{checksum}")

        assert (ZLIB,) == packages(explicit(line), "conda-explicit")

    @pytest.mark.parametrize(("file", "expected"), CASES["explicit file name"])
    def test_file_name(self, file, expected):
        """
        It is split twice from the right, decoded.
        """
        (p,) = packages(explicit(url(file)), "conda-explicit")

        assert expected == [p.name, p.version, p.build]

    @pytest.mark.parametrize("line", CASES["explicit path"])
    def test_path(self, line):
        """
        A package may be on disk.
        """
        (p,) = packages(explicit(line), "conda-explicit")

        assert ("zlib", "h0_0") == (p.name, p.build)

    @pytest.mark.parametrize("line", CASES["explicit line"])
    def test_line(self, line):
        """
        Any other line makes the list opaque, not shorter.
        """
        assert "not a conda-explicit lockfile" == problem(
            explicit(url(), line), "conda-explicit"
        )

    @pytest.mark.parametrize("head", ["", "# @EXPLICIT\n", "@explicit\n"])
    def test_head(self, head):
        """
        A list of URLs that does not say so is none.
        """
        assert "not a conda-explicit lockfile" == problem(
            f"{head}{url()}\n", "conda-explicit"
        )

    @pytest.mark.parametrize(
        ("platform", "subdirs", "expected"), CASES["explicit platform"]
    )
    def test_platform(self, platform, subdirs, expected):
        """
        A list is for one platform: by its comment, or else by its subdirs.
        """
        lines = [url(subdir=subdir) for subdir in subdirs]
        found = packages(explicit(*lines, platform=platform), "conda-explicit")

        assert {expected} == {p.platform for p in found}

    def test_comments(self):
        """
        All other comments are ignored.
        """
        content = "# Generated by hand.\n#\n\n# pip install x\n" + explicit(url())

        assert 1 == len(packages(content, "conda-explicit"))

    @pytest.mark.parametrize(("location", "version", "build"), CASES["explicit pip"])
    def test_pip(self, location, version, build):
        """
        Packages for pip are in comments of conda-lock, with the version in a URL.
        """
        content = explicit(url(), f"# pip x @ {location}")

        assert (
            Package("x", version, ecosystem="pypi", build=build, **LINUX)
            == packages(content, "conda-explicit")[1]
        )

    @pytest.mark.parametrize("blank", [" ", "  "])
    def test_pip_without_name(self, blank):
        """
        A requirement has a name; its URL does not stand in for it.
        """
        content = explicit(f"# pip{blank}@ https://files.example/x.zip")

        assert "not a conda-explicit lockfile" == problem(content, "conda-explicit")

    def test_rebuild(self):
        """
        Another build of one version is a rebuild.
        """
        assert [("rebuild", ("1.3",), ("1.3",), "h0_0", "h0_1")] == rows(
            explicit(url()), explicit(url("zlib-1.3-h0_1.conda")), "conda-explicit"
        )

    @pytest.mark.parametrize("other", CASES["explicit same build"])
    def test_same_build(self, other):
        """
        Another archive, channel, mirror or hash of one build is not.
        """
        assert [] == rows(explicit(url()), explicit(other), "conda-explicit")

    @pytest.mark.parametrize("piece", ["1-", "1.", "1", "a-.", "-"])
    def test_long(self, piece):
        """
        A line of a million characters takes no longer than as many lines.
        """
        pip = f"# pip x @ https://files.example/{piece * 500_000}"
        assert packages(explicit(pip), "conda-explicit")
        content = explicit(url(piece * 500_000 + ".con"))

        assert "not a conda-explicit lockfile" == problem(content, "conda-explicit")

    def test_no_url(self):
        """
        Nothing of a URL but its file's name goes any further.
        """
        pins = [url(), f"# pip x @ git+https://me:secret@files.example/x@{COMMITS[0]}"]

        found = repr(packages(explicit(*pins), "conda-explicit"))

        assert not [s for s in ("secret", "token", "example") if s in found]


LOCK = """version: 1
metadata:
  platforms:
  - linux-64
package:
"""


def locked(name="zlib", version="'1.3'", manager="conda", location=None, more=""):
    return f"""- name: {name}
  version: {version}
  manager: {manager}
  platform: linux-64
  dependencies: {{}}
  url: {location or url()}
  hash:
    md5: {MD5}
  category: main
  optional: false
{more}"""


class TestLock:
    def test_conda(self):
        """
        The build of a conda package is in its URL.
        """
        assert (ZLIB,) == packages(LOCK + locked(), "conda-lock")

    @pytest.mark.parametrize("manager", ["pip", "pypi"])
    def test_pip(self, manager):
        """
        A package from an index has no build; conda reads another name of pip, too.
        """
        location = "https://files.example/x-1.0-py3-none-any.whl"

        assert (
            Package("x", "1.0", ecosystem="pypi", platform="linux-64"),
        ) == packages(LOCK + locked("x", "'1.0'", manager, location), "conda-lock")

    def test_exported(self):
        """
        The file that ``conda export`` writes has no hash of its sources, nor builds.
        """
        assert (
            Package(
                *("zlib", "1.3.1"), ecosystem="conda", platform="linux-64", build="h2_2"
            ),
        ) == packages(CASES["exported"], "conda-lock")

    def test_git(self):
        """
        One from a repository has a commit.
        """
        location = f"git+https://me:secret@files.example/x.git@{COMMITS[0]}"

        (p,) = packages(LOCK + locked("x", "1.0", "pip", location), "conda-lock")

        assert COMMITS[0] == p.build

    @pytest.mark.parametrize(("location", "more", "expected"), CASES["lock build"])
    def test_build(self, location, more, expected):
        """
        The field counts where the URL does not say.
        """
        (p,) = packages(LOCK + locked(location=location, more=more), "conda-lock")

        assert expected == p.build

    @pytest.mark.parametrize("version", ["1.10", "2026", "2026-01-01", "no", "1_0"])
    def test_text(self, version):
        """
        A version without quotes is a version, not a number or a date.
        """
        (p,) = packages(LOCK + locked(version=version), "conda-lock")

        assert version == p.version

    def test_categories(self):
        """
        A package that is listed for another category as well is one package.
        """
        twice = locked() + locked().replace("main", "dev")

        assert [] == rows(LOCK + locked(), LOCK + twice, "conda-lock")

    def test_managers(self):
        """
        One name may be installed by both managers.
        """
        both = LOCK + locked("x", "1.3") + locked("x", "1.0", "pip")

        assert [] == rows(both, both + "# Other bytes\n", "conda-lock")
        assert ["conda", "pypi"] == [p.ecosystem for p in packages(both, "conda-lock")]

    @pytest.mark.parametrize("version", ["0", "2", "99", "1.0"])
    def test_version(self, version):
        """
        Any other version is opaque.
        """
        content = LOCK.replace("version: 1", f"version: {version}") + locked()

        assert f"unsupported version {version}" == problem(content, "conda-lock")

    def test_cut_off(self):
        """
        A lockfile cut off before its packages has not lost them.
        """
        assert "not a conda-lock lockfile" == problem(LOCK, "conda-lock")

    @pytest.mark.parametrize(("line", "other"), CASES["lock entry"])
    def test_entry(self, line, other):
        """
        One key or entry of another shape makes the lockfile opaque.
        """
        content = LOCK + locked("a") + locked()
        if "build" in other:
            content = content.replace(url(), "https://files.example/zlib")

        assert "not a conda-lock lockfile" == problem(
            content.replace(line, other, 1), "conda-lock"
        )
