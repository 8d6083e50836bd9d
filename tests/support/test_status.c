/* nephrite-test: mpi */
#include "support/stage_fixture.h"

#include <sys/stat.h>
#include <unistd.h>

static char path[300];

static int begin(void **state)
{
  const int failed = make_folder("status");

  (void)state;
  snprintf(path, sizeof path, "%s/status/train.json", folder);
  return failed;
}

static int end(void **state)
{
  int kept = 0;

  (void)state;
  MPI_Barrier(PETSC_COMM_WORLD);
  if (rank == 0) {
    char status[300];

    unlink(path);
    snprintf(status, sizeof status, "%s/status", folder);
    unlink(status);
    rmdir(status);
    kept = rmdir(folder); /* nothing else may be left there: no half-written file */
  }
  MPI_Barrier(PETSC_COMM_WORLD);
  return kept;
}

/* A stage is locked, counted, unlocked and ended, by all ranks. */
static void run_stage(int64_t done, PetscErrorCode error)
{
  StageLock *lock = NULL;
  Progress *progress = NULL;

  assert_ok(stage_lock_create(PETSC_COMM_WORLD, folder, "train", whole, &lock));
  assert_ok(progress_create(PETSC_COMM_WORLD, "train", "samples", 100, 40, &progress));
  if (done) assert_ok(progress_finish(progress, done));
  assert_ok(progress_destroy(&progress));
  assert_ok(stage_lock_destroy(&lock));
  assert_ok(status_memory(PETSC_COMM_WORLD));
  status_end(error);
  MPI_Barrier(PETSC_COMM_WORLD);
}

static const char *contents(void)
{
  static char text[4096];
  FILE *file = fopen(path, "r");

  assert_non_null(file);
  text[fread(text, 1, sizeof text - 1, file)] = '\0';
  fclose(file);
  return text;
}

static void expect(const char *line)
{
  const char *text = contents();

  if (!strstr(text, line)) fail_msg("no line\n%s\nin\n%s", line, text);
}

static void a_stage_tells_what_it_is_at_and_how_it_ended(void **state)
{
  char line[64];
  int ranks;
  StageLock *lock = NULL;
  Progress *progress = NULL;

  (void)state;
  MPI_Comm_size(PETSC_COMM_WORLD, &ranks);
  assert_ok(stage_lock_create(PETSC_COMM_WORLD, folder, "train", whole, &lock));
  if (rank == 0) {
    expect("\"stage\": \"train\"");
    expect("\"state\": \"running\"");
    snprintf(line, sizeof line, "\"ranks\": %d,", ranks);
    expect(line);
    snprintf(line, sizeof line, "\"process\": %ld,", (long)getpid());
    expect(line);
  }
  assert_ok(progress_create(PETSC_COMM_WORLD, "train", "samples", 100, 40, &progress));
  if (rank == 0) {
    expect("\"done\": 40");
    expect("\"total\": 100");
    expect("\"unit\": \"samples\"");
    expect("\"seconds_left\": null"); /* nothing has been done yet by which to tell */
  }
  assert_ok(progress_finish(progress, 100));
  assert_ok(progress_destroy(&progress));
  assert_ok(stage_lock_destroy(&lock));
  if (rank == 0) {
    expect("\"done\": 100");
    expect("\"seconds_left\": 0");
    expect("\"memory_mb_most\": null");
  }
  assert_ok(status_memory(PETSC_COMM_WORLD));
  status_end(PETSC_SUCCESS);
  if (rank == 0) {
    expect("\"state\": \"done\"");
    expect("\"exit_code\": 0");
    assert_null(strstr(contents(), "\"memory_mb_most\": null"));
  }
}

static void a_share_tells_for_itself_and_what_it_locks_on_the_way_does_not(void **state)
{
  char other[300];
  StageLock *lock = NULL, *inner = NULL;

  (void)state;
  snprintf(other, sizeof other, "%s/status/index.json", folder);
  snprintf(path, sizeof path, "%s/status/train-3of8.json", folder);
  assert_ok(stage_lock_create(PETSC_COMM_WORLD, folder, "train", (StageShare){3, 8}, &lock));
  assert_ok(stage_lock_destroy(&lock));
  assert_ok(stage_lock_create(PETSC_COMM_WORLD, folder, "index", whole, &inner));
  assert_ok(stage_lock_destroy(&inner));
  status_end(PETSC_SUCCESS);
  if (rank == 0) {
    expect("\"stage\": \"train-3of8\"");
    expect("\"state\": \"done\"");
    assert_int_equal(access(other, F_OK), -1);
  }
}

static void what_stopped_a_run_is_told_with_its_exit_code(void **state)
{
  (void)state;
  error_set_message("line \"1\"\tof a\\b");
  run_stage(60, (PetscErrorCode)NEPHRITE_ERR_INPUT);
  if (rank == 0) {
    expect("\"state\": \"failed\"");
    expect("\"exit_code\": 65");
    expect("\"message\": \"line \\\"1\\\"\\u0009of a\\\\b\"\n}");
  }
  run_stage(60, (PetscErrorCode)NEPHRITE_ERR_INTERRUPTED);
  if (rank == 0) {
    expect("\"state\": \"interrupted\"");
    expect("\"done\": 60");
  }
}

static void a_run_with_nothing_to_do_leaves_what_the_last_one_told(void **state)
{
  StageLock *lock = NULL;

  (void)state;
  run_stage(100, PETSC_SUCCESS);
  assert_ok(stage_lock_create(PETSC_COMM_WORLD, folder, "train", whole, &lock));
  assert_ok(stage_lock_destroy(&lock));
  status_end(PETSC_SUCCESS);
  MPI_Barrier(PETSC_COMM_WORLD);
  if (rank == 0) {
    expect("\"done\": 100");
    expect("\"state\": \"done\"");
  }
  /* Where the last one was killed it did not tell the end, which is told now. */
  run_stage(0, (PetscErrorCode)NEPHRITE_ERR_INTERRUPTED);
  assert_ok(stage_lock_create(PETSC_COMM_WORLD, folder, "train", whole, &lock));
  assert_ok(stage_lock_destroy(&lock));
  status_complete("samples", 100);
  status_end(PETSC_SUCCESS);
  if (rank == 0) {
    expect("\"state\": \"done\"");
    expect("\"unit\": \"samples\"");
    expect("\"done\": 100");
    expect("\"total\": 100");
  }
}

static void a_run_goes_on_where_its_status_cannot_be_written(void **state)
{
  char status[300];

  (void)state;
  snprintf(status, sizeof status, "%s/status", folder);
  if (rank == 0) fclose(fopen(status, "w")); /* where the folder should be */
  MPI_Barrier(PETSC_COMM_WORLD);
  run_stage(100, PETSC_SUCCESS);
  if (rank == 0) assert_int_equal(access(path, F_OK), -1);
}

static void a_process_that_has_no_stage_tells_nothing(void **state)
{
  Progress *progress = NULL;

  (void)state;
  assert_ok(progress_create(PETSC_COMM_WORLD, "train", "samples", 100, 40, &progress));
  assert_ok(progress_finish(progress, 100));
  assert_ok(progress_destroy(&progress));
  assert_ok(status_memory(PETSC_COMM_WORLD));
  status_end(PETSC_SUCCESS);
  assert_int_equal(access(path, F_OK), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
NEPHRITE_TEST_MAIN(TEST(a_stage_tells_what_it_is_at_and_how_it_ended),
                   TEST(a_share_tells_for_itself_and_what_it_locks_on_the_way_does_not),
                   TEST(what_stopped_a_run_is_told_with_its_exit_code),
                   TEST(a_run_with_nothing_to_do_leaves_what_the_last_one_told),
                   TEST(a_run_goes_on_where_its_status_cannot_be_written),
                   TEST(a_process_that_has_no_stage_tells_nothing))
