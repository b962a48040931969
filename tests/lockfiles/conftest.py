import pytest

# Small, and with something of everything that their readers look at.
COMMIT = b"a" * 40
SEEDS = {
    "cargo": b"version = 3\n[[package]]\nname = 'a'\nversion = '1'\n"
    b"dependencies = ['b 1']\n[[package]]\nname = 'b'\nversion = '1'\n"
    b"source = 'git+x#" + COMMIT + b"'\n[metadata]\n'checksum b 1' = 'c'\n",
    "conan": b'{"version": "0.5", "requires": ["a/1@u/c#r%1"],'
    b' "build_requires": [["b/2", {"p": "q"}]]}',
    "conda-explicit": b"# platform: p\n@EXPLICIT\nhttps://h/p/a-1-0.conda#%032d\n"
    b"# pip b @ git+https://h/b@%040d\n" % (0, 0),
    "conda-list": b'[{"name": "a", "version": "1", "build_string": "0", "channel":'
    b' "c"}, {"name": "b", "version": "1", "build_string": "0", "channel": "pypi"}]',
    "conda-lock": b"version: 1\nmetadata: {}\npackage:\n- {name: a, version: 1,"
    b" manager: conda, platform: p, url: h/a-1-0.conda}\n- name: b\n  version: '1'\n"
    b"  manager: pip\n  platform: p\n  url: git+h\n",
    "devbox": b'{"lockfile_version": "1", "packages": {"a@1": {"resolved": "g:n/c#a",'
    b' "version": "1", "systems": {"s": {"outputs": [{"name": "o", "path": "p",'
    b' "default": true}]}, "t": {"store_path": "p"}}}, "github:NixOS/nixpkgs/u": {},'
    b' "git+https://h/b?x#c": {"resolved": "git+https://h/b?rev=' + COMMIT + b'"}}}',
    "devenv": b'{"version": 7, "root": "r", "nodes": {"r": {"inputs": {"a": "x", "b":'
    b' ["a"]}}, "x": {"locked": {"rev": "1"}, "inputs": {"c": "y"}}, "y": {"locked":'
    b' {"narHash": "2", "type": "path"}, "inputs": {"d": ["a", "c"]}}}}',
    "flake": b'{"version": 7, "root": "r", "nodes": {"r": {"inputs": {"a": "x"}},'
    b' "x": {"locked": {"rev": "1"}, "inputs": {"c": "x"}}}}',
    "flox": b'{"lockfile-version": 1, "manifest": {}, "packages": [{"install_id":'
    b' "a", "system": "s", "version": null, "derivation": "d"}, {"install_id": "b",'
    b' "system": "s", "store_path": "p"}]}',
    "mise": b"lockfile_version = 3\n[[tools.a]]\nversion = '1'\n[tools.a.options]\n"
    b"o = '1'\n[tools.a.'platforms.p']\nchecksum = 'h:1'\n[tools.'x:b']\n"
    b"version = '1'\n[tools.'x:b'.platforms.p]\nchecksum = 'h:1'\n",
    "npm": b'{"lockfileVersion": 3, "packages": {"": {"dependencies": {"a": "1"}},'
    b' "node_modules/a": {"version": "1", "resolved": "g#' + COMMIT + b'"}, "w": {},'
    b' "w/node_modules/b": {"name": "c"}, "node_modules/w": {"link": true}}}',
    "pdm": b"[metadata]\nlock_version = '4.5.0'\n[[package]]\nname = 'a'\n"
    b"version = '1'\npath = 'a.whl'\nfiles = [{ file = 'f', hash = 'h' }]\n"
    b"[[package]]\nname = 'b'\nversion = '1'\ngit = 'x'\nrevision = 'r'\n",
    "pipfile": b'{"_meta": {"pipfile-spec": 6}, "default": {"a": {"version": "==1"}},'
    b' "c": {"b": {"path": "b.whl", "hashes": ["h"]}}}',
    "pixi": b"version: 6\nenvironments:\n  d:\n    packages:\n      p:\n      - conda:"
    b" a-1-0.conda\n      - {pypi: .}\npackages:\n- conda: a-1-0.conda\n- pypi: .\n"
    b"  name: b\n- pypi: '.'\n  name: c\n",
    "poetry": b"[[package]]\nname = 'a'\nversion = '1'\nfiles = [{ hash = 'h' }]\n"
    b"source = { type = 'url' }\n[[package]]\nname = 'b'\nversion = '1'\n"
    b"[package.source]\ntype = 'git'\nresolved_reference = 'r'\n"
    b"[metadata]\nlock-version = '2.1'\n",
    "pylock": b"lock-version = '1.0'\ncreated-by = 'x'\n[[packages]]\nname = 'a'\n"
    b"vcs = { type = 'git', commit-id = 'c' }\n[[packages]]\nname = 'b'\n"
    b"archive = { hashes = { sha256 = 'h' } }\n",
    "requirements": b"a[x] == 1 ; y < '3' \\\n  --hash=sha256:1 # c\nb @ https://f.example/"
    b"b-1-py3-none-any.whl#sha256=" + b"1" * 64 + b"\n-e ./d\n-i https://i.example\n",
    "spack": b'{"_meta": {"file-type": "spack-lockfile", "lockfile-version": 5},'
    b' "roots": [{"hash": "h"}], "concrete_specs": {"h": {"name": "a", "version":'
    b' "1", "parameters": {"dev_path": "p"}}}, "include_concrete": {"p": {"roots":'
    b' [], "concrete_specs": {"i": {"name": "a", "version": "1"}}}}}',
    "uv": b"version = 1\nrequires-python = '>=3.11'\n[manifest]\nmembers = ['a']\n"
    b"[[package]]\nname = 'a'\nsource = { virtual = '.' }\n"
    b"dependencies = [{ name = 'b' }]\n[[package]]\nname = 'b'\nversion = '1'\n"
    b"source = { git = 'x#1' }\nsdist = { hash = 'h' }\n",
}


@pytest.fixture(scope="session")
def seeds():
    """
    A small lockfile per format.
    """
    return SEEDS
