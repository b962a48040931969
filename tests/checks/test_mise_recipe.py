"""
The recipe of mise with the real tool: it reads all of a file, and runs nothing.
"""

import pytest

import by_hand
from upgrade_state import StateStore, checks

pytestmark = pytest.mark.network

# Each command in it would write a file into the project.
MISE = """\
[tools]
"npm:semver" = "7"
[settings]
lockfile = true
[env]
COLOUR = "green"
X = "{{{{ exec(command='touch {0}/template') }}}}"
_.file = ".env"
_.source = "{0}/script.sh"
_.python.venv = {{ path = "{0}/venv", create = true }}
[vars]
x = "{{{{ exec(command='touch {0}/variable') }}}}"
[hooks]
cd = "touch {0}/cd"
enter = "touch {0}/enter"
preinstall = "touch {0}/before"
postinstall = "touch {0}/after"
[[watch_files]]
patterns = ["**"]
run = "touch {0}/changed"
[tasks.x]
run = "touch {0}/task"
depends = ["y"]
[tasks.y]
run = "{{{{ exec(command='touch {0}/run') }}}}"
"""

LOCK = """\
lockfile_version = 2

[[tools."npm:semver"]]
version = "7.5.0"
backend = "npm:semver"
specifiers = ["7"]
"""


@pytest.fixture(autouse=True)
def _mise(monkeypatch, directory, fill):
    by_hand.use_tool(monkeypatch, "mise")
    (directory / "uv.lock").unlink()
    script = f"touch {directory}/sourced\n"
    fill(directory, {".env": "A=1", "script.sh": script})


def check(directory, name):
    before = sorted(directory.iterdir())
    environment = StateStore().environment(directory, name)
    recipe = checks.recipe_for(name, str(directory))
    outcome = checks.check(environment, recipe.resolver(environment))
    assert before == sorted(directory.iterdir())
    return environment, outcome


@pytest.mark.parametrize(
    ("manifest", "name"),
    [
        ("mise.toml", "mise.lock"),
        (".mise.toml", "mise.lock"),
        ("mise.dev.toml", "mise.dev.lock"),
        ("mise.local.toml", "mise.local.lock"),
    ],
)
def test_nothing_runs(directory, fill, manifest, name):
    """
    Settings, variables and hooks are no obstacle, and none of their commands runs.
    """
    fill(directory, {manifest: MISE.format(directory), name: LOCK})

    environment, outcome = check(directory, name)

    assert checks.Outcome("checked") == outcome
    (upgrade,) = environment.upgrades()
    assert ("npm:semver", ("7.5.0",)) == (upgrade.name, upgrade.old)


def test_computed_version(directory, fill):
    """
    A version that only a command can tell is a failure.
    """
    wish = '[tools]\n"npm:semver" = "{{ exec(command=\'echo 7\') }}"\n'
    fill(directory, {"mise.toml": wish, "mise.lock": LOCK})

    _, outcome = check(directory, "mise.lock")

    assert "exec() is disabled in safe mode" in outcome.error.message
