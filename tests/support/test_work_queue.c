/* nephrite-test: mpi */
#include "nephrite_test.h"

enum { UNITS = 1000 };

static int64_t take(WorkQueue *queue)
{
  int64_t unit = 0;

  assert_ok(work_queue_take(queue, &unit));
  return unit;
}

static void every_unit_is_taken_once_and_in_order(void **state)
{
  WorkQueue *queue = NULL;
  int taken[UNITS] = {0}, all[UNITS];
  int64_t last = -1;

  (void)state;
  assert_ok(work_queue_create(PETSC_COMM_WORLD, UNITS, &queue));
  for (int64_t unit = take(queue); unit >= 0; unit = take(queue)) {
    assert_in_range(unit, 0, UNITS - 1);
    assert_true(unit > last);
    last = unit;
    taken[unit]++;
  }
  assert_true(take(queue) == -1); /* an empty queue stays empty */
  MPI_Allreduce(taken, all, UNITS, MPI_INT, MPI_SUM, PETSC_COMM_WORLD);
  for (int i = 0; i < UNITS; i++) assert_int_equal(all[i], 1);
  assert_ok(work_queue_destroy(&queue));
  assert_null(queue);
  assert_ok(work_queue_destroy(&queue));
}

static void a_rank_that_takes_nothing_holds_up_nobody(void **state)
{
  WorkQueue *queue = NULL;
  PetscMPIInt rank, size;
  int mine = 0, all;

  (void)state;
  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  MPI_Comm_size(PETSC_COMM_WORLD, &size);
  assert_ok(work_queue_create(PETSC_COMM_WORLD, 50, &queue));
  if (rank != 0 || size == 1) /* rank 0 has the counter, and does not answer */
    for (int64_t unit = take(queue); unit >= 0; unit = take(queue)) mine++;
  MPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_SUM, PETSC_COMM_WORLD);
  assert_int_equal(all, 50);
  assert_ok(work_queue_destroy(&queue));
}

static void a_queue_of_nothing_is_empty(void **state)
{
  WorkQueue *queue = NULL;

  (void)state;
  assert_ok(work_queue_create(PETSC_COMM_WORLD, 0, &queue));
  assert_true(take(queue) == -1);
  assert_ok(work_queue_destroy(&queue));
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(every_unit_is_taken_once_and_in_order),
                   cmocka_unit_test(a_rank_that_takes_nothing_holds_up_nobody),
                   cmocka_unit_test(a_queue_of_nothing_is_empty))
