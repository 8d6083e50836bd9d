/** \file program.c  Start of a run, its configuration, and one way out of it.  \ingroup programs */
#include "program.h"

#include "nephrite/version.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <omp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* How long a rank that failed alone waits for the others: they may be waiting for it inside a collective call. */
#define GRACE_SECONDS 10.0

/* ---- the command line ---- */

static PetscBool is_given(int argc, char *const *argv, const char *name)
{
  for (int i = 1; i < argc; i++)
    if (argv[i][0] == '-' && !strcmp(argv[i] + (argv[i][1] == '-' ? 2 : 1), name)) return PETSC_TRUE;
  return PETSC_FALSE;
}

/* PETSc is shown its own options only: it must not act on a misspelt one, nor on -help, before it has been checked. */
static int petsc_arguments(int argc, char **argv, char **kept)
{
  int count = 0;

  for (int i = 0; i < argc; i++) {
    const PetscBool option = option_is_name(argv[i]);

    if (i == 0 || (option && option_is_petsc(argv[i] + 1))) {
      kept[count++] = argv[i];
      if (i > 0 && i + 1 < argc && !option_is_name(argv[i + 1])) kept[count++] = argv[++i];
    }
  }
  return count;
}

static PetscErrorCode print_help(const Program *program)
{
  PetscFunctionBeginUser;
  printf("%s: %s\n\nusage: %s %s\n", program->name, program->purpose, program->name, program->usage);
  if (program->more_help) PetscCall(program->more_help(stdout));
  PetscCall(options_print_help(program->options->tables, program->options->count, stdout));
  printf("\n  -help, -version, and PETSc's own -log_view, -info, -malloc_debug and the like\n"
         "\nexit codes: 0 done; 1 a comparison failed (nephrite-check); 64 usage or configuration; 65 damaged or\n"
         "incompatible input; 70 internal error; 74 input/output (disk full, permission); 75 interrupted, progress is\n"
         "saved, run again\n");
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- configuration ---- */

static PetscErrorCode read_configuration(MPI_Comm comm, int argc, char **argv, const Program *program,
                                         Options **options, Configuration *configuration)
{
  PetscFunctionBeginUser;
  for (int i = 1; i <= program->words; i++)
    PetscCheck(i < argc && !option_is_name(argv[i]), PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
               "usage: %s %s (-help tells more)", program->name, program->usage);
  configuration->words = argv + 1;
  argc -= 1 + program->words;
  argv += 1 + program->words;
  PetscCall(options_create(comm, argc, argv, program->options->tables, program->options->count, options));
  if (program->options->fill) PetscCall(program->options->fill(*options, configuration));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- threads ---- */

/* The BLAS is whatever the site has linked or put in place, so OpenBLAS is asked for by name when we run. */
static void set_blas_threads(int threads)
{
  void (*set_threads)(int) = NULL;
  void *self = dlopen(NULL, RTLD_LAZY);
  void *symbol = self ? dlsym(self, "openblas_set_num_threads") : NULL;

  memcpy(&set_threads, &symbol, sizeof set_threads);
  if (set_threads) set_threads(threads);
  if (self) dlclose(self);
}

/* -threads, else OMP_NUM_THREADS, else one.  BLAS calls come from inside our threads and use one each. */
static int set_threads(const Options *options)
{
  const char *wanted = options_text(options, "threads");
  const int threads = wanted ? atoi(wanted) : 0;

  if (threads > 0)
    omp_set_num_threads(threads);
  else if (!getenv("OMP_NUM_THREADS"))
    omp_set_num_threads(1);
  if (!getenv("OPENBLAS_NUM_THREADS")) set_blas_threads(1);
  return omp_get_max_threads();
}

/* ---- the run ---- */

static PetscErrorCode run_program(MPI_Comm comm, int argc, char **argv, const Program *program)
{
  Options *options = NULL;
  Configuration *configuration = NULL;
  PetscMPIInt rank, size;
  double seconds;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCallMPI(MPI_Comm_size(comm, &size));
  PetscCall(PetscNew(&configuration));
  PetscCall(read_configuration(comm, argc, argv, program, &options, configuration));
  PetscCall(campaign_time_limit(&configuration->campaign, &seconds));
  if (seconds > 0) PetscCall(interrupt_after(seconds));
  const int threads = set_threads(options);
  ProgramTask task = program->run;
  if (configuration->campaign.dry_run) {
    PetscCheck(program->describe, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG, "%s has no -dry_run", program->name);
    task = program->describe;
  }
  if (rank == 0 && configuration->campaign.campaign[0])
    printf("%s %s (%s), ranks %d, threads %d, campaign %s\n", program->name, NEPHRITE_VERSION, NEPHRITE_REVISION, size,
           threads, configuration->campaign.campaign);
  PetscCall(task(comm, options, configuration));
  PetscCall(options_destroy(&options));
  PetscCall(PetscFree(configuration));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static void print_failure(const Program *program, PetscErrorCode error)
{
  const char *message = error_message();

  fflush(stdout);
  if (*message)
    fprintf(stderr, "%s: %s\n", program->name, message);
  else
    fprintf(stderr, "%s: failed without a message, code %d\n", program->name, (int)error);
}

/* Every rank comes here, with or without an error.  A rank that failed alone may be what the others wait for: after a
 * time of grace it ends the job.  \p comm is used for nothing else, so that no other call is mistaken for this one. */
static void wait_for_all(MPI_Comm comm, const Program *program, PetscErrorCode error)
{
  const double start = MPI_Wtime();
  const struct timespec nap = {.tv_nsec = 1000000};
  MPI_Request request = MPI_REQUEST_NULL;
  int done = 0, rank = 0;

  MPI_Comm_rank(comm, &rank);
  MPI_Ibarrier(comm, &request);
  for (MPI_Test(&request, &done, MPI_STATUS_IGNORE); !done; MPI_Test(&request, &done, MPI_STATUS_IGNORE)) {
    if (error && MPI_Wtime() - start > GRACE_SECONDS + 0.1 * rank) {
      print_failure(program, error);
      MPI_Abort(MPI_COMM_WORLD, error_exit_code(error));
    }
    nanosleep(&nap, NULL);
  }
}

/* Does any rank hold an HDF5 file it could not write or close?  HDF5's clean-up at exit would crash or wait on it. */
static PetscBool hdf5_is_in_doubt(MPI_Comm comm)
{
  int mine = product_write_failed() || H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_FILE) > 0, any = 0;

  MPI_Allreduce(&mine, &any, 1, MPI_INT, MPI_MAX, comm);
  return any ? PETSC_TRUE : PETSC_FALSE;
}

/* What a program must not inherit from its surroundings or PETSc.  SIGXFSZ ends the process before a write can fail. */
static PetscErrorCode prepare_process(void)
{
  PetscFunctionBeginUser;
  signal(SIGXFSZ, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  PetscCall(error_install());
  PetscCall(log_install());
  PetscCall(interrupt_install());
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A reader who has seen enough (head) is no error; a log that could not be written is one. */
static PetscErrorCode flush_output(void)
{
  PetscFunctionBeginUser;
  if (!fflush(stdout)) PetscFunctionReturn(PETSC_SUCCESS);
  const int reason = errno;
  if (!freopen("/dev/null", "w", stdout))
    PetscCall(error_from_errno(errno, "open", "/dev/null")); /* PETSc flushes too */
  if (reason != EPIPE) PetscCall(error_from_errno(reason, "write", "standard output"));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static int finish(MPI_Comm comm, const Program *program, PetscErrorCode error)
{
  int rank = 0, lowest = 0, mine, code;

  wait_for_all(comm, program, error);
  const PetscErrorCode measured = status_memory(comm), flushed = flush_output();
  if (!error) error = measured ? measured : flushed;
  MPI_Comm_rank(comm, &rank);
  mine = error ? rank : INT_MAX;
  MPI_Allreduce(&mine, &lowest, 1, MPI_INT, MPI_MIN, comm);
  error = group_agree(comm, error);
  code = error_exit_code(error);
  status_end(error);
  if (error && rank == lowest) print_failure(program, error);
  if (error && hdf5_is_in_doubt(comm)) {
    fflush(NULL);
    _exit(code);
  }
  MPI_Comm_free(&comm);
  return PetscFinalize() ? error_exit_code(NEPHRITE_ERR_INTERNAL) : code;
}

int program_main(int argc, char **argv, const Program *program)
{
  char **kept = calloc((size_t)argc + 1, sizeof *kept);
  MPI_Comm last; /* for the end of the run */
  PetscErrorCode error;
  int rank = 0;

  if (!kept) return error_exit_code(NEPHRITE_ERR_INTERNAL);
  char **petsc_argv = kept;
  int petsc_argc = petsc_arguments(argc, argv, kept);
  /* Crashes stay crashes, with the core and exit code the site expects. */
  if (PetscOptionsSetValue(NULL, "-no_signal_handler", "true") || PetscInitialize(&petsc_argc, &petsc_argv, NULL, NULL))
    return error_exit_code(NEPHRITE_ERR_INTERNAL);
  MPI_Comm_dup(PETSC_COMM_WORLD, &last);
  MPI_Comm_rank(last, &rank);
  error = prepare_process();
  if (!error && is_given(argc, argv, "version")) {
    if (rank == 0) printf("%s %s (%s)\n", program->name, NEPHRITE_VERSION, NEPHRITE_REVISION);
  } else if (!error && (is_given(argc, argv, "help") || is_given(argc, argv, "h"))) {
    if (rank == 0) error = print_help(program);
  } else if (!error)
    error = run_program(PETSC_COMM_WORLD, argc, argv, program);
  error = (PetscErrorCode)finish(last, program, error);
  free(kept);
  return (int)error;
}
