/** \file target_configuration.c  Campaign files, and configurations stored in products.  An input is the text. */
#include "fuzz.h"

#include <stdlib.h>

/* PETSc leaves libyaml's parser behind where a text is no YAML: 70 kB each time.  libyaml's memory comes from here, in
 * place of its own functions of these names, and goes with the input. */
typedef union Block {
  struct {
    union Block *next, *before;
  } in;
  max_align_t alignment;
} Block;
static Block blocks = {.in = {&blocks, &blocks}};

void *yaml_malloc(size_t size);
void *yaml_realloc(void *memory, size_t size);
void yaml_free(void *memory);
char *yaml_strdup(const char *text);

void *yaml_malloc(size_t size)
{
  return yaml_realloc(NULL, size);
}

static void unlink_block(Block *block)
{
  block->in.next->in.before = block->in.before;
  block->in.before->in.next = block->in.next;
}

void *yaml_realloc(void *memory, size_t size)
{
  Block *old = memory ? (Block *)memory - 1 : NULL;

  if (old) unlink_block(old);
  Block *block = realloc(old, sizeof *block + PetscMax(size, 1));
  if (!block) fuzz_finding("libyaml wants %zu bytes", size);
  block->in.next = blocks.in.next;
  block->in.before = &blocks;
  blocks.in.next = block->in.next->in.before = block;
  return block + 1;
}

void yaml_free(void *memory)
{
  if (!memory) return;
  unlink_block((Block *)memory - 1);
  free((Block *)memory - 1);
}

char *yaml_strdup(const char *text)
{
  return text ? strcpy(yaml_malloc(strlen(text) + 1), text) : NULL;
}

static char path[PETSC_MAX_PATH_LEN];

PetscErrorCode fuzz_prepare(const Fuzz *fuzz)
{
  PetscFunctionBeginUser;
  fuzz_path(path, fuzz->scratch, "campaign.yaml");
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Options of which the readers of their sections make more than a number. */
static PetscErrorCode use(const Configuration *configuration)
{
  Prior *prior = NULL;
  double seconds;
  StageShare share;

  PetscFunctionBeginUser;
  PetscErrorCode error = campaign_time_limit(&configuration->campaign, &seconds);
  if (!error) error = campaign_share(&configuration->campaign, &share);
  if (!error) error = prior_create(&configuration->prior, configuration->survey.bins, &prior);
  PetscCall(prior_destroy(&prior));
  PetscFunctionReturn(error);
}

static PetscErrorCode read_campaign_file(const char *file, char **yaml)
{
  static Configuration configuration;
  char config[] = "-config", name[PETSC_MAX_PATH_LEN];
  char *words[] = {config, name};
  Options *options = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscStrncpy(name, file, sizeof name));
  PetscErrorCode error = options_create(PETSC_COMM_SELF, 2, words, campaign_file.tables, campaign_file.count, &options);
  if (!error) error = campaign_file.fill(options, &configuration);
  if (!error) error = use(&configuration);
  if (!error) error = options_yaml(options, ~0u, yaml);
  PetscCall(options_destroy(&options));
  PetscFunctionReturn(error);
}

/* The effective configuration runs as is, and is its own. */
static void check_effective(const char *yaml)
{
  char *again = NULL;

  if (fuzz_put(path, (const uint8_t *)yaml, strlen(yaml)) || read_campaign_file(path, &again))
    fuzz_finding("the effective configuration is refused: %s", error_message());
  /* the name of the file is part of it, where it was not given: only the values behind it count */
  if (strcmp(strchr(again, '\n'), strchr(yaml, '\n')))
    fuzz_finding("the effective configuration is read as another one:\n%s\nis read as\n%s", yaml, again);
  if (PetscFree(again)) fuzz_finding("memory");
}

void fuzz_read(const Fuzz *fuzz, const uint8_t *bytes, size_t size)
{
  char *yaml = NULL, *stored = NULL;

  if (fuzz_put(path, bytes, size) || PetscCalloc1(size + 1, &stored)) fuzz_finding("%s", error_message());
  fuzz_judge(read_campaign_file(path, &yaml));
  if (yaml) check_effective(yaml);
  memcpy(stored, bytes, size);
  fuzz_judge(options_require_same(fuzz->options, SCOPE_PRODUCTS, stored, "product"));
  if (PetscFree(yaml) || PetscFree(stored)) fuzz_finding("memory");
  while (blocks.in.next != &blocks) yaml_free(blocks.in.next + 1);
}
