/** \file fuzz.c  One input after another: what a reader says is judged, and what it leaves behind.
 *
 * LLVMFuzzerInitialize() and LLVMFuzzerTestOneInput() are what libFuzzer calls; replay.c does where there is none. */
#include "fuzz.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static Fuzz fuzz;

void fuzz_finding(const char *format, ...)
{
  va_list arguments;

  va_start(arguments, format);
  fputs("==FINDING== ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  abort();
}

/* ---- memory ---- */

/* All of nephrite's memory comes from PETSc, which gets it here: what a reader keeps is seen at once.  A search for
 * leaks after every input would cost a hundred times the input, and find those of libraries. */
typedef union {
  size_t counted; /* bytes */
  max_align_t alignment;
} Header;
static size_t memory_in_use;

/* PETSc does not give back its buffer of a list of lists in YAML. */
static size_t counted(size_t size, const char *file)
{
  return strstr(file, "segbuffer") ? 0 : size;
}

static PetscErrorCode take_memory(size_t size, PetscBool clear, int line, const char function[], const char file[],
                                  void **memory)
{
  Header *block = clear ? calloc(1, sizeof *block + size) : malloc(sizeof *block + size);

  (void)line, (void)function;
  *memory = block ? block + 1 : NULL;
  if (!block) return PETSC_ERR_MEM;
  block->counted = counted(size, file);
  memory_in_use += block->counted;
  return PETSC_SUCCESS;
}

static PetscErrorCode give_memory(void *memory, int line, const char function[], const char file[])
{
  Header *block = memory;

  (void)line, (void)function, (void)file;
  if (!block) return PETSC_SUCCESS;
  memory_in_use -= block[-1].counted;
  free(block - 1);
  return PETSC_SUCCESS;
}

static PetscErrorCode change_memory(size_t size, int line, const char function[], const char file[], void **memory)
{
  Header *block = *memory;
  const size_t before = block ? block[-1].counted : 0;

  (void)line, (void)function;
  block = realloc(block ? block - 1 : NULL, sizeof *block + size);
  if (!block) return PETSC_ERR_MEM;
  block->counted = counted(size, file);
  memory_in_use += block->counted - before;
  *memory = block + 1;
  return PETSC_SUCCESS;
}

/* ---- files ---- */

void fuzz_path(char path[PETSC_MAX_PATH_LEN], const char *folder, const char *name)
{
  if (snprintf(path, PETSC_MAX_PATH_LEN, "%s/%s", folder, name) >= PETSC_MAX_PATH_LEN)
    fuzz_finding("%s/%s: the name is too long", folder, name);
}

PetscErrorCode fuzz_put(const char *path, const uint8_t *bytes, size_t size)
{
  FILE *file = fopen(path, "wb");

  PetscFunctionBeginUser;
  if (!file || (size && fwrite(bytes, 1, size, file) != size) || fclose(file))
    PetscCall(error_from_errno(errno, "write", path));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode fuzz_get(const char *path, uint8_t **bytes, size_t *size)
{
  struct stat status;
  FILE *file = fopen(path, "rb");

  PetscFunctionBeginUser;
  if (!file || fstat(fileno(file), &status)) PetscCall(error_from_errno(errno, "read", path));
  *size = (size_t)status.st_size;
  PetscCall(PetscMalloc1(*size + 1, bytes));
  const size_t got = fread(*bytes, 1, *size, file);
  fclose(file);
  PetscCheck(got == *size, PETSC_COMM_SELF, NEPHRITE_ERR_IO, "%s: is shorter than it says", path);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- once ---- */

/* The folder goes with the process, however it ends but by a signal: then tests/fuzz/run removes it. */
static void remove_scratch(void)
{
  char command[PETSC_MAX_PATH_LEN + 16];

  snprintf(command, sizeof command, "rm -rf '%s'", fuzz.scratch);
  if (system(command)) fprintf(stderr, "%s stays\n", fuzz.scratch);
}

static PetscErrorCode make_folders(void)
{
  const char *seeds = getenv("NEPHRITE_FUZZ_SEEDS");

  PetscFunctionBeginUser;
  PetscCheck(seeds, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "NEPHRITE_FUZZ_SEEDS must name a folder that tests/fuzz/seeds.py has filled");
  PetscCall(PetscStrncpy(fuzz.seeds, seeds, sizeof fuzz.seeds));
  fuzz_path(fuzz.scratch, seeds, "scratch-XXXXXX");
  if (!mkdtemp(fuzz.scratch)) PetscCall(error_from_errno(errno, "make", fuzz.scratch));
  atexit(remove_scratch);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode prepare(void)
{
  char config[PETSC_MAX_PATH_LEN], campaign[PETSC_MAX_PATH_LEN];

  PetscFunctionBeginUser;
  PetscCall(error_install());
  PetscCall(log_install());
  PetscCall(make_folders());
  fuzz_path(config, fuzz.seeds, "campaign.yaml");
  fuzz_path(campaign, fuzz.seeds, "campaign");
  char *words[] = {"-config", config, "-campaign", campaign};
  PetscCall(options_create(PETSC_COMM_SELF, 4, words, campaign_file.tables, campaign_file.count, &fuzz.options));
  PetscCall(campaign_file.fill(fuzz.options, &fuzz.configuration));
  PetscCall(prior_create(&fuzz.configuration.prior, fuzz.configuration.survey.bins, &fuzz.prior));
  PetscCall(fuzz_prepare(&fuzz));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A crash is for the sanitizer to report, or for the system; MPI and nephrite have handlers too. */
static const int crashes[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV};
enum { CRASHES = sizeof crashes / sizeof *crashes };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  int none = 1;
  struct sigaction handler[CRASHES];

  (void)argc;
  for (int i = 0; i < CRASHES; i++) sigaction(crashes[i], NULL, &handler[i]);
  if (PetscMallocSet(take_memory, give_memory, change_memory)) return 70;
  /* our options would be unknown to PETSc, and libFuzzer's too */
  if (PetscOptionsSetValue(NULL, "-no_signal_handler", "true") || PetscInitialize(&none, argv, NULL, NULL)) return 70;
  if (prepare()) fuzz_finding("no input was read yet: %s", error_message());
  for (int i = 0; i < CRASHES; i++) sigaction(crashes[i], &handler[i], NULL);
  LLVMFuzzerTestOneInput((const uint8_t *)"", 0); /* some of what libraries keep comes with the first file */
  return 0;
}

/* ---- every input ---- */

/* HDF5 gives identifiers of a kind in increasing order, none twice: those between two probes are a reader's. */
typedef struct {
  hid_t space, type, list;
} Probe;

static Probe probe(void)
{
  const Probe p = {H5Screate(H5S_SCALAR), H5Tcopy(H5T_C_S1), H5Pcreate(H5P_DATASET_CREATE)};

  H5Sclose(p.space);
  H5Tclose(p.type);
  H5Pclose(p.list);
  return p;
}

static void check_closed(const char *kind, hid_t before, hid_t after)
{
  for (hid_t id = before + 1; id < after; id++)
    if (H5Iis_valid(id) > 0)
      fuzz_finding("the reader left an HDF5 %s open, number %lld of %lld", kind, (long long)(id - before),
                   (long long)(after - before - 1));
}

static void check_left_behind(Probe before, size_t memory_before)
{
  const Probe after = probe();

  check_closed("dataspace", before.space, after.space);
  check_closed("datatype", before.type, after.type);
  check_closed("property list", before.list, after.list);
  if (H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL) > 0) fuzz_finding("the reader left a file or dataset open");
  if (memory_in_use != memory_before)
    fuzz_finding("the reader left %zd bytes allocated", (ssize_t)(memory_in_use - memory_before));
}

void fuzz_judge(PetscErrorCode error)
{
  const int class = (int)error;

  if (class != 0 && class != NEPHRITE_ERR_CONFIG && class != NEPHRITE_ERR_INPUT)
    fuzz_finding("error %d: %s", class, error_message());
  if (class != 0 && !error_message()[0]) fuzz_finding("error %d without a message", class);
  error_clear();
  H5Eclear2(H5E_DEFAULT);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  error_clear();
  H5Eclear2(H5E_DEFAULT);
  const size_t memory = memory_in_use;
  const Probe before = probe();
  fuzz_read(&fuzz, bytes, size);
  check_left_behind(before, memory);
  return 0;
}
