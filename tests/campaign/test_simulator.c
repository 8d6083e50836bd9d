#include "campaign_fixture.h"

#include <malloc.h>

typedef struct {
  float kappa[PIXELS];
  double theta[PARAMETERS];
} Realisation;

static Simulator *make_simulator(const Setting *s, int64_t seed)
{
  Simulator *simulator = NULL;

  assert_ok(simulator_create(PETSC_COMM_SELF, &s->survey, s->prior, seed, &simulator));
  return simulator;
}

static void get(Simulator *simulator, int64_t index, Realisation *r)
{
  assert_ok(simulator_realisation(simulator, index, r->kappa, r->theta, NULL));
}

static void a_realisation_depends_on_its_index_and_the_seed_alone(void **state)
{
  Setting *s = setting_create(PETSC_COMM_SELF, "unused", NULL);
  Simulator *simulator = make_simulator(s, SEED), *other = make_simulator(s, SEED), *seeded = make_simulator(s, 4);
  Realisation first, again, next;

  (void)state;
  get(simulator, 5, &first);
  get(other, 12345678901, &again);
  get(other, 5, &again);
  assert_memory_equal(&first, &again, sizeof first);
  get(other, 6, &next);
  assert_memory_not_equal(first.kappa, next.kappa, sizeof first.kappa);
  assert_memory_not_equal(first.theta, next.theta, sizeof first.theta);
  get(seeded, 5, &next);
  assert_memory_not_equal(first.kappa, next.kappa, sizeof first.kappa);
  assert_memory_not_equal(first.theta, next.theta, sizeof first.theta);
  assert_ok(simulator_destroy(&simulator));
  assert_ok(simulator_destroy(&other));
  assert_ok(simulator_destroy(&seeded));
  assert_null(seeded);
  setting_destroy(s);
}

/* Step by step, from the parts that the simulator puts together. */
static void make_by_hand(const Setting *s, int64_t index, Realisation *r)
{
  LensingModel *lensing = NULL;
  LensingSpectra *spectra = NULL;
  Field *field = NULL;
  Cosmology cosmology;
  Systematics systematics;

  assert_ok(prior_draw(s->prior, SEED, (uint64_t)index, 0, r->theta, NULL));
  assert_ok(prior_cosmology(s->prior, r->theta, &cosmology, &systematics));
  assert_ok(lensing_model_for_survey(&s->survey, &lensing));
  assert_ok(lensing_model_spectra_create(lensing, &spectra));
  assert_ok(lensing_model_evaluate(lensing, &cosmology, &systematics, spectra, NULL));
  assert_ok(field_create(
      PETSC_COMM_SELF, &(FieldShape){(FieldModel)s->survey.field, BINS, SIZE, SIZE, survey_pixel(&s->survey)}, &field));
  assert_ok(field_set_spectra(field, spectra));
  assert_ok(field_realise_keyed(field, (RandomKey){SEED, STREAM_FIELD, (uint64_t)index}, r->kappa));
  assert_ok(field_destroy(&field));
  assert_ok(lensing_spectra_destroy(&spectra));
  assert_ok(lensing_model_destroy(&lensing));
}

static void a_map_is_the_field_of_the_spectra_of_its_parameters(void **state)
{
  static const char *const gaussian[] = {"-survey_field", "gaussian", NULL};

  (void)state;
  for (int model = 0; model < 2; model++) {
    Setting *s = setting_create(PETSC_COMM_SELF, "unused", model ? gaussian : NULL);
    Simulator *simulator = make_simulator(s, SEED);

    for (int64_t i = 0; i < 4; i++) {
      Realisation made, by_hand;

      get(simulator, i, &made);
      make_by_hand(s, i, &by_hand);
      assert_memory_equal(made.theta, by_hand.theta, sizeof made.theta);
      assert_memory_equal(made.kappa, by_hand.kappa, sizeof made.kappa);
    }
    assert_ok(simulator_destroy(&simulator));
    setting_destroy(s);
  }
}

static void spectra_are_those_of_the_given_parameters(void **state)
{
  static const double theta[2][PARAMETERS] = {{0.25, 0.05, 0.8, 0.7, 0.96, -1}, {0.3, 0.04, 0.6, 0.75, 0.9, -0.6}};
  Setting *s = setting_create(PETSC_COMM_SELF, "unused", NULL);
  Simulator *simulator = make_simulator(s, SEED);
  LensingModel *lensing = NULL;
  LensingSpectra *expected = NULL;

  (void)state;
  assert_ok(lensing_model_for_survey(&s->survey, &lensing));
  assert_ok(lensing_model_spectra_create(lensing, &expected));
  for (int i = 0; i < 2; i++) {
    const LensingSpectra *spectra = NULL;
    const double *t = theta[i];
    const Cosmology cosmology = {t[0], t[1], t[2], t[3], t[4], t[5], 0};

    assert_ok(simulator_spectra(simulator, t, &spectra));
    assert_ok(lensing_model_evaluate(lensing, &cosmology, NULL, expected, NULL));
    assert_int_equal(spectra->bins, BINS);
    assert_int_equal(spectra->ell_count, expected->ell_count);
    assert_memory_equal(spectra->power, expected->power,
                        (size_t)(lensing_pair(BINS, 1, 1) + 1) * (size_t)expected->ell_count * sizeof(double));
    assert_memory_equal(spectra->shift, expected->shift, BINS * sizeof(double));
  }
  assert_ok(lensing_spectra_destroy(&expected));
  assert_ok(lensing_model_destroy(&lensing));
  assert_ok(simulator_destroy(&simulator));
  setting_destroy(s);
}

/* Where nothing is to be computed again, what was asked for in between must not matter. */
static void maps_of_fixed_parameters_depend_on_their_index_alone(void **state)
{
  static const char *const fixed[] = {
      "-prior_Omega_c", "fixed:0.25", "-prior_Omega_b", "fixed:0.05", "-prior_sigma_8", "fixed:0.8", "-prior_h",
      "fixed:0.7",      "-prior_n_s", "fixed:0.96",     "-prior_w_0", "fixed:-1",       NULL};
  const double elsewhere[PARAMETERS] = {0.3, 0.04, 0.6, 0.75, 0.9, -0.6};
  Setting *s = setting_create(PETSC_COMM_SELF, "unused", fixed);
  Simulator *simulator = make_simulator(s, SEED);
  const LensingSpectra *spectra = NULL;

  (void)state;
  for (int64_t i = 0; i < 4; i++) {
    Realisation made, by_hand;

    get(simulator, i, &made);
    make_by_hand(s, i, &by_hand);
    assert_memory_equal(made.theta, by_hand.theta, sizeof made.theta);
    assert_memory_equal(made.kappa, by_hand.kappa, sizeof made.kappa);
    if (i == 1) assert_ok(simulator_spectra(simulator, elsewhere, &spectra));
  }
  assert_ok(simulator_destroy(&simulator));
  setting_destroy(s);
}

static void draws_without_a_field_are_replaced_and_counted(void **state)
{
  /* With intrinsic alignments this strong many a convergence is skewed to the negative: no log-normal field is. */
  static const char *const aligned[] = {"-prior_A_IA", "uniform:-25,25", NULL};
  Setting *s = setting_create(PETSC_COMM_SELF, "unused", aligned);
  Simulator *simulator = make_simulator(s, SEED);
  SimulatorCounts counts = {0};
  float kappa[PIXELS];
  double theta[PARAMETERS + 1], expected[PARAMETERS + 1];
  PetscInt attempts;
  int replaced = 0;

  (void)state;
  error_clear();
  for (int64_t i = 0; i < 20; i++) {
    const int64_t before = counts.redrawn;

    assert_ok(simulator_realisation(simulator, i, kappa, theta, &counts));
    assert_ok(prior_draw(s->prior, SEED, (uint64_t)i, (PetscInt)(counts.redrawn - before), expected, &attempts));
    assert_memory_equal(theta, expected, sizeof theta);
    assert_int_equal(attempts, counts.redrawn - before + 1);
    replaced += counts.redrawn > before;
    for (int p = 0; p < PIXELS; p++) assert_true(isfinite(kappa[p]));
  }
  assert_in_range(replaced, 2, 18);
  assert_string_equal(error_message(), ""); /* an expected result, not a failure */
  assert_ok(simulator_destroy(&simulator));
  setting_destroy(s);
}

static void parameters_without_spectra_are_named(void **state)
{
  static const char *const aligned[] = {"-prior_A_IA", "uniform:0,80", NULL};
  const double theta[PARAMETERS + 1] = {0.25, 0.05, 0.8, 0.7, 0.96, -1, 60};
  Setting *s = setting_create(PETSC_COMM_SELF, "unused", aligned);
  Simulator *simulator = make_simulator(s, SEED);
  const LensingSpectra *spectra = NULL;

  (void)state;
  assert_fails(simulator_spectra(simulator, theta, &spectra), NEPHRITE_ERR_INPUT,
               "a log-normal field needs a positive one, at Omega_c 0.25, Omega_b 0.05, sigma_8 0.8, h 0.7, n_s 0.96, "
               "w_0 -1, A_IA 60");
  assert_ok(simulator_destroy(&simulator));
  setting_destroy(s);
}

static void a_prior_of_which_no_draw_has_a_map_is_refused_with_the_reason(void **state)
{
  static const char *const shifted[] = {"-prior_delta_z_1", "fixed:-20", NULL};
  Setting *s = setting_create(PETSC_COMM_SELF, "unused", shifted);
  Simulator *simulator = make_simulator(s, SEED);
  Realisation r;

  (void)state;
  assert_fails(simulator_realisation(simulator, 7, r.kappa, r.theta, NULL), NEPHRITE_ERR_CONFIG, "realisation 7");
  assert_non_null(strstr(error_message(), "delta_z"));
  assert_non_null(strstr(error_message(), ", at Omega_c 0.")); /* of the last draw */
  assert_ok(simulator_destroy(&simulator));
  setting_destroy(s);
}

/* The published prior reaches down to w_0 = -2 and Omega_c = 0: there as well every realisation has a map. */
static void the_edges_of_the_prior_have_maps(void **state)
{
  static const char *const edges[][5] = {
      {"-prior_w_0", "uniform:-2,-1.99", "-prior_Omega_c", "uniform:0,0.02", NULL},
      {"-prior_w_0", "uniform:-2,-1.9", "-prior_sigma_8", "uniform:1,1.4", NULL},
      {"-prior_w_0", "uniform:-0.4,-0.3", "-prior_Omega_c", "uniform:0.8,1.2", NULL}};

  (void)state;
  for (int e = 0; e < 3; e++) {
    Setting *s = setting_create(PETSC_COMM_SELF, "unused", edges[e]);
    Simulator *simulator = make_simulator(s, SEED);
    SimulatorCounts counts = {0};
    Realisation r;

    for (int64_t i = 0; i < 100; i++) {
      double sum = 0;

      assert_ok(simulator_realisation(simulator, i, r.kappa, r.theta, &counts));
      for (int p = 0; p < PIXELS; p++) sum += (double)r.kappa[p] * (double)r.kappa[p];
      assert_true(isfinite(sum) && sum > 0);
      assert_true(r.theta[0] > 0 && r.theta[0] + r.theta[1] < 1);
    }
    if (e == 2) assert_true(counts.redrawn > 100); /* most of this one is no universe */
    assert_ok(simulator_destroy(&simulator));
    setting_destroy(s);
  }
}

/* ---- nuisances ---- */

/* Realisation 5 with a line of the prior, and perhaps another one.  \param[out] theta [PARAMETERS + 1] */
static void get_with(const char *option, const char *distribution, const char *more, float *kappa, double *theta)
{
  const char *const options[] = {option, distribution, more ? "-prior_A_IA" : NULL, more, NULL};
  Setting *s = setting_create(PETSC_COMM_SELF, "unused", options);
  Simulator *simulator = make_simulator(s, SEED);

  assert_in_range(prior_count(s->prior), PARAMETERS, PARAMETERS + 1);
  assert_ok(simulator_realisation(simulator, 5, kappa, theta, NULL));
  assert_ok(simulator_destroy(&simulator));
  setting_destroy(s);
}

static double difference(const float *a, const float *b, int bin)
{
  double sum = 0, whole = 0;

  for (int i = bin * PIXELS / BINS; i < (bin + 1) * PIXELS / BINS; i++) {
    sum += pow((double)a[i] - (double)b[i], 2);
    whole += pow((double)b[i], 2);
  }
  return sqrt(sum / whole);
}

/* Drawn from the prior, it is a column of theta and makes the map that its value makes; and not that of no nuisance. */
static void a_drawn_nuisance_is_in_theta_and_in_the_map(void **state)
{
  static const struct {
    const char *option, *distribution, *alignment; /* eta_IA does nothing without alignment */
  } nuisance[] = {{"-prior_w_a", "uniform:0.2,0.4", NULL},       {"-prior_A_IA", "uniform:1,2", NULL},
                  {"-prior_eta_IA", "uniform:1,2", "fixed:1"},   {"-prior_delta_z_1", "uniform:0.05,0.1", NULL},
                  {"-prior_delta_z_2", "normal:0.1,0.01", NULL}, {"-prior_m_1", "uniform:0.1,0.2", NULL},
                  {"-prior_m_2", "normal:-0.1,0.01", NULL}};

  (void)state;
  for (size_t n = 0; n < sizeof nuisance / sizeof *nuisance; n++) {
    const char *option = nuisance[n].option, *alignment = nuisance[n].alignment;
    float drawn[PIXELS], fixed[PIXELS], without[PIXELS];
    double theta[PARAMETERS + 1] = {0}, fixed_theta[PARAMETERS + 1], theta_without[PARAMETERS + 1];
    char value[64];

    get_with(option, nuisance[n].distribution, alignment, drawn, theta);
    assert_true(theta[PARAMETERS] != 0);
    snprintf(value, sizeof value, "fixed:%.17g", theta[PARAMETERS]);
    get_with(option, value, alignment, fixed, fixed_theta);
    get_with(option, "fixed:0", alignment, without, theta_without);
    assert_memory_equal(theta, fixed_theta, PARAMETERS * sizeof *theta);
    assert_memory_equal(theta, theta_without, PARAMETERS * sizeof *theta);
    assert_memory_equal(drawn, fixed, sizeof drawn);
    assert_true(difference(drawn, without, 0) + difference(drawn, without, 1) > 1e-3);
  }
}

static void a_multiplicative_bias_multiplies_the_map_of_its_bin_alone(void **state)
{
  float biased[PIXELS], plain[PIXELS];
  double theta[PARAMETERS + 1];

  (void)state;
  get_with("-prior_m_2", "fixed:0", NULL, plain, theta);
  get_with("-prior_m_2", "uniform:0.1,0.3", NULL, biased, theta);
  for (int i = PIXELS / BINS; i < PIXELS; i++) plain[i] = (float)((1 + theta[PARAMETERS]) * (double)plain[i]);
  assert_true(difference(biased, plain, 0) < 1e-6); /* rounding of floats */
  assert_true(difference(biased, plain, 1) < 1e-6);
}

/* Sources that are farther away are lensed more. */
static void a_positive_photo_z_shift_makes_the_maps_of_its_bin_stronger(void **state)
{
  float shifted[PIXELS], plain[PIXELS];
  double theta[PARAMETERS + 1], power[2] = {0, 0};

  (void)state;
  get_with("-prior_delta_z_1", "uniform:0.1,0.2", NULL, shifted, theta);
  get_with("-prior_delta_z_1", "fixed:0", NULL, plain, theta);
  for (int i = 0; i < PIXELS / BINS; i++) {
    power[0] += pow((double)shifted[i], 2);
    power[1] += pow((double)plain[i], 2);
  }
  assert_true(power[0] > 1.1 * power[1]);
}

/* Growth by a pointer per map would show; under sanitizers mallinfo2() says nothing, and valgrind looks for leaks. */
static void a_thousand_more_realisations_take_no_more_memory(void **state)
{
  Setting *s = setting_create(PETSC_COMM_SELF, "unused", NULL);
  Simulator *simulator = make_simulator(s, SEED);
  Realisation r;
  int64_t index = 0;

  (void)state;
  while (index < 100) get(simulator, index++, &r); /* draws that fail make the room for messages, once */
  const size_t before = mallinfo2().uordblks;
  while (index < 1100) get(simulator, index++, &r);
  assert_true(mallinfo2().uordblks <= before + 1000);
  assert_ok(simulator_destroy(&simulator));
  setting_destroy(s);
}

static void maps_with_linear_power_somewhere_are_counted(void **state)
{
  static const char *const weak[] = {"-prior_sigma_8", "fixed:0.2", "-prior_w_0", "fixed:-2", NULL};
  Setting *s = setting_create(PETSC_COMM_SELF, "unused", weak);
  Simulator *simulator = make_simulator(s, SEED);
  SimulatorCounts counts = {0};
  Realisation r;

  (void)state;
  for (int64_t i = 0; i < 5; i++) assert_ok(simulator_realisation(simulator, i, r.kappa, r.theta, &counts));
  assert_int_equal(counts.linear_redshifts, 5); /* once for each map, however many redshifts */
  assert_ok(simulator_destroy(&simulator));
  setting_destroy(s);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(a_realisation_depends_on_its_index_and_the_seed_alone),
                   cmocka_unit_test(a_map_is_the_field_of_the_spectra_of_its_parameters),
                   cmocka_unit_test(spectra_are_those_of_the_given_parameters),
                   cmocka_unit_test(maps_of_fixed_parameters_depend_on_their_index_alone),
                   cmocka_unit_test(draws_without_a_field_are_replaced_and_counted),
                   cmocka_unit_test(parameters_without_spectra_are_named),
                   cmocka_unit_test(a_prior_of_which_no_draw_has_a_map_is_refused_with_the_reason),
                   cmocka_unit_test(a_thousand_more_realisations_take_no_more_memory),
                   cmocka_unit_test(maps_with_linear_power_somewhere_are_counted),
                   cmocka_unit_test(the_edges_of_the_prior_have_maps),
                   cmocka_unit_test(a_drawn_nuisance_is_in_theta_and_in_the_map),
                   cmocka_unit_test(a_multiplicative_bias_multiplies_the_map_of_its_bin_alone),
                   cmocka_unit_test(a_positive_photo_z_shift_makes_the_maps_of_its_bin_stronger))
