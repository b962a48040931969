/*
 * The system calls of a silent activation: silent TIMES STORE RECORD [LOCKFILE]
 *
 * The store is looked at, the record is read; the lockfile is looked at and read, if a
 * check may be due.
 */

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_file(const char *path)
{
    static char content[1 << 16];
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (file < 0 || fstat(file, &status) != 0 ||
        read(file, content, sizeof content) < 0)
        return 1;
    return close(file);
}

int main(int argc, char **argv)
{
    struct stat status;
    long times;

    if (argc < 4)
        return 2;
    for (times = atol(argv[1]); times > 0; times--) {
        if (lstat(argv[2], &status) != 0 || read_file(argv[3]) != 0)
            return 1;
        if (argc > 4 && (stat(argv[4], &status) != 0 || read_file(argv[4]) != 0))
            return 1;
    }
    return 0;
}
