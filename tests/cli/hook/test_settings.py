"""
The hook beside settings, functions and aliases of users.
"""

import os
import subprocess

import pytest

# Names that could get between the hook and its builtins.
SHADOWS = ("test", "[", "printf", "command", "local", "true")


SETTINGS = {
    "bash": (
        "set -u",
        "set -e",
        "set -eu -o pipefail",
        "set -f",
        "set -C",
        "set -a",
        "set -k",
        "FUNCNEST=1",
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
        "readonly status up dir name top here",
        "exec 8</dev/null",
        "set -u; unset PWD",
        *(f"function {name} {{ builtin echo BROKEN; }}" for name in SHADOWS),
    ),
    "zsh": (
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
        "FUNCNEST=1",
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
    ),
    "fish": (
        "set -U up /nowhere; set -U PYTHONPATH /nowhere",
        "set -U __upgrade_state_dir $PWD/shop",
        "set -g up a b; set -gx names x",
        "set -U fish_features all",
        "set -gx CDPATH . /",
        # Not printf, which fish needs itself, and not what it forbids.
        *(f"function {name}; builtin echo BROKEN; end" for name in ("pwd", "path")),
        "function cd; builtin cd $argv; end",
    ),
}


@pytest.mark.parametrize(
    ("name", "setting"), [(name, s) for name in SETTINGS for s in SETTINGS[name]]
)
@pytest.mark.parametrize("is_before", [True, False])
def test_settings(shell_of, terminal, stand_in, name, setting, is_before):
    """
    The hook works with every setting, made before or after it, and prints no more.
    """
    tty = terminal(shell_of(name), **{"before" if is_before else "after": setting})
    shown = tty.run("\\builtin cd shop" if name != "fish" else "builtin cd shop")
    shown += tty.run(":" if name != "fish" else "builtin true")

    assert ["shop"] == [os.path.basename(d) for d in stand_in.directories]
    assert 1 == shown.count("TOLD")
    assert "BROKEN" not in shown
    if name != "fish":
        assert "rc:" not in tty.first + shown
        assert f"{name}:" not in tty.first + shown


class TestBash:
    def test_errexit(self, bash, terminal, stand_in):
        """
        A status that does not end the shell without the hook does not end it.
        """
        stand_in.make("sys.exit(3)")
        for before in ("set -e", "set -e; export PROMPT_COMMAND=:"):
            tty = terminal(bash, before=before)

            assert "[1|" in tty.run("! true")
            assert "[1|" in tty.run("cd shop; ! true")

    def test_trap(self, bash, terminal, stand_in):
        """
        A failed command does not trigger a trap for errors.
        """
        stand_in.make("sys.exit(3)")
        shown = terminal(bash, "set -E; trap 'echo BROKEN' ERR").run("cd shop")

        assert "TOLD" in shown
        assert "BROKEN" not in shown

    def test_case(self, bash, terminal, stand_in, desk):
        """
        Directories that differ only in case are two, even with nocasematch.
        """
        (desk / "SHOP").mkdir()
        (desk / "SHOP" / "uv.lock").touch()
        terminal(bash, after="shopt -s nocasematch").run("cd shop", "cd ../SHOP")

        assert [str(desk / "shop"), str(desk / "SHOP")] == stand_in.directories


class TestRestricted:
    @pytest.mark.parametrize(
        ("name", "setting"), [("bash", "set -r"), ("zsh", "setopt restricted")]
    )
    def test_restricted(self, shell_of, terminal, stand_in, desk, name, setting):
        """
        A restricted shell may not run the command, and the hook is silent.
        """
        shell = shell_of(name)
        hook = shell.hook().replace('"$HOOKED"', "upgrade-state")
        where = f"PATH='{stand_in.path.parent}':$PATH; {setting}; {hook}"
        tty = terminal(shell, after=where, cwd=desk / "shop")
        shown = tty.first + tty.run("(exit 3)")

        assert "[3|3]" in shown
        assert "restricted" not in shown
        assert f"{name}:" not in shown
        assert [] == stand_in.calls


class TestPreexec:
    """
    bash-preexec replaces `PROMPT_COMMAND` and calls functions of its own.
    """

    # As far as the hook can see it. What is added later is lost.
    PREEXEC = """
__bp_precmd_invoke_cmd() {
    local status=$? function
    for function in "${precmd_functions[@]}"; do (exit $status); "$function"; done
    return $status
}
__bp_install() { PROMPT_COMMAND=(__bp_precmd_invoke_cmd "${others[@]}"); }
others=("${PROMPT_COMMAND[@]}")
PROMPT_COMMAND=__bp_install
"""

    @pytest.mark.parametrize("own", [":", "PROMPT_COMMAND=users"])
    @pytest.mark.parametrize("is_first", [True, False])
    def test_order(self, bash, terminal, stand_in, own, is_first):
        """
        The hook runs once for a directory, whichever of the two is loaded first.
        """
        own = f"users() {{ seen=$?; }}; {own}"
        texts = (f"{own}\n{self.PREEXEC}", "") if is_first else (own, self.PREEXEC)
        tty = terminal(bash, *texts)
        shown = tty.run("", "cd shop", "(exit 7)")

        assert "[7|7]" in shown
        assert 1 == len(stand_in.calls)
        functions = tty.run("echo ${precmd_functions[@]}")
        assert is_first == ("__upgrade_state_prompt" in functions)

    def test_twice(self, bash, terminal, stand_in):
        """
        It contains the hook once, however often the start-up file is read.
        """
        tty = terminal(bash, self.PREEXEC, f"{bash.hook()}\n{bash.hook()}")

        shown = tty.run("echo ${precmd_functions[@]}")
        assert 1 == shown.count("__upgrade_state_prompt")


class TestPromptCommand:
    """
    The user's own `PROMPT_COMMAND` stays.
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
    # Versions of bash; before 5.1, it reads only the first element.
    OLD = ("(5 2)", "(5 0)", "(4 4)", "(3 2)")

    @pytest.fixture(params=OLD)
    def bash(self, bash, request):
        bash.rewrite = f"s/BASH_VERSINFO/version/g; 1i version={request.param}"
        return bash

    @pytest.mark.parametrize("form", FORMS)
    def test_forms(self, bash, terminal, stand_in, form):
        """
        The user's commands stay, and run once for each prompt.
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
        A trap for errors runs as often as without the hook.
        """
        setting = f"{inherited} trap 'echo TRAPPED' ERR; {self.USERS}; {form}"
        tty = terminal(bash, before=setting)

        assert "TRAPPED" not in tty.first
        for line, count in (("cd shop; false", 1), ("(exit 3)", 1), ("true", 0)):
            assert count == tty.run(line).count("TRAPPED")

    def test_none(self, bash, terminal, stand_in):
        """
        The hook works without a `PROMPT_COMMAND`.
        """
        for before in ("unset PROMPT_COMMAND", "PROMPT_COMMAND=", "set -u"):
            terminal(bash, before=before).run("cd shop")

        assert 3 == len(stand_in.calls)

    def test_later(self, bash, terminal):
        """
        A command that is appended later sees the status of the user's command.
        """
        after = f'{self.USERS}; PROMPT_COMMAND="$PROMPT_COMMAND; users"'
        keep = 'keep() { return "$?"; }; PROMPT_COMMAND=keep'
        for before in (keep, "unset PROMPT_COMMAND", "PROMPT_COMMAND="):
            tty = terminal(bash, before, after)

            assert "<7>" in tty.run("cd shop; (exit 7)", 'echo "<$seen>"')

    def test_elements(self, bash, terminal):
        """
        An old bash finds the hook in the only element.
        """
        tty = terminal(bash, before="PROMPT_COMMAND=:")
        count = 2 if "(5 2)" in bash.rewrite else 1

        assert f"<{count}>" in tty.run('echo "<${#PROMPT_COMMAND[@]}>"')

    def test_script(self, bash, desk):
        """
        In a script it stays unset.
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
        It contains the hook once, however often the start-up file is read.
        """
        tty = terminal(bash, after=f"{bash.hook()}\n{bash.hook()}")
        shown = tty.run('printf "<%s>" "${PROMPT_COMMAND[@]}"')

        assert 1 == shown.count('_prompt "$')

    def test_exported(self, bash, terminal):
        """
        An exported one stays exported.
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
        A shell that inherits only the text prints nothing, and keeps the status.
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
        A shell that inherits the text can still be given the hook.
        """
        tty = terminal(bash, "export PROMPT_COMMAND=", "export PS1 n")
        tty.run(f"{bash.program} --norc", bash.hook(), "cd shop")

        assert 1 == len(stand_in.calls)


class TestZsh:
    @pytest.mark.parametrize("setting", ["", "setopt ksh_arrays", "setopt no_unset"])
    def test_others(self, zsh, terminal, stand_in, setting):
        """
        Other functions before a prompt still run, in their order.
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
        A failed command does not end a shell that errors end.
        """
        stand_in.make("sys.exit(3)")

        before = "setopt err_exit err_return; TRAPZERR() { echo BROKEN }"
        shown = terminal(zsh, before).run("cd shop")

        assert "TOLD" in shown
        assert "BROKEN" not in shown

    def test_trace(self, zsh, terminal):
        """
        A trace shows one line of the hook, and continues.
        """
        tty = terminal(zsh, after="set -x")
        shown = tty.run("cd shop")

        assert "TOLD" in shown
        assert 1 == shown.count("\n+__upgrade_state_")
        assert "> echo a\r\n" in tty.run("echo a")

    def test_patterns(self, zsh, terminal, stand_in, desk):
        """
        A name is no pattern, even if the user's values are.
        """
        (desk / "shop" / "[s]ub").mkdir()
        tty = terminal(zsh, after="setopt glob_subst glob_assign")
        tty.run("cd 'shop/[s]ub'", "echo", "echo")

        assert 1 == len(stand_in.calls)

    def test_stacks(self, zsh, terminal, stand_in):
        """
        The hook runs however the directory is changed.
        """
        terminal(zsh).run("setopt auto_cd", "shop", "popd || cd ..", "pushd shop")

        assert 2 == len(stand_in.calls)


class TestFish:
    def test_universal(self, shell_of, terminal, stand_in, desk):
        """
        A universal variable does not replace the shell's own.
        """
        fish = shell_of("fish")
        for_all = f"set -U __upgrade_state_dir '{desk}/shop'"
        command = [fish.program, "-c", for_all]
        subprocess.run(command, env=fish.environment(), check=True, timeout=60)
        terminal(fish, cwd=desk / "shop")
        terminal(fish).run("cd shop")

        assert 2 == len(stand_in.calls)
