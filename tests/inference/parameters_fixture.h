/** A small survey of a Gaussian field, and priors, for the tests of chains. */
#ifndef INFERENCE_PARAMETERS_FIXTURE_H
#define INFERENCE_PARAMETERS_FIXTURE_H

#include "nephrite/inference.h"
#include "nephrite_test.h"

#include <stdlib.h>

enum { OMEGA_C, OMEGA_B, SIGMA_8, HUBBLE, N_S, W_0, PARAMETERS };
enum { SIDE = 32, BINS = 2, RAW = 2 * BINS * SIDE * SIDE };

/* The published prior; entries given by (index, text) pairs are others. */
static inline Prior *make_prior(int count, const int *entry, const char *const *text)
{
  PriorConfig config;
  Prior *prior = NULL;

  for (size_t i = 0; i < prior_options.count; i++)
    snprintf(config.distribution[i], OPTION_TEXT_SIZE, "%s", prior_options.specs[i].fallback);
  for (int i = 0; i < count; i++) snprintf(config.distribution[entry[i]], OPTION_TEXT_SIZE, "%s", text[i]);
  assert_ok(prior_create(&config, BINS, &prior));
  return prior;
}

static inline Prior *published_prior(void)
{
  return make_prior(0, NULL, NULL);
}

/* Omega_c and sigma_8 vary; the others are those of theta in fiducial[]. */
static const double fiducial[] = {0.27, 0.05, 0.8, 0.67, 0.96, -1};
static inline Prior *prior_of_two(void)
{
  return make_prior(4, (int[]){OMEGA_B, HUBBLE, N_S, W_0},
                    (const char *[]){"fixed:0.05", "fixed:0.67", "fixed:0.96", "fixed:-1"});
}

static inline SurveyConfig small_survey(void)
{
  return (SurveyConfig){.map_size = {SIDE, SIDE},
                        .field_of_view_deg = 5,
                        .bins = BINS,
                        .field = FIELD_GAUSSIAN,
                        .observation = OBSERVATION_SHEAR,
                        .galaxies_per_arcmin2 = 27,
                        .sigma_e = 0.26,
                        .smail_z0 = 0.11,
                        .smail_alpha = 0.68,
                        .smail_beta = 2,
                        .photoz_scatter = 0.05,
                        .mask = "none"};
}

/* An observation of the fiducial universe. */
typedef struct {
  SurveyConfig survey;
  double noise_std[BINS];
  float raw[RAW];
  Observation observation; /* borrows from this struct */
} Sky;

static inline void observe_sky(const Prior *prior, Sky *sky)
{
  Simulator *simulator = NULL;
  Field *field = NULL;
  Observer *observer = NULL;
  const LensingSpectra *spectra = NULL;
  float kappa[BINS * SIDE * SIDE];

  *sky = (Sky){.survey = small_survey()};
  const FieldShape shape = simulator_shape(&sky->survey);
  assert_ok(simulator_create(PETSC_COMM_SELF, &sky->survey, prior, 1, &simulator));
  assert_ok(simulator_spectra(simulator, fiducial, &spectra));
  assert_ok(field_create(PETSC_COMM_SELF, &shape, &field));
  assert_ok(field_set_spectra(field, spectra));
  assert_ok(field_realise_keyed(field, (RandomKey){1, STREAM_FIELD, 4}, kappa));
  assert_ok(observer_create(&sky->survey, &observer));
  observer_noise_std(observer, (RandomKey){1, STREAM_NOISE, 4}, sky->noise_std);
  assert_ok(observer_observe(observer, (RandomKey){1, STREAM_NOISE, 4}, kappa, sky->raw, NULL));
  assert_ok(observer_destroy(&observer));
  assert_ok(field_destroy(&field));
  assert_ok(simulator_destroy(&simulator));
  sky->observation = (Observation){.raw = sky->raw, .noise_std = sky->noise_std};
}

#endif
