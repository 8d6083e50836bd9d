/* nephrite-test: mpi */
#include "nephrite_test.h"

static void success_everywhere_is_success(void **state)
{
  (void)state;
  error_clear();
  assert_ok(group_agree(PETSC_COMM_WORLD, PETSC_SUCCESS));
  assert_string_equal(error_message(), "");
}

/* Fails on rank \p where, with the rank in its message. */
static PetscErrorCode fail_on(int where)
{
  PetscMPIInt rank;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(PETSC_COMM_WORLD, &rank));
  PetscCheck(rank != where, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "rank %d found a damaged file", rank);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static void a_failure_of_any_rank_becomes_everyones_with_its_message(void **state)
{
  PetscMPIInt size;

  (void)state;
  MPI_Comm_size(PETSC_COMM_WORLD, &size);
  for (int where = 0; where < size; where++) {
    char expected[64];

    snprintf(expected, sizeof expected, "rank %d found a damaged file", where);
    assert_fails(group_agree(PETSC_COMM_WORLD, fail_on(where)), NEPHRITE_ERR_INPUT, expected);
    assert_string_equal(error_message(), expected);
  }
}

static PetscErrorCode fail_with(PetscErrorCode error, const char *message)
{
  PetscFunctionBeginUser;
  SETERRQ(PETSC_COMM_SELF, error, "%s", message);
}

static void among_several_failures_the_lowest_rank_speaks(void **state)
{
  PetscMPIInt rank, size;

  (void)state;
  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  MPI_Comm_size(PETSC_COMM_WORLD, &size);
  if (size < 2) return;
  const PetscErrorCode mine = rank == 0   ? PETSC_SUCCESS
                              : rank == 1 ? fail_with(NEPHRITE_ERR_IO, "the disk is full")
                                          : fail_with(NEPHRITE_ERR_INTERNAL, "something else");
  assert_fails(group_agree(PETSC_COMM_WORLD, mine), NEPHRITE_ERR_IO, "the disk is full");
}

static void groups_are_of_consecutive_ranks_and_cover_all(void **state)
{
  PetscMPIInt rank, size;

  (void)state;
  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  MPI_Comm_size(PETSC_COMM_WORLD, &size);
  for (PetscInt members = 1; members <= size; members *= 2) {
    MPI_Comm comm;
    PetscInt group, groups;
    PetscMPIInt place, count;

    assert_ok(group_split(PETSC_COMM_WORLD, members, &comm, &group, &groups));
    MPI_Comm_rank(comm, &place);
    MPI_Comm_size(comm, &count);
    assert_int_equal(groups, size / members);
    assert_int_equal(group, rank / members);
    assert_int_equal(count, members);
    assert_int_equal(place, rank % members);
    MPI_Comm_free(&comm);
  }
}

static void ranks_that_do_not_divide_into_groups_are_refused(void **state)
{
  MPI_Comm comm;
  PetscInt group, groups;

  (void)state;
  assert_fails(group_split(PETSC_COMM_WORLD, 3, &comm, &group, &groups), NEPHRITE_ERR_CONFIG, "groups of 3");
  assert_fails(group_split(PETSC_COMM_WORLD, 0, &comm, &group, &groups), NEPHRITE_ERR_CONFIG, "groups of 0");
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(success_everywhere_is_success),
                   cmocka_unit_test(a_failure_of_any_rank_becomes_everyones_with_its_message),
                   cmocka_unit_test(among_several_failures_the_lowest_rank_speaks),
                   cmocka_unit_test(groups_are_of_consecutive_ranks_and_cover_all),
                   cmocka_unit_test(ranks_that_do_not_divide_into_groups_are_refused))
