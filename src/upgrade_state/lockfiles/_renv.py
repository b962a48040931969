"""
Lockfiles of R.
"""

from ._model import Document, Packages, make_package
from ._parse import commit_of, optional_text, table, text


def renv(document: Document) -> Packages:
    """
    Read ``renv.lock``.

    renv has one library for packages from all sources, so they are in one
    ecosystem. Its hash covers the fields of DESCRIPTION and is no build: renv
    itself compares versions and sources. Packages from a repository have
    their version in the place of a commit. The version of R is no package.
    """
    table(document["R"])
    # R has one value for an empty list and an empty table; renv writes a list.
    for entry in table(document["Packages"] or {}).values():
        source = optional_text(table(entry).get("Source")) or ""
        commit = optional_text(entry.get("RemoteSha"))
        yield make_package(
            text(entry["Package"]),
            # renv takes the latest one if the user has removed it.
            optional_text(entry.get("Version")),
            ecosystem="cran",
            build=commit_of(commit) if commit else None,
            local=source.lower() == "local",
        )
