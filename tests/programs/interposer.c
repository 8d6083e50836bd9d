/** Faults of a disk and of a machine, at the N-th call by which a process changes the files below a directory.
 *
 * Preloaded (LD_PRELOAD) into a program, and told by its environment:
 *
 *   NEPHRITE_FAULT_BELOW   the directory, absolute
 *   NEPHRITE_FAULT_LOG     a file that gets a line for each call: its number, its name, bytes to be written, the path
 *   NEPHRITE_FAULT_AT      at which call, from 1; with none, calls are only counted
 *   NEPHRITE_FAULT         kill    the process dies before the call
 *                          half    of a write half is done, and then the process dies
 *                          job     mpirun, whose child the process is, dies with it
 *                          full    no room from this call on: ENOSPC
 *                          io, readonly, denied    this one call fails with EIO, EROFS, EACCES
 *   NEPHRITE_FAULT_RANK    only on this rank of an MPI job
 *
 * The calls are those by which our programs and HDF5's POSIX driver write (a test holds them to what strace sees). What
 * stdio holds back is written by fclose, which counts as one write.
 */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* What a call needs, which decides whether a full disk has it. */
typedef enum { NEEDS_ROOM, NEEDS_NONE } Need;

static struct {
  char below[PATH_MAX];
  const char *log, *fault;
  long at; /* 0: never */
} asked;
static atomic_long calls = 0;

/* ---- what was asked for ---- */

static const char *setting(const char *name)
{
  const char *text = getenv(name);

  return text ? text : "";
}

/* Other processes (mpirun, shells) get the library too, and ranks that are not meant: nothing is below "". */
__attribute__((constructor)) static void begin(void)
{
  const char *const rank = setting("NEPHRITE_FAULT_RANK"), *const own = getenv("OMPI_COMM_WORLD_RANK");

  if (*rank && (!own || strcmp(rank, own))) return;
  snprintf(asked.below, sizeof asked.below, "%s", setting("NEPHRITE_FAULT_BELOW"));
  asked.log = setting("NEPHRITE_FAULT_LOG");
  asked.fault = setting("NEPHRITE_FAULT");
  asked.at = atol(setting("NEPHRITE_FAULT_AT"));
}

static int is_below(const char *path)
{
  const size_t length = strlen(asked.below);

  return length && !strncmp(path, asked.below, length) && (path[length] == '/' || !path[length]);
}

static int path_of(int file, char path[PATH_MAX])
{
  char link[64];

  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t length = syscall(SYS_readlink, link, path, PATH_MAX - 1);
  path[length < 0 ? 0 : length] = '\0';
  return is_below(path);
}

/* ---- the fault ---- */

static void note(long number, const char *call, size_t bytes, const char *path)
{
  char line[PATH_MAX + 96];

  if (!*asked.log) return;
  const int length = snprintf(line, sizeof line, "%ld %s %zu %s\n", number, call, bytes, path);
  const int file = (int)syscall(SYS_openat, AT_FDCWD, asked.log, O_WRONLY | O_CREAT | O_APPEND, 0666);
  syscall(SYS_write, file, line, (size_t)length);
  syscall(SYS_close, file);
}

static void die(void)
{
  if (!strcmp(asked.fault, "job")) kill(getppid(), SIGKILL);
  kill(getpid(), SIGKILL);
}

/* \returns the error with which the call fails, 0 if it is to be made.  \param half  set if half of it is, and then the
 * process dies */
static int fault_of(const char *call, size_t bytes, const char *path, Need need, int *half)
{
  const struct {
    const char *name;
    int number;
  } once[] = {{"io", EIO}, {"readonly", EROFS}, {"denied", EACCES}};
  const long number = atomic_fetch_add(&calls, 1) + 1;

  *half = 0;
  note(number, call, bytes, path);
  if (!asked.at || number < asked.at) return 0;
  if (!strcmp(asked.fault, "full")) return need == NEEDS_ROOM ? ENOSPC : 0;
  if (number > asked.at) return 0;
  for (size_t i = 0; i < sizeof once / sizeof *once; i++)
    if (!strcmp(asked.fault, once[i].name)) return once[i].number;
  if (!strcmp(asked.fault, "half") && bytes)
    *half = 1;
  else
    die();
  return 0;
}

/* A call that writes nothing by itself. */
static int refused(const char *call, const char *path, Need need)
{
  int half;
  const int failed = fault_of(call, 0, path, need, &half);

  if (failed) errno = failed;
  return failed != 0;
}

/* ---- files ---- */

static int opened(const char *call, int directory, const char *path, int flags, mode_t mode)
{
  if ((flags & (O_CREAT | O_TRUNC)) && is_below(path) && refused(call, path, NEEDS_ROOM)) return -1;
  return (int)syscall(SYS_openat, directory, path, flags, mode);
}

/* The mode is there if the file may have to be made. */
#define MODE_AFTER(flags)                                                                                              \
  mode_t mode = 0;                                                                                                     \
  if ((flags)&O_CREAT) {                                                                                               \
    va_list rest;                                                                                                      \
    va_start(rest, flags);                                                                                             \
    mode = va_arg(rest, mode_t);                                                                                       \
    va_end(rest);                                                                                                      \
  }

int open(const char *path, int flags, ...)
{
  MODE_AFTER(flags)
  return opened("open", AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
  MODE_AFTER(flags)
  return opened("open", AT_FDCWD, path, flags, mode);
}

int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags) /* what _FORTIFY_SOURCE makes of open() */
{
  return opened("open", AT_FDCWD, path, flags, 0);
}

int openat(int directory, const char *path, int flags, ...)
{
  MODE_AFTER(flags)
  return opened("open", directory, path, flags, mode);
}

static ssize_t written(const char *call, int file, const struct iovec *part, off_t place)
{
  char path[PATH_MAX];
  int half = 0, failed;

  if (part->iov_len && path_of(file, path)) {
    failed = fault_of(call, part->iov_len, path, NEEDS_ROOM, &half);
    if (failed) errno = failed;
    if (failed) return -1;
  }
  const size_t bytes = half ? part->iov_len / 2 : part->iov_len;
  const ssize_t done = place < 0 ? syscall(SYS_write, file, part->iov_base, bytes)
                                 : syscall(SYS_pwrite64, file, part->iov_base, bytes, place);
  if (half) die();
  return done;
}

ssize_t write(int file, const void *bytes, size_t count)
{
  return written("write", file, &(struct iovec){(void *)(size_t)bytes, count}, -1);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t place)
{
  return written("pwrite", file, &(struct iovec){(void *)(size_t)bytes, count}, place);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off_t place)
{
  return written("pwrite", file, &(struct iovec){(void *)(size_t)bytes, count}, place);
}

static int synchronised(const char *call, int file, long number)
{
  char path[PATH_MAX];

  if (path_of(file, path) && refused(call, path, NEEDS_ROOM)) return -1;
  return (int)syscall(number, file);
}

int fsync(int file)
{
  return synchronised("fsync", file, SYS_fsync);
}

int fdatasync(int file)
{
  return synchronised("fdatasync", file, SYS_fdatasync);
}

static int cut(int file, off_t size)
{
  char path[PATH_MAX];

  if (path_of(file, path) && refused("ftruncate", path, NEEDS_ROOM)) return -1;
  return (int)syscall(SYS_ftruncate, file, size);
}

int ftruncate(int file, off_t size)
{
  return cut(file, size);
}

int ftruncate64(int file, off_t size)
{
  return cut(file, size);
}

/* ---- stdio ---- */

static void *next(const char *name)
{
  return dlsym(RTLD_NEXT, name);
}

static FILE *fopened(const char *name, const char *path, const char *mode)
{
  FILE *(*real)(const char *, const char *) = NULL;
  void *const symbol = next(name);

  memcpy(&real, &symbol, sizeof real);
  if (strpbrk(mode, "wa+") && is_below(path) && refused("fopen", path, NEEDS_ROOM)) return NULL;
  return real(path, mode);
}

FILE *fopen(const char *path, const char *mode)
{
  return fopened("fopen", path, mode);
}

FILE *fopen64(const char *path, const char *mode)
{
  return fopened("fopen64", path, mode);
}

/* What is held back is written now: all, half or nothing. */
int fclose(FILE *file)
{
  int (*real)(FILE *) = NULL;
  void *const symbol = next("fclose");
  const size_t held = __fpending(file);
  char path[PATH_MAX];
  int half = 0, failed = 0;

  memcpy(&real, &symbol, sizeof real);
  if (held && path_of(fileno(file), path)) failed = fault_of("fclose", held, path, NEEDS_ROOM, &half);
  if (half) {
    fflush(file);
    syscall(SYS_ftruncate, fileno(file), held / 2);
    die();
  }
  if (failed) __fpurge(file);
  const int closed = real(file);
  if (failed) errno = failed;
  return failed ? EOF : closed;
}

/* ---- names ---- */

int rename(const char *old, const char *new)
{
  if (is_below(new) && refused("rename", new, NEEDS_ROOM)) return -1;
  return (int)syscall(SYS_renameat2, AT_FDCWD, old, AT_FDCWD, new, 0);
}

int link(const char *old, const char *new)
{
  if (is_below(new) && refused("link", new, NEEDS_ROOM)) return -1;
  return (int)syscall(SYS_linkat, AT_FDCWD, old, AT_FDCWD, new, 0);
}

int mkdir(const char *path, mode_t mode)
{
  if (is_below(path) && access(path, F_OK) && refused("mkdir", path, NEEDS_ROOM)) return -1;
  return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int unlink(const char *path)
{
  if (is_below(path) && refused("unlink", path, NEEDS_NONE)) return -1;
  return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int unlinkat(int directory, const char *path, int flags)
{
  char folder[PATH_MAX];

  if (path_of(directory, folder) && refused("unlink", path, NEEDS_NONE)) return -1;
  return (int)syscall(SYS_unlinkat, directory, path, flags);
}

int rmdir(const char *path)
{
  if (is_below(path) && refused("rmdir", path, NEEDS_NONE)) return -1;
  return (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}
