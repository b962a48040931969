/*
 * The system calls of a granted claim: claim TIMES DIRECTORY SIZE
 *
 * Under a lock, a file of that size is written, synced and renamed; then the directory
 * is synced.
 */

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <stdio.h>
#include <unistd.h>

static int sync_and_close(int file)
{
    return fsync(file) != 0 || close(file) != 0;
}

static int claim(size_t size)
{
    static char content[1 << 16];
    int lock = open("lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int file, directory;

    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) != 0)
        return 1;
    file = open("temporary", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0 || write(file, content, size) != (ssize_t)size ||
        sync_and_close(file) != 0 || rename("temporary", "record") != 0 ||
        close(lock) != 0)
        return 1;
    directory = open(".", O_RDONLY | O_CLOEXEC);
    return directory < 0 || sync_and_close(directory);
}

int main(int argc, char **argv)
{
    long times;

    if (argc < 4 || chdir(argv[2]) != 0)
        return 2;
    for (times = atol(argv[1]); times > 0; times--)
        if (claim(strtoul(argv[3], NULL, 10)) != 0)
            return 1;
    return 0;
}
