/* nephrite-test: mpi */
#include "support/stage_fixture.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char lock_path[300], status_path[300];

static int begin(void **state)
{
  const int failed = make_folder("lock");

  (void)state;
  snprintf(lock_path, sizeof lock_path, "%s/train.lock", folder);
  snprintf(status_path, sizeof status_path, "%s/status/train.json", folder); /* test_status.c looks into it */
  return failed;
}

static int end(void **state)
{
  (void)state;
  MPI_Barrier(PETSC_COMM_WORLD);
  if (rank == 0) {
    unlink(lock_path);
    unlink(status_path);
    *strrchr(status_path, '/') = '\0';
    rmdir(status_path);
    if (rmdir(folder)) return -1; /* nothing else may be left there */
  }
  MPI_Barrier(PETSC_COMM_WORLD);
  return 0;
}

static void write_lock(const char *host, long pid, const char *job)
{
  if (rank == 0) {
    FILE *file = fopen(lock_path, "w");

    assert_non_null(file);
    fprintf(file, "host %s pid %ld job %s\n", host, pid, job);
    fclose(file);
  }
  MPI_Barrier(PETSC_COMM_WORLD);
}

static const char *this_host(void)
{
  static char host[256];

  gethostname(host, sizeof host - 1);
  return host;
}

/* A process of the past: it ended and was waited for. */
static long dead_process(void)
{
  const pid_t child = fork();

  if (child == 0) _exit(0);
  waitpid(child, NULL, 0);
  return (long)child;
}

/* A process that ended and that nobody has waited for, as when its parent was killed with it: a zombie. */
static long unmourned_process(void)
{
  const pid_t child = fork();
  siginfo_t ended;

  if (child == 0) _exit(0);
  assert_int_equal(waitid(P_PID, (id_t)child, &ended, WEXITED | WNOWAIT), 0);
  return (long)child;
}

static void expect_taken(void)
{
  StageLock *lock = NULL;

  assert_ok(stage_lock_create(PETSC_COMM_WORLD, folder, "train", whole, &lock));
  if (rank == 0) {
    char host[256] = "", expected[64];
    long pid = 0;
    FILE *file = fopen(lock_path, "r");

    assert_non_null(file);
    assert_int_equal(fscanf(file, "host %255s pid %ld job %63s", host, &pid, expected), 3);
    fclose(file);
    assert_string_equal(host, this_host());
    assert_true(pid == (long)getpid());
  }
  assert_ok(stage_lock_destroy(&lock));
  assert_null(lock);
  MPI_Barrier(PETSC_COMM_WORLD);
  assert_int_equal(access(lock_path, F_OK), -1);
  MPI_Barrier(PETSC_COMM_WORLD);
}

static void expect_refused(const char *text)
{
  StageLock *lock = NULL;

  assert_fails(stage_lock_create(PETSC_COMM_WORLD, folder, "train", whole, &lock), NEPHRITE_ERR_INTERRUPTED, text);
  assert_ok(stage_lock_destroy(&lock));
  MPI_Barrier(PETSC_COMM_WORLD);
  assert_int_equal(access(lock_path, F_OK), 0); /* another one's lock stays */
  MPI_Barrier(PETSC_COMM_WORLD);
}

static void a_free_stage_is_locked_and_given_back(void **state)
{
  (void)state;
  expect_taken();
  expect_taken();
}

static void a_lock_of_a_living_process_is_respected(void **state)
{
  char text[64];
  const long parent = (long)getppid();

  (void)state;
  write_lock(this_host(), parent, "none");
  snprintf(text, sizeof text, "process ");
  expect_refused(text);
  assert_non_null(strstr(error_message(), lock_path));
}

static void a_lock_of_a_dead_process_of_this_host_is_taken_over(void **state)
{
  (void)state;
  write_lock(this_host(), rank == 0 ? dead_process() : 0, "none");
  expect_taken();
  /* In a container every life of a program may have the same number. */
  write_lock(this_host(), (long)getpid(), "none");
  expect_taken();
}

static void a_lock_of_a_zombie_is_taken_over(void **state)
{
  const long zombie = rank == 0 ? unmourned_process() : 0;

  (void)state;
  write_lock(this_host(), zombie, "none");
  expect_taken();
  if (rank == 0) waitpid((pid_t)zombie, NULL, 0);
}

static void a_lock_of_another_host_is_respected_unless_it_is_this_job(void **state)
{
  (void)state;
  write_lock("elsewhere", 1, "none");
  expect_refused("process 1 on elsewhere (job none)");
  write_lock("elsewhere", 1, "4711");
  expect_refused("(job 4711)");
  setenv("SLURM_JOB_ID", "4712", 1);
  expect_refused("(job 4711)");
  setenv("SLURM_JOB_ID", "4711", 1);
  expect_taken();
}

static void a_lock_that_says_nothing_is_respected(void **state)
{
  (void)state;
  if (rank == 0) fclose(fopen(lock_path, "w"));
  MPI_Barrier(PETSC_COMM_WORLD);
  expect_refused("unknown");
}

/* Another process, which lives, has this lock: then ours is had, or not. */
static void beside(const char *name, StageShare share, PetscBool had)
{
  StageLock *lock = NULL;

  snprintf(lock_path, sizeof lock_path, "%s/%s", folder, name);
  write_lock(this_host(), (long)getppid(), "none");
  if (had) {
    assert_ok(stage_lock_create(PETSC_COMM_WORLD, folder, "train", share, &lock));
  } else
    assert_fails(stage_lock_create(PETSC_COMM_WORLD, folder, "train", share, &lock), NEPHRITE_ERR_INTERRUPTED,
                 lock_path);
  assert_ok(stage_lock_destroy(&lock));
  MPI_Barrier(PETSC_COMM_WORLD);
  if (rank == 0) assert_int_equal(unlink(lock_path), 0);
  MPI_Barrier(PETSC_COMM_WORLD);
}

static void shares_of_one_count_go_beside_each_other_and_nothing_else_does(void **state)
{
  const StageShare third = {3, 8};

  (void)state;
  beside("train-1of8.lock", third, PETSC_TRUE);
  beside("train-3of8.lock", third, PETSC_FALSE);
  beside("train-3of4.lock", third, PETSC_FALSE);
  beside("train.lock", third, PETSC_FALSE);
  beside("train-3of8.lock", whole, PETSC_FALSE);
  beside("trainer.lock", third, PETSC_TRUE); /* other stages */
  beside("train-3of4.lock.old", third, PETSC_TRUE);
  beside("train-gaussian-3of4.lock", whole, PETSC_TRUE);
  write_lock(this_host(), rank == 0 ? dead_process() : 0, "none"); /* whose share of another count is no more */
  beside("train-1of8.lock", third, PETSC_TRUE);
  if (rank == 0) {
    snprintf(lock_path, sizeof lock_path, "%s/train-gaussian-3of4.lock", folder);
    assert_int_equal(unlink(lock_path), 0);
  }
}

static void units_are_dealt_to_shares_once_each(void **state)
{
  (void)state;
  for (PetscInt count = 1; count <= 5; count++)
    for (int64_t units = 0; units <= 11; units++) {
      int64_t dealt = 0;

      for (PetscInt number = 1; number <= count; number++) {
        const StageShare share = {number, count};
        int64_t mine = 0;

        for (int64_t unit = number - 1; unit < units; unit += count) mine++;
        assert_int_equal(stage_share_of(share, units), mine);
        dealt += mine;
      }
      assert_int_equal(dealt, units);
    }
}

static void a_folder_that_is_none_is_refused(void **state)
{
  StageLock *lock = NULL;

  (void)state;
  assert_fails(stage_lock_create(PETSC_COMM_WORLD, "/dev/null/x", "train", whole, &lock), NEPHRITE_ERR_IO,
               "/dev/null/x");
  assert_ok(stage_lock_destroy(&lock));
}

static void folders_are_made_with_their_parents(void **state)
{
  char deep[300];
  PetscBool exists;

  (void)state;
  snprintf(deep, sizeof deep, "%s/a/b", folder);
  assert_ok(product_exists(PETSC_COMM_WORLD, deep, &exists));
  assert_false(exists);
  assert_ok(product_directory(PETSC_COMM_WORLD, deep));
  assert_ok(product_directory(PETSC_COMM_WORLD, deep)); /* it may be there */
  assert_ok(product_exists(PETSC_COMM_WORLD, deep, &exists));
  assert_true(exists);
  assert_fails(product_directory(PETSC_COMM_WORLD, "/dev/null/x"), NEPHRITE_ERR_IO,
               "/dev/null/x: cannot make the directory");
  assert_fails(product_directory(PETSC_COMM_WORLD, "/dev/null"), NEPHRITE_ERR_IO, "/dev/null: is not a directory");
  MPI_Barrier(PETSC_COMM_WORLD);
  if (rank == 0) {
    rmdir(deep);
    *strrchr(deep, '/') = '\0';
    rmdir(deep);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
NEPHRITE_TEST_MAIN(TEST(a_free_stage_is_locked_and_given_back), TEST(a_lock_of_a_living_process_is_respected),
                   TEST(a_lock_of_a_dead_process_of_this_host_is_taken_over), TEST(a_lock_of_a_zombie_is_taken_over),
                   TEST(a_lock_of_another_host_is_respected_unless_it_is_this_job),
                   TEST(a_lock_that_says_nothing_is_respected),
                   TEST(shares_of_one_count_go_beside_each_other_and_nothing_else_does),
                   TEST(units_are_dealt_to_shares_once_each), TEST(a_folder_that_is_none_is_refused),
                   TEST(folders_are_made_with_their_parents))
