#include "nephrite_test.h"
#include "support/internal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

/* What a process that does this says and how it ends, as waitpid() has it. */
static int end_of(void (*act)(void), char said[512])
{
  int ends[2], status;

  assert_int_equal(pipe(ends), 0);
  const pid_t child = fork();
  if (!child) {
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) signal(signals[i], SIG_DFL); /* not cmocka's */
    dup2(ends[1], STDERR_FILENO);
    if (crash_install()) _exit(70);
    act();
    _exit(0);
  }
  close(ends[1]);
  const ssize_t length = read(ends[0], said, 511);
  said[length > 0 ? length : 0] = '\0';
  close(ends[0]);
  assert_int_equal(waitpid(child, &status, 0), child);
  return status;
}

static void touch_what_is_not_ours(void)
{
  volatile char *const page = mmap(NULL, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  *page = 1;
}

static int descend(int depth);
static int (*volatile deeper)(int) = descend; /* no loop instead */

static int descend(int depth)
{
  volatile char room[1 << 14];

  room[0] = (char)depth;
  return deeper(depth + 1) + room[0];
}

static void crash_reading(void)
{
  crash_begin("/campaign/shard.h5");
  touch_what_is_not_ours();
}

static void abort_reading(void)
{
  crash_begin("/campaign/shard.h5");
  abort();
}

static void recurse_reading(void)
{
  crash_begin("/campaign/shard.h5");
  descend(0);
}

static void a_crash_while_a_file_is_read_ends_as_damaged_input_by_its_name(void **state)
{
  void (*const acts[])(void) = {crash_reading, abort_reading, recurse_reading};
  char said[512];

  (void)state;
  for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
    const int status = end_of(acts[i], said);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 65);
    assert_non_null(strstr(said, ": /campaign/shard.h5: is damaged: HDF5 crashes when it reads it\n"));
    assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1); /* one line */
  }
}

static void crash_after_reading(void)
{
  crash_begin("/campaign/shard.h5");
  crash_end();
  touch_what_is_not_ours();
}

static void abort_after_reading(void)
{
  crash_begin("/campaign/shard.h5");
  crash_end();
  abort();
}

static void any_other_crash_stays_one(void **state)
{
  char said[512];

  (void)state;
  int status = end_of(crash_after_reading, said);
  assert_true(WIFSIGNALED(status));
  assert_int_equal(WTERMSIG(status), SIGSEGV);
  status = end_of(abort_after_reading, said);
  assert_true(WIFSIGNALED(status));
  assert_int_equal(WTERMSIG(status), SIGABRT);
  assert_string_equal(said, "");
}

static void crash_after_a_file_within(void)
{
  crash_begin("/campaign/index.h5");
  crash_begin("/campaign/shard.h5");
  crash_end();
  touch_what_is_not_ours();
}

static void of_files_that_are_read_within_each_other_the_one_at_hand_is_named(void **state)
{
  char said[512];

  (void)state;
  assert_int_equal(WEXITSTATUS(end_of(crash_after_a_file_within, said)), 65);
  assert_non_null(strstr(said, "/campaign/index.h5: is damaged"));
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(a_crash_while_a_file_is_read_ends_as_damaged_input_by_its_name),
                   cmocka_unit_test(any_other_crash_stays_one),
                   cmocka_unit_test(of_files_that_are_read_within_each_other_the_one_at_hand_is_named))
