/* nephrite-test: mpi */
#include "../../src/training/internal.h"
#include "nephrite_test.h"

#include <time.h>

enum { COUNT = 3 * (1 << 18) + 1000 }; /* four buckets, the last one short */

static int rank_of(void)
{
  int rank;

  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

static int size_of(void)
{
  int size;

  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

/* Small whole numbers: their sums are exact in any order. */
static void fill(Scalar *values, size_t from, size_t to)
{
  for (size_t i = from; i < to; i++) values[i] = (Scalar)((i * 31 + (size_t)rank_of() * 7) % 1000);
}

static void assert_summed(const Scalar *values, size_t from, size_t to)
{
  for (size_t i = from; i < to; i++) {
    size_t sum = 0;

    for (size_t rank = 0; rank < (size_t)size_of(); rank++) sum += (i * 31 + rank * 7) % 1000;
    if (values[i] != (Scalar)sum) fail_msg("element %zu is %g instead of %zu", i, (double)values[i], sum);
  }
}

static void values_are_summed_over_ranks_though_they_become_ready_in_pieces(void **state)
{
  const size_t cuts[] = {COUNT, COUNT - 10, 700000, 1 << 19, (1 << 19) - 1, 5, 0};
  Scalar *values = NULL;
  Reducer *reducer = NULL;

  (void)state;
  assert_ok(PetscCalloc1(COUNT, &values));
  assert_ok(reducer_create(MPI_COMM_WORLD, COUNT, values, &reducer));
  for (int step = 0; step < 2; step++) {
    for (size_t i = 1; i < sizeof cuts / sizeof *cuts; i++) { /* a range is filled no sooner than it is announced */
      fill(values, cuts[i], cuts[i - 1]);
      assert_ok(reducer_ready(reducer, cuts[i], cuts[i - 1] - cuts[i]));
    }
    assert_ok(reducer_finish(reducer, NULL, NULL));
    assert_summed(values, 0, COUNT);
  }
  assert_ok(reducer_destroy(&reducer));
  assert_ok(PetscFree(values));
}

/* A rank that the others wait for. */
static void come_late(void)
{
  const struct timespec nap = {.tv_nsec = 200000000};

  nanosleep(&nap, NULL);
}

/* A ::SpareTime: there are three pieces of work. */
static PetscErrorCode count_down(void *context, PetscBool *more)
{
  int *left = context;

  assert_true(*left > 0); /* never called again after the last one */
  *more = --*left ? PETSC_TRUE : PETSC_FALSE;
  return PETSC_SUCCESS;
}

static void who_waits_for_others_is_given_what_is_to_be_done_meanwhile(void **state)
{
  Scalar *values = NULL;
  Reducer *reducer = NULL;
  int left = 3;

  (void)state;
  assert_ok(PetscCalloc1(COUNT, &values));
  assert_ok(reducer_create(MPI_COMM_WORLD, COUNT, values, &reducer));
  fill(values, 0, COUNT);
  if (size_of() > 1 && rank_of() == 0) come_late();
  assert_ok(reducer_finish(reducer, count_down, &left));
  assert_summed(values, 0, COUNT);
  if (size_of() == 1) assert_int_equal(left, 3); /* there is nobody to wait for */
  if (rank_of() > 0) assert_int_equal(left, 0);
  assert_ok(reducer_destroy(&reducer));
  assert_ok(PetscFree(values));
}

static void a_rank_without_samples_takes_part_all_the_same(void **state)
{
  Scalar *values = NULL;
  Reducer *reducer = NULL;

  (void)state;
  assert_ok(PetscCalloc1(COUNT, &values));
  fill(values, 0, COUNT);
  assert_ok(reducer_create(MPI_COMM_WORLD, COUNT, values, &reducer));
  if (rank_of() == 0) assert_ok(reducer_ready(reducer, 1 << 18, COUNT - (1 << 18)));
  assert_ok(reducer_finish(reducer, NULL, NULL));
  assert_summed(values, 0, COUNT);
  assert_ok(reducer_destroy(&reducer));
  assert_ok(PetscFree(values));
}

static void fewer_values_than_ranks_are_summed(void **state)
{
  Scalar values[2];
  Reducer *reducer = NULL;

  (void)state;
  assert_ok(reducer_create(MPI_COMM_WORLD, 2, values, &reducer));
  fill(values, 0, 2);
  assert_ok(reducer_finish(reducer, NULL, NULL));
  assert_summed(values, 0, 2);
  assert_ok(reducer_destroy(&reducer));
}

static void shares_are_contiguous_cover_everything_and_differ_by_at_most_one(void **state)
{
  const int64_t totals[] = {0, 1, 3, 4, 7, 128, 1000003};

  (void)state;
  for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
    int64_t first, count, sum, before;

    share_of(MPI_COMM_WORLD, totals[i], &first, &count);
    assert_true(count == totals[i] / size_of() || count == totals[i] / size_of() + 1);
    MPI_Allreduce(&count, &sum, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
    MPI_Scan(&count, &before, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
    assert_true(sum == totals[i]);
    assert_true(first == before - count);
  }
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(values_are_summed_over_ranks_though_they_become_ready_in_pieces),
                   cmocka_unit_test(who_waits_for_others_is_given_what_is_to_be_done_meanwhile),
                   cmocka_unit_test(a_rank_without_samples_takes_part_all_the_same),
                   cmocka_unit_test(fewer_values_than_ranks_are_summed),
                   cmocka_unit_test(shares_are_contiguous_cover_everything_and_differ_by_at_most_one))
