#include "theory_fixtures.h"

#include <gsl/gsl_eigen.h>

static void c_ell_agree_with_ccl(void **state)
{
  ReferenceModel r = reference_model_make();
  size_t models;
  double *theta = reference_read("cosmology.h5", "theta", &models),
         *C = reference_read("cosmology.h5", "ccl/C_ell", NULL);
  const size_t values = 15 * r.ell_count;

  (void)state;
  for (size_t m = 0; m < models / 6; m++) {
    const Cosmology cosmology = reference_cosmology(theta, m);
    /* ccl takes another nonlinear scale where it finds none above 0.01 Mpc/h (model 6 at high z) */
    const double tolerance = m == 6 ? 2e-3 : 6e-4;

    assert_ok(lensing_model_evaluate(r.model, &cosmology, NULL, r.spectra, NULL));
    for (size_t i = 0; i < values; i++) assert_close(r.spectra->power[i], C[m * values + i], tolerance);
  }
  free(theta), free(C);
  reference_model_free(&r);
}

static void c_ell_with_w_a_alignment_and_photo_z_shifts_agree_with_ccl(void **state)
{
  ReferenceModel r = reference_model_make();
  double *theta = reference_read("cosmology.h5", "extended/theta", NULL);
  double *C = reference_read("cosmology.h5", "extended/ccl/C_ell", NULL);
  const size_t values = 15 * r.ell_count;

  (void)state;
  for (size_t m = 0; m < 3; m++) {
    const double *t = theta + 14 * m;
    Cosmology cosmology = reference_cosmology(t, 0);
    Systematics systematics = {.A_IA = t[7], .eta_IA = t[8]};

    cosmology.w_a = t[6];
    memcpy(systematics.delta_z, t + 9, 5 * sizeof(double));
    assert_ok(lensing_model_evaluate(r.model, &cosmology, &systematics, r.spectra, NULL));
    for (size_t i = 0; i < values; i++) assert_close(r.spectra->power[i], C[m * values + i], 6e-4);
  }
  free(theta), free(C);
  reference_model_free(&r);
}

/* C(ell) of one bin with sources uniform in [z_low, z_high], by midpoints in z and distances from the public calls. */
static double plain_sum(const Universe *u, double ell, double z_low, double z_high, double A_IA)
{
  enum { STEPS = 4000, SOURCES = 64 };
  const double Omega_m = u->cosmology.Omega_c + u->cosmology.Omega_b, width = z_high / STEPS;
  double sum = 0;

  for (int k = 0; k < STEPS; k++) {
    const double z = (k + 0.5) * width, chi = background_comoving_distance(u->background, z);
    const double dchi_dz = NEPHRITE_HUBBLE_DISTANCE / background_expansion(u->background, z);
    double efficiency = 0;

    for (int s = 0; s < SOURCES; s++) {
      const double first = fmax(z, z_low), z_s = first + (s + 0.5) * (z_high - first) / SOURCES;

      efficiency +=
          (z_high - first) / SOURCES / (z_high - z_low) * (1 - chi / background_comoving_distance(u->background, z_s));
    }
    double q = 1.5 * Omega_m / pow(NEPHRITE_HUBBLE_DISTANCE, 2) * chi * (1 + z) * efficiency;
    if (z > z_low) q -= A_IA * 0.013877 * Omega_m / growth_factor(u->growth, z) / (z_high - z_low) / dchi_dz;
    sum += width * dchi_dz * q * q / (chi * chi) * matter_power_nonlinear(u->power, (ell + 0.5) / chi, z);
  }
  return sum;
}

static void c_ell_of_narrow_bins_are_plain_limber_sums(void **state)
{
  const double z[] = {0.6 - 1e-9, 0.6, 0.7, 0.7 + 1e-9}, n[] = {0, 1, 1, 0}, ell[] = {30, 1000, 3e4};
  const double A_IA[] = {0, 2};
  Universe u = universe_make((Cosmology)FIDUCIAL, 1);
  SourceBins *bins = NULL;
  LensingModel *model = NULL;
  LensingSpectra *spectra = NULL;

  (void)state;
  assert_ok(source_bins_from_table(1, 4, z, n, &bins));
  assert_ok(lensing_model_create(bins, 3, ell, 1e-4, &model));
  assert_ok(lensing_model_spectra_create(model, &spectra));
  for (int a = 0; a < 2; a++) {
    assert_ok(lensing_model_evaluate(model, &u.cosmology, &(Systematics){.A_IA = A_IA[a]}, spectra, NULL));
    /* the second: a Gauss rule across the edges of a top-hat, 1e-3 by construction */
    for (int l = 0; l < 3; l++)
      assert_close(spectra->power[l], plain_sum(&u, ell[l], 0.6, 0.7, A_IA[a]), a ? 3e-3 : 2e-4);
  }
  assert_ok(lensing_spectra_destroy(&spectra));
  assert_ok(lensing_model_destroy(&model));
  assert_ok(source_bins_destroy(&bins));
  universe_free(&u);
}

static void c_ij_are_positive_semidefinite_across_the_prior(void **state)
{
  ReferenceModel r = reference_model_make();
  gsl_eigen_symm_workspace *workspace = gsl_eigen_symm_alloc(5);
  gsl_matrix *matrix = gsl_matrix_alloc(5, 5);
  gsl_vector *eigenvalue = gsl_vector_alloc(5);

  (void)state;
  for (uint64_t draw = 0; draw < 60; draw++) {
    const Cosmology cosmology = prior_universe(draw);

    assert_ok(lensing_model_evaluate(r.model, &cosmology, NULL, r.spectra, NULL));
    for (size_t l = 0; l < r.ell_count; l += 5) {
      for (PetscInt i = 0; i < 5; i++)
        for (PetscInt j = 0; j < 5; j++)
          gsl_matrix_set(matrix, (size_t)i, (size_t)j,
                         r.spectra->power[(size_t)lensing_pair(5, i, j) * r.ell_count + l]);
      assert_int_equal(gsl_eigen_symm(matrix, eigenvalue, workspace), 0);
      assert_true(gsl_vector_min(eigenvalue) > -1e-13 * gsl_vector_max(eigenvalue)); /* a sum of outer products */
    }
  }
  gsl_vector_free(eigenvalue), gsl_matrix_free(matrix), gsl_eigen_symm_free(workspace);
  reference_model_free(&r);
}

static void the_order_of_a_pair_does_not_matter_and_pairs_fill_the_triangle(void **state)
{
  (void)state;
  for (PetscInt bins = 1; bins <= NEPHRITE_MAX_BINS; bins++)
    for (PetscInt i = 0, next = 0; i < bins; i++)
      for (PetscInt j = i; j < bins; j++, next++) {
        assert_int_equal(lensing_pair(bins, i, j), next);
        assert_int_equal(lensing_pair(bins, j, i), next);
      }
}

static void a_photo_z_shift_is_a_shifted_table(void **state)
{
  enum { COUNT = 201 };
  const Cosmology cosmology = FIDUCIAL;
  const double ell[] = {50, 500, 5000}, delta_z = 0.07;
  LensingSpectra *spectra[2] = {NULL, NULL};
  double z[COUNT], n[COUNT];

  (void)state;
  for (int moved = 0; moved < 2; moved++) {
    SourceBins *bins = NULL;
    LensingModel *model = NULL;

    for (int k = 0; k < COUNT; k++) {
      z[k] = 0.2 + k * 0.01 + (moved ? delta_z : 0);
      n[k] = exp(-0.5 * pow((k * 0.01 - 1) / 0.2, 2));
    }
    assert_ok(source_bins_from_table(1, COUNT, z, n, &bins));
    assert_ok(lensing_model_create(bins, 3, ell, 1e-3, &model));
    assert_ok(lensing_model_spectra_create(model, &spectra[moved]));
    assert_ok(lensing_model_evaluate(model, &cosmology, &(Systematics){.delta_z = {moved ? 0 : delta_z}, .A_IA = 1},
                                     spectra[moved], NULL));
    assert_ok(lensing_model_destroy(&model));
    assert_ok(source_bins_destroy(&bins));
  }
  for (int l = 0; l < 3; l++) assert_close(spectra[0]->power[l], spectra[1]->power[l], 1e-9);
  assert_close(spectra[0]->shift[0], spectra[1]->shift[0], 1e-9);
  for (int moved = 0; moved < 2; moved++) assert_ok(lensing_spectra_destroy(&spectra[moved]));
}

static void what_a_shift_moves_below_redshift_0_is_lost_and_the_rest_is_the_bin(void **state)
{
  /* uniform to z = 1, moved down by 0.5, is uniform to z = 0.5 */
  const Cosmology cosmology = FIDUCIAL;
  const double z[2][3] = {{0, 0.5, 1}, {0, 0.25, 0.5}}, n[] = {1, 1, 1}, ell[] = {500};
  LensingSpectra *spectra[2] = {NULL, NULL};

  (void)state;
  for (int cut = 0; cut < 2; cut++) {
    SourceBins *bins = NULL;
    LensingModel *model = NULL;

    assert_ok(source_bins_from_table(1, 3, z[cut], n, &bins));
    assert_ok(lensing_model_create(bins, 1, ell, 1e-3, &model));
    assert_ok(lensing_model_spectra_create(model, &spectra[cut]));
    assert_ok(
        lensing_model_evaluate(model, &cosmology, &(Systematics){.delta_z = {cut ? 0 : -0.5}}, spectra[cut], NULL));
    assert_ok(lensing_model_destroy(&model));
    assert_ok(source_bins_destroy(&bins));
  }
  assert_close(spectra[0]->power[0], spectra[1]->power[0], 1e-4); /* at other nodes */
  for (int cut = 0; cut < 2; cut++) assert_ok(lensing_spectra_destroy(&spectra[cut]));
}

static void alignment_adds_a_linear_and_a_quadratic_term(void **state)
{
  ReferenceModel r = reference_model_make();
  const Cosmology cosmology = FIDUCIAL;
  const double A[] = {1e-9, 1, -1, 2, -2};
  double power[5];

  (void)state;
  for (int a = 0; a < 5; a++) {
    assert_ok(
        lensing_model_evaluate(r.model, &cosmology, &(Systematics){.A_IA = A[a], .eta_IA = 0.5}, r.spectra, NULL));
    power[a] = r.spectra->power[lensing_pair(5, 0, 0) * r.spectra->ell_count + 10];
  }
  assert_close((power[3] + power[4] - 2 * power[0]) / (power[1] + power[2] - 2 * power[0]), 4, 1e-6);
  assert_close((power[3] - power[4]) / (power[1] - power[2]), 2, 1e-9);
  assert_true(power[1] < power[0]); /* within a bin, alignment opposes lensing */
  reference_model_free(&r);
}

static void multiplicative_bias_scales_power_and_shift_alike(void **state)
{
  ReferenceModel r = reference_model_make();
  const Cosmology cosmology = FIDUCIAL;
  const Systematics biased = {.m = {0.01, -0.02, 0.03, 0, 0.1}};
  LensingSpectra *plain = NULL;

  (void)state;
  assert_ok(lensing_model_spectra_create(r.model, &plain));
  assert_ok(lensing_model_evaluate(r.model, &cosmology, NULL, plain, NULL));
  assert_ok(lensing_model_evaluate(r.model, &cosmology, &biased, r.spectra, NULL));
  for (PetscInt i = 0; i < 5; i++) {
    assert_close(r.spectra->shift[i], (1 + biased.m[i]) * plain->shift[i], 1e-14);
    for (PetscInt j = i; j < 5; j++) {
      const size_t at = (size_t)lensing_pair(5, i, j) * r.ell_count + 20;

      assert_close(r.spectra->power[at], (1 + biased.m[i]) * (1 + biased.m[j]) * plain->power[at], 1e-14);
    }
  }
  assert_ok(lensing_spectra_destroy(&plain));
  reference_model_free(&r);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(c_ell_agree_with_ccl),
                   cmocka_unit_test(c_ell_with_w_a_alignment_and_photo_z_shifts_agree_with_ccl),
                   cmocka_unit_test(c_ell_of_narrow_bins_are_plain_limber_sums),
                   cmocka_unit_test(c_ij_are_positive_semidefinite_across_the_prior),
                   cmocka_unit_test(the_order_of_a_pair_does_not_matter_and_pairs_fill_the_triangle),
                   cmocka_unit_test(a_photo_z_shift_is_a_shifted_table),
                   cmocka_unit_test(what_a_shift_moves_below_redshift_0_is_lost_and_the_rest_is_the_bin),
                   cmocka_unit_test(alignment_adds_a_linear_and_a_quadratic_term),
                   cmocka_unit_test(multiplicative_bias_scales_power_and_shift_alike))
