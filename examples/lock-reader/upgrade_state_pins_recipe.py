"""
A recipe for environments that are locked in pins.
"""

from upgrade_state.checks import Recipe

recipe = Recipe(
    name="pins",
    lockfile="shop.pins",
    argv=("pins", "resolve", "--latest"),
    manifests=("shop.wishes",),
    format="pins",
    passes=("PINS_*",),
    changes={"PINS_FROZEN": None},
    needs="install pins 2 or newer",
    upgrade="pins upgrade",
    details="pins outdated",
)
