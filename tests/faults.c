/*
 * Faults in the system calls of this process, by number.
 *
 * `arm` installs a seccomp filter that turns each system call of the table below into
 * SIGSYS. The handler counts the calls on files below one directory and makes them; the
 * one with the given number it spoils. A preloaded library would miss the calls that
 * the C library makes inside, and functions that it does not know.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* Make a system call at the only address that the filter lets pass. */
extern long make(long number, long a, long b, long c, long d, long e, long f);
extern char made[];
#if defined(__x86_64__)
__asm__(".text\nmake: mov %rdi, %rax\nmov %rsi, %rdi\nmov %rdx, %rsi\nmov %rcx, %rdx\n"
        "mov %r8, %r10\nmov %r9, %r8\nmov 8(%rsp), %r9\nsyscall\nmade: ret\n");
#define REGISTER(state, number)                                                       \
    (state)->uc_mcontext.gregs[(int[]){REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8,    \
                                       REG_R9}[number]]
#define RESULT(state) (state)->uc_mcontext.gregs[REG_RAX]
#elif defined(__aarch64__)
__asm__(".text\nmake: mov x8, x0\nmov x0, x1\nmov x1, x2\nmov x2, x3\nmov x3, x4\n"
        "mov x4, x5\nmov x5, x6\nsvc 0\nmade: ret\n");
#define REGISTER(state, number) (state)->uc_mcontext.regs[number]
#define RESULT(state) (state)->uc_mcontext.regs[0]
#else
#error "the registers of this processor are not known here"
#endif

/* The system calls: the argument with a descriptor, that with a path; -1: none. */
static const struct call {
    long number;
    const char *name;
    int descriptor, path;
} calls[] = {
#define CALL(name, descriptor, path) {SYS_##name, #name, descriptor, path},
#ifdef SYS_open /* processors that Linux had before openat have these */
    CALL(open, -1, 0) CALL(creat, -1, 0) CALL(stat, -1, 0) CALL(lstat, -1, 0)
    CALL(access, -1, 0) CALL(rename, -1, 0) CALL(unlink, -1, 0) CALL(rmdir, -1, 0)
    CALL(mkdir, -1, 0) CALL(chmod, -1, 0) CALL(chown, -1, 0) CALL(lchown, -1, 0)
    CALL(link, -1, 0) CALL(symlink, -1, 1) CALL(readlink, -1, 0) CALL(utimes, -1, 0)
    CALL(dup2, 0, -1)
#endif
#ifdef SYS_renameat
    CALL(renameat, 0, 1)
#endif
    CALL(openat, 0, 1) CALL(openat2, 0, 1) CALL(newfstatat, 0, 1) CALL(statx, 0, 1)
    CALL(faccessat, 0, 1) CALL(faccessat2, 0, 1) CALL(renameat2, 0, 1)
    CALL(unlinkat, 0, 1) CALL(mkdirat, 0, 1) CALL(fchmodat, 0, 1)
    CALL(fchownat, 0, 1) CALL(linkat, 0, 1) CALL(symlinkat, 1, 2)
    CALL(readlinkat, 0, 1) CALL(utimensat, 0, 1) CALL(statfs, -1, 0)
    CALL(truncate, -1, 0) CALL(chdir, -1, 0)
    CALL(read, 0, -1) CALL(pread64, 0, -1) CALL(readv, 0, -1) CALL(write, 0, -1)
    CALL(pwrite64, 0, -1) CALL(writev, 0, -1) CALL(close, 0, -1) CALL(fsync, 0, -1)
    CALL(fdatasync, 0, -1) CALL(syncfs, 0, -1) CALL(flock, 0, -1) CALL(fcntl, 0, -1)
    CALL(fstat, 0, -1) CALL(fstatfs, 0, -1) CALL(fchmod, 0, -1) CALL(fchown, 0, -1)
    CALL(ftruncate, 0, -1) CALL(fallocate, 0, -1) CALL(getdents64, 0, -1)
    CALL(lseek, 0, -1) CALL(ioctl, 0, -1) CALL(fchdir, 0, -1) CALL(dup, 0, -1)
    CALL(dup3, 0, -1) CALL(sendfile, 0, -1) CALL(copy_file_range, 2, -1)
    CALL(getrandom, -1, -1)
};
enum { CALLS = sizeof calls / sizeof *calls, CREATES = 128, MOST = 4096, FILES = 1024 };

/* What to do with the call whose number is `target`, or with all from then on. */
enum how { NOTHING, KILL, KILL_HALFWAY, BEFORE, AFTER, FOR_GOOD, HALF, HALF_THEN, END };

static char directory[4096];
static char ours[FILES]; /* by descriptor: whether its file is below the directory */
static long target, error;
static int how, is_armed;
static unsigned char failing[2 * CREATES]; /* for good: whether this kind of call */

/* For the suite: of each call its index in the table, | CREATES for O_CREAT, and whether
 * it failed by itself. */
long count;
unsigned char kinds[MOST], failed[MOST];

static int is_ours(const struct call *call, const long *a)
{
    const char *path = call->path < 0 ? NULL : (const char *)a[call->path];
    size_t length = strlen(directory);
    if (call->number == SYS_getrandom)
        return 1;
    if (path && *path == '/')
        return !strncmp(path, directory, length) &&
               (path[length] == '/' || !path[length]);
    if (call->descriptor < 0)
        return 0; /* relative to the working directory */
    int fd = (int)a[call->descriptor];
    return fd >= 0 && fd < FILES && ours[fd];
}

static int is_copy(const struct call *call, const long *a)
{
    if (call->number == SYS_fcntl)
        return a[1] == F_DUPFD || a[1] == F_DUPFD_CLOEXEC;
    return call->number == SYS_dup || call->number == SYS_dup3;
}

static int is_open(const struct call *call)
{
    return !strncmp(call->name, "open", 4);
}

static int kind_of(const struct call *call, const long *a)
{
    int creates = is_open(call) && a[call->path + 1] & O_CREAT;
    return (int)(call - calls) | (creates ? CREATES : 0);
}

static long spoiled(const struct call *call, long *a, int kind)
{
#define MAKE() make(call->number, a[0], a[1], a[2], a[3], a[4], a[5])
    int is_it = count == target;
    long whole = a[2], result;
    if (how == FOR_GOOD && count >= target && failing[kind]) {
        /* Linux has closed the descriptor, whatever close() returns. */
        if (call->number == SYS_close)
            MAKE();
        return -error;
    }
    if (!is_it)
        return MAKE();
    switch (how) {
    case KILL:
    case KILL_HALFWAY:
        a[2] = whole / 2;
        if (how == KILL_HALFWAY)
            MAKE();
        make(SYS_kill, getpid(), SIGKILL, 0, 0, 0, 0);
        return 0;
    case BEFORE:
        return -error;
    case AFTER:
        result = MAKE();
        if (result >= 0 && (is_open(call) || is_copy(call, a)))
            make(SYS_close, result, 0, 0, 0, 0, 0);
        return result < 0 ? result : -error;
    case HALF:
    case HALF_THEN:
        a[2] = (whole + 1) / 2;
        result = MAKE();
        return how == HALF ? result : -error;
    case END:
        return 0;
    }
    return MAKE();
}

static void on_call(int signal, siginfo_t *info, void *context)
{
    ucontext_t *state = context;
    const struct call *call = calls;
    long a[6], result;
    (void)signal;
    for (int i = 0; i < 6; i++)
        a[i] = (long)REGISTER(state, i);
    while (call->number != info->si_syscall)
        call++;
    int is_counted = is_ours(call, a), kind = kind_of(call, a);
    if (is_armed && is_counted && count < MOST) {
        result = spoiled(call, a, kind);
        kinds[count] = (unsigned char)kind;
        failed[count++] = result < 0;
    } else {
        result = MAKE();
    }
    if (is_counted && result >= 0 && result < FILES &&
        (is_open(call) || is_copy(call, a)))
        ours[result] = 1;
    if (call->number == SYS_close && a[0] >= 0 && a[0] < FILES)
        ours[a[0]] = 0;
    RESULT(state) = result;
}

const char *name_of(int kind)
{
    kind &= CREATES - 1;
    return kind < CALLS ? calls[kind].name : "";
}

void disarm(void)
{
    is_armed = 0;
}

/* Install the filter, for the rest of the life of the process; 0: it is installed. */
static int install(void)
{
    struct sock_filter code[2 * CALLS + 8], *next = code;
    unsigned long address = (unsigned long)made;
    struct sigaction action = {.sa_sigaction = on_call, .sa_flags = SA_SIGINFO};
#define LOAD(field, more)                                                              \
    (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS,                            \
                                  offsetof(struct seccomp_data, field) + (more))
#define IF_NOT(value, skip)                                                            \
    (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define ANSWER(value) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, value)
    *next++ = LOAD(instruction_pointer, 0);
    *next++ = IF_NOT((unsigned)address, 3);
    *next++ = LOAD(instruction_pointer, 4);
    *next++ = IF_NOT((unsigned)(address >> 32), 1);
    *next++ = ANSWER(SECCOMP_RET_ALLOW);
    *next++ = LOAD(nr, 0);
    for (int i = 0; i < CALLS; i++) {
        *next++ = IF_NOT((unsigned)calls[i].number, 1);
        *next++ = ANSWER(SECCOMP_RET_TRAP);
    }
    *next++ = ANSWER(SECCOMP_RET_ALLOW);
    struct sock_fprog program = {(unsigned short)(next - code), code};
    return sigaction(SIGSYS, &action, NULL) ||
           prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

/* Count the calls on files below a directory from now on, and spoil one of them. The
 * process has none of these files open. Return 0, or not if the kernel refuses. */
int arm(const char *below, int what, long number, long with, const unsigned char *all)
{
    static int is_installed;
    if (!is_installed && install())
        return -1;
    is_installed = is_armed = 1;
    strncpy(directory, below, sizeof directory - 1);
    memcpy(failing, all, sizeof failing);
    memset(ours, 0, sizeof ours);
    how = what, target = number, error = with, count = 0;
    return 0;
}
