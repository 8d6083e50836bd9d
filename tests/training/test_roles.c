/* nephrite-test: mpi */
#include "../../src/training/internal.h"
#include "nephrite_test.h"

static int world_size(void)
{
  int size;

  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

static int world_rank(void)
{
  int rank;

  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

static void as_many_ranks_simulate_as_are_asked_for_and_the_first_one_trains(void **state)
{
  (void)state;
  for (int simulating = 0; simulating < world_size(); simulating++) {
    int trains, trainers, rank = -1, size = 0, there = 0;
    Roles roles;

    assert_ok(roles_create(MPI_COMM_WORLD, simulating, &roles));
    trains = roles.trains ? 1 : 0;
    MPI_Allreduce(&trains, &trainers, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    assert_int_equal(trainers, world_size() - simulating);
    assert_true(world_rank() > 0 || roles.trains);
    assert_true((roles.comm != MPI_COMM_NULL) == roles.trains);
    if (roles.trains) {
      MPI_Comm_size(roles.comm, &size);
      MPI_Comm_rank(roles.comm, &rank);
      assert_int_equal(size, trainers);
      assert_true(rank == 0 || world_rank() > 0);
    }
    if (!simulating)
      assert_true(roles.others == MPI_COMM_NULL);
    else {
      MPI_Comm_remote_size(roles.others, &there);
      assert_int_equal(there, roles.trains ? simulating : trainers);
    }
    assert_ok(roles_destroy(&roles));
  }
}

static void simulating_ranks_are_spread_evenly(void **state)
{
  int simulates, all[64] = {0};
  Roles roles;

  (void)state;
  if (world_size() != 4) skip();
  assert_ok(roles_create(MPI_COMM_WORLD, 2, &roles));
  simulates = !roles.trains;
  MPI_Allgather(&simulates, 1, MPI_INT, all, 1, MPI_INT, MPI_COMM_WORLD);
  for (int rank = 0; rank < 4; rank++) assert_int_equal(all[rank], rank % 2);
  assert_ok(roles_destroy(&roles));
}

static void a_run_in_which_no_rank_would_train_is_refused(void **state)
{
  Roles roles;
  int trainers;

  (void)state;
  assert_fails(roles_create(MPI_COMM_WORLD, world_size(), &roles), NEPHRITE_ERR_CONFIG, "train_simulation_ranks");
  assert_fails(roles_count(3, 2, &trainers), NEPHRITE_ERR_CONFIG, "train_simulation_ranks is 3");
  assert_ok(roles_count(3, 5, &trainers));
  assert_int_equal(trainers, 2);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(as_many_ranks_simulate_as_are_asked_for_and_the_first_one_trains),
                   cmocka_unit_test(simulating_ranks_are_spread_evenly),
                   cmocka_unit_test(a_run_in_which_no_rank_would_train_is_refused))
