// Ask update-notifier, which knows no lockfiles, about the version of a package.
//
// The first run remembers the time of a check, so none is due for a day.

import updateNotifier from "update-notifier";

updateNotifier({ pkg: { name: "update_notifier-peer", version: "1.0.0" } }).notify();
