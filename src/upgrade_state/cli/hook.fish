# At a prompt in a directory that is another one than at the last prompt: look
# for a lockfile there and above, and if there is one, run the command.
#
# A word in @ signs is filled in by `upgrade-state hook`, which leaves out what
# stands in lines like this one. Meant for fish 3.6 and later; the reasons are
# those in hook.bash.

# Of this shell: a universal variable would be that of all.
builtin set -g __upgrade_state_dir

function __upgrade_state_prompt --on-event fish_prompt
    if not builtin test "$PWD" = "$__upgrade_state_dir"; and builtin test -t 2
        builtin set -g __upgrade_state_dir $PWD
        __upgrade_state_look
    end
end

function __upgrade_state_look
    builtin test . -ef "$PWD"; or return 0
    builtin set -l up .
    # One call for all names takes half the time of a loop.
    while not builtin path filter -q -f -- $up/{@NAMES@}
        builtin test -e $up/.. -a ! $up -ef $up/..; or return 0
        builtin set up $up/..
    end
    builtin test -x @PROGRAM@ -a -x @PYTHON@; or return 0
    PYTHONPATH=@PYTHONPATH@ @COMMAND@ $up </dev/null >/dev/null
end
