# At a prompt in a directory that is another one than at the last prompt: look
# for a lockfile there and above, and if there is one, run the command.
#
# Nobody is to notice this: neither by time (no process, no subshell, no reading
# of directories on the way to a lockfile), nor by $?, options, aliases or names.
# A word in @ signs is filled in by `upgrade-state hook`, which leaves out what
# stands in lines like this one. Meant for bash 3.2 and later.

# Not inherited, even where the user exports everything.
__upgrade_state_dir=

__upgrade_state_prompt() {
    # Not [[ ]], for which nocasematch makes A and a one directory. Where
    # stderr is no terminal nobody would see a notice: none is claimed.
    if ! \builtin test "${PWD-}" = "${__upgrade_state_dir-}" && [[ -t 2 ]]; then
        __upgrade_state_dir=${PWD-}
        __upgrade_state_look || :
    fi
    # What comes later in the same string sees the status that it expects.
    \builtin return "${1-0}"
}

__upgrade_state_look() {
    # Somebody has removed this directory.
    [[ . -ef ${PWD-} ]] || \builtin return 0
    # Steps from where the process is, not parts of $PWD: they lead where the
    # manager itself would look, symlinks or not, and no name can be odd.
    \builtin local __upgrade_state_up=.
    until [[ -f $__upgrade_state_up/@NAME@ ]]; do
        # The root is its own parent. One that may not be entered shows none.
        [[ -e $__upgrade_state_up/.. ]] || \builtin return 0
        [[ ! $__upgrade_state_up -ef $__upgrade_state_up/.. ]] || \builtin return 0
        __upgrade_state_up=$__upgrade_state_up/..
    done
    # It may have been uninstalled since.
    [[ -x @PROGRAM@ && -x @PYTHON@ ]] || \builtin return 0
    # An empty part of PYTHONPATH would let a directory that one merely enters
    # give Python its modules.
    PYTHONPATH=@PYTHONPATH@ @COMMAND@ "$__upgrade_state_up" </dev/null >/dev/null
}

# Only where there are prompts, and once.
if [[ $- == *i* && ${PROMPT_COMMAND[*]-} != *__upgrade_state_prompt* ]]; then
    # From bash 5.1 on it may have elements, which do not see each other's status.
    # But an array is never exported: what is for other shells, too, stays a string.
    if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 501)) &&
        [[ -n ${PROMPT_COMMAND-} && ${PROMPT_COMMAND@a} != *x* ]]; then
        PROMPT_COMMAND+=(__upgrade_state_prompt)
    else
        # A line of its own, whatever the one before ends with. A shell that inherits
        # the text alone makes itself a function, as nothing else keeps a status.
        # Before && that is no error: `set -e` would end the shell, and a trap for
        # ERR be told twice.
        # shellcheck disable=SC2128,SC2154,SC2178  # it is no array here
        PROMPT_COMMAND=${PROMPT_COMMAND:+$PROMPT_COMMAND$'\n'}'__upgrade_state_status=$?
\builtin type -p __upgrade_state_prompt || __upgrade_state_prompt() { \builtin return "$1"; }
__upgrade_state_prompt "$__upgrade_state_status" && \builtin :'
    fi
fi
