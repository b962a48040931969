import pytest

from upgrade_state import lockfiles

HEAD = "version = 1\nrevision = 3\nrequires-python = '>=3.11'\n"
INDEX = "{ registry = 'https://index.example/simple' }"
COMMITS = "a" * 40, "b" * 40


def package(name, version="1.0", source=INDEX, more=""):
    version = "" if version is None else f"version = '{version}'\n"
    return f"[[package]]\nname = '{name}'\n{version}source = {source}\n{more}\n"


def git(commit):
    return f"{{ git = 'https://user:secret@files.example/x?rev=main#{commit}' }}"


def read(*packages, head=HEAD):
    return lockfiles.read((head + "".join(packages)).encode(), format="uv")


def diff(old, new):
    return lockfiles.diff(read(*old), read(*new)).upgrades


def directs(*packages, head=HEAD):
    return {p.name: p.direct for p in read(*packages, head=head).packages}


class TestPackages:
    def test_registry(self):
        """
        A package from an index has a version and nothing else.
        """
        assert (lockfiles.Package("attrs", "25.1.0", ecosystem="pypi"),) == read(
            package("attrs", "25.1.0")
        ).packages

    def test_local_version(self):
        """
        The part after the plus belongs to the version.
        """
        forks = [package("torch", "2.7.1"), package("torch", "2.7.1+cpu")]

        assert ["2.7.1", "2.7.1+cpu"] == [p.version for p in read(*forks).packages]

    def test_commit(self):
        """
        The build of a package from git is its commit, without the URL.
        """
        (p,) = read(package("x", source=git(COMMITS[0]))).packages

        assert COMMITS[0] == p.build

    @pytest.mark.parametrize("commit", ["", "main", "a" * 39, "x" * 40, "a" * 41])
    def test_no_commit(self, commit):
        """
        What does not look like a commit is not shown: it may be a secret.
        """
        (p,) = read(package("x", source=git(commit))).packages

        assert p.build is None

    @pytest.mark.parametrize(
        "more",
        [
            "sdist = { hash = 'sha256:1' }",
            "wheels = [{ url = 'https://files.example/x.whl', hash = 'sha256:1' }]",
            "sdist = {}\nwheels = [{ filename = 'x' }, { hash = 'sha256:1' }]",
        ],
    )
    @pytest.mark.parametrize("kind", ["url", "path"])
    def test_archive(self, kind, more):
        """
        The build of an archive is its hash.
        """
        source = f"{{ {kind} = 'https://files.example/x' }}"

        (p,) = read(package("x", source=source, more=more)).packages

        assert ("sha256:1", False) == (p.build, p.local)

    def test_archive_without_hash(self):
        """
        An archive may have no hash.
        """
        (p,) = read(package("x", source="{ path = 'x.whl' }")).packages

        assert p.build is None

    @pytest.mark.parametrize("kind", ["editable", "virtual", "directory"])
    def test_local(self, kind):
        """
        The project and its neighbours are local, and may have no version.
        """
        (p,) = read(package("shop", None, f"{{ {kind} = '../shop' }}")).packages

        assert (None, True) == (p.version, p.local)

    @pytest.mark.parametrize("revision", ["", "revision = 1\n", "revision = 99\n"])
    def test_revision(self, revision):
        """
        Every revision of version 1 is readable.
        """
        head = HEAD.replace("revision = 3\n", revision)

        assert 1 == len(read(package("x"), head=head).packages)


class TestWrong:
    @pytest.mark.parametrize("line", ["version = 1\n", "requires-python = '>=3.11'\n"])
    def test_head(self, line):
        """
        Without one of its keys it is no uv lockfile.
        """
        snapshot = read(package("x"), head=HEAD.replace(line, ""))

        assert (None, "not a uv lockfile") == (snapshot.packages, snapshot.problem)

    def test_no_packages(self):
        """
        A lockfile cut off before its packages has not lost them.
        """
        assert "not a uv lockfile" == read().problem

    @pytest.mark.parametrize(
        "entry",
        [
            "name = 1\nsource = {}",
            "name = ''\nsource = {}",
            "source = {}",
            "name = 'x'",
            "name = 'x'\nsource = 'registry+https://index.example'",
            "name = 'x'\nsource = {}\nversion = 1.0",
            "name = 'x'\nsource = { git = 1 }",
            "name = 'x'\nsource = { url = '' }\nwheels = [1]",
            "name = 'x'\nsource = { url = '' }\nsdist = { hash = 1 }",
            "name = 'x'\nsource = { virtual = '.' }\ndependencies = ['y']",
            "name = 'x'\nsource = { virtual = '.' }\ndependencies = [{ name = 1 }]",
            "name = 'x'\nsource = { virtual = '.' }\ndev-dependencies = []",
            "name = 'x'\nsource = { virtual = '.' }\noptional-dependencies.a = 1",
        ],
    )
    def test_entry(self, entry):
        """
        One entry of another shape makes the lockfile opaque.
        """
        snapshot = read(package("a"), f"[[package]]\n{entry}\n")

        assert (None, "not a uv lockfile") == (snapshot.packages, snapshot.problem)

    @pytest.mark.parametrize(
        "manifest",
        [
            "manifest = 1",
            "manifest.members = 'x'",
            "manifest.members = [1]",
            "manifest.requirements = 1",
            "manifest.requirements = ['x']",
            "manifest.dependency-groups = []",
            "package = 1",
            "package = []\nmanifest = 1",
        ],
    )
    def test_manifest(self, manifest):
        """
        So does a manifest.
        """
        entries = [] if "package" in manifest else [package("x")]

        assert read(*entries, head=f"{HEAD}{manifest}\n").packages is None


class TestDirect:
    def test_root(self):
        """
        Direct is the project, and what it asks for in extras and groups, too.
        """
        root = package(
            "shop",
            source="{ editable = '.' }",
            more="dependencies = [{ name = 'a' }]\n"
            "optional-dependencies.cli = [{ name = 'b' }]\n"
            "dev-dependencies.tests = [{ name = 'c' }]\n",
        )
        others = map(package, "abcd")

        assert {"shop": True, "a": True, "b": True, "c": True, "d": False} == directs(
            root, *others
        )

    def test_neighbour(self):
        """
        What a directory beside the project depends on is not direct.
        """
        root = package("shop", source="{ virtual = '.' }")
        neighbour = package(
            "a", source="{ editable = '../a' }", more="dependencies = [{ name = 'b' }]"
        )

        assert {"shop": True, "a": False, "b": False} == directs(
            root, neighbour, package("b")
        )

    def test_members(self):
        """
        In a workspace it is what any member asks for.
        """
        member = package(
            "cart",
            source="{ editable = 'packages/cart' }",
            more="dependencies = [{ name = 'a' }]",
        )

        assert {"cart": True, "a": True, "b": False} == directs(
            member,
            package("a"),
            package("b"),
            head=HEAD + "manifest.members = ['cart']\n",
        )

    @pytest.mark.parametrize("manifest", ["requirements", "dependency-groups.dev"])
    def test_manifest(self, manifest):
        """
        A script has no project, and its requirements in the manifest.
        """
        head = f"{HEAD}manifest.{manifest} = [{{ name = 'a' }}]\n"

        assert {"a": True, "b": False} == directs(package("a"), package("b"), head=head)

    def test_unknown(self):
        """
        Without a root the lockfile does not say.
        """
        assert {"a": None} == directs(package("a"))


class TestDiff:
    def test_forks(self):
        """
        Versions of one name are a set.
        """
        (row,) = diff(
            [package("numpy", "2.2.6")],
            [package("numpy", "2.10.0"), package("numpy", "2.9.1")],
        )

        assert ("version", ("2.2.6",), ("2.9.1", "2.10.0")) == (
            row.kind,
            row.old,
            row.new,
        )

    def test_commit(self):
        """
        Another commit of the same version is a rebuild.
        """
        (row,) = diff(*([package("x", source=git(c))] for c in COMMITS))

        assert ("rebuild", *COMMITS) == (row.kind, row.old_build, row.new_build)

    def test_version_appears(self):
        """
        A version where none was known is a version change.
        """
        (row,) = diff([package("x", None)], [package("x", "1.0")])

        assert ("version", (), ("1.0",)) == (row.kind, row.old, row.new)

    def test_mirror(self):
        """
        An index that has moved makes no upgrade.
        """
        mirror = "{ registry = 'https://files.example/mirror' }"

        assert () == diff([package("x")], [package("x", source=mirror)])

    def test_from_git_to_registry(self):
        """
        Neither does a release of what was taken from git.
        """
        assert () == diff([package("x", source=git(COMMITS[0]))], [package("x")])

    def test_no_url(self):
        """
        No URL is in any row, and no password with it.
        """
        old = [package("x", source=git(COMMITS[0])), package("y"), package("z")]
        new = [package("x", "2.0", source=git(COMMITS[1])), package("y", "2.0")]

        rows = diff(old, new)

        assert 3 == len(rows)
        assert "example" not in repr(rows)
