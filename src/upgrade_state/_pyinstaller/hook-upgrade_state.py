"""
Collect the modules that are loaded on first use, the files they read, and plugins.
"""

from PyInstaller.utils.hooks import (
    collect_data_files,
    collect_entry_point,
    collect_submodules,
    copy_metadata,
)

_OWN = "upgrade_state._pyinstaller"

hiddenimports = collect_submodules(
    "upgrade_state", filter=lambda name: not name.startswith(_OWN)
)
datas = collect_data_files("upgrade_state", excludes=["_pyinstaller"])
datas += copy_metadata("upgrade-state", recursive=True)
for group in ("upgrade_state.lock_readers", "upgrade_state.recipes"):
    files, modules = collect_entry_point(group)
    datas += files
    hiddenimports += modules

# Its text is the code that the supervisor of a command runs.
module_collection_mode = {"upgrade_state.checks._supervisor": "pyz+py"}
