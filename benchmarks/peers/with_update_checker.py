"""
Ask update_checker, which knows no lockfiles, about the version of a package.

It keeps an answer for an hour. The first run remembers that there was none.
"""

from update_checker import UpdateChecker

result = UpdateChecker().check(package_name="upgrade-state", package_version="0.1.0")
if result:
    print(result)
