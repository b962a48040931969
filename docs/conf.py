"""
Settings of Sphinx: `nox -s docs` builds the site.

The public names live in private modules and are loaded on first use. The three
functions below let autodoc see their types, and lead every reference to the
public name, so that no list of exceptions is necessary: `sphinx-build -n -W`
fails for a name that does not exist.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import keyword
import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from docutils.nodes import Element
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

DOCS = Path(__file__).resolve().parent
PROJECT = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["project"]

DOORS = [
    "upgrade_state",
    "upgrade_state.lockfiles",
    "upgrade_state.checks",
    "upgrade_state.exceptions",
    "upgrade_state.testing",
]

project = PROJECT["name"]
version = release = PROJECT["version"]
project_copyright = "the authors of upgrade-state"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["decisions.md"]  # for maintainers, in the repository only
nitpicky = True
default_role = "py:obj"
smartquotes = False  # "--json" is an option

myst_enable_extensions = ["attrs_inline"]
myst_heading_anchors = 4
# A link of a page to another one is a path, as in the repository.
myst_all_links_external = False

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
toc_object_entries_show_parents = "hide"
maximum_signature_line_length = 60
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Raises", "params_style")]

html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = project
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False


def load_types() -> None:
    """
    Import the names that the modules import for type checkers only.

    An activation does not load them. Without them an annotation is text.
    """
    for door in map(importlib.import_module, DOORS):
        for name in door.__all__ if hasattr(door, "__all__") else ():
            getattr(door, name)
    for name, module in list(sys.modules.items()):
        if not name.startswith("upgrade_state") or not module.__file__:
            continue
        tree = ast.parse(Path(module.__file__).read_text())
        for node in tree.body:
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                body = ast.Module(node.body, [])
                exec(compile(body, module.__file__, "exec"), vars(module))  # noqa: S102
        for value in vars(module).values():
            if isinstance(value, type) and attrs.has(value):
                complete(value.__init__, get_type_hints(value))


def complete(init: Callable[..., None], hints: dict[str, object]) -> None:
    """
    Give the generated constructor of a class its types, and values for factories.
    """
    types, defaults = init.__annotations__, init.__kwdefaults__ or {}
    types.update((name, hints[name]) for name in types if name in hints)
    for name, value in defaults.items():
        if value is attrs.NOTHING:  # all of ours make an empty mapping
            defaults[name] = {}


def put_types_beside_names(
    _app: Sphinx,
    _what: str,
    _name: str,
    _obj: object,
    _options: object,
    lines: list[str],
) -> None:
    """
    Move the type of an attribute from its last line beside its name.
    """
    place = 0
    for number, line in enumerate(lines):
        if line.startswith(".. attribute::"):
            place = number + 1
        elif place and line.startswith("   :type:"):
            lines.insert(place, lines.pop(number))


def public_name(target: str, names: set[str]) -> str | None:
    """
    Return the documented name that *target*, private or shortened, stands for.

    None: there is none, or there are several.
    """
    is_whole = target.startswith("upgrade_state.")
    parts = [p for p in target.split(".") if not (is_whole and p.startswith("_"))]
    end = ".".join(parts).removeprefix("upgrade_state.")
    found = {
        name for name in names if f".{name}".endswith(f".{end}") and "._" not in name
    }
    return found.pop() if len(found) == 1 else None


def is_of_python(target: str) -> bool:
    """
    Return whether *target* is a keyword, a builtin or a name of the standard library.
    """
    first, *rest = target.split(".")
    if keyword.iskeyword(target):
        return True
    if hasattr(builtins, first):
        value = builtins
        rest = [first, *rest]
    elif first in sys.stdlib_module_names:
        value = importlib.import_module(first)
    else:
        return False
    for name in rest:
        if not hasattr(value, name):
            return False
        value = getattr(value, name)
    return True


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: Element
) -> Element | None:
    """
    Resolve a reference that Sphinx does not find under the name in the text.
    """
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    domain = env.domains.python_domain
    name = public_name(target, set(domain.objects))
    if name is not None:
        return domain.resolve_xref(
            env, node["refdoc"], app.builder, "obj", name, node, contnode
        )
    return contnode if is_of_python(target) else None


def lead_to_pages(_app: Sphinx, _path: Path, _parent: str, content: list[str]) -> None:
    """
    Replace the absolute links of the README by links between pages of the site.

    The README is also shown where no other file of the repository is.
    """
    base = PROJECT["urls"]["Homepage"]
    content[0] = re.sub(rf"{re.escape(base)}/\w+/main/docs/", "", content[0])


def finish_body(
    _app: Sphinx, _page: str, _template: str, context: dict[str, Any], _tree: object
) -> None:
    """
    Give each cell of a table the name of its column, for a phone; mend dashes.
    """

    def labelled(table: re.Match[str]) -> str:
        names = re.findall(r"<th\b[^>]*>(.*?)</th>", table[0], re.DOTALL)
        texts = [re.sub(r"<[^>]*>", "", name) for name in names]

        def row(cells: re.Match[str]) -> str:
            columns = iter(texts)
            return re.sub(
                "<td>", lambda _: f'<td data-label="{next(columns)}">', cells[0]
            )

        return re.sub(r"<tr\b.*?</tr>", row, table[0], flags=re.DOTALL)

    if "body" in context:
        body = context["body"]
        body = re.sub(r"<table\b.*?</table>", labelled, body, flags=re.DOTALL)
        body = body.replace(' data-label=""', "")
        # Sphinx writes two hyphens, and leaves the dash to `smartquotes`.
        context["body"] = body.replace("</strong> -- ", "</strong> \N{EN DASH} ")


def setup(app: Sphinx) -> None:
    """
    Prepare the modules, and connect the functions above.
    """
    load_types()
    app.connect("include-read", lead_to_pages)
    app.connect("html-page-context", finish_body)
    # After napoleon, which makes directives of the section "Attributes".
    app.connect("autodoc-process-docstring", put_types_beside_names, priority=600)
    app.connect("missing-reference", resolve)
