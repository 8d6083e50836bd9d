/** \file support.h
 * Errors, options, keyed randomness, rank groups, work queue, progress, interrupts and HDF5 products.
 *
 * Nothing in here knows cosmology or networks.  \defgroup support Support
 */
#ifndef NEPHRITE_SUPPORT_H
#define NEPHRITE_SUPPORT_H

#include <hdf5.h>
#include <petscsys.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* PETSc before 3.19 has no name for success. */
#ifndef PETSC_SUCCESS
#define PETSC_SUCCESS 0
#endif

/* ------------------------------------------------------------------ errors */

/** The classes of failure.  Each is an exit code (sysexits.h) plus 1000, out of the way of PETSc's own codes. */
enum {
  NEPHRITE_ERR_DIFFERS = 1001, /**< a comparison found too large a difference (nephrite-check) */
  NEPHRITE_ERR_CONFIG = 1064, /**< usage or configuration */
  NEPHRITE_ERR_INPUT = 1065, /**< damaged or incompatible input */
  NEPHRITE_ERR_INTERNAL = 1070, /**< our fault */
  NEPHRITE_ERR_IO = 1074, /**< disk full, permission, missing directory */
  NEPHRITE_ERR_INTERRUPTED = 1075, /**< asked to stop; progress is saved, run again */
};

/** Make all stages and parts of the work known to PETSc's -log_view.  Once, after PetscInitialize(). */
PetscErrorCode log_install(void);
/** A part of the work by its name (src/support/log.c lists them).  Bracket it with PetscLogEventBegin() and
 * PetscLogEventEnd().  Errors: NEPHRITE_ERR_INTERNAL: no such part. */
PetscErrorCode log_event(const char *name, PetscLogEvent *event);
/** Count time to a stage of log.c until PetscLogStagePop().  Errors: NEPHRITE_ERR_INTERNAL: no such stage. */
PetscErrorCode log_stage(const char *name);

/** Route PETSc's errors into the record that error_message() reads, printing nothing.  After PetscInitialize(). */
PetscErrorCode error_install(void);
/** The message of the latest failure of this rank, one line; "" if there was none.  Valid until the next failure. */
const char *error_message(void);
/** Replace the recorded message (agreement between ranks uses it). */
void error_set_message(const char *message);
/** Forget the recorded message: for code that handles a failure as an expected result. */
void error_clear(void);
/** The exit code of a program that ends with \p error: 0, 1, 64, 65, 70, 74 or 75 (PETSc's and MPI's own codes are 70).
 */
int error_exit_code(PetscErrorCode error);

/* Library calls inside our functions.  \p what names the file, dataset or quantity at hand. */
PetscErrorCode error_from_hdf5(PetscErrorCode error_class, const char *expression, const char *what);
PetscErrorCode error_from_errno(int number, const char *action, const char *what);

/** Call HDF5 where a failure is the disk's (writing). */
#define NEPHRITE_HDF5_WRITE(expression, what)                                                                          \
  do {                                                                                                                 \
    if ((expression) < 0) PetscCall(error_from_hdf5(NEPHRITE_ERR_IO, #expression, what));                              \
  } while (0)
/** Call GSL (with its abort handler off: error_install() sees to that). */
#define NEPHRITE_GSL(expression, what)                                                                                 \
  do {                                                                                                                 \
    const int gsl_status_ = (expression);                                                                              \
    PetscCheck(!gsl_status_, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "%s: GSL error %d in %s", what, gsl_status_,      \
               #expression);                                                                                           \
  } while (0)

/* ------------------------------------------------------------------ keyed randomness */

/** What a random number is for.  The numbers are part of every product's meaning: never reorder them. */
typedef enum {
  STREAM_PARAMETERS = 1,
  STREAM_FIELD = 2,
  STREAM_NOISE = 3,
  STREAM_TIME = 4,
  STREAM_DIFFUSION_NOISE = 5,
  STREAM_AUGMENTATION = 6,
  STREAM_DROPOUT = 7,
  STREAM_INITIAL_WEIGHTS = 8,
  STREAM_POSTERIOR = 9,
  STREAM_CALIBRATION = 10,
  STREAM_ORDER = 11,
  STREAM_CHAIN = 12,
} RandomStream;

/** Names a sequence of random numbers: Philox 4x64 with key (seed, stream) and counter (index, position). */
typedef struct {
  uint64_t seed;
  RandomStream stream;
  uint64_t index; /**< of the realisation, tensor, draw, … the numbers belong to */
} RandomKey;

/** out[k] = uniform in (0, 1), a function of (key, position + k) alone.  Safe in threads. */
void random_uniform(RandomKey key, uint64_t position, size_t count, double *out);
/** out[k] = standard normal, a function of (key, position + k) alone. */
void random_normal(RandomKey key, uint64_t position, size_t count, double *out);
/** The same numbers as random_normal(), rounded to float. */
void random_normal_float(RandomKey key, uint64_t position, size_t count, float *out);
/** 64 random bits, a function of (key, position). */
uint64_t random_bits(RandomKey key, uint64_t position);
/** out[k] = random_bits(key, position + k), for many at once. */
void random_words(RandomKey key, uint64_t position, size_t count, uint64_t *out);
/** out = a uniformly random order of 0 … count-1. */
void random_permutation(RandomKey key, int64_t count, int64_t *out);

/* ------------------------------------------------------------------ elementary functions */

/* Exponential and logarithm to a few units in the last place, for loops that compilers are to make into vector
 * instructions.  Nothing is checked: arguments must be as said. */
#define ELEMENTARY_LN_2 0.69314718055994530942 /**< ln 2 */

/** The number of these bits. */
static inline double elementary_from_bits(int64_t bits)
{
  double x;

  memcpy(&x, &bits, sizeof x);
  return x;
}

/** And back. */
static inline int64_t elementary_to_bits(double x)
{
  int64_t bits;

  memcpy(&bits, &x, sizeof bits);
  return bits;
}

/** exp(r) - 1, |r| <= ln(2)/2, by its series to 1e-17. */
static inline double elementary_exponential_less_one(double r)
{
  double sum = 1. / 87178291200; /* 1/14! */

  sum = sum * r + 1. / 6227020800;
  sum = sum * r + 1. / 479001600;
  sum = sum * r + 1. / 39916800;
  sum = sum * r + 1. / 3628800;
  sum = sum * r + 1. / 362880;
  sum = sum * r + 1. / 40320;
  sum = sum * r + 1. / 5040;
  sum = sum * r + 1. / 720;
  sum = sum * r + 1. / 120;
  sum = sum * r + 1. / 24;
  sum = sum * r + 1. / 6;
  sum = sum * r + 0.5;
  sum = sum * r + 1;
  return sum * r;
}

/** exp(x) = 2^n exp(r); beyond +-700 as there, and what is no number stays so.
 * \param[out] r as elementary_exponential_less_one() takes it  \return n */
static inline int elementary_split(double x, double *r)
{
  const double y = x > -700 ? x < 700 ? x : 700 : -700; /* also of what is no number */
  const int n = (int)(y * (1 / ELEMENTARY_LN_2) + (y < 0 ? -0.5 : 0.5));

  *r = (x != x ? x : y) - n * ELEMENTARY_LN_2;
  return n;
}

/** 2^n, -1022 <= n <= 1023. */
static inline double elementary_power_of_two(int n)
{
  return elementary_from_bits((int64_t)(n + 1023) << 52);
}

/** ln(1 + x), x > -1: 1 + x = 2^k (1 + f), 1 + f between sqrt(1/2) and sqrt(2); ln(1 + f) = 2 artanh(f/(2 + f)) by its
 * series. */
static inline double elementary_logarithm(double x)
{
  const int64_t one = (int64_t)1023 << 52, root_half = 0x3fe6a09e667f3bcd; /* the bits of 1 and sqrt(1/2) */
  const int64_t fraction = ((int64_t)1 << 52) - 1;
  const int64_t shifted = elementary_to_bits(1 + x) + (one - root_half);
  const int k = (int)(shifted >> 52) - 1023;
  const double f =
      k ? elementary_from_bits((shifted & fraction) + root_half) - 1 : x; /* 1 + x loses digits of a small x */
  const double s = f / (2 + f), z = s * s;
  double sum = 1. / 23;

  sum = sum * z + 1. / 21;
  sum = sum * z + 1. / 19;
  sum = sum * z + 1. / 17;
  sum = sum * z + 1. / 15;
  sum = sum * z + 1. / 13;
  sum = sum * z + 1. / 11;
  sum = sum * z + 1. / 9;
  sum = sum * z + 1. / 7;
  sum = sum * z + 1. / 5;
  sum = sum * z + 1. / 3;
  return k * ELEMENTARY_LN_2 + 2 * (s + s * z * sum);
}

/** exp(x), |x| < 700. */
static inline double elementary_exponential(double x)
{
  double r;
  const int n = elementary_split(x, &r);

  return elementary_power_of_two(n) * (elementary_exponential_less_one(r) + 1);
}

/* ------------------------------------------------------------------ rank groups and agreement */

/** Make one rank's failure everyone's.  Collective on \p comm.
 * \param local  this rank's error, or PETSC_SUCCESS
 * Returns PETSC_SUCCESS on every rank, or on every rank the error of the lowest failing rank, with its message
 * recorded. */
PetscErrorCode group_agree(MPI_Comm comm, PetscErrorCode local);
/** Split \p world into groups of \p group_size consecutive ranks.  Collective.
 * \param[out] comm    this rank's group; free with MPI_Comm_free()
 * \param[out] group   its number, 0 … groups-1   \param[out] groups  how many there are
 * Errors: NEPHRITE_ERR_CONFIG if the number of ranks is not a multiple of group_size. */
PetscErrorCode group_split(MPI_Comm world, PetscInt group_size, MPI_Comm *comm, PetscInt *group, PetscInt *groups);
/** The first ranks of all groups.  Collective on \p world.  \param members  this rank's group
 * \param[out] leaders  free with MPI_Comm_free(); MPI_COMM_NULL on the other ranks */
PetscErrorCode group_leaders(MPI_Comm world, MPI_Comm members, MPI_Comm *leaders);

/** A rank's share of arrays [pieces][total] that a group has divided: [pieces][length], of each piece the numbers from
 * \p first on.  The shares of ranks follow one another in the order of the ranks; some may be empty. */
typedef struct {
  PetscInt pieces, total;
  PetscInt first, length;
} GroupShare;
/** Errors: NEPHRITE_ERR_INTERNAL if the shares are not the whole.  Collective. */
PetscErrorCode group_share_check(MPI_Comm comm, const GroupShare *share);
/** All of an array on the first rank.  Collective.
 * \param part [pieces][length]  \param[out] whole [pieces][total] on the first rank, elsewhere not looked at */
PetscErrorCode group_gather(MPI_Comm comm, const GroupShare *share, const double *part, double *whole);
/** And back.  Collective.  \param whole [pieces][total] on the first rank, elsewhere not looked at
 * \param[out] part [pieces][length] */
PetscErrorCode group_scatter(MPI_Comm comm, const GroupShare *share, const double *whole, double *part);
/** Of the numbers random_normal() has for a whole array [pieces][total] at \p position, those of the share.
 * \param[out] part [pieces][length] */
void group_random_normal(const GroupShare *share, RandomKey key, uint64_t position, double *part);

/* ------------------------------------------------------------------ work queue */

/** Units 0 … count-1, each taken by one rank with one-sided fetch-and-op: no manager rank.  A rank gets increasing
 * units. */
typedef struct WorkQueue WorkQueue;
PetscErrorCode work_queue_create(MPI_Comm comm, int64_t count, WorkQueue **queue); /**< Collective. */
/** Not collective.  \param[out] unit  -1 when none is left */
PetscErrorCode work_queue_take(WorkQueue *queue, int64_t *unit);
/** The same for a group of ranks, of which the first one takes.  Collective on \p members.
 * \param queue  NULL on the others  \param[out] unit  on all */
PetscErrorCode work_queue_take_together(MPI_Comm members, WorkQueue *queue, int64_t *unit);
PetscErrorCode work_queue_destroy(WorkQueue **queue); /**< Collective: waits for every rank. */

/* ------------------------------------------------------------------ progress */

/** Lines on standard output of rank 0, at most one every few seconds: "simulate  1024/4096 maps  25%  310.2 maps/s left
 * 0:10"; the same in the status of the stage (StageLock). */
typedef struct Progress Progress;
/** \param already  units done by an earlier run, not counted in the rate */
PetscErrorCode progress_create(MPI_Comm comm, const char *task, const char *unit, int64_t total, int64_t already,
                               Progress **progress);
/** Not collective; does something on rank 0 only.  \param done units done in all  \param note more words or NULL */
PetscErrorCode progress_update(Progress *progress, int64_t done, const char *note);
/** Print the closing line (total time, mean rate).  Not collective. */
PetscErrorCode progress_finish(Progress *progress, int64_t done);
PetscErrorCode progress_destroy(Progress **progress);

/** Tell the most memory that ranks ever had, on standard output and in the status of the stage.  Collective. */
PetscErrorCode status_memory(MPI_Comm comm);
/** All units were there: for the status, if a run was stopped between the last one and its end.  Not collective. */
void status_complete(const char *unit, int64_t total);
/** Say in the status of the stage how the run ended.  \param error  agreed, with its message.  Not collective. */
void status_end(PetscErrorCode error);

/* ------------------------------------------------------------------ interrupts */

/** Take SIGUSR1, SIGTERM, SIGHUP and the signal of interrupt_after() as "finish the unit at hand and stop".  Once,
 * after PetscInitialize(). */
PetscErrorCode interrupt_install(void);
/** Ask this rank to stop \p seconds from now, as a signal would.  After interrupt_install(). */
PetscErrorCode interrupt_after(double seconds);
/** Has this rank been asked to stop?  Not collective. */
PetscBool interrupt_seen(void);
/** Has this rank been asked to stop, or will interrupt_after() do so within \p seconds?  What takes so long is then not
 * to be begun.  Not collective. */
PetscBool interrupt_within(double seconds);
/** Has any rank been asked to stop?  Collective. */
PetscErrorCode interrupt_agreed(MPI_Comm comm, PetscBool *stop);
/** interrupt_within() on any rank?  Collective; \p seconds may differ between ranks. */
PetscErrorCode interrupt_agreed_within(MPI_Comm comm, double seconds, PetscBool *stop);

/* ------------------------------------------------------------------ options */

typedef enum {
  VALUE_INT, /**< PetscInt */
  VALUE_INT64, /**< int64_t (seeds, counts of maps) */
  VALUE_REAL, /**< double */
  VALUE_TEXT, /**< char[OPTION_TEXT_SIZE] */
  VALUE_CHOICE, /**< int, the index into choices "a|b|c" */
  VALUE_FLAG, /**< PetscBool: true|false, or the bare option */
  VALUE_INT_PAIR, /**< PetscInt[2]; one number given stands for both */
  VALUE_REAL_PAIR, /**< double[2], likewise */
} ValueType;

enum { OPTION_TEXT_SIZE = 1024 };

/** Which products an option's value is part of; a product made with another value is refused. */
typedef enum {
  SCOPE_RUN = 0, /**< how a run is done (threads, paths): part of no product */
  SCOPE_SIMULATION = 1 << 0, /**< the maps: survey, prior, seed */
  SCOPE_NETWORK = 1 << 1, /**< the architecture */
  SCOPE_TRAINING = 1 << 2, /**< the course of training */
  SCOPE_POSTERIOR = 1 << 3, /**< the draws */
  SCOPE_CALIBRATION = 1 << 4, /**< what calibration tests make of the draws */
  SCOPE_ESTIMATE = 1 << 5, /**< a map that is estimated without draws */
  SCOPE_PRODUCTS = (1 << 6) - 1, /**< all of these: what a campaign's products are made from */
} OptionScope;

/** One option: -help, the manual, range checks and "did you mean" all come from this line. */
typedef struct {
  const char *name; /**< joined with '_', as in the YAML file: "survey_sigma_e" */
  ValueType type;
  size_t offset; /**< of the member in the config struct it fills */
  const char *unit; /**< "deg"; "" if dimensionless or text */
  const char *fallback; /**< the default, as a user would write it; NULL: must be given */
  double low, high; /**< inclusive range of numbers; ignored for others */
  const char *choices; /**< "a|b|c" for VALUE_CHOICE, else NULL */
  unsigned scope; /**< OR of OptionScope */
  const char *sentence; /**< what it means, one sentence without a period at the end */
} OptionSpec;

/** The options of one section, filling one struct. */
typedef struct {
  const char *section;
  const OptionSpec *specs;
  size_t count;
} OptionTable;

/** The whole configuration of a run: campaign file, overridden by the command line, checked. */
typedef struct Options Options;

/** Is this word of a command line an option ("-name" or "--name") rather than a value such as -1? */
PetscBool option_is_name(const char *word);
/** Is \p name (without '-') one of PETSc's own options, such as log_view, that may stand beside ours? */
PetscBool option_is_petsc(const char *name);

/** Read the campaign file (-config) and the command line, and check every name and value.  Collective on \p comm.
 * \param argc, argv  the command line without the program's name; alike on every rank
 * \param tables  every table any program has, so that one file serves all programs; borrowed for the life of \p options
 * Errors: NEPHRITE_ERR_CONFIG: unknown name (with the nearest known one), value of the wrong kind or out of range, YAML
 * syntax, required option missing.  NEPHRITE_ERR_INPUT: -config names no readable file. */
PetscErrorCode options_create(MPI_Comm comm, int argc, char *const *argv, const OptionTable *const *tables,
                              size_t table_count, Options **options);
/** Fill the struct that \p table describes.  Not collective. */
PetscErrorCode options_fill(const Options *options, const OptionTable *table, void *config);
/** Did the user give this option, or is it at its default? */
PetscBool options_given(const Options *options, const char *name);
/** The value as text, as it stands in the effective configuration; NULL if there is no such option.  Borrowed. */
const char *options_text(const Options *options, const char *name);
/** The effective configuration, every default filled in, as YAML that runs as is; only options whose scope meets
 * \p scope (~0u: all).  \param[out] yaml  free with PetscFree() */
PetscErrorCode options_yaml(const Options *options, unsigned scope, char **yaml);
/** Compare with the effective configuration stored in a product.  Errors: NEPHRITE_ERR_INPUT naming the options within
 * \p scope that differ, with both values. \param path of the product, for the message */
PetscErrorCode options_require_same(const Options *options, unsigned scope, const char *yaml, const char *path);
/** Print every option with unit, default, range and sentence. */
PetscErrorCode options_print_help(const OptionTable *const *tables, size_t table_count, FILE *out);
PetscErrorCode options_destroy(Options **options);

/* ------------------------------------------------------------------ products: whole-or-absent HDF5 files */

enum { PRODUCT_MAX_RANK = 6 };

/** How a dataset is guarded beside Fletcher32: by a digest of each row (index along the first axis), which includes the
 * row's index and the dataset's name, or by one of the whole dataset. */
typedef enum { DIGEST_WHOLE, DIGEST_ROWS } ProductDigest;

typedef struct {
  const char *name; /**< may hold '/': groups are made as needed */
  hid_t type; /**< H5T_NATIVE_FLOAT, H5T_NATIVE_DOUBLE, H5T_NATIVE_INT64, … in memory; stored little-endian */
  int rank; /**< 0 for a scalar */
  hsize_t shape[PRODUCT_MAX_RANK];
  ProductDigest digest; /**< DIGEST_ROWS also makes a chunk per row, or per 16 KiB of small rows */
  const char *units; /**< "1" if dimensionless */
  const char *description;
} ProductDataset;

/** What every product says of itself at its root. */
typedef struct {
  const char *kind; /**< "shard", "campaign", "checkpoint", "history", "posterior", "calibration" */
  int format_version; /**< of that kind */
  const char *configuration; /**< effective configuration, YAML */
  int64_t seed;
} ProductInfo;

typedef struct ProductWriter ProductWriter;

/** Begin a product.  Collective on \p comm.  Nothing bears \p path before product_commit(); until then the file is
 * "<path>.part".  \param bytes_expected refuses early if the file system has less room; 0 to skip
 * Errors: NEPHRITE_ERR_IO. */
PetscErrorCode product_create(MPI_Comm comm, const char *path, const ProductInfo *info, int64_t bytes_expected,
                              ProductWriter **writer);
/** Declare a dataset.  Collective; all ranks alike. */
PetscErrorCode product_declare(ProductWriter *writer, const ProductDataset *dataset);
/** The same with chunks shuffled and deflated.  Rows have the same digests.  \param level 0 (not at all) … 9 (most) */
PetscErrorCode product_declare_compressed(ProductWriter *writer, const ProductDataset *dataset, int level);
/** Write rows [first, first + count) of a dataset.  Collective: a rank with nothing to write passes count 0.  Rank 0 of
 * the writer's communicator writes what the others send it, so the file is the same for every number of ranks. For
 * DIGEST_WHOLE, exactly one rank writes all rows and the others pass 0; a scalar has one row. */
PetscErrorCode product_write(ProductWriter *writer, const char *name, hsize_t first, hsize_t count, const void *values);
/** Write one row that the ranks hold in slabs: of a dataset [rows][planes][lines][…] with DIGEST_ROWS, this rank has
 * \p lines of every plane, after those of the ranks before it.  Collective.  Rank 0 holds no more than a chunk and a
 * piece of 16 MiB of what the others have, and the file is that of product_write(). \param values [planes][lines][…];
 * NULL if there are none */
PetscErrorCode product_write_slabs(ProductWriter *writer, const char *name, hsize_t row, hsize_t lines,
                                   const void *values);
/** Attributes of a dataset or group, or of the root if \p object is NULL.  Collective; all ranks alike. */
PetscErrorCode product_attribute_text(ProductWriter *writer, const char *object, const char *name, const char *text);
PetscErrorCode product_attribute_real(ProductWriter *writer, const char *object, const char *name, int count,
                                      const double *values);
PetscErrorCode product_attribute_int(ProductWriter *writer, const char *object, const char *name, int count,
                                     const int64_t *values);
/** A dataset that joins whole datasets of other products along the first axis, found relative to this file's directory.
 * Collective. \param files [count] names relative to this product's directory \param rows [count] rows of each */
PetscErrorCode product_declare_virtual(ProductWriter *writer, const ProductDataset *dataset, int count,
                                       const char *const *files, const hsize_t *rows);
/** Flush, sync, close, rename to the final name, sync the directory.  Collective.
 * \param[out] digest  of all datasets together, may be NULL */
PetscErrorCode product_commit(ProductWriter *writer, uint64_t *digest);
/** Give the writer back; what was not committed is removed.  Collective. */
PetscErrorCode product_writer_destroy(ProductWriter **writer);
/** Has writing an HDF5 file failed in this process?  The HDF5 library's state is then not to be trusted: the process
 * must end by _exit(), without the clean-up in which HDF5 would close files. */
PetscBool product_write_failed(void);

typedef struct ProductReader ProductReader;

/** Open a product for reading.  Not collective: each rank may open what it needs.
 * Errors: NEPHRITE_ERR_INPUT if it is missing, no HDF5 file, truncated, of another kind or a newer format version. */
PetscErrorCode product_open(const char *path, const char *kind, int format_version, ProductReader **reader);
/** \param[out] rank, shape may be NULL.  Errors: NEPHRITE_ERR_INPUT if there is no such dataset. */
PetscErrorCode product_shape(ProductReader *reader, const char *name, int *rank, hsize_t shape[PRODUCT_MAX_RANK]);
PetscErrorCode product_has(ProductReader *reader, const char *name, PetscBool *has);
/** Name of one of the groups at the root, in alphabetical order.
 * \param[out] name [size], empty if there are no more than \p index groups */
PetscErrorCode product_group(ProductReader *reader, PetscInt index, char *name, size_t size);
/** Called for a dataset by its full name. */
typedef PetscErrorCode ProductVisit(void *context, const char *name);
/** Call \p visit for every dataset but digests, in the order of their names.  Errors: the first of \p visit. */
PetscErrorCode product_each_dataset(ProductReader *reader, ProductVisit *visit, void *context);
/** The type in which a dataset is stored, in words: "float32", "int64", "text", …  \param[out] text [size] */
PetscErrorCode product_type(ProductReader *reader, const char *name, char *text, size_t size);
/** A shape in words: "[5, 2, 128, 128]".  \param shape [rank]  \param[out] text [size] */
void product_shape_text(int rank, const hsize_t *shape, char *text, size_t size);
/** Read rows [first, first + count), converted to \p type, and verify their digests (DIGEST_WHOLE: when all rows are
 * read).  Errors: NEPHRITE_ERR_INPUT naming file, dataset and row. */
PetscErrorCode product_read(ProductReader *reader, const char *name, hid_t type, hsize_t first, hsize_t count,
                            void *values);
/** All of a dataset that must have this shape, or there is no room for it.  Errors: as product_read(); both shapes. */
PetscErrorCode product_read_all(ProductReader *reader, const char *name, hid_t type, int rank, const hsize_t *shape,
                                void *values);
PetscErrorCode product_has_attribute(ProductReader *reader, const char *object, const char *name, PetscBool *has);
PetscErrorCode product_read_attribute_text(ProductReader *reader, const char *object, const char *name, char **text);
PetscErrorCode product_read_attribute_real(ProductReader *reader, const char *object, const char *name, int count,
                                           double *values);
PetscErrorCode product_read_attribute_int(ProductReader *reader, const char *object, const char *name, int count,
                                          int64_t *values);
/** The digest of all datasets together, from the stored ones (product_verify() checks those against the data). */
PetscErrorCode product_digest(ProductReader *reader, uint64_t *digest);
/** Do its datasets belong together?  Errors: NEPHRITE_ERR_INPUT if one was put there from another product. */
PetscErrorCode product_check(ProductReader *reader);
/** The same, and read everything and verify every digest.  Errors: NEPHRITE_ERR_INPUT naming file, dataset and row. */
PetscErrorCode product_verify(ProductReader *reader);
PetscErrorCode product_close(ProductReader **reader);

/** A plain HDF5 file that nephrite did not make (reference files, a user's observation, a shift table): the same
 * reading calls, without provenance or digests.  Errors as product_open(). */
PetscErrorCode product_open_foreign(const char *path, ProductReader **reader);

/** Make a directory and its parents.  Collective: one rank makes it.  Errors: NEPHRITE_ERR_IO. */
PetscErrorCode product_directory(MPI_Comm comm, const char *path);
/** Does a file of this name exist?  Rank 0 looks, all learn.  Collective. */
PetscErrorCode product_exists(MPI_Comm comm, const char *path, PetscBool *exists);
/** Digest of a file's bytes.  \param[in,out] digest  of what came before, 0 at first  Errors: NEPHRITE_ERR_INPUT. */
PetscErrorCode file_digest(const char *path, uint64_t *digest);

/** What a job does of a stage that several jobs share: the units of work number - 1, number - 1 + count, … */
typedef struct {
  PetscInt number, count; /**< share number of count, from 1; count 1: all of it */
} StageShare;
int64_t stage_share_of(StageShare share, int64_t units); /**< How many of so many units it has. */
int64_t stage_share_unit(StageShare share, int64_t index); /**< Which unit is its \p index-th, from 0. */

/** A lock on a stage of a campaign or a share of it: a file with host, process and job id.  Another share of the same
 * count is free beside it, and nothing else of the stage.  With the first lock of a run begins the status of its stage,
 * `status/STAGE.json`.  Collective.  Errors: NEPHRITE_ERR_INTERRUPTED if another live process holds it. */
typedef struct StageLock StageLock;
PetscErrorCode stage_lock_create(MPI_Comm comm, const char *directory, const char *stage, StageShare share,
                                 StageLock **lock);
PetscErrorCode stage_lock_destroy(StageLock **lock);

#endif
