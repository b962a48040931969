# At the first prompt in a directory, look for a lockfile there and above. If there
# is one, run the command.
#
# Without a lockfile it costs no process, no subshell and no listing of a directory.
# It changes neither $? nor options, aliases or names. `upgrade-state hook` replaces
# words in @ signs and drops comment lines. For bash 3.2 and later.

# Not inherited, even if the user exports everything.
__upgrade_state_dir=

__upgrade_state_prompt() {
    # Not [[ ]]: with nocasematch, A and a would be one directory. If stderr is no
    # terminal, a notice would not be seen, so none is claimed.
    if ! \builtin test "${PWD-}" = "${__upgrade_state_dir-}" && [[ -t 2 ]]; then
        __upgrade_state_dir=${PWD-}
        __upgrade_state_look || :
    fi
    # Later commands in the same string see the user's status.
    \builtin return "${1-0}"
}

__upgrade_state_look() {
    # This directory was removed.
    [[ . -ef ${PWD-} ]] || \builtin return 0
    # Steps from the working directory, not parts of $PWD: they lead where the manager
    # looks, symlinks or not, and contain no odd names.
    \builtin local __upgrade_state_up=.
    until [[ -f $__upgrade_state_up/@NAME@ ]]; do
        # The root is its own parent; a directory without permission has none.
        [[ -e $__upgrade_state_up/.. ]] || \builtin return 0
        [[ ! $__upgrade_state_up -ef $__upgrade_state_up/.. ]] || \builtin return 0
        __upgrade_state_up=$__upgrade_state_up/..
    done
    # The command may have been uninstalled since.
    [[ -x @PROGRAM@ && -x @PYTHON@ ]] || \builtin return 0
    # An empty part of PYTHONPATH would import modules from the directory entered.
    PYTHONPATH=@PYTHONPATH@ @COMMAND@ "$__upgrade_state_up" </dev/null >/dev/null
}

# Only in interactive shells, and once.
if [[ $- == *i* && ${PROMPT_COMMAND[*]-} != *__upgrade_state_prompt* ]]; then
    # Since bash 5.1 it may be an array, whose elements do not see each other's status.
    # An array is never exported, so an exported string stays a string.
    if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 501)) &&
        [[ -n ${PROMPT_COMMAND-} && ${PROMPT_COMMAND@a} != *x* ]]; then
        PROMPT_COMMAND+=(__upgrade_state_prompt)
    else
        # On a line of its own, whatever the line before ends with. A shell that inherits
        # only the text defines the function, as nothing else keeps a status. Before
        # && a failure is no error: `set -e` would end the shell, and a trap for ERR
        # would run twice.
        # shellcheck disable=SC2128,SC2154,SC2178  # it is no array here
        PROMPT_COMMAND=${PROMPT_COMMAND:+$PROMPT_COMMAND$'\n'}'__upgrade_state_status=$?
\builtin type -p __upgrade_state_prompt || __upgrade_state_prompt() { \builtin return "$1"; }
__upgrade_state_prompt "$__upgrade_state_status" && \builtin :'
    fi
fi
