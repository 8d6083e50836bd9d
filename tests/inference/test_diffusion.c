#include "nephrite/inference.h"
#include "network/example.h"

/* A model whose weights are all zero predicts 0 whatever it is shown; with weights of its own it predicts anything. */
typedef struct {
  Model model;
  size_t map_size, channel_size; /* of one draw */
} Fixture;

/* Band powers that the told model is told: of three pairs. */
enum { BANDS = 2, SPECTRA = 3 * BANDS };

static Fixture make(PetscBool with_weights, PetscInt observation_channels, PetscInt bands, NetworkFlow flow,
                    NetworkOutput output)
{
  Fixture f = {.model = {.shape = example_shape(),
                         .normalisation = {.parameters = 5,
                                           .map_std = {0.01, 0.02},
                                           .theta_mean = {0.3, 0.05, 0.8, 0.7, -1},
                                           .theta_low = {0, 0, 0, 0, -2},
                                           .theta_high = {0, 0, 0, 0, -0.3},
                                           .theta_std = {0.1, 0.01, 0.2, 0.05, 0.3}},
                         .step = 17}};
  Network *network = NULL;

  f.model.shape.observation_channels = observation_channels;
  f.model.shape.config.spectra = bands;
  f.model.shape.config.flow = (int)flow;
  f.model.shape.config.output = (int)output;
  f.model.normalisation.summaries = network_summary_count(&f.model.shape);
  for (PetscInt i = 0; i < f.model.normalisation.summaries; i++) f.model.normalisation.summary_std[i] = 1e-3;
  assert_ok(network_create(&f.model.shape, 1, NETWORK_INFERENCE, &network));
  f.model.weight_count = network_parameter_count(network);
  if (with_weights) example_weights(network);
  f.model.weights = calloc(f.model.weight_count, sizeof *f.model.weights);
  assert_non_null(f.model.weights);
  if (with_weights) memcpy(f.model.weights, network_weights(network), f.model.weight_count * sizeof(Scalar));
  assert_ok(network_destroy(&network));
  f.map_size = (size_t)(f.model.shape.bins * f.model.shape.ny * f.model.shape.nx);
  f.channel_size = (size_t)(f.model.shape.observation_channels * f.model.shape.ny * f.model.shape.nx);
  return f;
}

static Fixture make_model(PetscBool with_weights, PetscInt observation_channels)
{
  return make(with_weights, observation_channels, 0, FLOW_JOINT, OUTPUT_CLEAN);
}

static Fixture make_told_model(PetscInt observation_channels)
{
  return make(PETSC_TRUE, observation_channels, BANDS, FLOW_JOINT, OUTPUT_CLEAN);
}

/* All numbers of a few draws, z = 1, 2, 3, … and theta likewise. */
enum { DRAWS = 3, PARAMETERS = 5 };
typedef struct {
  Scalar *channels, *z, z_theta[DRAWS * PARAMETERS];
} State;

static State make_state(const Fixture *f)
{
  State s = {.channels = calloc(DRAWS * f->channel_size, sizeof(Scalar)),
             .z = calloc(DRAWS * f->map_size, sizeof(Scalar))};

  assert_true(s.channels && s.z);
  example_numbers(5, DRAWS * f->channel_size, 1, s.channels);
  for (size_t i = 0; i < DRAWS * f->map_size; i++) s.z[i] = (Scalar)(i + 1);
  for (size_t i = 0; i < DRAWS * PARAMETERS; i++) s.z_theta[i] = (Scalar)(i + 1);
  return s;
}

static void state_destroy(State *s)
{
  free(s->channels);
  free(s->z);
}

/* With x_hat = 0 a step multiplies z by 1 - h (a + b)/2: a = 1/max(1-t, tau), b = (1 - h a)/max(1-t-h, tau). */
static double heun_factor(double t, double h, double floor)
{
  const double a = 1 / fmax(1 - t, floor), b = (1 - h * a) / fmax(1 - t - h, floor);

  return 1 - h * (a + b) / 2;
}

typedef struct {
  int calls;
  double first[64]; /* z[0] after each step */
} Record;

static PetscErrorCode record_step(void *context, PetscInt step, const Scalar *z, const Scalar *z_theta)
{
  Record *record = context;

  PetscFunctionBeginUser;
  assert_int_equal(step, ++record->calls);
  assert_close((double)z_theta[0], (double)z[0], 1e-6); /* both began as 1 */
  record->first[step] = (double)z[0];
  PetscFunctionReturn(PETSC_SUCCESS);
}

static SamplerSettings heun(PetscInt evaluations, SamplerClosing closing)
{
  return (SamplerSettings){.solver = SOLVER_HEUN, .closing = closing, .evaluations = evaluations};
}

/* Of all solvers, with few evaluations. */
static const SamplerSettings all_solvers[] = {
    {.solver = SOLVER_HEUN, .closing = CLOSING_HEUN, .evaluations = 8},
    {.solver = SOLVER_HEUN, .closing = CLOSING_PREDICTION, .evaluations = 7},
    {.solver = SOLVER_MULTISTEP2, .evaluations = 5, .noise_left = 0.02, .spacing = 2},
    {.solver = SOLVER_MULTISTEP3, .evaluations = 6, .noise_left = 0.02, .spacing = 2},
    {.solver = SOLVER_ADAPTIVE, .noise_left = 0.02, .tolerance = 1e-4},
};
enum { SOLVERS = sizeof all_solvers / sizeof *all_solvers };

static void run(const Fixture *f, PetscInt steps, SamplerClosing closing, State *state, Record *record)
{
  const PetscInt extra[] = {[CLOSING_PREDICTION] = -1, [CLOSING_HEUN] = 0, [CLOSING_PUBLISHED] = 1};
  const SamplerSettings settings = heun(2 * steps + extra[closing], closing);
  const SamplerMonitor monitor = {record_step, record};
  Sampler *sampler = NULL;

  *record = (Record){0};
  assert_ok(sampler_create(&f->model, DRAWS, &settings, &sampler));
  assert_ok(sampler_integrate(sampler, &(SamplerCondition){state->channels, NULL}, DRAWS, state->z, state->z_theta,
                              &monitor));
  assert_ok(sampler_destroy(&sampler));
}

static void a_network_that_predicts_zero_shrinks_the_noise_by_known_factors(void **state)
{
  enum { STEPS = 30 }; /* 1/30 < time_floor: the last steps only relax */
  const double h = 1. / STEPS, floor = 0.05;
  Fixture f = make_model(PETSC_FALSE, 3);
  State s = make_state(&f);
  Record record;
  double expected = 1;

  (void)state;
  run(&f, STEPS, CLOSING_HEUN, &s, &record);
  assert_int_equal(record.calls, STEPS);
  for (int i = 0; i < STEPS; i++) {
    expected *= heun_factor(i * h, h, floor);
    assert_close(record.first[i + 1], expected, 1e-4); /* float32, differences of z and h v over 30 steps */
  }
  for (size_t i = 0; i < DRAWS * f.map_size; i++) assert_close((double)s.z[i], expected * ((double)i + 1), 1e-4);
  for (int i = 0; i < DRAWS * PARAMETERS; i++) assert_close((double)s.z_theta[i], expected * (i + 1), 1e-4);
  state_destroy(&s);
  free(f.model.weights);
}

static void closing_on_the_prediction_leaves_nothing_of_the_noise(void **state)
{
  Fixture f = make_model(PETSC_FALSE, 3);
  State s = make_state(&f);
  Record record;

  (void)state;
  run(&f, 8, CLOSING_PREDICTION, &s, &record);
  assert_int_equal(record.calls, 8);
  assert_close(record.first[7],
               heun_factor(0, 0.125, 0.05) * heun_factor(0.125, 0.125, 0.05) * heun_factor(0.25, 0.125, 0.05) *
                   heun_factor(0.375, 0.125, 0.05) * heun_factor(0.5, 0.125, 0.05) * heun_factor(0.625, 0.125, 0.05) *
                   heun_factor(0.75, 0.125, 0.05),
               1e-5);
  for (size_t i = 0; i < DRAWS * f.map_size; i++) assert_true(s.z[i] == 0);
  for (int i = 0; i < DRAWS * PARAMETERS; i++) assert_true(s.z_theta[i] == 0);
  state_destroy(&s);
  free(f.model.weights);
}

static void the_published_closing_adds_an_euler_step(void **state)
{
  Fixture f = make_model(PETSC_FALSE, 3);
  State heun = make_state(&f), published = make_state(&f);
  Record record;

  (void)state;
  run(&f, 4, CLOSING_HEUN, &heun, &record);
  run(&f, 4, CLOSING_PUBLISHED, &published, &record);
  assert_int_equal(record.calls, 5);
  /* v(z, 1 - h) = -z/h, so that the step lands on 0 */
  for (size_t i = 0; i < DRAWS * f.map_size; i++) {
    assert_true(fabs((double)heun.z[i]) > 0.01);
    assert_within((double)published.z[i], 0, 1e-6 * fabs((double)heun.z[i]));
  }
  state_destroy(&heun);
  state_destroy(&published);
  free(f.model.weights);
}

/* sampler_draw(), taken apart: noise by its key, channels in units of the map's spread, back to physical units. */
static void draws_come_from_keyed_noise_and_normalised_channels(void **state)
{
  const RandomKey key = {7, STREAM_POSTERIOR, 12};
  enum { FIRST = 4, COUNT = 2, TOLD = SPECTRA };

  (void)state;
  for (PetscInt channels = 2; channels <= 5; channels += 3) { /* convergence; E, B and mask */
    Fixture f = make_told_model(channels);
    const size_t pixels = f.map_size / 2, numbers = f.map_size + PARAMETERS;
    float *shown = calloc(f.channel_size, sizeof *shown), *kappa = calloc(COUNT * f.map_size, sizeof *kappa);
    double theta[COUNT * PARAMETERS], *normal = calloc(numbers, sizeof *normal);
    Scalar *normalised = calloc(COUNT * f.channel_size, sizeof *normalised);
    Scalar *z = calloc(COUNT * f.map_size, sizeof *z), z_theta[COUNT * PARAMETERS];
    Scalar summaries[COUNT * TOLD];
    Conditioner *conditioner = NULL;
    Sampler *sampler = NULL;

    assert_true(shown && kappa && normal && normalised && z);
    for (size_t i = 0; i < f.channel_size; i++) shown[i] = (float)(0.02 * sin(0.3 * (double)i));
    for (size_t i = 0; i < COUNT * f.channel_size; i++) {
      const size_t c = i % f.channel_size / pixels;
      const double scale = channels == 5 && c == 4 ? 1 : 1 / f.model.normalisation.map_std[c % 2];

      normalised[i] = (Scalar)(scale * (double)shown[i % f.channel_size]);
    }
    for (size_t d = 0; d < COUNT; d++) {
      random_normal(key, (FIRST + d) * numbers, numbers, normal);
      for (size_t i = 0; i < f.map_size; i++) z[d * f.map_size + i] = (Scalar)normal[i];
      for (size_t p = 0; p < PARAMETERS; p++) z_theta[d * PARAMETERS + p] = (Scalar)normal[f.map_size + p];
    }
    assert_ok(sampler_create(&f.model, COUNT, &all_solvers[channels == 5], &sampler));
    assert_ok(conditioner_create(&f.model.shape, &f.model.normalisation, &conditioner));
    conditioner_apply(conditioner, shown, normalised, summaries);
    memcpy(summaries + TOLD, summaries, TOLD * sizeof *summaries);
    assert_true(fabs((double)summaries[0]) > 0.01);
    assert_ok(conditioner_destroy(&conditioner));
    assert_ok(sampler_integrate(sampler, &(SamplerCondition){normalised, summaries}, COUNT, z, z_theta, NULL));
    assert_ok(sampler_draw(sampler, shown, &(SamplerRange){key, FIRST, COUNT}, kappa, theta));
    for (size_t i = 0; i < COUNT * f.map_size; i++)
      assert_within((double)kappa[i], f.model.normalisation.map_std[i / pixels % 2] * (double)z[i], 1e-6);
    for (size_t d = 0; d < COUNT; d++) {
      double expected[PARAMETERS];

      restore_parameters(&f.model.normalisation, z_theta + d * PARAMETERS, expected);
      for (size_t p = 0; p < PARAMETERS; p++) assert_within(theta[d * PARAMETERS + p], expected[p], 1e-5);
      assert_true(theta[d * PARAMETERS + 4] > -2 && theta[d * PARAMETERS + 4] < -0.3);
    }
    assert_ok(sampler_destroy(&sampler));
    free(shown), free(kappa), free(normal), free(normalised), free(z), free(f.model.weights);
  }
}

static void a_draw_is_the_same_whatever_it_is_drawn_together_with(void **state)
{
  enum { ALL = 5 };
  const RandomKey key = {7, STREAM_POSTERIOR, 12};
  Fixture f = make_model(PETSC_TRUE, 3);
  float *channels = calloc(f.channel_size, sizeof *channels);
  float *together = calloc(ALL * f.map_size, sizeof *together), *alone = calloc(f.map_size, sizeof *alone);
  double theta[ALL * PARAMETERS], own[PARAMETERS];

  (void)state;
  assert_true(channels && together && alone);
  for (size_t i = 0; i < f.channel_size; i++) channels[i] = (float)(0.02 * cos(0.7 * (double)i));
  for (int solver = 0; solver < SOLVERS; solver++) {
    /* rounding of float32; or some thirty of the adaptive solver's steps, which follow from the whole batch, in the
     * worst of hundreds of pixels, where errors are three times their root mean square */
    const double tolerance = all_solvers[solver].solver == SOLVER_ADAPTIVE ? 100 * all_solvers[solver].tolerance : 5e-5;
    Sampler *sampler = NULL;

    assert_ok(sampler_create(&f.model, 2, &all_solvers[solver], &sampler)); /* batches of 2, 2 and 1 */
    assert_ok(sampler_draw(sampler, channels, &(SamplerRange){key, 0, ALL}, together, theta));
    for (PetscInt d = 0; d < ALL; d++) {
      assert_ok(sampler_draw(sampler, channels, &(SamplerRange){key, d, 1}, alone, own));
      for (size_t i = 0; i < f.map_size; i++)
        assert_within((double)alone[i], (double)together[(size_t)d * f.map_size + i], 0.02 * tolerance);
      for (int p = 0; p < PARAMETERS; p++) assert_within(own[p], theta[d * PARAMETERS + p], 0.3 * tolerance);
    }
    assert_true(fabs(theta[0] - theta[PARAMETERS]) > 1e-3); /* different draws are different */
    assert_ok(sampler_destroy(&sampler));
  }
  free(channels), free(together), free(alone), free(f.model.weights);
}

static void a_draw_is_a_function_of_its_key_bit_for_bit(void **state)
{
  const SamplerRange range = {{7, STREAM_POSTERIOR, 12}, 3, 2};
  Fixture f = make_model(PETSC_TRUE, 3);
  float *channels = calloc(f.channel_size, sizeof *channels), *kappa = calloc(4 * f.map_size, sizeof *kappa);
  double theta[4 * PARAMETERS];

  (void)state;
  assert_true(channels && kappa);
  for (size_t i = 0; i < f.channel_size; i++) channels[i] = (float)(0.02 * cos(0.7 * (double)i));
  for (int solver = 0; solver < SOLVERS; solver++) {
    for (int run = 0; run < 2; run++) {
      Sampler *sampler = NULL;

      assert_ok(sampler_create(&f.model, 2, &all_solvers[solver], &sampler));
      float *drawn = kappa + 2 * (size_t)run * f.map_size;
      double *drawn_theta = theta + 2 * run * PARAMETERS;

      if (run) /* what came before is forgotten */
        assert_ok(sampler_draw(sampler, channels, &(SamplerRange){range.key, 0, 1}, drawn, drawn_theta));
      assert_ok(sampler_draw(sampler, channels, &range, drawn, drawn_theta));
      assert_ok(sampler_destroy(&sampler));
    }
    assert_memory_equal(kappa, kappa + 2 * f.map_size, 2 * f.map_size * sizeof *kappa);
    assert_memory_equal(theta, theta + 2 * PARAMETERS, 2 * PARAMETERS * sizeof *theta);
  }
  free(channels), free(kappa), free(f.model.weights);
}

enum { MAP = 2 * 8 * 12 };

/* One step of Heun's method and the prediction, of the map or of the parameters alone, by calling the network. */
static void move_one(Network *network, Guess *guess, const NetworkInput *at, Scalar *moved, size_t count, Scalar *time)
{
  const size_t maps = DRAWS * MAP, thetas = DRAWS * PARAMETERS;
  const PetscBool of_maps = moved == at->z ? PETSC_TRUE : PETSC_FALSE;
  NetworkInput shown = *at;
  Scalar *x = calloc(maps, sizeof *x), *theta = calloc(thetas, sizeof *theta), *begun = calloc(count, sizeof *begun);
  Scalar *a = calloc(count, sizeof *a);

  assert_true(x && theta && begun && a);
  memcpy(begun, moved, count * sizeof *begun);
  guess_observe(guess, DRAWS, at->observation, at->z_theta, at->t_theta);
  for (int evaluation = 0; evaluation < 3; evaluation++) {
    for (int d = 0; d < DRAWS; d++) time[d] = (Scalar)(evaluation ? 0.5 : 0);
    shown.z = guess_maps(guess, at->t, at->z);
    assert_ok(network_forward(network, &shown, x, theta));
    guess_complete(guess, at->t, x);
    const Scalar *x_hat = of_maps ? x : theta;

    for (size_t i = 0; i < count; i++) switch (evaluation) {
      case 0:
        a[i] = x_hat[i] - begun[i];
        moved[i] = begun[i] + a[i] / 2;
        break;
      case 1:
        moved[i] = begun[i] + (a[i] + 2 * (x_hat[i] - moved[i])) / 4;
        break;
      default:
        moved[i] = x_hat[i];
      }
  }
  free(x), free(theta), free(begun), free(a);
}

static PetscErrorCode count_steps(void *context, PetscInt step, const Scalar *z, const Scalar *z_theta)
{
  int *steps = context;

  PetscFunctionBeginUser;
  assert_int_equal(step, ++*steps);
  assert_true(isfinite((double)z[0]) && isfinite((double)z_theta[DRAWS * PARAMETERS - 1]));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static void check_draws_in_turn(NetworkOutput output)
{
  const SamplerSettings settings = heun(3, CLOSING_PREDICTION);
  Fixture f = make(PETSC_TRUE, 3, 0, FLOW_PARAMETERS_FIRST, output);
  State s = make_state(&f), expected = make_state(&f);
  Scalar t[DRAWS] = {0}, t_theta[DRAWS] = {0}, *nothing = calloc(DRAWS * f.map_size, sizeof *nothing);
  Network *network = NULL;
  Guess *guess = NULL;
  Sampler *sampler = NULL;
  int steps = 0;

  assert_non_null(nothing);
  assert_int_equal(f.map_size, MAP);
  for (int i = 0; i < 2; i++) { /* of order 1, as noise is */
    State *begun = i ? &expected : &s;

    example_numbers(9, DRAWS * f.map_size, 1, begun->z);
    example_numbers(10, DRAWS * PARAMETERS, 1, begun->z_theta);
  }
  for (PetscInt i = 0; i < guess_count(&f.model.shape); i++) { /* (0,0) (0,1) … (3,3) of two maps and their data */
    static const double covariance[] = {1, 0, 0.5, 0, 1, 0, 0.5, 1.5, 0, 1.5};

    f.model.normalisation.guess[i] = covariance[i % 10];
  }
  f.model.normalisation.bins = f.model.shape.bins;
  for (PetscInt i = 0; i < guess_response_count(&f.model.shape); i++) /* the map's power is that of the parameters */
    f.model.normalisation.response[i] = 0.3 * sin((double)i);
  assert_ok(guess_create(&f.model.shape, &f.model.normalisation, DRAWS, &guess));
  assert_ok(network_create(&f.model.shape, DRAWS, NETWORK_INFERENCE, &network));
  memcpy(network_weights(network), f.model.weights, f.model.weight_count * sizeof(Scalar));
  NetworkInput at = {
      .batch = DRAWS, .z = nothing, .z_theta = expected.z_theta, .observation = s.channels, .t = t, .t_theta = t_theta};

  move_one(network, guess, &at, expected.z_theta, DRAWS * PARAMETERS, t_theta);
  for (int d = 0; d < DRAWS; d++) t_theta[d] = 1;
  at.z = expected.z;
  move_one(network, guess, &at, expected.z, DRAWS * f.map_size, t);

  assert_ok(sampler_create(&f.model, DRAWS, &settings, &sampler));
  assert_ok(sampler_integrate(sampler, &(SamplerCondition){s.channels, NULL}, DRAWS, s.z, s.z_theta,
                              &(SamplerMonitor){count_steps, &steps}));
  assert_int_equal(steps, 4);
  assert_int_equal(sampler_evaluated(sampler), DRAWS * 6);
  for (size_t i = 0; i < DRAWS * PARAMETERS; i++) assert_close((double)s.z_theta[i], (double)expected.z_theta[i], 1e-5);
  for (size_t i = 0; i < DRAWS * f.map_size; i++) assert_within((double)s.z[i], (double)expected.z[i], 1e-4);
  assert_ok(sampler_destroy(&sampler));
  assert_ok(network_destroy(&network));
  assert_ok(guess_destroy(&guess));
  state_destroy(&s), state_destroy(&expected);
  free(nothing), free(f.model.weights);
}

static void parameters_are_drawn_first_and_then_their_map(void **state)
{
  (void)state;
  check_draws_in_turn(OUTPUT_CLEAN);
  check_draws_in_turn(OUTPUT_RESIDUAL);
  check_draws_in_turn(OUTPUT_WIENER);
}

static void evaluations_are_counted_for_each_draw(void **state)
{
  Fixture f = make_model(PETSC_FALSE, 3);
  State s = make_state(&f);

  (void)state;
  for (int solver = 0; solver < SOLVERS; solver++) {
    const PetscInt expected = sampler_evaluations(&all_solvers[solver]);
    Sampler *sampler = NULL;

    assert_ok(sampler_create(&f.model, DRAWS, &all_solvers[solver], &sampler));
    assert_ok(sampler_integrate(sampler, &(SamplerCondition){s.channels, NULL}, DRAWS, s.z, s.z_theta, NULL));
    assert_ok(sampler_integrate(sampler, &(SamplerCondition){s.channels, NULL}, 1, s.z, s.z_theta, NULL));
    if (expected)
      assert_int_equal(sampler_evaluated(sampler), (DRAWS + 1) * expected);
    else
      assert_true(sampler_evaluated(sampler) > (DRAWS + 1) * 7);
    assert_ok(sampler_destroy(&sampler));
  }
  state_destroy(&s);
  free(f.model.weights);
}

static void a_diverged_model_is_reported_with_its_step(void **state)
{
  Fixture f = make_model(PETSC_TRUE, 3);
  State s = make_state(&f);

  (void)state;
  f.model.weights[f.model.weight_count - 1] = (Scalar)NAN;
  for (int solver = 0; solver < SOLVERS; solver++) {
    Sampler *sampler = NULL;

    assert_ok(sampler_create(&f.model, DRAWS, &all_solvers[solver], &sampler));
    assert_fails(sampler_integrate(sampler, &(SamplerCondition){s.channels, NULL}, DRAWS, s.z, s.z_theta, NULL),
                 NEPHRITE_ERR_INTERNAL, "checkpoint of step 17 has diverged");
    assert_ok(sampler_destroy(&sampler));
  }
  state_destroy(&s);
  free(f.model.weights);
}

static void settings_without_a_draw_are_refused(void **state)
{
  const struct {
    SamplerSettings settings;
    const char *message;
  } cases[] = {
      {heun(2, CLOSING_PREDICTION), "2 evaluations are too few"},
      {heun(1, CLOSING_HEUN), "too few"},
      {{.solver = SOLVER_MULTISTEP2, .evaluations = 1, .noise_left = 0.1, .spacing = 1}, "too few"},
      {{.solver = SOLVER_MULTISTEP3, .evaluations = 9, .noise_left = 0, .spacing = 1}, "infer_noise_left is 0"},
      {{.solver = SOLVER_MULTISTEP3, .evaluations = 9, .noise_left = 0.1, .spacing = 0}, "infer_spacing is 0"},
      {{.solver = SOLVER_ADAPTIVE, .noise_left = 1, .tolerance = 1e-3}, "infer_noise_left is 1"},
      {{.solver = SOLVER_ADAPTIVE, .noise_left = 0.1, .tolerance = 0}, "infer_tolerance is 0"},
  };
  Fixture f = make_model(PETSC_FALSE, 3);

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Sampler *sampler = NULL;

    assert_fails(sampler_create(&f.model, 1, &cases[i].settings, &sampler), NEPHRITE_ERR_CONFIG, cases[i].message);
    assert_ok(sampler_destroy(&sampler));
  }
  free(f.model.weights);
}

static void what_does_not_fit_the_sampler_is_refused(void **state)
{
  const SamplerSettings settings = heun(4, CLOSING_HEUN);
  Fixture f = make_model(PETSC_FALSE, 3);
  State s = make_state(&f);
  Sampler *sampler = NULL;

  (void)state;
  assert_ok(sampler_create(&f.model, DRAWS - 1, &settings, &sampler));
  assert_fails(sampler_integrate(sampler, &(SamplerCondition){s.channels, NULL}, DRAWS, s.z, s.z_theta, NULL),
               NEPHRITE_ERR_INTERNAL, "room for 1 to 2");
  assert_ok(sampler_destroy(&sampler));
  f.model.weight_count--;
  assert_fails(sampler_create(&f.model, 1, &settings, &sampler), NEPHRITE_ERR_INPUT, "weights");
  assert_ok(sampler_destroy(&sampler));
  state_destroy(&s);
  free(f.model.weights);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(a_network_that_predicts_zero_shrinks_the_noise_by_known_factors),
                   cmocka_unit_test(closing_on_the_prediction_leaves_nothing_of_the_noise),
                   cmocka_unit_test(the_published_closing_adds_an_euler_step),
                   cmocka_unit_test(draws_come_from_keyed_noise_and_normalised_channels),
                   cmocka_unit_test(a_draw_is_the_same_whatever_it_is_drawn_together_with),
                   cmocka_unit_test(a_draw_is_a_function_of_its_key_bit_for_bit),
                   cmocka_unit_test(parameters_are_drawn_first_and_then_their_map),
                   cmocka_unit_test(evaluations_are_counted_for_each_draw),
                   cmocka_unit_test(a_diverged_model_is_reported_with_its_step),
                   cmocka_unit_test(settings_without_a_draw_are_refused),
                   cmocka_unit_test(what_does_not_fit_the_sampler_is_refused))
