"""
The facts of each manager, a few lines each.

Only what its documentation says is done: a command that writes the lockfile of
an upgrade, asks nothing and installs nothing, or only into the scratch
directory. Environment variables that are removed would send a manager to
another place, or let it succeed without upgrading anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ._recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

# Where git finds credentials. Not GIT_DIR and its like, which a hook of git sets
# for its own repository.
_GIT: Final = ("GIT_ASKPASS", "GIT_CONFIG_*")

# Which Python a shim stands for, and where credentials are. Not PYENV_DIR, which
# a shim sets to where this program was called.
_PYTHON: Final = ("PYENV_ROOT", "PYENV_VERSION", "PYTHON_KEYRING_BACKEND", *_GIT)

# Build back ends read these, where metadata are dynamic.
_BACK_END: Final = ("setup.py", "setup.cfg")

_PIP: Final[dict[str, str | None]] = {
    "PIP_NO_INPUT": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    # Nothing is installed, so it does not matter where to.
    "PIP_REQUIRE_VIRTUALENV": None,
    # More wishes than those of the manifest, or fewer.
    "PIP_REQUIREMENT": None,
    "PIP_EDITABLE": None,
    "PIP_NO_DEPS": None,
    "PIP_GROUP": None,
    "PIP_OUTPUT": None,
    # Else repositories are checked out beside an activated environment.
    "PIP_SRC": "src",
}

_UV: Final = Recipe(
    name="uv",
    lockfile="uv.lock",
    argv=("uv", "lock", "--upgrade", "--no-progress"),
    manifests=("pyproject.toml",),
    beside=("uv.toml", ".python-version", ".python-versions", *_BACK_END),
    changes={
        "UV_PROJECT": None,
        "UV_PROJECT_ENVIRONMENT": None,
        "UV_WORKING_DIR": None,
        "UV_WORKING_DIRECTORY": None,
        "UV_LOCKED": None,
        "UV_FROZEN": None,
        "UV_OFFLINE": None,
        # No check installs a Python.
        "UV_PYTHON_DOWNLOADS": "manual",
    },
    passes=("UV_*", *_PYTHON),
    caches=("UV_CACHE_DIR",),
    # uv searches the directories above for a workspace, up to the first project,
    # and for settings, up to the first that has any.
    fence=("pyproject.toml", b'[project]\nname = "fence"\nversion = "0"\n[tool.uv]\n'),
    needs="install uv 0.4 or newer",
    upgrade="uv lock --upgrade",
    details="uv lock --upgrade --dry-run",
)

_POETRY: Final = Recipe(
    name="poetry",
    lockfile="poetry.lock",
    argv=("poetry", "update", "--lock", "--no-interaction", "--no-ansi"),
    manifests=("pyproject.toml",),
    beside=("poetry.toml", *_BACK_END),
    changes={
        "POETRY_ACTIVE": None,
        # Poetry makes an environment also where it only resolves: beside the
        # lockfile it is gone with the scratch directory. Without one it would
        # know no other Python than its own.
        "POETRY_VIRTUALENVS_CREATE": "true",
        "POETRY_VIRTUALENVS_IN_PROJECT": "true",
        "POETRY_VIRTUALENVS_OPTIONS_NO_PIP": "true",
    },
    passes=("POETRY_*", *_PYTHON),
    caches=("POETRY_CACHE_DIR", "VIRTUALENV_OVERRIDE_APP_DATA"),
    needs="install Poetry 1.8 or newer",
    upgrade="poetry update",
    details="poetry update --dry-run",
)

_PDM: Final = Recipe(
    name="pdm",
    lockfile="pdm.lock",
    # What the lockfile says of groups, strategies and targets is kept.
    argv=("pdm", "lock"),
    manifests=("pyproject.toml",),
    beside=("pdm.toml", *_BACK_END),
    changes={
        "PDM_PROJECT": None,
        "PDM_LOCKFILE": None,
        "PDM_FROZEN_LOCKFILE": None,
        "PDM_NO_LOCK": None,
        "PDM_IN_VENV": None,
        "PDM_LOCK_FORMAT": "pdm",
        "PDM_NON_INTERACTIVE": "1",
        "PDM_CHECK_UPDATE": "0",
        # An interpreter is enough to resolve with.
        "PDM_USE_VENV": "0",
        "PDM_LOG_DIR": ".pdm-logs",
    },
    passes=("PDM_*", *_PYTHON),
    caches=("PDM_CACHE_DIR",),
    needs="install PDM 2.8 or newer",
    upgrade="pdm update",
    details="pdm update --dry-run --no-sync",
)

_PIPENV: Final = Recipe(
    name="pipenv",
    lockfile="Pipfile.lock",
    argv=("pipenv", "lock"),
    manifests=("Pipfile", "pyproject.toml"),
    beside=(".python-version", *_BACK_END),
    changes=_PIP
    | {
        "PIPENV_ACTIVE": None,
        "PIPENV_PIPFILE": None,
        "PIPENV_CUSTOM_VENV_NAME": None,
        "PIPENV_SKIP_LOCK": None,
        "PIPENV_YES": None,
        # Pipenv makes an environment also where it only resolves: beside the
        # lockfile it is gone with the scratch directory.
        "PIPENV_VENV_IN_PROJECT": "1",
        "PIPENV_IGNORE_VIRTUALENVS": "1",
        # No check installs a Python.
        "PIPENV_DONT_USE_PYENV": "1",
        "PIPENV_DONT_USE_ASDF": "1",
        "PIPENV_NOSPIN": "1",
    },
    passes=("PIPENV_*", "PIP_*", *_PYTHON),
    caches=("PIPENV_CACHE_DIR", "PIP_CACHE_DIR", "VIRTUALENV_OVERRIDE_APP_DATA"),
    needs="install Pipenv 2023.7 or newer",
    upgrade="pipenv update",
    details="pipenv update --outdated",
)

_PIP_LOCK: Final = Recipe(
    name="pip",
    lockfile="pylock.toml",
    argv=("pip", "lock", "--requirement=requirements.in", "--output=pylock.toml"),
    manifests=("requirements.in", "pyproject.toml"),
    beside=_BACK_END,
    changes=_PIP,
    passes=("PIP_*", *_PYTHON),
    caches=("PIP_CACHE_DIR",),
    # uv and PDM write such files too, and nothing in them says how.
    mark=b'created-by = "pip"',
    needs="install pip 25.1 or newer",
    upgrade="pip lock --requirement=requirements.in",
)

_PIP_PROJECT: Final = attrs.evolve(
    _PIP_LOCK,
    name="pip-project",
    argv=("pip", "lock", "--output=pylock.toml", "."),
    manifests=("pyproject.toml",),
    upgrade="pip lock .",
)

_PIP_TOOLS: Final = Recipe(
    name="pip-tools",
    lockfile="requirements.txt",
    argv=(
        "pip-compile",
        "--upgrade",
        "--output-file=requirements.txt",
        "requirements.in",
    ),
    manifests=("requirements.in", "pyproject.toml"),
    beside=(".pip-tools.toml", *_BACK_END),
    changes=_PIP,
    passes=("PIP_*", "PIP_TOOLS_*", *_PYTHON),
    caches=("PIP_TOOLS_CACHE_DIR", "PIP_CACHE_DIR"),
    needs="install pip-tools 6 or newer",
    upgrade="pip-compile --upgrade requirements.in",
)

_NPM_CHANGES: Final[dict[str, str | None]] = {
    "npm_config_location": None,
    "npm_config_offline": None,
    "npm_config_workspace": None,
    "npm_config_workspaces": None,
    # Milliseconds. Where nothing answers, its own pauses of 10 and 60 seconds
    # keep somebody waiting for two minutes. A failed check is tried again anyway.
    "npm_config_fetch_retry_mintimeout": "1000",
    "npm_config_fetch_retry_maxtimeout": "5000",
    "npm_config_logs_max": "0",
    "npm_config_progress": "false",
    "npm_config_update_notifier": "false",
}

_NPM: Final = Recipe(
    name="npm",
    lockfile="package-lock.json",
    # Most of these undo what a user's configuration may say.
    argv=(
        "npm",
        "update",
        # Not the workspace that a directory above may make of it.
        "--prefix=.",
        "--package-lock-only",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--package-lock",
        "--no-global",
        "--no-dry-run",
        "--no-offline",
        "--no-prefer-offline",
        # Says which answers are old ones: see below.
        "--loglevel=http",
    ),
    manifests=("package.json",),
    beside=(".npmrc",),
    # npm knows variables in capitals, too.
    changes=dict.fromkeys(map(str.upper, _NPM_CHANGES))
    | _NPM_CHANGES
    # No check downloads an npm, where that is one of corepack.
    | {"COREPACK_ENABLE_PROJECT_SPEC": "0"},
    passes=(
        "npm_config_*",
        "NPM_CONFIG_*",
        "NPM_TOKEN",
        "NODE_AUTH_TOKEN",
        *_GIT,
    ),
    caches=("npm_config_cache", "NPM_CONFIG_CACHE"),
    # Where the registry does not answer, npm takes what its cache has, however
    # old, finds nothing new in it, and exits with status 0.
    offline=b"(cache stale)",
    needs="install npm 7 or newer",
    upgrade="npm update",
    details="npm update --dry-run",
)

_CARGO: Final = Recipe(
    name="cargo",
    lockfile="Cargo.lock",
    argv=("cargo", "update"),
    manifests=("Cargo.toml",),
    beside=(
        ".cargo/config.toml",
        ".cargo/config",
        "rust-toolchain",
        "rust-toolchain.toml",
        # A package without any target is refused.
        "src/lib.rs",
        "src/main.rs",
        "src/bin/*.rs",
        "src/bin/*/main.rs",
    ),
    changes={
        "CARGO_NET_OFFLINE": None,
        "CARGO_RESOLVER_LOCKFILE_PATH": None,
        "CARGO_TERM_COLOR": "never",
        "CARGO_TERM_PROGRESS_WHEN": "never",
        # No check installs a toolchain.
        "RUSTUP_AUTO_INSTALL": "0",
    },
    passes=("CARGO_*", "RUSTUP_*", *_GIT),
    caches=("CARGO_HOME",),
    # No fence: cargo goes past a workspace that excludes the package (measured),
    # and reads every configuration on the way up.
    searches=(
        "Cargo.toml",
        ".cargo/config.toml",
        ".cargo/config",
        "rust-toolchain",
        "rust-toolchain.toml",
    ),
    needs="install Rust 1.78 or newer",
    upgrade="cargo update",
    details="cargo update --dry-run",
)

_CONDA_LOCK: Final = Recipe(
    name="conda-lock",
    lockfile="conda-lock.yml",
    argv=("conda-lock", "lock", "--kind=lock", "--lockfile=conda-lock.yml"),
    # The lockfile names the files that it was made from.
    manifests=("conda-lock.yml",),
    beside=("environment.yml", "environment.yaml", "virtual-packages.y*ml"),
    passes=("CONDA_*", "MAMBA_*", "PIP_*", *_PYTHON),
    caches=("CONDA_PKGS_DIRS",),
    needs="install conda-lock 2 or newer, and conda, mamba or micromamba",
    upgrade="conda-lock lock",
)

_PIXI: Final = Recipe(
    name="pixi",
    lockfile="pixi.lock",
    argv=("pixi", "update", "--no-install"),
    manifests=("pixi.toml", "pyproject.toml"),
    beside=(".pixi/config.toml", *_BACK_END),
    changes={
        # What the shell of another workspace has set.
        "PIXI_IN_SHELL": None,
        "PIXI_PROJECT_MANIFEST": None,
        "PIXI_FROZEN": None,
        "PIXI_LOCKED": None,
        "PIXI_NO_PROGRESS": "true",
    },
    passes=("PIXI_*", "RATTLER_*", "CONDA_OVERRIDE_*", *_PYTHON),
    caches=("PIXI_CACHE_DIR", "RATTLER_CACHE_DIR"),
    needs="install pixi 0.23 or newer",
    upgrade="pixi update",
    details="pixi update --dry-run",
)

_PIXI_PYPROJECT: Final = attrs.evolve(
    _PIXI, name="pixi-pyproject", manifests=("pyproject.toml", "pixi.toml")
)

_DEVBOX: Final = Recipe(
    name="devbox",
    lockfile="devbox.lock",
    argv=("devbox", "update", "--no-install"),
    manifests=("devbox.json",),
    changes={"DO_NOT_TRACK": "1", "DEVBOX_PROJECT_ROOT": None},
    passes=("DEVBOX_*", "NIX_*"),
    needs="install Devbox 0.14 or newer",
    upgrade="devbox update",
)

_MISE: Final = Recipe(
    name="mise",
    lockfile="mise.lock",
    argv=("mise", "lock", "--bump"),
    manifests=("mise.toml",),
    beside=(".tool-versions",),
    changes={
        "MISE_LOCKFILE": "1",
        "MISE_LOCKED": None,
        "MISE_OFFLINE": None,
        "MISE_YES": None,
    },
    passes=("MISE_*", "GITHUB_TOKEN", "GITHUB_API_TOKEN"),
    caches=("MISE_CACHE_DIR",),
    needs="install mise 2026.8 or newer",
    upgrade="mise upgrade",
    details="mise outdated",
)

_MISE_DOT: Final = attrs.evolve(
    _MISE, name="mise-dot", manifests=(".mise.toml", "mise.toml")
)

_SPACK: Final = Recipe(
    name="spack",
    lockfile="spack.lock",
    argv=("spack", "--env-dir", ".", "concretize", "--force", "--fresh"),
    manifests=("spack.yaml",),
    changes={"SPACK_ENV": None},
    passes=("SPACK_*",),
    caches=("SPACK_USER_CACHE_PATH",),
    needs="install Spack 0.18 or newer",
    upgrade="spack concretize --force --fresh",
)

_NIX: Final = Recipe(
    name="nix",
    lockfile="flake.lock",
    argv=(
        "nix",
        "--extra-experimental-features",
        "nix-command flakes",
        "flake",
        "update",
        "--flake",
        # Not the repository that a directory above may be.
        "path:.",
    ),
    manifests=("flake.nix",),
    passes=("NIX_*", *_GIT),
    needs="install Nix 2.19 or newer",
    upgrade="nix flake update",
)

RECIPES: Final[Mapping[str, Recipe]] = {
    recipe.name: recipe
    for recipe in (
        _UV,
        _POETRY,
        _PDM,
        _PIPENV,
        _PIP_LOCK,
        _PIP_PROJECT,
        _PIP_TOOLS,
        _NPM,
        _CARGO,
        _CONDA_LOCK,
        _PIXI,
        _PIXI_PYPROJECT,
        _DEVBOX,
        _MISE,
        _MISE_DOT,
        _SPACK,
        _NIX,
    )
}
"""By name. A check by one of these is repeated by itself once its user ran it."""
