"""
The hook among what people have set, defined and aliased in their shells.
"""

import os
import subprocess

import pytest

# What could get between the hook and its builtins.
SHADOWS = ("test", "[", "printf", "command", "local", "true")


class TestBash:
    SETTINGS = (
        "set -u",
        "set -e",
        "set -eu -o pipefail",
        "set -f",
        "set -C",
        "set -a",
        "set -o posix",
        "set -E; trap 'echo BROKEN' ERR",
        "set -T; trap : DEBUG",
        "IFS=/",
        "IFS=_",
        "IFS=",
        "shopt -s nocasematch nocaseglob",
        "shopt -s nullglob globstar dotglob extglob",
        "shopt -s failglob",
        "shopt -u interactive_comments",
        "shopt -s compat31 xpg_echo",
        "alias local=BROKEN return=BROKEN test=BROKEN builtin=BROKEN notify=BROKEN",
        "readonly status up dir name",
        "set -u; unset PWD",
        *(f"function {name} {{ builtin echo BROKEN; }}" for name in SHADOWS),
    )

    @pytest.mark.parametrize("setting", SETTINGS)
    @pytest.mark.parametrize("is_before", [True, False])
    def test_settings(self, bash, terminal, stand_in, setting, is_before):
        """
        It works whatever is set, before or after, and says nothing else.
        """
        order = {"before" if is_before else "after": setting}
        tty = terminal(bash, **order)
        shown = tty.run("\\builtin cd shop") + tty.run(":")

        assert ["shop"] == [os.path.basename(d) for d in stand_in.directories]
        assert 1 == shown.count("TOLD")
        assert "BROKEN" not in shown
        assert "bash:" not in tty.first + shown

    def test_errexit(self, bash, terminal, stand_in):
        """
        A status that does not end the shell does not end it here either.
        """
        stand_in.make("sys.exit(3)")
        for before in ("set -e", "set -e; export PROMPT_COMMAND=:"):
            tty = terminal(bash, before=before)

            assert "[1|" in tty.run("! true")
            assert "[1|" in tty.run("cd shop; ! true")

    def test_trap(self, bash, terminal, stand_in):
        """
        Nor is it an error to those who watch for errors.
        """
        stand_in.make("sys.exit(3)")
        shown = terminal(bash, "set -E; trap 'echo BROKEN' ERR").run("cd shop")

        assert "TOLD" in shown
        assert "BROKEN" not in shown

    def test_case(self, bash, terminal, stand_in, desk):
        """
        Directories that differ in case only are two, where case does not matter.
        """
        (desk / "SHOP").mkdir()
        (desk / "SHOP" / "uv.lock").touch()
        terminal(bash, after="shopt -s nocasematch").run("cd shop", "cd ../SHOP")

        assert [str(desk / "shop"), str(desk / "SHOP")] == stand_in.directories


class TestPromptCommand:
    """
    `PROMPT_COMMAND` is what others use, too.
    """

    USERS = "users() { seen=$?; calls+=x; }; calls="
    FORMS = (
        "PROMPT_COMMAND=users",
        "PROMPT_COMMAND='users;'",
        "PROMPT_COMMAND='users; '",
        "PROMPT_COMMAND=$'users\\n'",
        "PROMPT_COMMAND=$'users\\n\\n'",
        "PROMPT_COMMAND='users # mine'",
        "PROMPT_COMMAND='users &&:'",
        "PROMPT_COMMAND=(users)",
        "PROMPT_COMMAND=(: users)",
        "PROMPT_COMMAND=([3]=users)",
        "export PROMPT_COMMAND=users",
    )
    # As a bash that knows no elements would do it.
    OLD = ("(5 2)", "(5 0)", "(4 4)", "(3 2)")

    @pytest.fixture(params=OLD)
    def bash(self, bash, request):
        bash.rewrite = f"s/BASH_VERSINFO/version/g; 1i version={request.param}"
        return bash

    @pytest.mark.parametrize("form", FORMS)
    def test_forms(self, bash, terminal, stand_in, form):
        """
        Whatever is there stays there, and is called once for each prompt.
        """
        if "=(" in form and "(5 2)" not in bash.rewrite:
            pytest.skip("an array there has one element that counts")
        before = f"{self.USERS}; {form}"
        tty = terminal(bash, before=before, after=bash.hook())
        shown = tty.run("cd shop", "calls=", ": $( true; exit 1 ); (exit 7)")

        assert "<xx7>" in tty.run('echo "<$calls$seen>"')
        assert "[7|7]" in shown
        assert 1 == len(stand_in.calls)

    @pytest.mark.parametrize("form", ["PROMPT_COMMAND=", *FORMS])
    @pytest.mark.parametrize("inherited", ["", "set -E;"])
    def test_errors(self, bash, terminal, form, inherited):
        """
        An error is told to those who watch for errors as often as without the hook.
        """
        setting = f"{inherited} trap 'echo TRAPPED' ERR; {self.USERS}; {form}"
        tty = terminal(bash, before=setting)

        assert "TRAPPED" not in tty.first
        for line, count in (("cd shop; false", 1), ("(exit 3)", 1), ("true", 0)):
            assert count == tty.run(line).count("TRAPPED")

    def test_none(self, bash, terminal, stand_in):
        """
        Nothing there is nothing lost.
        """
        for before in ("unset PROMPT_COMMAND", "PROMPT_COMMAND=", "set -u"):
            terminal(bash, before=before).run("cd shop")

        assert 3 == len(stand_in.calls)

    def test_later(self, bash, terminal):
        """
        What is appended later sees the status of the user's command.
        """
        after = f'{self.USERS}; PROMPT_COMMAND="$PROMPT_COMMAND; users"'
        keep = 'keep() { return "$?"; }; PROMPT_COMMAND=keep'
        for before in (keep, "unset PROMPT_COMMAND", "PROMPT_COMMAND="):
            tty = terminal(bash, before, after)

            assert "<7>" in tty.run("cd shop; (exit 7)", 'echo "<$seen>"')

    def test_elements(self, bash, terminal):
        """
        A bash that knows no elements finds it in the only one.
        """
        tty = terminal(bash, before="PROMPT_COMMAND=:")
        count = 2 if "(5 2)" in bash.rewrite else 1

        assert f"<{count}>" in tty.run('echo "<${#PROMPT_COMMAND[@]}>"')

    def test_script(self, bash, desk):
        """
        Where there are no prompts it stays as it is.
        """
        done = subprocess.run(
            [bash.program, "-c", f'{bash.hook()}; echo "<${{PROMPT_COMMAND-}}>"'],
            env=bash.environment(),
            capture_output=True,
            check=True,
        )

        assert b"<>\n" == done.stdout

    def test_twice(self, bash, terminal):
        """
        It is there once, however often the start-up file is read.
        """
        tty = terminal(bash, after=f"{bash.hook()}\n{bash.hook()}")
        shown = tty.run('printf "<%s>" "${PROMPT_COMMAND[@]}"')

        assert 1 == shown.count('_prompt "$')

    def test_exported(self, bash, terminal):
        """
        What the user exports stays exported.
        """
        tty = terminal(bash, before="export PROMPT_COMMAND=':   :'")

        assert ":   :" in tty.run("env | grep '^PROMPT_COMM[A]ND='")

    INHERITED = (
        "set -eu -o pipefail",
        "set -E; trap 'echo BROKEN' ERR",
        "set -o posix; set -r",
        "shopt -s nocasematch; IFS=01",
        "alias type=BROKEN return=BROKEN builtin=BROKEN",
    )

    @pytest.mark.parametrize("setting", INHERITED)
    def test_inherited(self, bash, terminal, setting):
        """
        A shell that inherits the text alone sees nothing of it, and the same status.
        """
        after = "PROMPT_COMMAND+='; seen=$?'; export PS1 n"
        tty = terminal(bash, "export PROMPT_COMMAND=", after)
        shown = tty.run(f"{bash.program} --norc")
        tty.run(f"{setting}; unset -f __upgrade_state_prompt")
        shown += tty.run(":", "! true") + tty.run('echo "<$seen>"')

        assert "<1>" in shown
        assert "BROKEN" not in shown
        assert "bash:" not in shown

    def test_inherited_and_hooked(self, bash, terminal, stand_in):
        """
        One that is given the hook later on works.
        """
        tty = terminal(bash, "export PROMPT_COMMAND=", "export PS1 n")
        tty.run(f"{bash.program} --norc", bash.hook(), "cd shop")

        assert 1 == len(stand_in.calls)


class TestZsh:
    SETTINGS = (
        "setopt no_unset",
        "setopt err_exit",
        "setopt err_return",
        "setopt ksh_arrays",
        "setopt sh_word_split glob_subst",
        "setopt sh_word_split; IFS=./",
        "setopt null_glob",
        "setopt no_nomatch",
        "setopt csh_null_glob extended_glob",
        "setopt no_glob",
        "setopt no_clobber",
        "setopt all_export",
        "setopt rc_quotes rc_expand_param",
        "setopt warn_create_global",
        "setopt posix_builtins posix_aliases posix_identifiers",
        "setopt ignore_braces",
        "setopt no_short_loops csh_junkie_loops csh_junkie_quotes",
        "setopt interactive_comments",
        "setopt auto_cd auto_pushd chase_links",
        "setopt no_bg_nice no_monitor",
        "setopt local_options local_traps; TRAPZERR() { echo BROKEN }",
        "IFS=/",
        "alias local=BROKEN typeset=BROKEN emulate=BROKEN return=BROKEN",
        "alias -g G=BROKEN notify=BROKEN",
        "readonly up dir name",
        "cd() { builtin cd $@ }; chpwd() { : }",
        *(f"function {name} {{ builtin echo BROKEN }}" for name in SHADOWS),
        "emulate ksh",
        "emulate sh",
    )

    @pytest.mark.parametrize("setting", SETTINGS)
    @pytest.mark.parametrize("is_before", [True, False])
    def test_settings(self, zsh, terminal, stand_in, setting, is_before):
        """
        It works whatever is set, before or after, and says nothing else.
        """
        order = {"before" if is_before else "after": setting}
        tty = terminal(zsh, **order)
        shown = tty.run("builtin cd shop") + tty.run(":")

        assert ["shop"] == [os.path.basename(d) for d in stand_in.directories]
        assert 1 == shown.count("TOLD")
        assert "BROKEN" not in shown
        assert "rc:" not in tty.first + shown
        assert "zsh:" not in tty.first + shown

    @pytest.mark.parametrize("setting", ["", "setopt ksh_arrays", "setopt no_unset"])
    def test_others(self, zsh, terminal, stand_in, setting):
        """
        What others do before a prompt they still do, and it stays first.
        """
        before = (
            "a() { x+=a }; b() { x+=b }; precmd_functions=(a b); x=;precmd() { x+=p }"
        )
        after = f"{zsh.hook()}; {setting or ':'}; c() {{ x+=c }}; precmd_functions+=(c)"
        tty = terminal(zsh, before=f"{before}; {setting}", after=after)

        assert "<pabc>" in tty.run("x=", 'x= y="$x"', 'echo "<$x>"')
        shown = tty.run("emulate zsh; echo $precmd_functions")
        assert "a b __upgrade_state_prompt c" in shown

    def test_errexit(self, zsh, terminal, stand_in):
        """
        What becomes of the command does not end a shell that errors end.
        """
        stand_in.make("sys.exit(3)")

        before = "setopt err_exit err_return; TRAPZERR() { echo BROKEN }"
        shown = terminal(zsh, before).run("cd shop")

        assert "TOLD" in shown
        assert "BROKEN" not in shown

    def test_trace(self, zsh, terminal):
        """
        Who traces commands sees one line of it, and goes on tracing.
        """
        tty = terminal(zsh, after="set -x")
        shown = tty.run("cd shop")

        assert "TOLD" in shown
        assert 1 == shown.count("\n+__upgrade_state_")
        assert "> echo a\r\n" in tty.run("echo a")

    def test_patterns(self, zsh, terminal, stand_in, desk):
        """
        A name is no pattern, even where the user wants values to be some.
        """
        (desk / "shop" / "[s]ub").mkdir()
        tty = terminal(zsh, after="setopt glob_subst glob_assign")
        tty.run("cd 'shop/[s]ub'", "echo", "echo")

        assert 1 == len(stand_in.calls)

    def test_stacks(self, zsh, terminal, stand_in):
        """
        However the directory is changed.
        """
        terminal(zsh).run("setopt auto_cd", "shop", "popd || cd ..", "pushd shop")

        assert 2 == len(stand_in.calls)


class TestFish:
    SETTINGS = (
        "set -U up /nowhere; set -U PYTHONPATH /nowhere",
        "set -U __upgrade_state_dir $PWD/shop",
        "set -g up a b; set -gx names x",
        "set -U fish_features all",
        "set -gx CDPATH . /",
        # Not printf, which fish needs itself, and not what it forbids.
        *(f"function {name}; builtin echo BROKEN; end" for name in ("pwd", "path")),
        "function cd; builtin cd $argv; end",
    )

    @pytest.mark.parametrize("setting", SETTINGS)
    @pytest.mark.parametrize("is_before", [True, False])
    def test_settings(self, fish, terminal, stand_in, setting, is_before):
        """
        It works whatever is set, before or after, and says nothing else.
        """
        order = {"before" if is_before else "after": setting}
        tty = terminal(fish, **order)
        shown = tty.run("builtin cd shop") + tty.run("builtin true")

        assert ["shop"] == [os.path.basename(d) for d in stand_in.directories]
        assert 1 == shown.count("TOLD")
        assert "BROKEN" not in shown

    def test_universal(self, fish, terminal, stand_in, desk):
        """
        What a shell remembers is its own.
        """
        for_all = f"set -U __upgrade_state_dir '{desk}/shop'"
        command = [fish.program, "-c", for_all]
        subprocess.run(command, env=fish.environment(), check=True, timeout=60)
        terminal(fish, cwd=desk / "shop")
        terminal(fish).run("cd shop")

        assert 2 == len(stand_in.calls)
