/* nephrite-test: mpi */
#include "../../src/campaign/internal.h"
#include "../lensing/theory_fixtures.h"
#include "campaign_fixture.h"

#include <signal.h>

static char folder[64];

/* A campaign of one rank for itself, which the others wait for. */
static void simulate_alone(const char *directory, const char *const *more)
{
  if (world_rank() == 0) {
    Setting *s = setting_create(PETSC_COMM_SELF, directory, more);

    assert_ok(setting_simulate(PETSC_COMM_SELF, s));
    setting_destroy(s);
  }
  MPI_Barrier(PETSC_COMM_WORLD);
}

static void simulate(const char *directory, const char *const *more)
{
  Setting *s = setting_create(PETSC_COMM_WORLD, directory, more);

  assert_ok(setting_simulate(PETSC_COMM_WORLD, s));
  setting_destroy(s);
}

static void refuse_to_simulate(const char *directory, const char *const *more, PetscErrorCode error, const char *text)
{
  Setting *s = setting_create(PETSC_COMM_WORLD, directory, more);

  assert_fails(setting_simulate(PETSC_COMM_WORLD, s), error, text);
  setting_destroy(s);
}

static int setup(void **state)
{
  (void)state;
  make_folder(folder);
  return 0;
}

static int teardown(void **state)
{
  (void)state;
  remove_folder(folder);
  return 0;
}

static const char *inside(const char *name)
{
  static char path[4][160];
  static int next = 0;

  next = (next + 1) % 4;
  snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
  return path[next];
}

static void assert_same_campaign(const char *a, const char *b, int shards)
{
  char index_a[192], index_b[192];

  snprintf(index_a, sizeof index_a, "%s/sims/campaign.h5", a);
  snprintf(index_b, sizeof index_b, "%s/sims/campaign.h5", b);
  MPI_Barrier(PETSC_COMM_WORLD);
  for (int shard = 0; shard < shards; shard++) assert_same_file(shard_name(a, shard), shard_name(b, shard));
  assert_same_file(index_a, index_b);
  MPI_Barrier(PETSC_COMM_WORLD);
}

static void files_are_the_same_whatever_the_number_of_ranks(void **state)
{
  (void)state;
  simulate_alone(inside("one"), NULL);
  simulate(inside("all"), NULL);
  assert_same_campaign(inside("one"), inside("all"), 3);
}

static void a_shard_that_is_missing_is_made_again_and_the_others_are_left_alone(void **state)
{
  struct stat before, after;

  (void)state;
  simulate_alone(inside("whole"), NULL);
  simulate(inside("broken"), NULL);
  assert_int_equal(stat(shard_name(inside("broken"), 0), &before), 0);
  MPI_Barrier(PETSC_COMM_WORLD);
  if (world_rank() == 0) assert_int_equal(unlink(shard_name(inside("broken"), 1)), 0);
  simulate(inside("broken"), NULL);
  assert_same_campaign(inside("whole"), inside("broken"), 3);
  assert_int_equal(stat(shard_name(inside("broken"), 0), &after), 0);
  assert_true(before.st_ino == after.st_ino && before.st_mtime == after.st_mtime);
}

static void a_campaign_can_grow_and_shrink(void **state)
{
  static const char *const more[] = {"-simulate_realisations", "15", NULL};

  (void)state;
  simulate_alone(inside("fifteen"), more);
  simulate_alone(inside("ten"), NULL);
  simulate(inside("changing"), NULL);
  simulate(inside("changing"), more); /* the shard that was not full is made anew, and one more */
  assert_same_campaign(inside("fifteen"), inside("changing"), 4);
  simulate(inside("changing"), NULL);
  assert_same_campaign(inside("ten"), inside("changing"), 3);
}

static void maps_of_other_options_are_refused_naming_them(void **state)
{
  static const char *const seed[] = {"-seed", "4", NULL}, *const prior[] = {"-prior_h", "fixed:0.7", NULL};
  static const char *const shards[] = {"-simulate_shard_size", "5", NULL};
  static const char *const harmless[] = {"-threads", "2", NULL};

  (void)state;
  simulate(inside("a"), NULL);
  refuse_to_simulate(inside("a"), seed, NEPHRITE_ERR_INPUT, "seed");
  refuse_to_simulate(inside("a"), prior, NEPHRITE_ERR_INPUT, "prior_h");
  refuse_to_simulate(inside("a"), shards, NEPHRITE_ERR_INPUT, "simulate_shard_size");
  simulate(inside("a"), harmless);
}

/* n(z) of two bins, the first of which ends at a redshift.  One rank writes, the others wait. */
static void write_n_of_z(const char *path, double end)
{
  const double z[3] = {0, end, 3}, n[6] = {1, 0, 0, 0, 1, 0};

  if (world_rank() == 0) {
    unlink(path);
    scratch_write(path, "z", 1, (hsize_t[]){3}, z);
    scratch_write(path, "n_of_z", 2, (hsize_t[]){2, 3}, n);
  }
  MPI_Barrier(PETSC_COMM_WORLD);
}

static void maps_of_other_tables_under_the_same_name_are_refused(void **state)
{
  const char *path = inside("n_of_z.h5");
  const char *const table[] = {"-survey_n_of_z", path, NULL};

  (void)state;
  write_n_of_z(path, 1);
  simulate(inside("a"), table);
  simulate(inside("a"), table); /* nothing has changed */
  write_n_of_z(path, 1.5);
  refuse_to_simulate(inside("a"), table, NEPHRITE_ERR_INPUT,
                     "shard-00000.h5 was made with another content of survey_n_of_z");
}

static void a_damaged_shard_is_refused_by_name(void **state)
{
  (void)state;
  simulate(inside("a"), NULL);
  if (world_rank() == 0) {
    size_t size;
    char *content = file_content(shard_name(inside("a"), 1), &size);

    put_content(shard_name(inside("a"), 1), content, size / 2);
    free(content);
  }
  MPI_Barrier(PETSC_COMM_WORLD);
  refuse_to_simulate(inside("a"), NULL, NEPHRITE_ERR_INPUT, "shard-00001.h5");
  assert_non_null(strstr(error_message(), "delete"));
}

static void a_shard_under_the_name_of_another_is_refused(void **state)
{
  (void)state;
  simulate(inside("a"), NULL);
  if (world_rank() == 0) assert_int_equal(rename(shard_name(inside("a"), 1), shard_name(inside("a"), 0)), 0);
  MPI_Barrier(PETSC_COMM_WORLD);
  refuse_to_simulate(inside("a"), NULL, NEPHRITE_ERR_INPUT, "shard-00000.h5: holds realisations from 4 on");
}

/* The index of a campaign of the same options, over other shards. */
static void write_stale_index(const char *directory)
{
  static const char *const seed[] = {"-seed", "4", NULL};
  char other[192], index[PETSC_MAX_PATH_LEN], stale[PETSC_MAX_PATH_LEN], *configuration = NULL;
  ShardLayout layout;

  snprintf(other, sizeof other, "%s-other", directory);
  simulate_alone(other, seed);
  if (world_rank() != 0) return;
  Setting *s = setting_create(PETSC_COMM_SELF, directory, NULL);
  assert_ok(options_yaml(s->options, SCOPE_SIMULATION, &configuration));
  assert_ok(shard_layout(other, MAPS, SHARD_SIZE, &layout));
  assert_ok(index_write(&layout, &(ShardRecipe){&s->survey, s->prior, configuration, SEED, "", 0}));
  assert_ok(index_path(other, stale));
  assert_ok(index_path(directory, index));
  assert_int_equal(rename(stale, index), 0);
  assert_ok(PetscFree(configuration));
  setting_destroy(s);
}

/* As when shards were deleted, the code that makes maps changed, and the run ended before it wrote the index. */
static void an_index_that_lists_other_shards_is_written_anew(void **state)
{
  (void)state;
  simulate_alone(inside("a"), NULL);
  simulate_alone(inside("b"), NULL);
  write_stale_index(inside("a"));
  simulate(inside("a"), NULL);
  assert_same_campaign(inside("a"), inside("b"), 3);
}

static void a_directory_that_cannot_be_written_is_an_input_output_error(void **state)
{
  (void)state;
  refuse_to_simulate("/proc/nowhere", NULL, NEPHRITE_ERR_IO, "/proc/nowhere");
}

static void too_many_shards_are_refused_with_what_would_be_right(void **state)
{
  static const char *const many[] = {"-simulate_realisations", "1000000", NULL};

  (void)state;
  refuse_to_simulate(inside("a"), many, NEPHRITE_ERR_CONFIG, "simulate_shard_size");
}

/* Last, because a request to stop is never taken back. */
static void an_interrupt_leaves_nothing_half_made(void **state)
{
  (void)state;
  simulate_alone(inside("a"), NULL);
  if (world_rank() == 0) {
    assert_int_equal(unlink(shard_name(inside("a"), 1)), 0);
    assert_int_equal(unlink(shard_name(inside("a"), 2)), 0);
  }
  MPI_Barrier(PETSC_COMM_WORLD);
  assert_ok(interrupt_install());
  raise(SIGUSR1);
  refuse_to_simulate(inside("a"), NULL, NEPHRITE_ERR_INTERRUPTED, "interrupted while the shards there were verified");
  assert_int_equal(access(shard_name(inside("a"), 0), F_OK), 0);
  for (int shard = 1; shard < 3; shard++) {
    char part[160];

    snprintf(part, sizeof part, "%s.part", shard_name(inside("a"), shard));
    assert_int_equal(access(shard_name(inside("a"), shard), F_OK), -1);
    assert_int_equal(access(part, F_OK), -1);
  }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
NEPHRITE_TEST_MAIN(TEST(files_are_the_same_whatever_the_number_of_ranks),
                   TEST(a_shard_that_is_missing_is_made_again_and_the_others_are_left_alone),
                   TEST(a_campaign_can_grow_and_shrink), TEST(maps_of_other_options_are_refused_naming_them),
                   TEST(maps_of_other_tables_under_the_same_name_are_refused), TEST(a_damaged_shard_is_refused_by_name),
                   TEST(a_shard_under_the_name_of_another_is_refused),
                   TEST(an_index_that_lists_other_shards_is_written_anew),
                   TEST(a_directory_that_cannot_be_written_is_an_input_output_error),
                   TEST(too_many_shards_are_refused_with_what_would_be_right),
                   TEST(an_interrupt_leaves_nothing_half_made))
