"""
Damaged command lines: an exit status and messages, never a traceback.

Every command and option comes from the parsers themselves. Commands run in this
process, in directories of their own, without a program on PATH.
"""

import contextlib
import importlib
import io
import json
import os
import shutil
from itertools import pairwise
from pathlib import Path

from fuzz import damage
from operations import LOCKFILE, new_environment, prepared, root_of
from upgrade_state.cli import _main, main
from upgrade_state.cli._parser import Parser

NUMBERS = ["9" * 30, "9" * 5000, "9" * 5000 + "d", "1d" * 999]
URLS = ["postgresql:///a?host=/none", "postgresql://a:b@/c", "postgresql:///%", "a:b"]
TEXTS = [*damage.ODD["texts"], *damage.ODD["arguments"], *damage.LONG, *NUMBERS, *URLS]
VARIABLES = (
    *("UPGRADE_STATE_INTERVAL", "UPGRADE_STATE_MAX_AGE", "UPGRADE_STATE_SHARED"),
    *("COLUMNS", "NO_COLOR"),
)

# These commands print code, which has tabs; and these words print a text for people,
# or make an argument of what follows.
SCRIPTS, HELP = ("hook", "completion"), {"help", "-h", "--help", "--"}


def parsers():
    """
    Return the options of each command: their names, and whether they take a value.
    """
    found = {}
    for name in (*_main._COMMANDS, "check --all", "check --if-due"):
        place = name.replace(" --", "_").replace("-", "_")
        if name == "help":
            continue
        module = importlib.import_module(f"upgrade_state.cli._{place}")
        options = Parser(name, "", module)._option_string_actions
        found[name] = [(text, action.nargs != 0) for text, action in options.items()]
    return found


class Target:
    def __init__(self, place):
        self.place = place
        self.shop = new_environment(f"{place}/a")
        prepared(self.shop, "known")
        assert self.shop.withdraw_consent()  # `notify --check` would start processes
        for name, version in (("uv.lock", "1"), ("new.lock", "2")):
            Path(self.shop.path, name).write_text(LOCKFILE.format(version))
        shutil.copytree(f"{place}/a", f"{place}/sound")
        self.commands = parsers()
        os.environ["PATH"] = f"{place}/none"
        os.environ["TZ"] = "UTC"
        os.environ["UPGRADE_STATE_CACHE_DIR"] = f"{place}/a/cache"
        os.chdir(self.shop.path)
        self.paths = [
            *(
                self.shop.path,
                f"{self.shop.path}/uv.lock",
                f"{self.shop.path}/new.lock",
            ),
            *(f"{place}/missing", "uv.lock", ".", f"{place}/a/cache", "/dev/null"),
            *(root_of(self.shop), self.shop.record_path, f"{place}/é\udce9\n"),
        ]
        self.facts = dict.fromkeys(("run", "status 0", "status 1", "status 2"), 0)

    def candidates(self, rng, count):
        for number in range(count):
            if number % 50 == 0:  # commands change the store
                shutil.rmtree(f"{self.place}/a/cache")
                shutil.copytree(f"{self.place}/sound/cache", f"{self.place}/a/cache")
            variables = {}
            if rng.random() < 0.1:
                value = rng.choice(TEXTS).replace("\0", "")
                variables = {rng.choice(VARIABLES): value}
            yield variables, rng.random() < 0.1, list(self.words(rng))

    def words(self, rng):
        """
        Stream the words of a command line that mostly makes some sense.
        """
        name = rng.choice(list(self.commands))
        options = self.commands[name]
        if name == "shared" and rng.random() < 0.9:
            name += f" {rng.choice(('init', 'list', 'prune'))} {rng.choice(URLS)}"
        words = name.split() if rng.random() < 0.97 else [rng.choice(TEXTS)]
        if rng.random() < 0.05:
            words = ["help", *words]
        for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 4))):
            kind = rng.random()
            if kind < 0.65:
                option, has_value = rng.choice(options)
                words += self.option(rng, option, has_value=has_value)
            elif kind < 0.85:
                words.append(rng.choice(self.paths))
            else:
                words.append(rng.choice(TEXTS))
        if rng.random() < 0.1:
            rng.shuffle(words)
        if rng.random() < 0.1:
            words += rng.choices(words, k=2)
        yield from words

    def option(self, rng, option, *, has_value):
        value = rng.choice(rng.choice((TEXTS, self.paths)))
        if option == "--cache-dir" and value.startswith("/"):
            value = f"{self.place}/a/cache" + rng.choice(("", value))
        if rng.random() < 0.1:
            has_value = not has_value
        if not has_value:
            return [option]
        return [f"{option}={value}"] if rng.random() < 0.5 else [option, value]

    def examine(self, candidate):
        variables, is_ascii, words = candidate
        for option, path in pairwise(words):
            # No directory is made outside of this place.
            is_inside = path.startswith(self.place)
            if option == "--cache-dir" and path.startswith("/") and not is_inside:
                return
        encoding = "ascii" if is_ascii else "utf-8"
        out, err = (
            io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=errors)
            for errors in ("strict", "backslashreplace")
        )
        before = dict(os.environ)
        os.environ.update(variables)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                status = main(words)
        finally:
            os.environ.clear()
            os.environ.update(before)
        printed, told = (stream.buffer.getvalue().decode() for stream in (out, err))
        self.facts["run"] += 1
        self.facts[f"status {status}"] += 1
        if words[:1] == ["notify"]:
            assert status == 0
        assert status != 2 or told
        lines = told.split("\n") + printed.split("\n") * (words[0] not in SCRIPTS)
        assert all(line.replace("\x1b[", "").isprintable() for line in lines), lines
        if "--json" in words and status < 2 and HELP.isdisjoint(words):
            all(map(json.loads, printed.splitlines()))
