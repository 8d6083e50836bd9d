/* nephrite-test: mpi */
#include "nephrite_test.h"

#include <signal.h>
#include <unistd.h>

static void a_time_limit_is_seen_from_as_far_off_as_asked_and_agreed_by_all(void **state)
{
  PetscMPIInt rank, size;
  PetscBool stop;

  (void)state;
  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  MPI_Comm_size(PETSC_COMM_WORLD, &size);
  assert_false(interrupt_within(1e9)); /* no limit */
  if (rank == size - 1) assert_ok(interrupt_after(10000));
  assert_false(interrupt_within(5000));
  assert_int_equal(interrupt_within(10001), rank == size - 1);
  assert_false(interrupt_seen());
  assert_ok(interrupt_agreed(PETSC_COMM_WORLD, &stop));
  assert_false(stop);
  assert_ok(interrupt_agreed_within(PETSC_COMM_WORLD, rank == 0 ? 10001 : 5000, &stop));
  assert_int_equal(stop, size == 1); /* near to the last rank, which does not ask so far */
  assert_ok(interrupt_agreed_within(PETSC_COMM_WORLD, 10001, &stop));
  assert_true(stop);
}

static void a_signal_at_one_rank_is_seen_there_and_agreed_by_all(void **state)
{
  PetscMPIInt rank, size;
  PetscBool stop;

  (void)state;
  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  MPI_Comm_size(PETSC_COMM_WORLD, &size);
  signal(SIGHUP, SIG_IGN); /* as nohup leaves it */
  assert_ok(interrupt_install());
  raise(SIGHUP);
  assert_false(interrupt_seen());
  assert_ok(interrupt_agreed(PETSC_COMM_WORLD, &stop));
  assert_false(stop);
  if (rank == size - 1) raise(SIGUSR1);
  assert_int_equal(interrupt_seen(), rank == size - 1);
  assert_ok(interrupt_agreed(PETSC_COMM_WORLD, &stop));
  assert_true(stop);
  raise(SIGUSR1); /* it may come twice, */
  raise(SIGTERM); /* and together with another */
  assert_true(interrupt_seen());
}

/* After a signal on one rank, which is never taken back: this shows something on the others. */
static void a_time_limit_that_has_come_is_as_a_signal(void **state)
{
  (void)state;
  assert_ok(interrupt_install());
  assert_ok(interrupt_after(0.001));
  while (!interrupt_seen()) usleep(1000);
  assert_true(interrupt_within(0));
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(a_time_limit_is_seen_from_as_far_off_as_asked_and_agreed_by_all),
                   cmocka_unit_test(a_signal_at_one_rank_is_seen_there_and_agreed_by_all),
                   cmocka_unit_test(a_time_limit_that_has_come_is_as_a_signal))
