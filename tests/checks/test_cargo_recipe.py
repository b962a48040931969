"""
Cargo itself, with packages by path, which need no registry.
"""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest

from upgrade_state import Consent, StateStore, checks

SHOP = """\
[package]
name = "shop"
version = "0.1.0"
edition = "2021"

[dependencies]
till = { path = "libs/till" }
"""
TILL = '[package]\nname = "till"\nversion = "0.2.0"\nedition = "2021"\n'
LOCK = """\
version = 4

[[package]]
name = "shop"
version = "0.1.0"
dependencies = [
 "till",
]

[[package]]
name = "till"
version = "0.1.0"
"""


@pytest.fixture
def shop(directory, fill, monkeypatch):
    """
    A package with a dependency by path, of which there is a new version.
    """
    if shutil.which("cargo") is None:
        pytest.skip("no cargo here")
    # Tests replace HOME, in which rustup finds its toolchains.
    home = os.path.join(pwd.getpwuid(os.getuid()).pw_dir, ".rustup")
    monkeypatch.setenv("RUSTUP_HOME", os.environ.get("RUSTUP_HOME", home))
    files = {
        "Cargo.toml": SHOP,
        "Cargo.lock": LOCK,
        "src/main.rs": "fn main() {}",
        "libs/till/Cargo.toml": TILL,
        "libs/till/src/lib.rs": "",
    }
    fill(directory, files)
    return StateStore().environment(directory, "Cargo.lock")


def check(shop):
    return checks.check(
        shop, checks.RECIPES["cargo"].resolver(shop), consent=Consent("cargo")
    )


class TestCargo:
    def test_upgrade(self, shop, scratches):
        """
        The upgrade is found; the environment stays as it is.
        """
        outcome = check(shop)

        assert checks.Outcome("checked") == outcome
        assert [("till", ("0.1.0",), ("0.2.0",))] == [
            (u.name, u.old, u.new) for u in shop.upgrades()
        ]
        assert LOCK == (Path(shop.path) / "Cargo.lock").read_text()
        assert [] == list(scratches.iterdir())

    def test_workspace(self, shop):
        """
        A workspace is resolved as a whole.
        """
        manifest = Path(shop.path) / "Cargo.toml"
        manifest.write_text(SHOP + '[workspace]\nmembers = ["libs/*"]\n')

        assert checks.Outcome("checked") == check(shop)

    def test_repository(self, shop, tmp_path, monkeypatch, tmp_path_factory):
        """
        A package by path may be anywhere in the repository.
        """
        # Not in the repository, which would be one of the home directory then.
        monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        libs = tmp_path / "libs"
        (Path(shop.path) / "libs").rename(libs)
        (Path(shop.path) / "Cargo.toml").write_text(SHOP.replace("libs", "../libs"))
        hint = "'../libs/till' is outside of the directory and is not copied"
        assert hint in check(shop).error.message
        subprocess.run(["git", "init", "-q", tmp_path], check=True)

        assert checks.Outcome("checked") == check(shop)
        assert [("till", ("0.1.0",), ("0.2.0",))] == [
            (u.name, u.old, u.new) for u in shop.upgrades()
        ]

    @pytest.mark.parametrize("name", checks.RECIPES["cargo"].searches)
    def test_planted(self, shop, scratches, name):
        """
        A file above the scratch directory would take part: no command is run.
        """
        planted = scratches / name
        planted.parent.mkdir(exist_ok=True)
        planted.write_text("[workspace]\nmembers = ['*/environment']\n")

        assert (
            f"{str(planted)!r} is above the scratch directory and would take part;"
            " remove it, or set TMPDIR" == check(shop).error.message
        )
        planted.unlink()
        assert checks.Outcome("checked") == check(shop)

    def test_above_both(self, shop, scratches, tmp_path):
        """
        A file that is above the environment too is no obstacle.
        """
        (tmp_path / "Cargo.toml").write_text(
            "[workspace]\nexclude = ['shop', 'scratches']\n"
        )

        assert checks.Outcome("checked") == check(shop)

    def test_unknown_option(self, shop, tmp_path):
        """
        A version that does not know an option gets the advice for that.
        """
        command = checks.Command(
            ["cargo", "update", "--nonsense"],
            needs="install Rust 99",
            passes=["RUSTUP_HOME"],
        )

        outcome = checks.check(shop, command)

        assert outcome.error.message.endswith("; install Rust 99")
