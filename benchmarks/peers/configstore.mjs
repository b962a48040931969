// Remember the environments with configstore, which npm's tools use.
//
// Run with the directory of an environment and its lockfile. The first run remembers
// that the user was notified now, and which lockfile was checked.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import Configstore from "configstore";

const DAY = 86_400_000;

const [directory, lockfile] = process.argv.slice(2);
const digest = createHash("sha256").update(readFileSync(lockfile)).digest("hex");

const store = new Configstore("configstore-peer");
const known = store.all[directory];
if (known === undefined) {
    store.all = { ...store.all, [directory]: { notified: Date.now(), checked: digest } };
} else {
    if (Date.now() - known.notified >= DAY) console.log("upgrades");
    if (known.checked !== digest) console.log("a check is due");
}
