import codecs
import hashlib

import pytest

from upgrade_state import lockfiles

FLOX = b"""{"lockfile-version": 1, "manifest": {"version": 1}, "packages": [
  {"install_id": "curl", "system": "x86_64-linux", "version": "8.0",
   "derivation": "/nix/store/a-curl.drv"}
]}
"""
UV = b"""version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "attrs"
version = "25.1.0"
source = { registry = "https://index.example/simple" }
"""
CARGO = b"""version = 4

[[package]]
name = "serde"
version = "1.0.219"
source = "registry+https://index.example/crates"
checksum = "5f0e2c6ed6606019b4e29e69dbaba95b11854410e5347d525002456dbbb786b6"
"""
CONAN = b"""{"version": "0.5",
  "requires": ["zlib/1.3.1#b8bc2603263cf7eccbd6e17e66b0ed76%1733936244.862"],
  "build_requires": [], "python_requires": []}
"""
DEVBOX = b"""{"lockfile_version": "1", "packages": {
  "go@latest": {"version": "1.24.1", "source": "devbox-search",
    "resolved": "github:NixOS/nixpkgs/b60793b86201040d9dee019a05089a9150d08b5b#go"}
}}
"""
FLAKE = b"""{"version": 7, "root": "root", "nodes": {
  "nixpkgs": {"locked": {"type": "github", "owner": "NixOS", "repo": "nixpkgs",
    "rev": "b60793b86201040d9dee019a05089a9150d08b5b"}},
  "root": {"inputs": {"nixpkgs": "nixpkgs"}}
}}
"""
MISE = b"""lockfile_version = 3

[[tools.node]]
version = "24.1.0"
backend = "core:node"

[tools.node."platforms.linux-x64"]
checksum = "sha256:5f0e2c6ed6606019b4e29e69dbaba95b11854410e5347d525002456dbbb786b6"
"""
NPM = b"""{"name": "shop", "lockfileVersion": 3, "requires": true, "packages": {
  "": {"name": "shop", "dependencies": {"ms": "^2.1.3"}},
  "node_modules/ms": {"version": "2.1.3", "resolved": "https://npm.example/ms.tgz"}
}}
"""
SPACK = b"""{"_meta": {"file-type": "spack-lockfile", "lockfile-version": 6},
  "roots": [{"hash": "yexdthehwuxiawun4ewx6f6lffl3j23e", "spec": "zlib"}],
  "concrete_specs": {
    "yexdthehwuxiawun4ewx6f6lffl3j23e": {"name": "zlib", "version": "1.3.1"}
}}
"""
GOOD = {
    "cargo": CARGO,
    "conan": CONAN,
    "devbox": DEVBOX,
    "devenv": FLAKE,
    "flake": FLAKE,
    "flox": FLOX,
    "mise": MISE,
    "npm": NPM,
    "spack": SPACK,
    "uv": UV,
}

every_format = pytest.mark.parametrize("name", lockfiles.FORMATS)


def problem(content, name):
    """
    Return why *content* is opaque.
    """
    snapshot = lockfiles.read(content, format=name)

    assert snapshot.packages is None
    return snapshot.problem


class TestRead:
    @every_format
    def test_good(self, name):
        """
        A lockfile of its format has packages and no problem.
        """
        snapshot = lockfiles.read(GOOD[name], format=name)

        assert (name, 1, None) == (
            snapshot.format,
            len(snapshot.packages),
            snapshot.problem,
        )

    @pytest.mark.parametrize("name", [None, *lockfiles.FORMATS])
    @pytest.mark.parametrize("content", [b"", b"\xff", FLOX, UV])
    def test_digest(self, content, name):
        """
        The digest is that of the raw bytes, readable or not.
        """
        expected = "blake2b:" + hashlib.blake2b(content, digest_size=32).hexdigest()

        assert expected == lockfiles.read(content, format=name).digest

    def test_no_format(self):
        """
        Without a format the content is opaque.
        """
        assert problem(UV, None) == "unknown format"

    def test_unknown_format(self):
        """
        An unknown format is an error of the caller, who is told the choices.
        """
        choices = ", ".join(lockfiles.FORMATS)
        with pytest.raises(ValueError, match=f"'yarn'.*: {choices}$"):
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
        windows = lockfiles.read(GOOD[name].replace(b"\n", b"\r\n"), format=name)

        assert lockfiles.read(GOOD[name], format=name).packages == windows.packages


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
        What is larger than any lockfile is not parsed.
        """
        content = GOOD[name] + b"\n" * (16 * 1024 * 1024)

        assert "larger than 16 MiB" == problem(content, name)

    @every_format
    def test_large(self, name):
        """
        Exactly the limit is fine.
        """
        padding = b" " if GOOD[name].startswith(b"{") else b"#"
        content = GOOD[name].ljust(16 * 1024 * 1024, padding)

        assert lockfiles.read(content, format=name).packages

    @every_format
    @pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xed\xa0\x80"])
    def test_encoding(self, bad, name):
        """
        Lockfiles are UTF-8.
        """
        assert "not valid UTF-8" == problem(GOOD[name] + bad, name)

    @every_format
    def test_utf16(self, name):
        """
        Nobody guesses another encoding.
        """
        content = GOOD[name].decode().encode("utf-16-le")

        assert "cannot be parsed" == problem(content, name)

    @every_format
    def test_byte_order_mark(self, name):
        """
        An editor that leaves a mark has touched what is not for people.
        """
        content = codecs.BOM_UTF8 + GOOD[name]

        assert "starts with a byte order mark" == problem(content, name)

    @every_format
    @pytest.mark.parametrize("before", [b"", b"\n", b"# \r\n"])
    def test_merge_conflict(self, before, name):
        """
        A lockfile in the middle of a merge says so.
        """
        content = before + b"<<<<<<< HEAD\n" + GOOD[name]

        assert "has merge conflicts" == problem(content, name)

    @every_format
    def test_cut_off(self, name):
        """
        Half a lockfile is none.
        """
        assert "cannot be parsed" == problem(GOOD[name][:-40], name)

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("flox", b"[" * 200_000),
            ("uv", b"a = " + b"[" * 50_000),
            ("uv", UV + b"a." * 1001 + b"a = 1"),
        ],
    )
    def test_deep(self, name, content):
        """
        Nesting has an end.
        """
        assert "nested too deeply" == problem(content, name)

    def test_not_too_deep(self):
        """
        A long line is no nesting.
        """
        content = UV + b"a = '" + b"." * 1000 + b"'"

        assert lockfiles.read(content, format="uv").packages

    @pytest.mark.parametrize("number", [b"NaN", b"-Infinity", b"1" * 5000])
    def test_json_numbers(self, number):
        """
        What is no number in JSON, or one of thousands of digits, is refused.
        """
        content = FLOX.replace(b": 1,", b": " + number + b",", 1)

        assert "cannot be parsed" == problem(content, "flox")

    def test_toml_digits(self):
        """
        A number of thousands of digits is refused.
        """
        content = UV.replace(b"= 3", b"= " + b"1" * 5000)

        assert "cannot be parsed" == problem(content, "uv")

    @every_format
    def test_other_format(self, name):
        """
        A lockfile under another one's name is not empty, but unreadable.
        """
        others = [content for content in GOOD.values() if content != GOOD[name]]
        problems = {problem(other, name) for other in others}

        assert {problem for problem in problems if "unsupported" not in problem} <= {
            "cannot be parsed",
            f"not a {name} lockfile",
        }


class TestVersion:
    @pytest.mark.parametrize(
        ("version", "expected"),
        [
            (b"99", "unsupported version 99"),
            (b"0", "unsupported version 0"),
            (b"-1", "unsupported version"),
            (b"9" * 13, "unsupported version"),
            (b"true", "not a {} lockfile"),
            (b"1.0", "not a {} lockfile"),
            (b'"1"', "not a {} lockfile"),
        ],
    )
    @pytest.mark.parametrize(
        ("name", "line", "known"),
        [
            ("cargo", b"version = %s\n", b"4"),
            ("devenv", b'version": %s,', b"7"),
            ("flake", b'version": %s,', b"7"),
            ("flox", b'version": %s,', b"1"),
            ("npm", b'lockfileVersion": %s,', b"3"),
            ("spack", b'lockfile-version": %s}', b"6"),
            ("uv", b"version = %s\n", b"1"),
        ],
    )
    def test_other(self, name, line, known, version, expected):
        """
        Any version but the known one is opaque; a short one is told.
        """
        content = GOOD[name].replace(line % known, line % version, 1)

        assert expected.format(name) == problem(content, name)

    def test_too_many_digits_to_print(self):
        """
        Not even a number that Python refuses to print gets in the way.
        """
        content = UV.replace(b"version = 1", b"version = 0x" + b"f" * 5000)

        assert "not a uv lockfile" == problem(content, "uv")
