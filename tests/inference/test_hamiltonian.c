#include "inference/nuts.h"
#include "nephrite_test.h"

enum { DIMENSION = 5, DENSE = 2 };

/* An oscillator that is not harmonic: log p = -sum x^2/2 + x^4/4. */
static PetscErrorCode oscillator(void *context, const double *x, double *log_density, double *gradient)
{
  (void)context;
  *log_density = 0;
  for (int i = 0; i < DIMENSION; i++) {
    *log_density -= x[i] * x[i] / 2 + x[i] * x[i] * x[i] * x[i] / 4;
    gradient[i] = -x[i] - x[i] * x[i] * x[i];
  }
  return PETSC_SUCCESS;
}

static double variance[DIMENSION] = {-1, -1, 0.5, 1, 2}; /* those of the dense block are not looked at */
static double covariance[DENSE * DENSE] = {1, 0.6, 0.6, 2};

static Hamiltonian make_hamiltonian(void)
{
  const NutsConfig config = {.comm = PETSC_COMM_SELF, .dimension = DIMENSION, .dense = DENSE};
  Hamiltonian h;

  assert_ok(hamiltonian_create(&config, oscillator, NULL, &h));
  h.variance = variance;
  h.covariance = covariance;
  assert_ok(hamiltonian_set_mass(&h));
  return h;
}

typedef struct {
  double q[DIMENSION], p[DIMENSION], gradient[DIMENSION];
  PhasePoint point;
} Place;

static void begin(const Hamiltonian *h, Place *place)
{
  place->point = (PhasePoint){place->q, place->p, place->gradient, 0};
  random_normal((RandomKey){1, STREAM_CHAIN, 0}, 0, DIMENSION, place->q);
  random_normal((RandomKey){1, STREAM_CHAIN, 1}, 0, DIMENSION, place->p);
  hamiltonian_momentum(h, place->p);
  assert_ok(hamiltonian_differentiate(h, &place->point));
}

static void go(const Hamiltonian *h, double step, int steps, Place *place)
{
  for (int i = 0; i < steps; i++) assert_ok(hamiltonian_leapfrog(h, step, &place->point));
}

static void steps_back_lead_back(void **state)
{
  Hamiltonian h = make_hamiltonian();
  Place place, start;

  (void)state;
  begin(&h, &start);
  begin(&h, &place);
  go(&h, 0.1, 20, &place);
  assert_true(fabs(place.q[0] - start.q[0]) > 0.1);
  go(&h, -0.1, 20, &place);
  for (int i = 0; i < DIMENSION; i++) {
    assert_within(place.q[i], start.q[i], 1e-12);
    assert_within(place.p[i], start.p[i], 1e-12);
  }
  assert_ok(hamiltonian_destroy(&h));
}

static double energy_error(const Hamiltonian *h, int steps)
{
  Place place;
  double before, after;

  begin(h, &place);
  assert_ok(hamiltonian_energy(h, &place.point, &before));
  go(h, 1. / steps, steps, &place);
  assert_ok(hamiltonian_energy(h, &place.point, &after));
  return after - before;
}

static void the_energy_is_kept_to_second_order(void **state)
{
  Hamiltonian h = make_hamiltonian();

  (void)state;
  assert_true(fabs(energy_error(&h, 50)) < 1e-2);
  assert_within(energy_error(&h, 50) / energy_error(&h, 100), 4, 0.05);
  assert_within(energy_error(&h, 100) / energy_error(&h, 200), 4, 0.02);
  assert_ok(hamiltonian_destroy(&h));
}

static void momenta_have_the_mass_matrix_as_covariance(void **state)
{
  enum { DRAWS = 20000 };
  Hamiltonian h = make_hamiltonian();
  double sum[DIMENSION][DIMENSION] = {{0}}, energy = 0;

  (void)state;
  for (int draw = 0; draw < DRAWS; draw++) {
    double p[DIMENSION], product;

    random_normal((RandomKey){2, STREAM_CHAIN, 0}, (uint64_t)draw * 8, DIMENSION, p);
    hamiltonian_momentum(&h, p);
    assert_ok(hamiltonian_product(&h, p, p, &product));
    energy += product / 2 / DRAWS;
    for (int i = 0; i < DIMENSION; i++)
      for (int j = 0; j < DIMENSION; j++) sum[i][j] += p[i] * p[j] / DRAWS;
  }
  const double determinant = 1 * 2 - 0.36; /* the inverse of the dense block */
  const double five = 5 * sqrt(2. / DRAWS);
  assert_within(sum[0][0], 2 / determinant, five * 2 / determinant);
  assert_within(sum[0][1], -0.6 / determinant, five);
  assert_within(sum[1][1], 1 / determinant, five);
  for (int i = DENSE; i < DIMENSION; i++) assert_within(sum[i][i], 1 / variance[i], five / variance[i]);
  assert_within(sum[0][3], 0, five);
  assert_within(energy, DIMENSION / 2., five * DIMENSION / 2); /* half for each degree of freedom */
  assert_ok(hamiltonian_destroy(&h));
}

static void a_mass_matrix_that_is_not_positive_is_refused(void **state)
{
  Hamiltonian h = make_hamiltonian();
  double bad_variance[DIMENSION] = {0, 0, 1, 0, 1}, bad_covariance[DENSE * DENSE] = {1, 2, 2, 1};

  (void)state;
  h.variance = bad_variance;
  assert_fails(hamiltonian_set_mass(&h), NEPHRITE_ERR_INTERNAL, "coordinate 3 is 0");
  h.variance = variance;
  h.covariance = bad_covariance;
  assert_fails(hamiltonian_set_mass(&h), NEPHRITE_ERR_INTERNAL, "not positive definite");
  assert_ok(hamiltonian_destroy(&h));
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(steps_back_lead_back), cmocka_unit_test(the_energy_is_kept_to_second_order),
                   cmocka_unit_test(momenta_have_the_mass_matrix_as_covariance),
                   cmocka_unit_test(a_mass_matrix_that_is_not_positive_is_refused))
