/** A small campaign, its options as a user would give them, and a folder of its own for its files. */
#ifndef CAMPAIGN_FIXTURE_H
#define CAMPAIGN_FIXTURE_H

#include "nephrite/campaign.h"
#include "nephrite_test.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIZE = 16, BINS = 2, PIXELS = BINS * SIZE * SIZE, SHARD_SIZE = 4, MAPS = 10, SEED = 3, PARAMETERS = 6 };

typedef struct {
  Options *options;
  CampaignConfig campaign;
  SurveyConfig survey;
  PriorConfig prior_config;
  SimulateConfig simulate;
  Prior *prior;
} Setting;

/* The options of the small campaign in a directory, and more that override them: "-seed", "4", …, NULL. */
static inline Setting *setting_create(MPI_Comm comm, const char *directory, const char *const *more)
{
  static const OptionTable *const tables[] = {&campaign_options, &survey_options, &prior_options, &simulate_options};
  const char *words[64] = {"-campaign",
                           directory,
                           "-seed",
                           "3",
                           "-survey_map_size",
                           "16",
                           "-survey_field_of_view",
                           "2",
                           "-survey_bins",
                           "2",
                           "-simulate_realisations",
                           "10",
                           "-simulate_shard_size",
                           "4"};
  int count = 14;
  Setting *s = calloc(1, sizeof *s);

  assert_non_null(s);
  for (; more && *more; more++) words[count++] = *more;
  assert_ok(options_create(comm, count, (char *const *)(uintptr_t)words, tables, 4, &s->options));
  assert_ok(options_fill(s->options, &campaign_options, &s->campaign));
  assert_ok(options_fill(s->options, &survey_options, &s->survey));
  assert_ok(options_fill(s->options, &prior_options, &s->prior_config));
  assert_ok(options_fill(s->options, &simulate_options, &s->simulate));
  assert_ok(prior_create(&s->prior_config, s->survey.bins, &s->prior));
  return s;
}

static inline void setting_destroy(Setting *s)
{
  assert_ok(prior_destroy(&s->prior));
  assert_ok(options_destroy(&s->options));
  free(s);
}

static inline PetscErrorCode setting_simulate(MPI_Comm comm, const Setting *s)
{
  return campaign_simulate(comm, s->options, &s->campaign, &s->survey, s->prior, &s->simulate);
}

static inline PetscMPIInt world_rank(void)
{
  PetscMPIInt rank;

  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  return rank;
}

/* A folder that all ranks know.  Collective. */
static inline void make_folder(char folder[64])
{
  strcpy(folder, "/tmp/nephrite-campaign-XXXXXX");
  if (world_rank() == 0) assert_non_null(mkdtemp(folder));
  MPI_Bcast(folder, 64, MPI_CHAR, 0, PETSC_COMM_WORLD);
}

static inline void remove_folder(const char *folder)
{
  char command[128];

  MPI_Barrier(PETSC_COMM_WORLD);
  snprintf(command, sizeof command, "rm -r '%s'", folder);
  if (world_rank() == 0) assert_int_equal(system(command), 0);
}

static inline const char *shard_name(const char *folder, int shard)
{
  static char name[4][128];
  static int next = 0;

  next = (next + 1) % 4;
  snprintf(name[next], sizeof name[next], "%s/sims/shard-%05d.h5", folder, shard);
  return name[next];
}

/* A whole file.  \returns bytes, free them */
static inline char *file_content(const char *path, size_t *size)
{
  struct stat status;
  FILE *file = fopen(path, "rb");

  assert_non_null(file);
  assert_int_equal(fstat(fileno(file), &status), 0);
  *size = (size_t)status.st_size;
  char *content = malloc(*size);
  assert_non_null(content);
  assert_int_equal(fread(content, 1, *size, file), *size);
  fclose(file);
  return content;
}

static inline void put_content(const char *path, const char *content, size_t size)
{
  FILE *file = fopen(path, "wb");

  assert_non_null(file);
  assert_int_equal(fwrite(content, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
}

static inline void assert_same_file(const char *a, const char *b)
{
  size_t size_a, size_b;
  char *content_a = file_content(a, &size_a), *content_b = file_content(b, &size_b);

  assert_int_equal(size_a, size_b);
  assert_memory_equal(content_a, content_b, size_a);
  free(content_a);
  free(content_b);
}

/* Change one bit of the first place at which these bytes are found in the file. */
static inline void damage(const char *path, const void *bytes, size_t count)
{
  size_t size, at = 0;
  char *content = file_content(path, &size);

  while (at + count <= size && memcmp(content + at, bytes, count)) at++;
  assert_true(at + count <= size);
  content[at + count / 2] ^= 4;
  put_content(path, content, size);
  free(content);
}

#endif
