import codecs
import hashlib
import json

import pytest

from lockfiles.helpers import SEEDS, cases, packages, problem, read
from upgrade_state import lockfiles

CASES = cases("read")

JSON = {name: json.loads(seed) for name, seed in SEEDS.items() if seed[:1] == b"{"}
YAML = ("conda-lock", "pixi")
# Text has no syntax that could be violated.
UNPARSED = {"requirements": "not pinned"}


CHOICES = ", ".join(lockfiles.FORMATS)

every_format = pytest.mark.parametrize("name", lockfiles.FORMATS)


class TestRead:
    @every_format
    def test_good(self, name):
        """
        A lockfile of its format has packages and no problem.
        """
        snapshot = read(SEEDS[name], name)

        assert (name, None) == (snapshot.format, snapshot.problem)
        assert 2 <= len(snapshot.packages)

    @pytest.mark.parametrize("name", [None, *lockfiles.FORMATS])
    @pytest.mark.parametrize("content", [b"", b"\xff", SEEDS["flox"], SEEDS["uv"]])
    def test_digest(self, content, name):
        """
        The digest is that of the raw bytes, readable or not.
        """
        expected = "blake2b:" + hashlib.blake2b(content, digest_size=32).hexdigest()

        assert expected == read(content, name).digest

    def test_no_format(self):
        """
        Without a format the content is opaque.
        """
        assert "unknown format" == problem(b"", None)

    def test_unknown_format(self):
        """
        An unknown format is an error of the caller; the message lists the choices.
        """
        with pytest.raises(ValueError, match=rf"'yarn'.*: {CHOICES}$"):
            lockfiles.read(b"", format="yarn")

    @pytest.mark.parametrize("content", ["", bytearray(), None])
    def test_no_bytes(self, content):
        """
        Content is bytes and nothing else.
        """
        with pytest.raises(TypeError, match=type(content).__name__):
            lockfiles.read(content, format="uv")

    @every_format
    def test_windows(self, name):
        """
        A check-out with other line ends has the same packages.
        """
        windows = SEEDS[name].replace(b"\n", b"\r\n")

        assert packages(SEEDS[name], name) == packages(windows, name)


class TestOpaque:
    @every_format
    @pytest.mark.parametrize("content", [b"", b" \r\n\t"])
    def test_empty(self, content, name):
        """
        An empty file is no empty lockfile, even where the syntax allows it.
        """
        assert "empty" == problem(content, name)

    @every_format
    def test_too_large(self, name):
        """
        Content that is larger than any lockfile is not parsed.
        """
        content = SEEDS[name] + b"\n" * (16 * 1024 * 1024)

        assert "larger than 16 MiB" == problem(content, name)

    @every_format
    def test_large(self, name):
        """
        Exactly the limit is fine.
        """
        # The parsers skip these at once.
        padding = b"\n" if name in YAML else b" " if SEEDS[name][:1] in b"[{" else b"#"

        assert packages(SEEDS[name].ljust(16 * 1024 * 1024, padding), name)

    @every_format
    @pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xed\xa0\x80"])
    def test_encoding(self, bad, name):
        """
        Lockfiles are UTF-8.
        """
        assert "not valid UTF-8" == problem(SEEDS[name] + bad, name)

    @every_format
    def test_utf16(self, name):
        """
        UTF-16 without a mark is not recognized.
        """
        content = SEEDS[name].decode().encode("utf-16-le")

        assert problem(content, name) in {
            UNPARSED.get(name, "cannot be parsed"),
            f"not a {name} lockfile",
        }

    @every_format
    def test_byte_order_mark(self, name):
        """
        No tool writes a byte order mark, but an editor may: read where a tool reads it.
        """
        content = codecs.BOM_UTF8 + SEEDS[name]
        tools = CASES["byte order mark"][name]

        if any(tools.values()):
            assert packages(SEEDS[name], name) == packages(content, name)
            content = codecs.BOM_UTF8 + content
        assert "starts with a byte order mark" == problem(content, name)

    @pytest.mark.parametrize("name", ["cargo", "requirements", "uv"])
    def test_only_a_mark(self, name):
        """
        A byte order mark alone is an empty file.
        """
        assert "empty" == problem(codecs.BOM_UTF8, name)

    @every_format
    @pytest.mark.parametrize("before", [b"", b"\n", b"# \r\n"])
    def test_merge_conflict(self, before, name):
        """
        A lockfile in the middle of a merge says so.
        """
        content = before + b"<<<<<<< HEAD\n" + SEEDS[name]

        assert "has merge conflicts" == problem(content, name)

    @every_format
    def test_cut_off(self, name):
        """
        Half a lockfile is none.
        """
        assert problem(SEEDS[name][:-40], name) in {
            "cannot be parsed",
            "cut off",
            f"not a {name} lockfile",
        }

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("conda-list", b"[" * 200_000),
            ("conda-lock", SEEDS["conda-lock"] + b"- " * 100_000 + b"a\n"),
            ("flox", b"[" * 200_000),
            ("pdm", b"a = " + b"[" * 50_000),
            ("pipfile", b"[" * 200_000),
            ("poetry", b"a = " + b"[" * 50_000),
            ("pylock", b"a = " + b"[" * 50_000),
            ("pixi", b"a: " + b"[" * 100_000 + b"\n"),
            ("uv", b"a = " + b"[" * 50_000),
            ("uv", SEEDS["uv"] + b"a." * 51 + b"a = 1"),
            ("uv", SEEDS["uv"] + b'"a".' * 51 + b"a = 1"),
            ("uv", SEEDS["uv"] + b"a = [{b = '''\n''', " + b"b." * 51 + b"b = ''}]"),
        ],
    )
    def test_deep(self, name, content):
        """
        Nesting has an end; libyaml 0.2.6 has one of its own.
        """
        expected = {"nested too deeply"}
        if name in YAML:
            expected.add("cannot be parsed")

        assert problem(content, name) in expected

    @pytest.mark.parametrize("quoted", [b"'%s'", b'"\\"%s"', b'["%s", "."]'])
    def test_not_too_deep(self, quoted):
        """
        A long line is no nesting.
        """
        content = SEEDS["uv"] + b"a = " + quoted % (b"." * 1000)

        assert packages(content, "uv")

    @pytest.mark.parametrize("number", [b"NaN", b"-Infinity", b"1" * 5000])
    def test_json_numbers(self, number):
        """
        NaN, Infinity and numbers of thousands of digits are refused.
        """
        content = SEEDS["flox"].replace(b": 1,", b": " + number + b",", 1)

        assert "cannot be parsed" == problem(content, "flox")

    def test_toml_digits(self):
        """
        A number of thousands of digits is refused.
        """
        content = SEEDS["uv"].replace(b"= 1", b"= " + b"1" * 5000)

        assert "cannot be parsed" == problem(content, "uv")

    @every_format
    def test_other_format(self, name):
        """
        A lockfile under another one's name is not empty, but unreadable.
        """
        twins = {"devenv", "flake"} if name in {"devenv", "flake"} else {name}
        others = [seed for other, seed in SEEDS.items() if other not in twins]
        expected = {UNPARSED.get(name, "cannot be parsed"), f"not a {name} lockfile"}

        problems = {problem(other, name) for other in others}

        assert expected >= {p for p in problems if not p.startswith("unsupported")}

    @pytest.mark.parametrize("name", JSON)
    @pytest.mark.parametrize("content", [b"[]", b"null", b'"packages"', b"1"])
    def test_no_table(self, content, name):
        """
        A lockfile in JSON is a table.
        """
        assert f"not a {name} lockfile" == problem(content, name)

    @pytest.mark.parametrize(("name", "key"), CASES["opaque key"])
    def test_key(self, name, key):
        """
        A lockfile without one of these keys is another file.
        """
        content = json.dumps({k: v for k, v in JSON[name].items() if k != key})

        assert f"not a {name} lockfile" == problem(content, name)


class TestNoPackages:
    @pytest.mark.parametrize(("name", "content"), CASES["no packages readable"])
    def test_readable(self, name, content):
        """
        An environment without packages is not opaque.
        """
        assert () == packages(content, name)


class TestVersion:
    @pytest.mark.parametrize(
        ("name", "line", "good", "version", "expected"),
        [
            (*line, *case)
            for kind in ("version", "major")
            for line in CASES[f"{kind} lines"]
            for case in CASES[f"other {kind}"]
        ],
    )
    def test_other(self, name, line, good, version, expected):
        """
        Any version but the known ones is opaque; a short number is shown.

        Where versions are texts, it is the part before the first dot.
        """
        content = SEEDS[name].decode().replace(line % good, line % version, 1)

        assert expected.format(name) == problem(content, name)

    @pytest.mark.parametrize(("name", "good", "versions"), CASES["minor versions"])
    def test_minors(self, name, good, versions):
        """
        All minor versions are readable.
        """
        for version in versions:
            content = SEEDS[name].decode().replace(good, version, 1)

            assert packages(content, name)

    def test_too_many_digits_to_print(self):
        """
        Not even a number that Python refuses to print gets in the way.
        """
        content = SEEDS["uv"].replace(b"version = 1", b"version = 0x" + b"f" * 5000)

        assert "not a uv lockfile" == problem(content, "uv")
