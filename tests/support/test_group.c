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

enum { PIECES = 3, MOST_TOTAL = 16 };

/* Rank r has r numbers of each piece: the first has none. */
static GroupShare uneven_share(void)
{
  PetscMPIInt rank, size;

  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  MPI_Comm_size(PETSC_COMM_WORLD, &size);
  const PetscInt total = size == 1 ? 5 : size * (size - 1) / 2;
  return (GroupShare){PIECES, total, rank * (rank - 1) / 2, size == 1 ? total : rank};
}

static void shares_gathered_are_the_whole_and_come_back(void **state)
{
  const RandomKey key = {3, STREAM_FIELD, 0};
  const GroupShare share = uneven_share();
  double part[PIECES * MOST_TOTAL] = {0}, back[PIECES * MOST_TOTAL] = {0};
  double whole[PIECES * MOST_TOTAL] = {0}, expected[PIECES * MOST_TOTAL];
  PetscMPIInt rank;

  (void)state;
  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  assert_ok(group_share_check(PETSC_COMM_WORLD, &share));
  random_normal(key, 7, (size_t)(PIECES * share.total), expected);
  group_random_normal(&share, key, 7, part);
  for (PetscInt p = 0; p < PIECES; p++)
    for (PetscInt i = 0; i < share.length; i++)
      assert_true(part[p * share.length + i] == expected[p * share.total + share.first + i]);
  assert_ok(group_gather(PETSC_COMM_WORLD, &share, part, rank ? NULL : whole));
  for (PetscInt i = 0; i < PIECES * share.total && !rank; i++) assert_true(whole[i] == expected[i]);
  assert_ok(group_scatter(PETSC_COMM_WORLD, &share, rank ? NULL : whole, back));
  assert_memory_equal(back, part, sizeof part);
}

static void shares_that_are_not_the_whole_are_refused(void **state)
{
  GroupShare share = uneven_share();
  PetscMPIInt rank, size;

  (void)state;
  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  MPI_Comm_size(PETSC_COMM_WORLD, &size);
  if (rank == size - 1) share.length--; /* one rank knows, and all refuse */
  assert_fails(group_share_check(PETSC_COMM_WORLD, &share), NEPHRITE_ERR_INTERNAL, "the shares of");
  share = uneven_share();
  if (rank == size - 1) share.first++;
  assert_fails(group_share_check(PETSC_COMM_WORLD, &share), NEPHRITE_ERR_INTERNAL, "in another order");
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(success_everywhere_is_success),
                   cmocka_unit_test(a_failure_of_any_rank_becomes_everyones_with_its_message),
                   cmocka_unit_test(among_several_failures_the_lowest_rank_speaks),
                   cmocka_unit_test(groups_are_of_consecutive_ranks_and_cover_all),
                   cmocka_unit_test(ranks_that_do_not_divide_into_groups_are_refused),
                   cmocka_unit_test(shares_gathered_are_the_whole_and_come_back),
                   cmocka_unit_test(shares_that_are_not_the_whole_are_refused))
