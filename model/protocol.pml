/*
 * The protocol of one environment's files, for the model checker spin.
 *
 * Each `inline` in the part "Steps" is one step of a process: a lock, or a call that
 * the file system makes visible at once. Between two steps other processes run, and
 * the process may die (`may_die`): the kernel releases its locks, its temporary file
 * stays. README.md maps each step to its function and explains the switches.
 */

#ifndef CHECKERS
#define CHECKERS 0       /* processes that make one check each */
#endif
#ifndef ACTIVATIONS
#define ACTIVATIONS 0    /* that claim a notice of upgrades */
#endif
#ifndef FAILURE_NOTICES
#define FAILURE_NOTICES 0    /* that claim a notice of failed checks */
#endif
#ifndef SNOOZERS
#define SNOOZERS 0
#endif
#ifndef EXPIRERS
#define EXPIRERS 0
#endif
#ifndef WITHDRAWERS
#define WITHDRAWERS 0
#endif
#ifndef FORGETTERS
#define FORGETTERS 0
#endif
#ifndef READERS
#define READERS 0
#endif
#ifndef TICKS
#define TICKS 0          /* intervals that pass */
#endif
#ifndef STEPS_BACK
#define STEPS_BACK 0     /* how often the clock is set back */
#endif
#ifndef LOCKS_EXCLUDE_NOTHING
#define LOCKS_EXCLUDE_NOTHING 0  /* 1: the check lock; 2: both locks */
#endif

#define RESULTS 2        /* different results of a check */
#define NOTHING 0        /* no lock holder, no result, no time, no failure */

/* The comment above an assertion says what is wrong if it fails. */

#define ABSENT 0
#define VALID 1
#define CORRUPT 2        /* by another program, before the model begins */
#define TORN 3           /* by a writer that rewrites in place */

#define bit_of(n) (1 << (n))
#define LITTER bit_of(0) /* a temporary file in results/<key>/ */

/* Which write lock a process takes: there is one. */
#ifdef DISJOINT_LOCKS
#define OF_CHECK 0
#define OF_CLAIM 1
#define OF_CHANGE 2
#else
#define OF_CHECK 0
#define OF_CLAIM 0
#define OF_CHANGE 0
#endif

typedef Record {
    byte state;
    byte generation;     /* owned by a commit, with the next two */
    byte checked;        /* last_checked: every commit has a time of its own */
    byte result;         /* the number of the result, and of its file */
    byte failures;       /* owned by a failure; a commit and expire reset it */
    byte told;           /* last_notified, owned by a claim, with the next two */
    byte notified;
    byte failure_told;   /* failure_notified */
    byte snoozed;
    bit consent
}

/* The disk. */
Record record;
bit set_aside_copy;      /* <key>.json.corrupt */
short temporary;         /* tmp/: one bit for each writer */
byte files;              /* results/<key>/: one bit for each result, and LITTER */
short tickets[3];        /* and those made in each interval: one bit for each name */

/* The kernel. */
byte check_holder;
byte write_holder[3];
byte now = 1;            /* the number of the interval */
short inside;            /* one bit for each holder of a lock that excludes nothing */

/* Ghosts: the protocol does not read them. */
Record owned;            /* each field as its last owner has committed it */
byte commits;            /* in the life of the store */
byte claims;             /* in the life of the record */
byte lives;              /* records that were forgotten */
byte recorded;           /* one bit for each interval in which a claim was recorded */
byte spoken;             /* one bit for each interval whose notice was given */
byte durable_files;      /* files that survive a power cut */
byte durable_claims;
byte revivable;          /* results of the records that a power cut can bring back */
short writers;           /* one bit for each live process with a temporary file */

#ifdef KILLS
#define may_die if :: true :: true -> goto dead fi
#else
#define may_die skip
#endif

/* ---------------------------------------------------------------- Records */

inline copy(from, to) {
    to.state = from.state;
    to.generation = from.generation;
    to.checked = from.checked;
    to.result = from.result;
    to.failures = from.failures;
    to.told = from.told;
    to.notified = from.notified;
    to.failure_told = from.failure_told;
    to.snoozed = from.snoozed;
    to.consent = from.consent
}

inline clear(a) {
    a.state = ABSENT;
    a.generation = 0;
    a.checked = NOTHING;
    a.result = NOTHING;
    a.failures = 0;
    a.told = NOTHING;
    a.notified = NOTHING;
    a.failure_told = NOTHING;
    a.snoozed = 0;
    a.consent = 0
}

#define same(a, b) (a.state == b.state && a.generation == b.generation \
    && a.checked == b.checked && a.result == b.result && a.failures == b.failures \
    && a.told == b.told && a.notified == b.notified \
    && a.failure_told == b.failure_told && a.snoozed == b.snoozed \
    && a.consent == b.consent)

/* What holds after every change of the disk. */
inline check_disk() {
    /* an update is undone */
    assert(LOCKS_EXCLUDE_NOTHING == 2 || record.state != VALID || same(record, owned));
    /* the record names a missing file */
    assert(LOCKS_EXCLUDE_NOTHING || record.state != VALID || record.result == NOTHING
        || (files & bit_of(record.result)));
    /* a power cut leaves a record without its file */
    assert(LOCKS_EXCLUDE_NOTHING || (revivable & ~durable_files) == 0)
}

/* ------------------------------------------------------------------ Steps */

inline try_check_lock() {
    atomic {
        may_die;
        if
        :: LOCKS_EXCLUDE_NOTHING -> skip
        :: !LOCKS_EXCLUDE_NOTHING && check_holder == NOTHING -> check_holder = me
        :: !LOCKS_EXCLUDE_NOTHING && check_holder != NOTHING -> goto done
        fi
    }
}

inline release_check_lock() {
    atomic {
        may_die;
        if
        :: check_holder == me -> check_holder = NOTHING
        :: else
        fi
    }
}

#ifdef UNLINK_LOCKS

/* The name of the write lock leads to `inode`, or to none; a lock is of an inode. */
byte inode;
byte inodes;
byte inode_holder[8];

#define LOCK_STATE byte my_inode

inline release_inode() {
    if
    :: my_inode != NOTHING && inode_holder[my_inode] == me ->
        inode_holder[my_inode] = NOTHING
    :: else
    fi;
    my_inode = NOTHING
}

inline open_write_lock() {
    atomic {
        may_die;
        if
        :: inode == NOTHING -> inodes++; inode = inodes
        :: else
        fi;
        my_inode = inode
    }
}

inline wait_for_write_lock(kind) {
    open_write_lock();
    atomic { inode_holder[my_inode] == NOTHING -> inode_holder[my_inode] = me }
}

inline try_write_lock(kind) {
    open_write_lock();
    atomic {
        may_die;
        if
        :: inode_holder[my_inode] == NOTHING -> inode_holder[my_inode] = me
        :: else -> goto done
        fi
    }
}

inline release_write_lock(kind) {
    atomic { may_die; inode = NOTHING };
    atomic { may_die; inode_holder[my_inode] = NOTHING; my_inode = NOTHING }
}

#else

/* The process may die before it waits. While it waits it cannot, so that spin finds
   processes that wait for each other; the effect on the others is the same. */
inline wait_for_write_lock(kind) {
    may_die;
    atomic {
        if
        :: LOCKS_EXCLUDE_NOTHING == 2 -> inside = inside | bit_of(me)
        :: LOCKS_EXCLUDE_NOTHING < 2 && write_holder[kind] == NOTHING ->
            write_holder[kind] = me
        fi
    }
}

inline try_write_lock(kind) {
    atomic {
        may_die;
        if
        :: LOCKS_EXCLUDE_NOTHING == 2 -> inside = inside | bit_of(me)
        :: LOCKS_EXCLUDE_NOTHING < 2 && write_holder[kind] == NOTHING ->
            write_holder[kind] = me
        :: LOCKS_EXCLUDE_NOTHING < 2 && write_holder[kind] != NOTHING -> goto done
        fi
    }
}

inline release_write_lock(kind) {
    atomic {
        may_die;
        inside = inside & ~bit_of(me);
        if
        :: write_holder[kind] == me -> write_holder[kind] = NOTHING
        :: else
        fi
    }
}

#define LOCK_STATE skip
#define release_inode() skip
#endif

/* A reader has opened one inode, which no writer modifies: it reads at one instant. */
inline read_record(into) {
    atomic {
        may_die;
        d_step {
            /* a reader sees half of a record */
            assert(record.state != TORN);
            copy(record, into);
            if
            :: into.state != VALID -> clear(into)
            :: else
            fi
        }
    }
}

inline read_clock() {
    atomic { may_die; time = now }
}

/* Only files of processes that died: the holder of both locks is the only writer. */
inline remove_leftovers() {
#ifndef DISJOINT_LOCKS  /* which could not have this step */
    atomic {
        may_die;
        /* a live writer's temporary file is removed */
        assert(LOCKS_EXCLUDE_NOTHING == 2 || (temporary & writers) == 0);
        temporary = 0
    }
#else
    skip
#endif
}

inline write_temporary() {
    atomic {
        may_die;
        temporary = temporary | bit_of(me);
        writers = writers | bit_of(me)
    }
#ifdef REWRITE_IN_PLACE
    ;
    atomic { may_die; record.state = TORN }
#endif
}

/* An invalid record that a check replaces: first the earlier copy is removed. */
inline set_aside() {
    if
    :: record.state == CORRUPT ->
        atomic { may_die; set_aside_copy = 0 };
        atomic { may_die; d_step { clear(record); set_aside_copy = 1; check_disk() } }
    :: else
    fi
}

/* The owner has changed its fields in `mine`; a ghost changes them in `owned`. */
inline rename_record() {
    atomic {
        may_die;
        if
        :: (temporary & bit_of(me)) == 0 ->
            writers = writers & ~bit_of(me);
            goto failed  /* the holder of a lock that excludes nothing removed it */
        :: else
        fi;
        d_step {
            temporary = temporary & ~bit_of(me);
            writers = writers & ~bit_of(me);
            mine.state = VALID;
            copy(mine, record);
            owned.state = VALID;
            if
            :: record.result != NOTHING ->
                revivable = revivable | bit_of(record.result)
            :: else
            fi
        }
    }
}

inline sync_root() {
    atomic {
        may_die;
        d_step {
            revivable = 0;
            if
            :: record.state == VALID && record.result != NOTHING ->
                revivable = bit_of(record.result)
            :: else
            fi;
            durable_claims = claims;
            check_disk()
        }
    }
}

inline write_result_temporary() {
    atomic { may_die; files = files | LITTER }
}

inline rename_result() {
    atomic { may_die; files = (files & ~LITTER) | bit_of(result) }
}

inline sync_results() {
    atomic { may_die; durable_files = files & ~LITTER; check_disk() }
}

/* One file at a time, until only those in `named` are left. */
inline remove_files(named) {
    do
    :: atomic {
        (files & ~(named)) != 0 ->
        may_die;
        d_step {
            if
            :: files & LITTER -> files = files & ~LITTER
            :: !(files & LITTER) && (files & ~(named) & bit_of(1)) ->
                files = files & ~bit_of(1)
            :: else -> files = files & ~bit_of(2)
            fi;
            durable_files = durable_files & files;
            check_disk()
        }
    }
    :: (files & ~(named)) == 0 -> break
    od
}

#define named_by(a) (a.result == NOTHING -> 0 : bit_of(a.result))

#define ticket_of(a) bit_of(3 * a.told + a.failure_told)

/* Exclusive creation. A ticket of an earlier interval does not count: its process may
   have died. The next one has another number. */
inline take_ticket() {
    atomic {
        may_die;
#ifndef NO_TICKET
        if
        :: tickets[now] & ticket_of(mine) -> goto silent
        :: else
        fi;
#endif
        tickets[now] = tickets[now] | ticket_of(mine)
    }
}

/* Those of this interval stay: a writer may still have the record of before. */
inline remove_tickets(named) {
    atomic {
        may_die;
        d_step {
#ifndef SWEEP_NEW_TICKETS
            tickets[0] = tickets[now];
#endif
            tickets[1] = tickets[1] & (named);
            tickets[2] = tickets[2] & (named);
            tickets[now] = tickets[now] | tickets[0];
            tickets[0] = 0
        }
    }
}

inline remove_record() {
    atomic {
        may_die;
        d_step {
            clear(record);
            clear(owned);
            lives++;
            claims = 0;
            durable_claims = 0;
            recorded = 0;
            spoken = 0;
            check_disk()
        }
    }
}

inline remove_set_aside_copy() {
    atomic { may_die; set_aside_copy = 0 }
}

inline speak() {
    atomic {
        may_die;
        if
        :: life == lives ->
            /* a notice is given before it is recorded */
            assert(claim != 0);
            /* a notice is given before it is on disk */
            assert(durable_claims >= claim);
            /* a notice is repeated */
            assert(STEPS_BACK || (spoken & bit_of(time)) == 0);
            spoken = spoken | bit_of(time)
        :: else
        fi
    }
}

/* ------------------------------------------------------------ Operations */

inline prepare_replace() {
    write_temporary();
#ifdef RELEASE_BEFORE_RENAME
    release_write_lock(OF_CHECK);
#endif
}

/* The end of every process, also of a killed one: the kernel releases its locks. */
inline end_of_process() {
    check_holder = (check_holder == me -> NOTHING : check_holder);
    write_holder[0] = (write_holder[0] == me -> NOTHING : write_holder[0]);
    write_holder[1] = (write_holder[1] == me -> NOTHING : write_holder[1]);
    write_holder[2] = (write_holder[2] == me -> NOTHING : write_holder[2]);
    release_inode();
    writers = writers & ~bit_of(me);
    inside = inside & ~bit_of(me);
    clear(mine)
}

inline keep_names() {
    generation = mine.generation;
    checked = mine.checked;
    result = mine.result;
    clear(mine)
}

inline store_results() {
    write_result_temporary();
    rename_result();
#ifndef NO_SYNC_OF_RESULTS
    sync_results()
#endif
}

inline commit_ghost_of_check() {
    /* a check is committed without the check lock */
    assert(LOCKS_EXCLUDE_NOTHING || check_holder == me);
    /* the generation does not grow by one */
    assert(LOCKS_EXCLUDE_NOTHING == 2 || mine.generation == owned.generation + 1);
    commits++;
    owned.generation = mine.generation;
    owned.checked = mine.checked;
    owned.result = mine.result;
    owned.failures = 0
}

inline commit_ghost_of_failure() {
    /* a failure is recorded without the check lock */
    assert(LOCKS_EXCLUDE_NOTHING || check_holder == me);
    owned.failures = (owned.failures < 2 -> owned.failures + 1 : 2)
}

/* One check: begin, then commit, fail, or leave without either. */
proctype Checker(byte me) {
    Record mine;
    byte generation, checked, result;
    bit is_failing;
    LOCK_STATE;

    try_check_lock();
    read_record(mine);
    d_step {
        generation = mine.generation;
        checked = mine.checked;
#ifndef MERGE_WITHOUT_READING
        clear(mine)
#endif
    };
    if
    :: goto close
    :: goto fail
    :: result = 1
    :: result = 2
    fi;

#ifdef SWEEP_BEFORE_RENAME
    remove_files(bit_of(result));
#endif
#ifndef RESULTS_AFTER_RECORD
    store_results();
#endif
    wait_for_write_lock(OF_CHECK);
#ifndef MERGE_WITHOUT_READING
    read_record(mine);
#endif
#ifndef NO_GENERATION
    if
    :: mine.state == VALID && mine.generation != generation ->
        /* a result is dropped although locks exclude */
        assert(LOCKS_EXCLUDE_NOTHING);
        release_write_lock(OF_CHECK);
        read_record(mine);
        goto sweep
    :: else
    fi;
#endif
    /* a late result replaces a later one */
    assert(mine.checked == NOTHING || mine.checked == checked);
    set_aside();
    remove_leftovers();
    d_step {
        mine.generation = generation + 1;
        mine.checked = commits + 1;
        mine.result = result;
        mine.failures = 0
    };
    prepare_replace();
    atomic { rename_record(); commit_ghost_of_check(); check_disk() };
    release_write_lock(OF_CHECK);
#ifdef RESULTS_AFTER_RECORD
    store_results();
#endif
#ifndef SWEEP_BEFORE_SYNC
    sync_root();
#endif
sweep:
#ifdef SWEEP_WITHOUT_CHECK_LOCK
    release_check_lock();
#endif
    remove_files(named_by(mine));
    remove_tickets(ticket_of(mine));
#ifdef SWEEP_BEFORE_SYNC
    sync_root();
#endif
    goto close;

fail:
    is_failing = 1;
    wait_for_write_lock(OF_CHECK);
    read_record(mine);
    set_aside();
    remove_leftovers();
    mine.failures = (mine.failures < 2 -> mine.failures + 1 : 2);
    prepare_replace();
    atomic { rename_record(); commit_ghost_of_failure(); check_disk() };
    release_write_lock(OF_CHECK);
    sync_root();
    goto close;

failed:
    release_write_lock(OF_CHECK);
    if
    :: !is_failing -> goto fail
    :: else
    fi;
close:
    release_check_lock();
dead:
done:
    atomic {
        generation = 0;
        checked = 0;
        result = 0;
        is_failing = 0;
        end_of_process()
    }
}

/* Values that are not used again would only multiply the states. */
inline forget_first_look() {
    skip;
#ifndef NO_SECOND_LOOK
    clear(mine);
    of_failures = 0;
#ifndef CLOCK_BEFORE_LOCK
    time = 0
#endif
#endif
}

inline commit_ghost_of_claim() {
    /* two notices in one interval */
    assert(STEPS_BACK || (recorded & bit_of(now)) == 0);
    /* two notices after one look */
    assert(LOCKS_EXCLUDE_NOTHING == 2 || claims == 0 || claims == claims_seen);
    /* a notice is given although it is snoozed */
    assert(LOCKS_EXCLUDE_NOTHING == 2 || owned.snoozed == 0);
    /* a notice is about an old result */
    assert(LOCKS_EXCLUDE_NOTHING == 2 || of_failures || mine.result == owned.result);
    recorded = recorded | bit_of(now);
    claims++;
    claim = claims;
    life = lives;
    owned.told = time;
    if
    :: of_failures -> owned.failure_told = time
    :: else -> owned.notified = mine.result
    fi
}

/* A failure is due if the caller asks for failures; a time in the future counts as
   long ago. */
#define failure_due (asks_failures && mine.failures > 0 && mine.failure_told != time)
#define is_due (mine.state == VALID && mine.snoozed == 0 && mine.told != time \
    && (of_failures || mine.result != NOTHING))

inline decide() {
    of_failures = failure_due;
    is_silent = !is_due
}

inline decide_again() {
    d_step { decide() };
    if
    :: is_silent || (cannot_check && !of_failures) -> goto silent
#ifndef NO_COMPARISON
    :: mine.told != NOTHING && mine.told != told -> goto silent
    :: mine.failure_told != NOTHING && mine.failure_told != failure_told -> goto silent
#endif
    :: else
    fi
}

/* One claim; its notice is about failures if it asks for those and there are some. */
proctype Activation(byte me; bit asks_failures) {
    Record mine;
    byte time, told, failure_told, claims_seen, claim, life;
    bit of_failures, cannot_check, is_silent;
    LOCK_STATE;

    atomic { read_record(mine); claims_seen = claims };
    atomic {
        read_clock();
        decide();
        if
        :: is_silent -> goto done
        :: else
        fi;
        cannot_check = of_failures;
        told = mine.told;
        failure_told = mine.failure_told;
        forget_first_look()
    };
    try_write_lock(OF_CLAIM);
#ifndef NO_SECOND_LOOK
    read_record(mine);
#ifndef CLOCK_BEFORE_LOCK
    read_clock();
#endif
    decide_again();
    cannot_check = of_failures;
    d_step { told = mine.told; failure_told = mine.failure_told };
    take_ticket();
    read_record(mine);
    decide_again();
#endif
#ifdef SPEAK_BEFORE_RECORDING
    d_step { claim = 0; life = lives };
    speak();
#endif
    d_step {
        mine.told = time;
        if
        :: of_failures -> mine.failure_told = time
        :: else -> mine.notified = mine.result
        fi
    };
    prepare_replace();
    atomic { rename_record(); commit_ghost_of_claim(); check_disk() };
    release_write_lock(OF_CLAIM);
#ifndef SPEAK_BEFORE_SYNC
    sync_root();
#endif
#ifndef SPEAK_BEFORE_RECORDING
    speak();
#endif
    goto done;
failed:
silent:
    release_write_lock(OF_CLAIM);
dead:
done:
    atomic {
        time = 0;
        told = 0;
        failure_told = 0;
        claims_seen = 0;
        claim = 0;
        life = 0;
        of_failures = 0;
        cannot_check = 0;
        is_silent = 0;
        end_of_process()
    }
}

#define SNOOZE 1
#define EXPIRE 2
#define WITHDRAW 3

inline commit_ghost_of_change() {
    if
    :: operation == SNOOZE -> owned.snoozed = me
    :: operation == EXPIRE -> owned.checked = NOTHING; owned.failures = 0
    :: operation == WITHDRAW -> owned.consent = 0
    fi
}

/* Snooze, expire or withdraw. */
proctype Changer(byte me; byte operation) {
    Record mine;
    LOCK_STATE;

    if
    :: record.state != VALID -> goto done
    :: else
    fi;
    wait_for_write_lock(OF_CHANGE);
    read_record(mine);
    if
    :: mine.state != VALID -> goto failed
    :: else
    fi;
    d_step {
        if
        :: operation == SNOOZE -> mine.snoozed = me
        :: operation == EXPIRE -> mine.checked = NOTHING; mine.failures = 0
        :: operation == WITHDRAW -> mine.consent = 0
        fi
    };
    prepare_replace();
    atomic { rename_record(); commit_ghost_of_change(); check_disk() };
    release_write_lock(OF_CHANGE);
    sync_root();
    goto done;
failed:
    release_write_lock(OF_CHANGE);
dead:
done:
    atomic { end_of_process() }
}

/* Forget, or prune: the same with a test under the check lock. */
proctype Forgetter(byte me) {
    Record mine;
    LOCK_STATE;

#ifdef FORGET_IN_WRONG_ORDER
    wait_for_write_lock(OF_CHECK);
    atomic { check_holder == NOTHING -> check_holder = me };
#else
#ifndef FORGET_WITHOUT_CHECK_LOCK
    try_check_lock();
#endif
    if
    :: goto close
    :: skip
    fi;
    wait_for_write_lock(OF_CHECK);
#endif
#ifdef FORGET_RESULTS_FIRST
    remove_files(0);
#endif
    remove_record();
    remove_set_aside_copy();
    remove_leftovers();
    release_write_lock(OF_CHECK);
#ifndef FORGET_WITHOUT_SYNC
    sync_root();
#endif
    remove_files(0);
    atomic { may_die; d_step { tickets[1] = 0; tickets[2] = 0 } };
    /* forget leaves files */
    assert(LOCKS_EXCLUDE_NOTHING || (record.state == ABSENT && !set_aside_copy
        && temporary == 0 && files == 0 && tickets[1] == 0 && tickets[2] == 0));
close:
    release_check_lock();
dead:
done:
    atomic { end_of_process() }
}

/* Read the record, then the file that it names. Of the record only these fields are
   compared: if they differ, the records do. */
proctype Reader(byte me) {
    Record mine;
    byte generation, checked, result;
    LOCK_STATE;

    atomic { read_record(mine); keep_names() };
    do
    :: result == NOTHING -> break
    :: result != NOTHING && (files & bit_of(result)) -> break
    :: result != NOTHING && !(files & bit_of(result)) ->
#ifdef READ_ONCE
        /* a reader reports a missing file */
        assert(false);
#endif
        atomic {
            read_record(mine);
            /* a reader reports a missing file */
            assert(LOCKS_EXCLUDE_NOTHING || mine.generation != generation
                || mine.checked != checked || mine.result != result);
            keep_names()
        }
    od;
dead:
done:
    atomic { generation = 0; checked = 0; result = 0; end_of_process() }
}

#if TICKS || STEPS_BACK
#define is_free (write_holder[OF_CLAIM] == NOTHING && inside == 0)

/* It stands while the write lock is held: no process is stopped there for long. */
proctype Clock() {
    byte ticks, steps_back;

end:
    do
    :: atomic { ticks < TICKS && is_free -> now++; ticks++ }
    :: atomic { steps_back < STEPS_BACK && now > 1 && is_free -> now--; steps_back++ }
    od
}
#endif

#define start(count, process) number = 0; \
    do :: number < count -> me++; number++; process :: else -> break od

/* The disk is empty, or has a record with a result, a failed check and a notice of
   an earlier interval, or a corrupt one. */
init {
    byte me, number;

    atomic {
        if
        :: skip
#ifndef EMPTY
        :: d_step {
            record.state = VALID;
            record.generation = 1;
            record.checked = 1;
            record.result = 1;
            record.failures = 1;
            record.consent = 1;
            copy(record, owned);
            commits = 1;
            files = bit_of(1);
            durable_files = files;
            revivable = files;
        }
        :: d_step { record.state = CORRUPT }
#endif
        fi;
        start(READERS, run Reader(me));
        start(FORGETTERS, run Forgetter(me));
        start(SNOOZERS, run Changer(me, SNOOZE));
        start(EXPIRERS, run Changer(me, EXPIRE));
        start(WITHDRAWERS, run Changer(me, WITHDRAW));
        start(FAILURE_NOTICES, run Activation(me, 1));
        start(ACTIVATIONS, run Activation(me, 0));
        start(CHECKERS, run Checker(me));
#if TICKS || STEPS_BACK
        run Clock();
#endif
        me = 0;
        number = 0
    }
}
