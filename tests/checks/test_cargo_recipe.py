"""
Cargo itself, with packages by path: nothing has to be fetched for these.
"""

import os
import pwd
import shutil
from pathlib import Path

import pytest

from upgrade_state import StateStore, checks

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


@pytest.fixture(name="shop")
def _shop(directory, monkeypatch):
    """
    A package that depends on another one, which has got a new version.
    """
    if shutil.which("cargo") is None:
        pytest.skip("no cargo here")
    # rustup finds its toolchains in the home of whoever runs the tests.
    home = os.path.join(pwd.getpwuid(os.getuid()).pw_dir, ".rustup")
    monkeypatch.setenv("RUSTUP_HOME", os.environ.get("RUSTUP_HOME", home))
    for name, text in {
        "Cargo.toml": SHOP,
        "Cargo.lock": LOCK,
        "src/main.rs": "fn main() {}",
        "libs/till/Cargo.toml": TILL,
        "libs/till/src/lib.rs": "",
    }.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return StateStore().environment(directory, "Cargo.lock")


def check(shop):
    return checks.check(shop, checks.RECIPES["cargo"].resolver(shop), recipe="cargo")


class TestCargo:
    def test_upgrade(self, shop, scratches):
        """
        What cargo would write is found; the environment is not touched.
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
        A workspace is resolved as it is at home.
        """
        manifest = Path(shop.path) / "Cargo.toml"
        manifest.write_text(SHOP + '[workspace]\nmembers = ["libs/*"]\n')

        assert checks.Outcome("checked") == check(shop)

    @pytest.mark.parametrize("name", checks.RECIPES["cargo"].searches)
    def test_planted(self, shop, scratches, name):
        """
        What is above the scratch directory would take part: nothing is run.
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
        What lies above the environment, too, takes part in it as well.
        """
        (tmp_path / "Cargo.toml").write_text(
            "[workspace]\nexclude = ['shop', 'scratches']\n"
        )

        assert checks.Outcome("checked") == check(shop)

    def test_unknown_option(self, shop, tmp_path):
        """
        Who has another version is told which one is needed.
        """
        command = checks.Command(
            ["cargo", "update", "--nonsense"],
            needs="install Rust 99",
            copies=["Cargo.toml"],
            passes=["RUSTUP_HOME"],
        )

        outcome = checks.check(shop, command)

        assert outcome.error.message.endswith("; install Rust 99")
