"""
Sessions: `nox` runs everything that must hold, `nox --list` shows the longer ones.
"""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = [
    "lint",
    "typing",
    "tests",
    "database",
    "floor",
    "docs",
    "package",
]

# The reasons for these are in docs/decisions.md.
FLOOR = (
    "attrs==23.2.0",
    "cattrs==23.2.1",
    "filelock==3.30.0",
    "platformdirs==4.0.0",
    "psycopg==3.2.0",  # with the libpq of the system: the wheels have their own
    "PyYAML==6.0.3",  # the last with libyaml 0.2.5; older ones have no wheel for 3.14
)


def _interpreter(version: str) -> str | None:
    """
    Return a Python of this version that works: on PATH, or one that pyenv has made.
    """
    root = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    made = glob.glob(f"{root}/versions/{version}*/bin/python{version}")
    for python in filter(None, (shutil.which(f"python{version}"), *made)):
        # A version manager's shim may have no interpreter.
        command = [python, "-c", "pass"]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode == 0:
            return python
    return None


# Measured in the session `database`, and in no other.
DATABASE = "*/upgrade_state/_postgresql/*,*/upgrade_state/checks/_postgresql.py"

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHONS = [p for p in map(_interpreter, ("3.11", "3.12", "3.13", "3.14")) if p]
OTHERS = [python for python in PYTHONS if not python.endswith(HERE)]


PLUGINS = sorted(path.split("/")[1] for path in glob.glob("plugins/*/pyproject.toml"))


def _install(session: nox.Session, *groups: str) -> None:
    session.install(".", *nox.project.dependency_groups(PROJECT, *groups))


PROJECT = nox.project.load_toml("pyproject.toml")


@nox.session
def lint(session: nox.Session) -> None:
    """
    Style and common mistakes.
    """
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def typing(session: nox.Session) -> None:
    """
    Types, inside and at the public door.
    """
    _install(session, "typing")
    session.run("mypy")
    session.run("pyright")
    # The installed package, as embedders have it, not the source tree.
    session.chdir(session.create_tmp())
    session.run("pyright", "--verifytypes", "upgrade_state", "--ignoreexternal")


@nox.session
def tests(session: nox.Session) -> None:
    """
    All tests, with every branch covered.
    """
    _install(session, "tests", "commands", "node")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", "-n", "auto", *session.posargs)
    session.run("coverage", "combine")
    if not session.posargs:  # some tests do not cover everything
        session.run("coverage", "report", "--fail-under=100", f"--omit={DATABASE}")


@nox.session
def database(session: nox.Session) -> None:
    """
    The tests with a PostgreSQL server, which root installs if it is missing.
    """
    programs = {"postgresql": "initdb", "pgbouncer": "pgbouncer"}
    missing = [name for name, program in programs.items() if not _find(program)]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        for argv in (["update"], ["install", "-y", *missing]):
            session.run("apt-get", *argv, external=True, success_codes=range(256))
    if not _find("initdb"):
        session.skip("PostgreSQL is not installed")
    _install(session, "database")
    session.run("coverage", "erase")
    argv = ["-m", "pytest", "-m", "database", "-n", "2", *session.posargs]
    session.run("coverage", "run", *argv)
    session.run("coverage", "combine")
    if not session.posargs:
        session.run("coverage", "report", "--fail-under=100", f"--include={DATABASE}")


def _find(program: str) -> str | None:
    # Debian has the server's programs and those of administrators outside PATH.
    places = ("/usr/sbin", *glob.glob("/usr/lib/postgresql/*/bin"))
    return shutil.which(program, path=os.pathsep.join((os.environ["PATH"], *places)))


@nox.session(python=OTHERS)
def others(session: nox.Session) -> None:
    """
    All tests, with every other interpreter that is installed.
    """
    _install(session, "tests")
    session.run("pytest", "-n", "auto", *session.posargs)


def _quick(session: nox.Session, *libraries: str) -> None:
    """
    Run the tests that depend on other libraries, with some versions of these.
    """
    _install(session, "tests")
    session.install(*libraries)
    # The tests of what the libraries do: locks (filelock), the default place
    # (platformdirs), classes and their checks (attrs), JSON and recipes (cattrs).
    paths = """
        background concurrency consent environment files floors house
        information json look record store
        checks/check checks/command checks/installed_recipes checks/recipe
        checks/recipes checks/scope checks/stand_ins
        cli/check cli/check_all cli/doctor cli/records cli/show
        lockfiles/counts lockfiles/diff lockfiles/door lockfiles/third_party
    """
    names = (os.path.split(path) for path in paths.split())
    files = (os.path.join("tests", place, f"test_{name}.py") for place, name in names)
    session.run("pytest", "-n", "auto", *files, *session.posargs)
    if _find("initdb"):  # libpq is there, too
        argv = ["-m", "database", "-n", "2", "tests/test_connection.py"]
        session.run("pytest", *argv, *session.posargs)


@nox.session
def floor(session: nox.Session) -> None:
    """
    The tests that depend on other libraries, with the oldest that are allowed.
    """
    _quick(session, *FLOOR)


@nox.session(python=PYTHONS)
@nox.parametrize("libraries", ["oldest", "newest"])
def versions(session: nox.Session, libraries: str) -> None:
    """
    The same with every interpreter that is installed, and the newest as well.
    """
    newest = ("--upgrade", *(floor.partition("==")[0] for floor in FLOOR))
    _quick(session, *(FLOOR if libraries == "oldest" else newest))


@nox.session
def docs(session: nox.Session) -> None:
    """
    The documentation: no broken link, no unknown name, nothing from elsewhere.
    """
    _install(session, "docs", "plots")
    site = os.path.join(os.path.abspath(session.create_tmp()), "site")
    session.run("sphinx-build", "-WEqn", "--keep-going", "docs", site)
    tests = ("tests/test_site.py", "tests/test_benchmarks.py")
    session.run("pytest", *tests, env={"UPGRADE_STATE_SITE": site})


@nox.session
def package(session: nox.Session) -> None:
    """
    The files that an index would get: complete, and with a page that it can show.
    """
    session.install(*nox.project.dependency_groups(PROJECT, "package"))
    place = os.path.join(os.path.abspath(session.create_tmp()), "dist")
    shutil.rmtree(place, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", place, silent=True)
    wheel, sdist = sorted(os.listdir(place), key=lambda name: name.endswith(".gz"))
    files = [os.path.join(place, name) for name in (wheel, sdist)]
    session.run("twine", "check", "--strict", *files)
    session.run("check-wheel-contents", files[0])


@nox.session
@nox.parametrize("tool", nox.project.dependency_groups(PROJECT, "oracles"))
def oracles(session: nox.Session, tool: str) -> None:
    """
    Compare the readers with the tools' own answers; npm's if it is installed.
    """
    _install(session, "tests")
    session.install(tool)
    session.run("pytest", "tests/oracles", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """
    Ratios of what takes turns: activations, claims, checks, and peers; 20 minutes.
    """
    # A peer that cannot be installed is not measured.
    codes = range(256)
    for requirement in nox.project.dependency_groups(PROJECT, "bench"):
        session.install(requirement, success_codes=codes)
    if _find("pgbench"):
        session.install(*nox.project.dependency_groups(PROJECT, "database"))
    session.install(".", "--force-reinstall", env={"PYTHONDONTWRITEBYTECODE": ""})
    env = {}
    if shutil.which("npm"):
        place = os.path.join(os.path.abspath(session.create_tmp()), "npm")
        os.makedirs(place, exist_ok=True)
        shutil.copy("benchmarks/peers/package.json", place)
        npm = ["npm", "install", "--silent", "--prefix", place]
        session.run(*npm, external=True, success_codes=codes)
        env["UPGRADE_STATE_NPM"] = place
    argv = ["python", "-m", "benchmarks", *session.posargs]
    # After Ctrl-C, it deletes up to a million files.
    session.run(*argv, env=env, interrupt_timeout=120)


@nox.session
def stress(session: nox.Session) -> None:
    """
    The tests that take minutes: more writers, more kills.
    """
    _install(session, "tests", "node")
    session.run("pytest", "-m", "stress", *session.posargs)


@nox.session
def histories(session: nox.Session) -> None:
    """
    Operations of processes that are killed and stopped, against a sequential model.
    """
    _install(session, "tests")
    argv = session.posargs or ("--seconds", "120", "1", "2", "3")
    session.run("python", "tests/histories.py", *argv)


@nox.session
def interrupts(session: nox.Session) -> None:
    """
    Ctrl-C at every bytecode of every operation that writes, and of the command line.
    """
    _install(session, "tests")
    session.run("pytest", "-m", "interrupts", "-n", "auto", *session.posargs)


@nox.session(venv_backend="none")
def model(session: nox.Session) -> None:
    """
    Check the model of the protocol in all its states; needs spin and gcc.
    """
    session.run("python3", "model/check.py", *session.posargs, external=True)


@nox.session
def mutants(session: nox.Session) -> None:
    """
    Small changes of the protocol's code, each of which a test must notice; an hour.
    """
    session.install("-e", ".", *nox.project.dependency_groups(PROJECT, "tests"))
    session.run("python", "tests/mutants.py", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """
    Every fault and power cut in every operation, and the pages about them.
    """
    _install(session, "tests")
    session.run("python", "tests/faults.py", "--page", "docs/faults.md")
    session.run("pytest", "-m", "power_cut", *session.posargs)
    session.run("python", "tests/power_cuts.py")


@nox.session
def fuzz(session: nox.Session) -> None:
    """
    Ten million damaged records, a million lockfiles, names, arguments; 20 minutes.
    """
    _install(session, "tests", "node")
    session.run("pytest", "-m", "fuzz", "-n", "auto", "tests/fuzz", *session.posargs)


@nox.session
def frozen(session: nox.Session) -> None:
    """
    Archives and frozen programs, built from the wheel.
    """
    session.install(*nox.project.dependency_groups(PROJECT, "tests", "frozen"), "pip")
    place = os.path.abspath(session.create_tmp())
    for name in ("wheel", "site", "built", "roots"):
        shutil.rmtree(os.path.join(place, name), ignore_errors=True)
        os.mkdir(os.path.join(place, name))
    # With a plugin, which brings a reader and a recipe.
    sources = (".", "examples/lock-reader")
    session.run("pip", "wheel", "-q", "--no-deps", "-w", f"{place}/wheel", *sources)
    wheels = [f"{place}/wheel/{name}" for name in os.listdir(f"{place}/wheel")]
    session.install("--force-reinstall", *wheels)
    # Archives have the library and the program, as `manager`.
    site = f"{place}/site"
    program = os.path.abspath("tests/frozen/manager.py")
    session.run("pip", "install", "-q", "--target", site, *wheels)
    shutil.copy(program, site)
    built = f"{place}/built"
    run = ["-e", "manager:run", "-o"]
    python = ["-p", "/usr/bin/env python3"]
    zipapp = ["-m", "zipapp", "-m", "manager:run", *python, "-o"]
    session.run("python", *zipapp, f"{built}/zipapp.pyz", site)
    shiv = ["--site-packages", site, "--no-deps", "--no-index", "--upgrade", *python]
    session.run("shiv", *shiv, *run, f"{built}/shiv.pyz", *wheels, silent=True)
    pex = [*wheels, "-D", os.path.dirname(program)]
    session.run("pex", *pex, *run, f"{built}/pex.pex")
    session.run("pex", *pex, "--venv", *run, f"{built}/pex-venv.pex")
    for kind in ("onefile", "onedir"):
        work = ["--workpath", f"{place}/work", "--specpath", f"{place}/work"]
        argv = [f"--{kind}", "--name", kind, "--distpath", built, *work, program]
        session.run("pyinstaller", "--log-level", "ERROR", "--noconfirm", *argv)
    roots = {"PEX_ROOT": f"{place}/roots/pex", "SHIV_ROOT": f"{place}/roots/shiv"}
    argv = ["pytest", "-m", "frozen", "-n", "2", "tests/frozen", *session.posargs]
    session.run(*argv, env={"UPGRADE_STATE_FROZEN": built, **roots})


@nox.session
def network(session: nox.Session) -> None:
    """
    The recipes with real tools and registries; npm and mise if npm is installed.
    """
    _install(session, "tests")
    paths = [
        _tool(session, requirement)
        for requirement in nox.project.dependency_groups(PROJECT, "tools")
    ]
    if shutil.which("npm"):
        place = os.path.join(os.path.abspath(session.create_tmp()), "mise")
        # Its package has the program itself.
        argv = ["npm", "install", "--silent", "--prefix", place, "@jdxcode/mise"]
        session.run(*argv, external=True)
        paths.append(os.path.join(place, "node_modules", ".bin"))
    found = {"UPGRADE_STATE_TOOLS": os.pathsep.join(paths)}
    argv = ["pytest", "-m", "network", "-n", "2", *session.posargs]
    session.run(*argv, env=found)


def _tool(session: nox.Session, *requirements: str) -> str:
    """
    Install a tool into a virtual environment of its own; return where it is.
    """
    name = "".join(filter(str.isalpha, requirements[0]))
    place = os.path.join(os.path.abspath(session.create_tmp()), name)
    session.run("python", "-m", "venv", place)
    scripts = os.path.join(place, "bin")
    python = os.path.join(scripts, "python")
    session.run(
        python, "-m", "pip", "install", "--quiet", "--upgrade", *requirements,
        external=True,
    )  # fmt: skip
    return scripts


@nox.session
@nox.parametrize("plugin", PLUGINS)
def plugins(session: nox.Session, plugin: str) -> None:
    """
    The plugins inside the real managers, each with its overhead.
    """
    path = f"./plugins/{plugin}"
    project = nox.project.load_toml(f"{path}/pyproject.toml")
    requirements = (*nox.project.dependency_groups(project, "tests"), ".", path)
    session.install(*requirements)
    # The types of the installed packages, not those of this source tree.
    session.run("mypy", "--strict", "--config-file=", f"{path}/src")
    # The same versions of everything, without the plugin.
    bare = os.path.join(_tool(session, *requirements), "python")
    uninstall = [bare, "-m", "pip", "uninstall", "--quiet", "--yes"]
    session.run(*uninstall, project["project"]["name"], external=True)
    env = {"UPGRADE_STATE_BARE": bare}
    session.run("pytest", f"{path}/tests", *session.posargs, env=env)
    session.run("python", "plugins/overhead.py", plugin, env=env)
