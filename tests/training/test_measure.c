/* nephrite-test: mpi */
#include "../../src/training/internal.h"
#include "nephrite_test.h"

static int size_of(void)
{
  int size;

  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

static void every_way_of_summing_is_timed(void **state)
{
  const int64_t bytes[] = {4, 1024, 3 * 1024 * 1024 + 4}; /* fewer values than ranks, part of a bucket, several */

  (void)state;
  for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
    ReductionTimes times = {-1, -1, -1};

    assert_ok(reduction_measure(MPI_COMM_WORLD, bytes[i], 1, &times));
    assert_true(times.message_seconds >= 0 && times.buckets_seconds >= 0 && times.gather_seconds >= 0);
    if (size_of() > 1) assert_true(times.message_seconds > 0 && times.buckets_seconds > 0 && times.gather_seconds > 0);
  }
}

static void ranks_agree_on_the_time_of_the_slowest(void **state)
{
  ReductionTimes times;
  double most, least;

  (void)state;
  assert_ok(reduction_measure(MPI_COMM_WORLD, 4096, 2, &times));
  MPI_Allreduce(&times.message_seconds, &most, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  MPI_Allreduce(&times.message_seconds, &least, 1, MPI_DOUBLE, MPI_MIN, MPI_COMM_WORLD);
  assert_true(most == least);
}

static void the_bucket_is_that_of_the_reducer(void **state)
{
  (void)state;
  assert_true(reduction_bucket_bytes() == (int64_t)sizeof(Scalar) << 18);
}

static void vectors_that_do_not_exist_are_refused(void **state)
{
  ReductionTimes times;

  (void)state;
  assert_fails(reduction_measure(MPI_COMM_WORLD, 3, 1, &times), NEPHRITE_ERR_CONFIG, "a vector of 3 bytes");
  assert_fails(reduction_measure(MPI_COMM_WORLD, ((int64_t)1 << 32) + 4, 1, &times), NEPHRITE_ERR_CONFIG,
               "a vector of 4294967300 bytes");
  assert_fails(reduction_measure(MPI_COMM_WORLD, 1024, 0, &times), NEPHRITE_ERR_CONFIG, "0 repetitions");
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(every_way_of_summing_is_timed),
                   cmocka_unit_test(ranks_agree_on_the_time_of_the_slowest),
                   cmocka_unit_test(the_bucket_is_that_of_the_reducer),
                   cmocka_unit_test(vectors_that_do_not_exist_are_refused))
