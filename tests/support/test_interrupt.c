/* nephrite-test: mpi */
#include "nephrite_test.h"

#include <signal.h>

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

NEPHRITE_TEST_MAIN(cmocka_unit_test(a_signal_at_one_rank_is_seen_there_and_agreed_by_all))
