/* nephrite-test: mpi */
#include "nephrite/inference.h"
#include "nephrite_test.h"

#include <math.h>
#include <signal.h>

enum { DIMENSION = 30 };

/* -1/2 Sum_i (i+1) (y_i - 1)^2 with y_i = x_i + x_(i-1)/2: its maximum is where all y are 1. */
static PetscErrorCode valley(void *context, const double *x, double *log_density, double *gradient)
{
  int *calls = context;

  if (calls) (*calls)++;
  *log_density = 0;
  for (int i = 0; i < DIMENSION; i++) gradient[i] = 0;
  for (int i = 0; i < DIMENSION; i++) {
    const double off = x[i] + (i > 0 ? x[i - 1] / 2 : 0) - 1;

    *log_density -= (i + 1) * off * off / 2;
    gradient[i] -= (i + 1) * off;
    if (i > 0) gradient[i - 1] -= (i + 1) * off / 2;
  }
  return PETSC_SUCCESS;
}

/* ln x - x, 0 density below 0: the maximum is at 1, and a first step of unit length from 0.02 leads far beyond. */
static PetscErrorCode cliff(void *context, const double *x, double *log_density, double *gradient)
{
  (void)context;
  *log_density = -INFINITY;
  if (x[0] <= 0 || x[0] > 10) return PETSC_SUCCESS;
  *log_density = log(x[0]) - x[0];
  gradient[0] = 1 / x[0] - 1;
  return PETSC_SUCCESS;
}

static PetscErrorCode broken(void *context, const double *x, double *log_density, double *gradient)
{
  (void)context, (void)x, (void)log_density, (void)gradient;
  PetscFunctionBeginUser;
  SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "there is no density");
}

static void the_maximum_of_a_correlated_normal_is_found(void **state)
{
  const MaximumSearch search = {DIMENSION, 500, 1e-8};
  double x[DIMENSION] = {0}, gradient[DIMENSION], log_density;
  int calls = 0;
  Maximum found;

  (void)state;
  assert_ok(maximum_find(PETSC_COMM_SELF, &search, valley, &calls, x, &found));
  assert_true(found.converged && found.gradient <= search.tolerance);
  assert_int_equal(found.evaluations, calls);
  for (int i = 0; i < DIMENSION; i++) assert_true(fabs(x[i] + (i > 0 ? x[i - 1] / 2 : 0) - 1) < 1e-7);
  assert_ok(valley(NULL, x, &log_density, gradient));
  assert_true(fabs(found.log_density - log_density) < 1e-14);
}

static void a_step_to_where_the_density_is_0_is_shortened(void **state)
{
  const MaximumSearch search = {1, 100, 1e-8};
  const double begin[] = {0.02, 9.9};

  (void)state;
  for (int i = 0; i < 2; i++) {
    double x = begin[i];
    Maximum found;

    assert_ok(maximum_find(PETSC_COMM_SELF, &search, cliff, NULL, &x, &found));
    assert_true(found.converged);
    assert_true(fabs(x - 1) < 1e-7);
  }
}

static void too_few_iterations_are_told(void **state)
{
  const MaximumSearch search = {DIMENSION, 2, 1e-8};
  double x[DIMENSION] = {0};
  Maximum found;

  (void)state;
  assert_ok(maximum_find(PETSC_COMM_SELF, &search, valley, NULL, x, &found));
  assert_false(found.converged);
  assert_int_equal(found.iterations, 2);
  assert_true(found.gradient > search.tolerance);
}

static void an_error_of_the_density_comes_through(void **state)
{
  const MaximumSearch search = {1, 2, 1e-8};
  double x = 0;
  Maximum found;

  (void)state;
  assert_fails(maximum_find(PETSC_COMM_SELF, &search, broken, NULL, &x, &found), NEPHRITE_ERR_INPUT,
               "there is no density");
}

/* Rank r has r + 1 of the coordinates. */
static PetscErrorCode divided_hill(void *context, const double *x, double *log_density, double *gradient)
{
  const int *const rank = context;

  *log_density = 0;
  for (int i = 0; i <= *rank; i++) {
    const int place = *rank * (*rank + 1) / 2 + i;
    const double off = x[i] - place;

    *log_density -= (place + 1) * off * off / 2 + off * off * off * off / 4;
    gradient[i] = -(place + 1) * off - off * off * off;
  }
  MPI_Allreduce(MPI_IN_PLACE, log_density, 1, MPI_DOUBLE, MPI_SUM, PETSC_COMM_WORLD);
  return PETSC_SUCCESS;
}

static void ranks_climb_together(void **state)
{
  double x[8] = {0};
  int rank;
  Maximum found;

  (void)state;
  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  const MaximumSearch search = {rank + 1, 500, 1e-8};
  assert_ok(maximum_find(PETSC_COMM_WORLD, &search, divided_hill, &rank, x, &found));
  assert_true(found.converged && found.gradient <= search.tolerance);
  for (int i = 0; i <= rank; i++) assert_true(fabs(x[i] - (rank * (rank + 1) / 2 + i)) < 1e-7);
  assert_true(fabs(found.log_density) < 1e-14);
}

/* Only the last rank was asked, and all stop; the last of the tests, for it stays asked. */
static void ranks_stop_together(void **state)
{
  double x[8] = {0};
  int rank, size;
  Maximum found;

  (void)state;
  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  MPI_Comm_size(PETSC_COMM_WORLD, &size);
  const MaximumSearch search = {rank + 1, 500, 1e-8};
  assert_ok(interrupt_install());
  if (rank == size - 1) raise(SIGTERM);
  assert_fails(maximum_find(PETSC_COMM_WORLD, &search, divided_hill, &rank, x, &found), NEPHRITE_ERR_INTERRUPTED,
               "interrupted");
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(the_maximum_of_a_correlated_normal_is_found),
                   cmocka_unit_test(a_step_to_where_the_density_is_0_is_shortened),
                   cmocka_unit_test(too_few_iterations_are_told),
                   cmocka_unit_test(an_error_of_the_density_comes_through), cmocka_unit_test(ranks_climb_together),
                   cmocka_unit_test(ranks_stop_together))
