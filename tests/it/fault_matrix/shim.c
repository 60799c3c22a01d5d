/* A library that fails system calls of one role on request. The tests add it to copies of the
 * programs (`patchelf --add-needed`), because a role clears its environment before it starts another
 * one. It maps `control/ROLE` beside the program before the role confines itself; a test writes rules
 * into that file while the role runs. Without a file, and without a rule, it changes nothing. It never
 * makes a call that a role may not make.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* The kinds of calls; `shim.rs` has the same numbers. */
enum { WRITE = 1, SYNC = 2, READ = 4, CREATE = 8, LOG = 16 };

/* The actions. STOP and KILL_AFTER come after the call, KILL and FAIL in place of it. */
enum { COUNT = 0, FAIL = 1, SHORT = 2, STOP = 3, KILL = 4, KILL_AFTER = 5 };

struct rule {
    uint32_t armed;
    uint32_t calls;
    uint32_t action;
    int32_t error;
    /* The matching calls that pass before the first action, and the number of actions (0: all). */
    uint32_t skip;
    uint32_t times;
    /* The matching calls and the actions so far. */
    uint32_t seen;
    uint32_t done;
    /* A part of the path of the file, or of the log line. */
    char where[96];
};

struct control {
    /* Nanoseconds that the wall clock is ahead. */
    int64_t wall;
    char reserved[56];
    struct rule rules[8];
};

static struct control *control;

/* argv[0] of a role is "cofferdam: ROLE", for a runner with its seat; another program is `serve`. */
__attribute__((constructor)) static void map(int count, char **words)
{
    const char *role = "serve";
    char program[3800], path[4096];
    const char prefix[] = "cofferdam: ";
    if (count > 0 && strncmp(words[0], prefix, sizeof prefix - 1) == 0)
        role = words[0] + sizeof prefix - 1;
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0)
        return;
    program[length] = 0;
    char *slash = strrchr(program, '/');
    if (!slash)
        return;
    *slash = 0;
    snprintf(path, sizeof path, "%s/control/%.*s", program, (int)strcspn(role, " "), role);
    int file = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return;
    void *mapped = mmap(0, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED)
        control = mapped;
}

static int fits(const struct rule *rule, int file, const char *path, const void *bytes, size_t size)
{
    if (rule->calls & LOG)
        return file == 2 && bytes && memmem(bytes, size, rule->where, strlen(rule->where));
    char name[64], place[4096];
    if (!path) {
        snprintf(name, sizeof name, "/proc/self/fd/%d", file);
        ssize_t length = readlink(name, place, sizeof place - 1);
        if (length <= 0)
            return 0;
        place[length] = 0;
        path = place;
    }
    return strstr(path, rule->where) != 0;
}

/* The rule that acts on this call; null if the call passes. */
static struct rule *ask(unsigned call, int file, const char *path, const void *bytes, size_t size)
{
    struct rule *acts = 0;
    int error = errno;
    for (int i = 0; control && i < 8; i++) {
        struct rule *rule = &control->rules[i];
        if (!__atomic_load_n(&rule->armed, __ATOMIC_ACQUIRE) || !(rule->calls & call))
            continue;
        if (!fits(rule, file, path, bytes, size))
            continue;
        uint32_t before = __atomic_fetch_add(&rule->seen, 1, __ATOMIC_ACQ_REL);
        if (acts || before < rule->skip || (rule->times && before - rule->skip >= rule->times))
            continue;
        acts = rule;
    }
    if (acts)
        __atomic_fetch_add(&acts->done, 1, __ATOMIC_ACQ_REL);
    errno = error;
    return acts;
}

static void signal_self(int number)
{
    int error = errno;
    pid_t self = getpid();
    syscall(SYS_tgkill, self, gettid(), number);
    errno = error;
}

/* Begins a call: the result in place of it, or -2 to make it. */
static ssize_t begin(struct rule *rule)
{
    if (rule && rule->action == KILL)
        signal_self(SIGKILL);
    if (rule && rule->action == FAIL) {
        errno = rule->error;
        return -1;
    }
    return -2;
}

static void end(struct rule *rule)
{
    if (rule && rule->action == STOP)
        signal_self(SIGSTOP);
    if (rule && rule->action == KILL_AFTER)
        signal_self(SIGKILL);
}

static size_t shortened(struct rule *rule, size_t size)
{
    return rule && rule->action == SHORT && size > 1 ? size / 2 : size;
}

/* Makes the real call of this name, between the beginning and the end of the rule. */
#define REAL(type, name, ...)                                                                        \
    static type (*real)(__VA_ARGS__);                                                                \
    if (!real)                                                                                       \
        real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

#define WITH(rule, type, call)                                                                       \
    type result = (type)begin(rule);                                                                 \
    if (result == -2)                                                                                \
        result = call;                                                                               \
    end(rule);                                                                                       \
    return result

ssize_t write(int file, const void *bytes, size_t size)
{
    REAL(ssize_t, write, int, const void *, size_t);
    struct rule *rule = ask(file == 2 ? LOG : WRITE, file, 0, bytes, size);
    WITH(rule, ssize_t, real(file, bytes, shortened(rule, size)));
}

ssize_t writev(int file, const struct iovec *parts, int count)
{
    REAL(ssize_t, writev, int, const struct iovec *, int);
    struct rule *rule = ask(WRITE, file, 0, 0, 0);
    WITH(rule, ssize_t, real(file, parts, count));
}

ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t at)
{
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    struct rule *rule = ask(WRITE, file, 0, bytes, size);
    WITH(rule, ssize_t, real(file, bytes, shortened(rule, size), at));
}

ssize_t pwrite(int file, const void *bytes, size_t size, off_t at)
{
    return pwrite64(file, bytes, size, at);
}

ssize_t read(int file, void *bytes, size_t size)
{
    REAL(ssize_t, read, int, void *, size_t);
    struct rule *rule = ask(READ, file, 0, 0, 0);
    WITH(rule, ssize_t, real(file, bytes, size));
}

ssize_t pread64(int file, void *bytes, size_t size, off64_t at)
{
    REAL(ssize_t, pread64, int, void *, size_t, off64_t);
    struct rule *rule = ask(READ, file, 0, 0, 0);
    WITH(rule, ssize_t, real(file, bytes, size, at));
}

ssize_t pread(int file, void *bytes, size_t size, off_t at)
{
    return pread64(file, bytes, size, at);
}

int fsync(int file)
{
    REAL(int, fsync, int);
    struct rule *rule = ask(SYNC, file, 0, 0, 0);
    WITH(rule, int, real(file));
}

int fdatasync(int file)
{
    REAL(int, fdatasync, int);
    struct rule *rule = ask(SYNC, file, 0, 0, 0);
    WITH(rule, int, real(file));
}

int ftruncate64(int file, off64_t size)
{
    REAL(int, ftruncate64, int, off64_t);
    struct rule *rule = ask(CREATE, file, 0, 0, 0);
    WITH(rule, int, real(file, size));
}

int ftruncate(int file, off_t size)
{
    return ftruncate64(file, size);
}

int rename(const char *from, const char *to)
{
    REAL(int, rename, const char *, const char *);
    struct rule *rule = ask(CREATE, -1, to, 0, 0);
    WITH(rule, int, real(from, to));
}

static int changes(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT;
}

int open64(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    REAL(int, open64, const char *, int, ...);
    struct rule *rule = changes(flags) ? ask(CREATE, -1, path, 0, 0) : 0;
    WITH(rule, int, real(path, flags, mode));
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    return open64(path, flags, mode);
}

/* The wall clock alone jumps: a step of it does not move the monotonic clock. */
int clock_gettime(clockid_t clock, struct timespec *time)
{
    REAL(int, clock_gettime, clockid_t, struct timespec *);
    int result = real(clock, time);
    if (result == 0 && control && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t ahead = __atomic_load_n(&control->wall, __ATOMIC_ACQUIRE);
        int64_t nanoseconds = time->tv_nsec + ahead % 1000000000;
        time->tv_sec += ahead / 1000000000;
        if (nanoseconds < 0) {
            nanoseconds += 1000000000;
            time->tv_sec -= 1;
        } else if (nanoseconds >= 1000000000) {
            nanoseconds -= 1000000000;
            time->tv_sec += 1;
        }
        time->tv_nsec = nanoseconds;
    }
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    struct timespec precise;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &precise))
        return -1;
    time->tv_sec = precise.tv_sec;
    time->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *seconds)
{
    struct timespec precise;
    if (clock_gettime(CLOCK_REALTIME, &precise))
        return -1;
    if (seconds)
        *seconds = precise.tv_sec;
    return precise.tv_sec;
}
