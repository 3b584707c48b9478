/* Makes a compiler serve many programs: preloaded, it stops where the compiler opens the file AT, and forks there for each
   program. The child goes on with files of its own, so that what was compiled before (headers) is not compiled again; the
   parent has never seen a program.

   It writes a line when it is there. Requests come on descriptor 50, a line each: a folder. In the child, the folder's `1` stands for AT, `2` for AND, the
   files named in the environment as FORK_AT and FORK_AND; what the compiler writes to FORK_OUT goes to the folder's `out`,
   and its messages to `words`. The answer on descriptor 51 is the child's status, a line. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REQUESTS = 50, ANSWERS = 51, LONGEST = 300 };
static char folder[LONGEST], mapped[LONGEST + 10];
static int serving = 1;
static struct stat out;

static void stand_for(const char *name, int descriptor)
{
    snprintf(mapped, sizeof mapped, "%s/%s", folder, name);
    int made = syscall(SYS_openat, AT_FDCWD, mapped, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (made < 0 || dup2(made, descriptor) < 0)
        _exit(126);
    close(made);
}

static void become_program(void)
{
    struct stat each;
    const char *seconds = getenv("FORK_SECONDS");
    struct rlimit limit = {seconds ? atol(seconds) : 5, (seconds ? atol(seconds) : 5) + 1};
    setrlimit(RLIMIT_CPU, &limit);
    for (int descriptor = 3; descriptor < 64; descriptor++)
        if (!fstat(descriptor, &each) && each.st_ino == out.st_ino && each.st_dev == out.st_dev)
            stand_for("out", descriptor);
    stand_for("words", 2);
    close(REQUESTS);
    close(ANSWERS);
}

static void serve(void)
{
    if (stat(getenv("FORK_OUT"), &out) || write(ANSWERS, "0\n", 2) != 2)
        _exit(1);
    for (;;) {
        int length = 0, status = 0;
        while (length < LONGEST - 1 && read(REQUESTS, folder + length, 1) == 1 && folder[length] != '\n')
            length++;
        if (!length || folder[length] != '\n')
            _exit(0);
        folder[length] = 0;
        pid_t child = fork();
        if (!child) {
            serving = 0;
            become_program();
            return;
        }
        if (child < 0 || waitpid(child, &status, 0) < 0)
            status = -1;
        char answer[20];
        length = snprintf(answer, sizeof answer, "%d\n", status);
        if (write(ANSWERS, answer, length) != length)
            _exit(1);
    }
}

static int opened(const char *path, int flags, int mode)
{
    const char *at = getenv("FORK_AT"), *also = getenv("FORK_AND");
    if (at && also && path) {
        int first = !strcmp(path, at), second = !strcmp(path, also);
        if (first && serving)
            serve();
        if (!serving && (first || second)) {
            snprintf(mapped, sizeof mapped, "%s/%d", folder, first ? 1 : 2);
            path = mapped;
        }
    }
    return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, int) : 0;                                              \
        va_end(more);                                                                                                  \
        return opened(path, flags, mode);                                                                              \
    }
OPEN(open)
OPEN(open64)
