/*
A second implementation of format v1, written from docs/format.md: the key, validity,
freshness, the verdict, and the claim. It needs Node and flock(1) of util-linux.

    python conformance/drive.py node conformance/second.js
*/

"use strict";

const { isUtf8 } = require("node:buffer");
const { spawnSync } = require("node:child_process");
const { randomBytes } = require("node:crypto");
const fs = require("node:fs");
const os = require("node:os");

// Node adds O_CLOEXEC to each of them.
const { O_CREAT, O_EXCL, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_RDWR, O_WRONLY } = fs.constants;
const [DAY, WEEK, TOLERANCE, PAUSE] = [86400, 604800, 300, 300];
const [MAX_SIZE, MAX_DEPTH, OPTIONS_LENGTH] = [1 << 20, 16, 1000];
const LAST_SECOND = 253402300799; // 9999-12-31T23:59:59Z
const SWITCHES = ["UPGRADE_STATE_DISABLE", "NO_UPDATE_NOTIFIER", "CI"];

// BLAKE2b (RFC 7693). A word of 64 bits is two of 32 bits, the lower one first.

const IV = Uint32Array.of(
  0xf3bcc908, 0x6a09e667, 0x84caa73b, 0xbb67ae85, 0xfe94f82b, 0x3c6ef372, 0x5f1d36f1, 0xa54ff53a,
  0xade682d1, 0x510e527f, 0x2b3e6c1f, 0x9b05688c, 0xfb41bd6b, 0x1f83d9ab, 0x137e2179, 0x5be0cd19,
);
const places = (row) => Array.from(row, (digit) => 2 * parseInt(digit, 16));
const SIGMA = `0123456789abcdef ea489fd61c02b753 b8c052fdae367194 7931dcbe265a40f8 905724afe1bc683d
2c6a0b834d75fe19 c51fed4a0763928b db7ec13950f4862a 6fe9b308c2d714a5 a2847615fb9e3cd0`
  .split(/\s/).map(places);
const COLUMNS = "048c 159d 26ae 37bf 05af 16bc 278d 349e".split(" ").map(places);

function add(v, a, low, high) {
  v[a + 1] += high + (v[a] + low > 0xffffffff ? 1 : 0);
  v[a] += low;
}

function xorAndRotate(v, d, a, bits) {
  let [low, high] = [v[d] ^ v[a], v[d + 1] ^ v[a + 1]];
  if (bits >= 32) [low, high, bits] = [high, low, bits - 32];
  // JavaScript shifts by 0 instead of 32 bits.
  v[d] = bits ? (low >>> bits) | (high << (32 - bits)) : low;
  v[d + 1] = bits ? (high >>> bits) | (low << (32 - bits)) : high;
}

function blake2b(data, size) {
  const [h, v, m] = [IV.slice(), new Uint32Array(32), new Uint32Array(32)];
  h[0] ^= 0x01010000 ^ size;
  for (let start = 0, isLast = false; !isLast; start += 128) {
    const end = Math.min(start + 128, data.length);
    isLast = end === data.length;
    const block = Buffer.concat([data.subarray(start, end)], 128);
    for (let i = 0; i < 32; i++) m[i] = block.readUInt32LE(4 * i);
    v.set([...h, ...IV]);
    v[24] ^= end; // a file has less than 4 GiB
    if (isLast) [v[28], v[29]] = [~v[28], ~v[29]];
    for (let round = 0; round < 12; round++)
      COLUMNS.forEach(([a, b, c, d], i) => {
        for (let half = 0; half < 2; half++) {
          const n = SIGMA[round % 10][2 * i + half];
          add(v, a, v[b], v[b + 1]);
          add(v, a, m[n], m[n + 1]);
          xorAndRotate(v, d, a, half ? 16 : 32);
          add(v, c, v[d], v[d + 1]);
          xorAndRotate(v, b, c, half ? 63 : 24);
        }
      });
    for (let i = 0; i < 16; i++) h[i] ^= v[i] ^ v[i + 16];
  }
  const digits = Array.from(h, (word) => word.toString(16).padStart(8, "0")).join("");
  return Buffer.from(digits, "hex").swap32().toString("hex", 0, size);
}

const digest = (content) => `blake2b:${blake2b(content, 32)}`;

function keyOf(directory, lockfile, name) {
  const parts = [directory];
  if (lockfile || name) parts.push(Buffer.alloc(1), lockfile ?? Buffer.alloc(0));
  if (name) parts.push(Buffer.alloc(1), name);
  return blake2b(Buffer.concat(parts), 16);
}

// JSON. An object is a Map; a number that is no safe integer is its text, as a String object.

const TOKEN =
  /"[^"\\]*(?:\\[^][^"\\]*)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?|[[{}\]]/g;

// Mark texts with s and numbers with n, because JSON.parse rounds numbers.
function parse(text) {
  let depth = 0;
  const marked = text.replace(TOKEN, (token) => {
    if (token[0] === '"') return `"s${token.slice(1)}`;
    if (!/\d/.test(token)) {
      depth += "[{".includes(token) ? 1 : -1;
      if (depth > MAX_DEPTH) throw new SyntaxError("nested too deep");
      return token;
    }
    if (!Number.isFinite(Number(token))) throw new SyntaxError("not finite");
    return `"n${token}"`;
  });
  return JSON.parse(marked, (_, value) => {
    if (isText(value)) return value[0] === "s" ? value.slice(1) : numberOf(value.slice(1));
    if (value === null || typeof value !== "object" || isList(value)) return value;
    const fields = Object.entries(value);
    if (fields.some(([name]) => name[0] !== "s")) throw new SyntaxError("a number as a name");
    return new Map(fields.map(([name, part]) => [name.slice(1), part]));
  });
}

const numberOf = (text) =>
  /[.eE]/.test(text) || !Number.isSafeInteger(Number(text)) ? new String(text) : Number(text);

function asciiText(text) {
  const escape = (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(text).replace(/[^\x00-\x7e]/g, escape);
}

function stringify(value) {
  if (value instanceof String) return value.toString();
  if (isText(value)) return asciiText(value);
  if (isList(value)) return `[${value.map(stringify).join()}]`;
  if (!(value instanceof Map)) return JSON.stringify(value);
  return `{${Array.from(value, ([k, v]) => `${asciiText(k)}:${stringify(v)}`).join()}}`;
}

// Times, paths, and the shapes of the fields

const textOf = (seconds) =>
  Number.isNaN(seconds) ? null : `${new Date(1000 * seconds).toISOString().slice(0, 19)}Z`;
const epochOf = (text) => Date.parse(text) / 1000;

function bytesOf(text) {
  return Buffer.concat(Array.from(text, (sign) => {
    const code = sign.codePointAt(0);
    if (code >= 0xdc80 && code <= 0xdcff) return Buffer.of(code - 0xdc00);
    if (code >= 0xd800 && code <= 0xdfff) throw new SyntaxError("escapes no byte");
    return Buffer.from(sign);
  }));
}

const isText = (value) => typeof value === "string";
const isList = Array.isArray;
const isCount = (value) => typeof value === "number" && value >= 0;
const isShort = (limit) => (value) => isText(value) && value !== "" && [...value].length <= limit;
const isDigest = (value) => isText(value) && /^blake2b:[0-9a-f]{64}$/.test(value);
const TIME = /^[1-9]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;
const isTime = (value) => isText(value) && TIME.test(value) && textOf(epochOf(value)) === value;
const isDirectory = (value) => isText(value) && /^\/[^\0]*$/.test(value);
const isLockfile = (value) =>
  isText(value) && !/[\0\\]/.test(value) && !/(^|\/)\.{0,2}(\/|$)/.test(value);
const isName = (value) => isText(value) && !/^$|\0/.test(value) && bytesOf(value).length < 256;

const isObject = (fields) => (value) =>
  value instanceof Map && Object.entries(fields).every(([name, test]) => test(value.get(name)));
const orNull = (test) => (value) => value === null || test(value);
const orMissing = (test) => (value) => value === undefined || value === null || test(value);

const isFile = isObject({ digest: isDigest, size: isCount });
const isCounted = isObject({ version: isCount, rebuild: isCount });
const isCounts = (value) =>
  value instanceof Map && value.has("*") && [...value.values()].every(isCounted);
const hasResult = isObject({
  format: orNull(isShort(64)), old_lockfile: orNull(isFile), new_lockfile: orNull(isFile),
  upgrades: orNull(isFile), counts: orNull(isCounts),
});
const isResult = (value) =>
  hasResult(value) && (value.get("new_lockfile") || (value.get("upgrades") && value.get("counts")));
const isFailure = isObject({
  at: isTime, attempts: isCount, message: isText, since: orMissing(isTime),
});
const hasConsent = isObject({
  recipe: isShort(64), directory: isCount, file_system: orMissing(isShort(64)),
  copy: orMissing(isList), env: orMissing(isList),
});
function isConsent(value) {
  if (!hasConsent(value)) return false;
  const [copy, env] = [value.get("copy") ?? [], value.get("env") ?? []];
  const isOption = (text) => isText(text) && text !== "" && !bytesOf(text).includes(0);
  if (![...copy, ...env].every(isOption) || env.some((name) => name.includes("="))) return false;
  return [...copy, ...env].map((text) => `${asciiText(text)},`).join("").length <= OPTIONS_LENGTH;
}
const isRecord = isObject({
  environment: isDirectory, lockfile: orMissing(isLockfile), name: orMissing(isName),
  generation: (value) => value === undefined || isCount(value),
  last_checked: orMissing(isTime), checker: orMissing(isShort(64)), result: orMissing(isResult),
  last_notified: orMissing(isTime), notified: orMissing(isDigest),
  snoozed_until: orMissing(isTime), failure: orMissing(isFailure), consent: orMissing(isConsent),
  failure_notified: orMissing(isTime),
});

function valid(data, key) {
  if (!isUtf8(data)) return null;
  try {
    const record = parse(data.toString());
    if (!isRecord(record)) return null;
    const names = ["environment", "lockfile", "name"].map((name) => record.get(name));
    return keyOf(...names.map((text) => text && bytesOf(text))) === key ? record : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

// Files

// Return an error with a code, like those of the system: the answer is `unavailable`.
const unavailable = (message) => Object.assign(new Error(message), { code: "UNAVAILABLE" });

// Return what *action* returns, or null for one of the error codes.
function unless(codes, action) {
  try { return action(); } catch (error) {
    if (codes.includes(error.code)) return null;
    throw error;
  }
}

function withFile(file, flags, action) {
  const fd = fs.openSync(file, flags, 0o600);
  try { return action(fd); } finally { fs.closeSync(fd); }
}

// Return the bytes of a regular file, null for another kind or a larger one.
function readRegular(file, flags, limit) {
  return withFile(file, O_NONBLOCK | O_NOCTTY | flags, (fd) => {
    const status = fs.fstatSync(fd);
    if (!status.isFile() || status.size > limit) return null;
    if (flags & O_NOFOLLOW && status.uid !== process.geteuid()) throw unavailable("foreign");
    const data = fs.readFileSync(fd);
    return data.length > limit ? null : data;
  });
}

function refuseUntrusted(root) {
  const status = fs.lstatSync(root);
  const isOurs = status.isDirectory() && status.uid === process.geteuid();
  if (!isOurs || status.mode & 0o022) throw unavailable("the store is not trusted");
}

function read(root, key) {
  const file = `${root}/${key}.json`;
  const data = unless(["ENOENT"], () => {
    refuseUntrusted(root);
    try {
      return readRegular(file, O_NOFOLLOW, MAX_SIZE) ?? Buffer.alloc(0);
    } catch (error) {
      // open(2) refuses symlinks (ELOOP) and sockets (ENXIO).
      if (fs.lstatSync(file).isFile()) throw error;
      return Buffer.alloc(0);
    }
  });
  const record = data && valid(data, key);
  return { state: record ? "record" : data ? "corrupt" : "missing", record };
}

function ensure(root) {
  refuseUntrusted(root);
  const home = root.startsWith(`${os.homedir()}/`) ? os.homedir() : root;
  if (process.geteuid() === 0 && (fs.statSync(`${root}/..`).uid || fs.statSync(home).uid))
    throw unavailable("not by root");
  // The process that made v1 may have been killed before it synced the name.
  if (!fs.existsSync(`${root}/tmp`)) sync(`${root}/..`);
  for (const directory of ["locks", "logs", "results", "tmp"].map((name) => `${root}/${name}`)) {
    if (unless(["EEXIST"], () => fs.mkdirSync(directory, 0o700)) !== null) {
      fs.chmodSync(directory, 0o700), sync(root); // whatever the umask is
    }
    refuseUntrusted(directory);
  }
}

// Every process sees the change already, so an error does not matter.
const sync = (directory) => { try { withFile(directory, 0, fs.fsyncSync); } catch {} };

// Return a descriptor that holds the lock, null if another process holds it.
function tryLock(file) {
  const fd = fs.openSync(file, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
  // A lock belongs to the open file, which the descriptors of both processes share.
  const { status } = spawnSync("flock", ["-xn", "3"], { stdio: [null, null, null, fd] });
  // Whatever the umask is. It returns undefined.
  if (status === 0 && fs.fstatSync(fd).nlink) return fs.fchmodSync(fd, 0o600) ?? fd;
  fs.closeSync(fd);
  if (status === 0 || status === 1) return null;
  throw unavailable("flock(1) failed");
}

// The caller holds the write lock.
function replace(root, { key, wait }, record) {
  const data = stringify(record);
  if (data.length > MAX_SIZE) throw unavailable("too large to be read again");
  const temporary = `${root}/tmp/${key}.${randomBytes(8).toString("hex")}`;
  try {
    withFile(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, (fd) => {
      fs.fchmodSync(fd, 0o600);
      fs.writeFileSync(fd, data);
      fs.fsyncSync(fd);
    });
    wait("before-rename");
    fs.renameSync(temporary, `${root}/${key}.json`);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw error;
  }
}

// Return the path of the new ticket, null if another process has it.
function takeTicket(root, key, record, pause) {
  const directory = `${root}/results/${key}`;
  if (unless(["EEXIST"], () => fs.mkdirSync(directory)) !== null) fs.chmodSync(directory, 0o700);
  refuseUntrusted(directory);
  const times = ["last_notified", "failure_notified"].map((name) => record.get(name) ?? "0");
  const name = ["ticket", ...times.map((text) => text.replace(/[^0-9]/g, ""))].join(".");
  for (let number = 0; ; number++) {
    const file = `${directory}/${name}.${number}`;
    const create = () => withFile(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, (fd) => {
      fs.fchmodSync(fd, 0o600);
      return file;
    });
    const created = unless(["EEXIST"], create);
    if (created) return created;
    // The clock of the file system: it set the time of the ticket.
    withFile(directory, 0, (fd) => { fs.futimesSync(fd, Date.now() / 1000, Date.now() / 1000); });
    const age = (fs.statSync(directory).ctimeMs - fs.lstatSync(file).ctimeMs) / 1000;
    if (age >= -TOLERANCE && age < pause) return null;
  }
}

// Policy. An answer is a reason with `since` and `after`, which make `until`.

// Return a function that compares the current lockfile with a recorded one, read once.
function matcher({ directory, lockfile, content }, record) {
  const file = lockfile && Buffer.concat([directory, Buffer.from("/"), lockfile]);
  let [size, digits] = [content?.length, content && digest(content)];
  return (recorded) => {
    if (!content && !file && record.get("result").get("old_lockfile"))
      throw unavailable("the lockfile is known to its manager only");
    if (size === undefined) {
      const status = file && unless(["ENOENT", "ENOTDIR"], () => fs.statSync(file));
      size = status?.isFile() ? status.size : null;
    }
    if (!recorded || size !== recorded.get("size")) return !recorded && size === null;
    const data = digits ?? unless(["ENOENT"], () => readRegular(file, 0, size));
    digits ??= data ? digest(data) : "changed";
    return digits === recorded.get("digest");
  };
}

function lockfileState(result, matches) {
  if (matches(result.get("old_lockfile"))) return "checked";
  const next = result.get("new_lockfile");
  return next && matches(next) ? "upgraded" : "lockfile-changed";
}

function isOver(then, duration, now) {
  const age = now - epochOf(then);
  return duration === 0 || age < -TOLERANCE || age >= duration;
}

function delay(attempts, key) {
  const whole = Math.min(300 * 2 ** Math.min(Math.max(attempts - 1, 0), 16), DAY);
  const part = parseInt(blake2b(Buffer.from(`${key}\0${attempts}`), 16).slice(0, 4), 16);
  return whole - Math.floor((Math.floor(whole / 4) * part) / 0xffff);
}

function freshness(record, matches, { max_age: maxAge, now, key }) {
  const [failure, result] = [record?.get("failure"), record?.get("result")];
  const [checked, since, age] = [record?.get("last_checked"), failure?.get("at"), maxAge ?? DAY];
  const after = failure && delay(failure.get("attempts"), key);
  if (failure && !isOver(since, after, now)) return { reason: "backing-off", since, after };
  if (!checked || !result) return { reason: "never-checked" };
  if (isOver(checked, age, now)) return { reason: "expired" };
  if (lockfileState(result, matches) !== "lockfile-changed")
    return { reason: "fresh", since: checked, after: age };
  if (isOver(checked, PAUSE, now)) return { reason: "lockfile-changed" };
  return { reason: "just-checked", since: checked, after: Math.min(PAUSE, age) };
}

const SUPPORTED = ["key", "read", "freshness", "verdict", "claim", "pause"];
const NOTHING = { version_changes: 0, rebuilds: 0, opaque: false };
const subject = (result) => (result.get("upgrades") ?? result.get("new_lockfile")).get("digest");

function foundIn(result, platform) {
  const counts = result?.get("counts");
  const digests = ["old_lockfile", "new_lockfile"].map((name) => result?.get(name)?.get("digest"));
  const count = counts?.get(counts.size === 1 ? "*" : (platform ?? "*"));
  const [version_changes, rebuilds] = [count?.get("version") ?? 0, count?.get("rebuild") ?? 0];
  return { version_changes, rebuilds, opaque: !counts && digests[0] !== digests[1] };
}

function isFailureDue(record, { could_not_check: limit, now }) {
  const [failure, told] = [record.get("failure"), record.get("failure_notified")];
  if (!failure || (limit ?? null) === null) return false;
  const at = failure.get("at");
  if (told && (!isOver(told, WEEK, now) || (at <= told && told <= textOf(now)))) return false;
  return epochOf(at) - epochOf(failure.get("since") ?? at) >= limit;
}

function pause(record, ask, ofFailures) {
  const [result, interval] = [record.get("result"), ask.interval ?? DAY];
  if (ofFailures || !result || record.get("notified") !== subject(result)) return interval;
  return Math.max(interval, ask.reminder ?? (interval ? WEEK : 0));
}

function verdict(record, matches, ask) {
  const isOn = (name) => !["", "0", "false"].includes((ask.switches?.[name] ?? "").toLowerCase());
  if (SWITCHES.some(isOn)) return { reason: "switched-off" };
  if (!record) return { reason: "nothing-known" };
  const [result, snoozed] = [record.get("result"), record.get("snoozed_until")];
  const [told, ofFailures] = [record.get("last_notified"), isFailureDue(record, ask)];
  const found = foundIn(result, ask.platform);
  if (!ofFailures && !(found.version_changes || found.rebuilds || found.opaque))
    return { reason: result ? "no-upgrades" : "nothing-known" };
  if (snoozed && textOf(ask.now) < snoozed)
    return { reason: "snoozed", since: snoozed, after: 0, ...found };
  const after = pause(record, ask, ofFailures);
  if (told && !isOver(told, after, ask.now))
    return { reason: "told-recently", since: told, after, ...found };
  const state = ofFailures ? "cannot-check" : lockfileState(result, matches);
  return { reason: state === "checked" ? "notify" : state, ...found };
}

const isSpoken = ({ reason }) => ["notify", "cannot-check"].includes(reason);

function claim(root, record, matches, ask) {
  const first = verdict(record, matches, ask);
  if (!isSpoken(first)) return first;
  ensure(root);
  ask.wait("before-lock");
  const lock = tryLock(`${root}/locks/${ask.key}.write`);
  if (lock === null) return { ...first, reason: "busy" };
  let [second, ticket] = [];
  try {
    let again = read(root, ask.key).record;
    second = decideAgain(again, record, first, matches, ask);
    if (!isSpoken(second)) return second;
    const wait = pause(again, ask, second.reason === "cannot-check");
    ticket = wait && takeTicket(root, ask.key, again, wait);
    if (ticket === null) return { ...second, reason: "busy" };
    const seen = again;
    again = read(root, ask.key).record;
    second = decideAgain(again, seen, second, matches, ask);
    if (!isSpoken(second)) return second;
    again.set("last_notified", textOf(ask.now));
    if (second.reason === "cannot-check") again.set("failure_notified", textOf(ask.now));
    else again.set("notified", subject(again.get("result")));
    replace(root, ask, again); ask.wait("after-rename");
  } catch (error) {
    if (ticket) fs.rmSync(ticket, { force: true });
    throw error;
  } finally {
    fs.closeSync(lock);
  }
  sync(root);
  return second;
}

// No lockfile is looked at under the lock: either it was before, or it is not now.
function decideAgain(record, seen, before, matches, ask) {
  const sawFailures = before.reason === "cannot-check";
  const found = verdict(record, sawFailures ? () => false : matches, ask);
  if (sawFailures && found.reason === "lockfile-changed") return { ...found, reason: "busy" };
  for (const name of isSpoken(found) ? ["last_notified", "failure_notified"] : []) {
    const since = record.get(name) ?? null;
    const after = pause(record, ask, found.reason === "cannot-check");
    if (since !== null && since !== seen.get(name))
      return { ...found, reason: "told-recently", since, after };
  }
  return found;
}

// The line protocol

const until = ({ since, after }) =>
  since && epochOf(since) + after <= LAST_SECOND ? textOf(epochOf(since) + after) : null;

function answer(request) {
  if (request.ask === "supports") return { supports: SUPPORTED };
  const ask = { ...request, now: epochOf(request.now) };
  ask.wait = (point) =>
    point === request.pause && (fs.writeSync(1, '{"paused":true}\n'), requests.next());
  for (const name of ["directory", "lockfile", "name", "content"])
    ask[name] = isText(request[name]) ? Buffer.from(request[name], "hex") : null;
  ask.key = keyOf(ask.directory, ask.lockfile, ask.name);
  if (ask.ask === "key") return { key: ask.key };
  const root = `${ask.cache_dir}/v1`;
  try {
    const { state, record } = read(root, ask.key);
    if (ask.ask === "read") return { state, record };
    const ways = { freshness, verdict, claim: (...more) => claim(root, ...more) };
    const { since, after, ...found } = ways[ask.ask](record, record && matcher(ask, record), ask);
    const due = ["never-checked", "expired", "lockfile-changed"].includes(found.reason);
    return { ...NOTHING, ...found, due, speak: isSpoken(found), until: until({ since, after }) };
  } catch (error) {
    if (!error.code) throw error;
    if (ask.ask === "read") return { state: "unreadable" };
    return { ...NOTHING, due: false, speak: false, reason: "unavailable", until: null };
  }
}

function* linesOf(fd) {
  const chunk = Buffer.alloc(1 << 16);
  for (let rest = "", size; (size = fs.readSync(fd, chunk)) > 0; ) {
    const lines = (rest + chunk.toString("latin1", 0, size)).split("\n");
    rest = lines.pop();
    yield* lines;
  }
}

const requests = linesOf(0);
for (const line of requests) {
  const { record, ...found } = answer(JSON.parse(line));
  const more = record ? `,"record":${stringify(record)}}` : "}";
  fs.writeFileSync(1, `${JSON.stringify(found).slice(0, -1)}${more}\n`);
}
