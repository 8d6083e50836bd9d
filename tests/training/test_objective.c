/* nephrite-test: float64 */
#include "nephrite/training.h"
#include "nephrite_test.h"

enum { BATCH = 3, BINS = 2, NY = 4, NX = 6, PARAMETERS = 6, PIXELS = BINS * NY * NX };

static const NetworkShape shape = {
    .ny = NY, .nx = NX, .bins = BINS, .parameters = PARAMETERS, .config = {.time_floor = 0.05}};

typedef struct {
  Scalar x[BATCH * PIXELS], x_hat[BATCH * PIXELS], theta[BATCH * PARAMETERS], theta_hat[BATCH * PARAMETERS], t[BATCH];
} Data;

static void fill(uint64_t index, size_t count, Scalar *out)
{
  double normal;

  for (size_t i = 0; i < count; i++) {
    random_normal((RandomKey){3, STREAM_NOISE, index}, i, 1, &normal);
    out[i] = (Scalar)normal;
  }
}

static ObjectiveBatch make(Data *data, PetscInt global_batch)
{
  const Scalar t[BATCH] = {0.1, 0.7, 0.99}; /* the last has 1 - t below the floor */

  fill(0, BATCH * PIXELS, data->x);
  fill(1, BATCH * PIXELS, data->x_hat);
  fill(2, BATCH * PARAMETERS, data->theta);
  fill(3, BATCH * PARAMETERS, data->theta_hat);
  memcpy(data->t, t, sizeof t);
  return (ObjectiveBatch){BATCH, global_batch, data->x, data->theta, data->t, NULL, data->x_hat, data->theta_hat};
}

static void the_loss_is_the_velocity_error_over_all_terms(void **state)
{
  Data data;
  const ObjectiveBatch batch = make(&data, BATCH);
  const double d[BATCH] = {0.9, 0.3, 0.05};
  double total = 0, field = 0, theta = 0;
  Loss loss;

  (void)state;
  for (int b = 0; b < BATCH; b++) {
    double pixels = 0, parameters = 0;

    for (int i = b * PIXELS; i < (b + 1) * PIXELS; i++) pixels += pow((data.x_hat[i] - data.x[i]) / d[b], 2);
    for (int i = b * PARAMETERS; i < (b + 1) * PARAMETERS; i++)
      parameters += pow((data.theta_hat[i] - data.theta[i]) / d[b], 2);
    total += (pixels + 2.5 * parameters) / (PIXELS + PARAMETERS);
    field += pixels / PIXELS;
    theta += parameters / PARAMETERS;
  }
  assert_ok(objective_loss(&shape, (ObjectiveWeights){2.5, 1}, &batch, &loss, NULL, NULL));
  assert_close(loss.total, total, 1e-13);
  assert_close(loss.field, field, 1e-13);
  assert_close(loss.theta, theta, 1e-13);
}

/* The loss is quadratic, so central differences are exact up to rounding. */
static double slope(const NetworkShape *of, ObjectiveWeights weights, const ObjectiveBatch *batch, Scalar *value)
{
  const double h = 1e-2;
  Loss up, down;

  *value += h;
  assert_ok(objective_loss(of, weights, batch, &up, NULL, NULL));
  *value -= 2 * h;
  assert_ok(objective_loss(of, weights, batch, &down, NULL, NULL));
  *value += h;
  return (up.total - down.total) / (2 * h) / batch->global_batch;
}

static void backward_starts_with_the_slope_of_the_mean_loss_of_the_step(void **state)
{
  Data data;
  const ObjectiveBatch batch = make(&data, 12); /* this rank has 3 of 12 samples */
  Scalar x_bar[BATCH * PIXELS], theta_bar[BATCH * PARAMETERS];
  Loss loss;

  (void)state;
  assert_ok(objective_loss(&shape, (ObjectiveWeights){2.5, 1}, &batch, &loss, x_bar, theta_bar));
  for (size_t i = 0; i < BATCH * PIXELS; i += 7)
    assert_close(slope(&shape, (ObjectiveWeights){2.5, 1}, &batch, &data.x_hat[i]), x_bar[i], 1e-9);
  for (size_t i = 0; i < BATCH * PARAMETERS; i++)
    assert_close(slope(&shape, (ObjectiveWeights){2.5, 1}, &batch, &data.theta_hat[i]), theta_bar[i], 1e-9);
}

/* Sample 0 goes to its parameters and 1 to its map; sample 2 is far along with its parameters. */
static ObjectiveBatch make_in_turn(Data *data, Scalar t_theta[BATCH], NetworkShape *in_turn)
{
  ObjectiveBatch batch = make(data, BATCH);

  *in_turn = shape;
  in_turn->config.flow = FLOW_PARAMETERS_FIRST;
  data->t[0] = data->t[2] = 0;
  t_theta[0] = 0.1, t_theta[1] = 1, t_theta[2] = 0.99;
  batch.t_theta = t_theta;
  return batch;
}

static void of_map_and_parameters_what_is_on_its_way_counts_twice_and_the_other_not(void **state)
{
  Data data;
  NetworkShape in_turn;
  Scalar t_theta[BATCH], x_bar[BATCH * PIXELS], theta_bar[BATCH * PARAMETERS];
  const ObjectiveBatch batch = make_in_turn(&data, t_theta, &in_turn);
  const double d[BATCH] = {0.9, 0.3, 0.05};
  double field = 0, theta = 0;
  Loss loss;

  (void)state;
  for (int b = 0; b < BATCH; b++) {
    for (int i = b * PIXELS; i < (b + 1) * PIXELS && b == 1; i++)
      field += 2 * pow((data.x_hat[i] - data.x[i]) / d[b], 2) / PIXELS;
    for (int i = b * PARAMETERS; i < (b + 1) * PARAMETERS && b != 1; i++)
      theta += 2 * pow((data.theta_hat[i] - data.theta[i]) / d[b], 2) / PARAMETERS;
  }
  assert_ok(objective_loss(&in_turn, (ObjectiveWeights){2.5, 1}, &batch, &loss, x_bar, theta_bar));
  assert_close(loss.field, field, 1e-13);
  assert_close(loss.theta, theta, 1e-13);
  assert_close(loss.total, (PIXELS * field + 2.5 * PARAMETERS * theta) / (PIXELS + PARAMETERS), 1e-13);
  for (size_t i = 0; i < BATCH * PIXELS; i += 7) {
    if (i / PIXELS == 1)
      assert_close(slope(&in_turn, (ObjectiveWeights){2.5, 1}, &batch, &data.x_hat[i]), x_bar[i], 1e-9);
    else
      assert_true(x_bar[i] == 0);
  }
  for (size_t i = 0; i < BATCH * PARAMETERS; i++) {
    if (i / PARAMETERS != 1)
      assert_close(slope(&in_turn, (ObjectiveWeights){2.5, 1}, &batch, &data.theta_hat[i]), theta_bar[i], 1e-9);
    else
      assert_true(theta_bar[i] == 0);
  }
}

static void samples_are_on_their_way_to_parameters_and_to_maps_in_turn(void **state)
{
  Scalar t, t_theta;

  (void)state;
  for (uint64_t index = 7; index < 9; index++) {
    objective_times(FLOW_JOINT, index, 0.25, &t, &t_theta);
    assert_true(t == 0.25 && t_theta == 0.25);
  }
  objective_times(FLOW_PARAMETERS_FIRST, 8, 0.25, &t, &t_theta);
  assert_true(t == 0 && t_theta == 0.25);
  objective_times(FLOW_PARAMETERS_FIRST, 7, 0.25, &t, &t_theta);
  assert_true(t == 0.25 && t_theta == 1);
}

static double mean_error(const Data *data, int sample, int bin)
{
  double sum = 0;

  for (int i = 0; i < NY * NX; i++) {
    const int at = (sample * BINS + bin) * NY * NX + i;

    sum += data->x_hat[at] - data->x[at];
  }
  return sum / (NY * NX);
}

static void of_a_map_the_error_of_its_mean_counts_as_often_as_asked(void **state)
{
  const ObjectiveWeights weights = {2.5, 30};
  Data data;
  const ObjectiveBatch batch = make(&data, 12);
  const double d[BATCH] = {0.9, 0.3, 0.05};
  Scalar x_bar[BATCH * PIXELS], theta_bar[BATCH * PARAMETERS];
  double more = 0;
  Loss published, loss;

  (void)state;
  for (int b = 0; b < BATCH; b++)
    for (int bin = 0; bin < BINS; bin++)
      more += 29 * NY * NX * pow(mean_error(&data, b, bin) / d[b], 2) / (PIXELS + PARAMETERS);
  assert_ok(objective_loss(&shape, (ObjectiveWeights){2.5, 1}, &batch, &published, NULL, NULL));
  assert_ok(objective_loss(&shape, weights, &batch, &loss, x_bar, theta_bar));
  assert_close(loss.total, published.total + more, 1e-13);
  assert_true(loss.field == published.field && loss.theta == published.theta);
  for (size_t i = 0; i < BATCH * PIXELS; i += 7)
    assert_close(slope(&shape, weights, &batch, &data.x_hat[i]), x_bar[i], 1e-9);
}

static void a_perfect_answer_has_no_loss_and_no_gradient(void **state)
{
  Data data;
  ObjectiveBatch batch = make(&data, BATCH);
  Scalar x_bar[BATCH * PIXELS], theta_bar[BATCH * PARAMETERS];
  Loss loss;

  (void)state;
  batch.x_hat = data.x;
  batch.theta_hat = data.theta;
  assert_ok(objective_loss(&shape, (ObjectiveWeights){1, 1}, &batch, &loss, x_bar, theta_bar));
  assert_true(loss.total == 0 && loss.field == 0 && loss.theta == 0);
  for (size_t i = 0; i < BATCH * PIXELS; i++) assert_true(x_bar[i] == 0);
  for (size_t i = 0; i < BATCH * PARAMETERS; i++) assert_true(theta_bar[i] == 0);
}

static void an_answer_that_is_no_number_is_refused_naming_the_sample(void **state)
{
  Data data;
  const ObjectiveBatch batch = make(&data, BATCH);
  Loss loss;

  (void)state;
  data.x_hat[PIXELS + 3] = NAN;
  assert_fails(objective_loss(&shape, (ObjectiveWeights){1, 1}, &batch, &loss, NULL, NULL), NEPHRITE_ERR_INTERNAL,
               "sample 1 of the batch");
  data.x_hat[PIXELS + 3] = 0;
  data.theta_hat[0] = INFINITY;
  assert_fails(objective_loss(&shape, (ObjectiveWeights){1, 1}, &batch, &loss, NULL, NULL), NEPHRITE_ERR_INTERNAL,
               "sample 0 of the batch");
}

static void mixing_goes_from_noise_at_time_0_to_the_clean_map_at_time_1(void **state)
{
  const Scalar clean[] = {1, 2}, noise[] = {-3, 5};
  Scalar z[2];

  (void)state;
  objective_mix(2, 0, clean, noise, z);
  assert_true(z[0] == -3 && z[1] == 5);
  objective_mix(2, 1, clean, noise, z);
  assert_true(z[0] == 1 && z[1] == 2);
  objective_mix(2, 0.25, clean, noise, z);
  assert_within(z[0], 0.25 - 2.25, 1e-15);
  assert_within(z[1], 0.5 + 3.75, 1e-15);
}

static void the_median_time_is_that_of_the_published_logit(void **state)
{
  (void)state;
  assert_close(objective_time(-0.8, 0.8, 0), 1 / (1 + exp(0.64)), 1e-15);
  assert_close(log(objective_time(-0.8, 0.8, 1) / (1 - objective_time(-0.8, 0.8, 1))), 0.2 * 0.8, 1e-13);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(the_loss_is_the_velocity_error_over_all_terms),
                   cmocka_unit_test(backward_starts_with_the_slope_of_the_mean_loss_of_the_step),
                   cmocka_unit_test(of_map_and_parameters_what_is_on_its_way_counts_twice_and_the_other_not),
                   cmocka_unit_test(samples_are_on_their_way_to_parameters_and_to_maps_in_turn),
                   cmocka_unit_test(of_a_map_the_error_of_its_mean_counts_as_often_as_asked),
                   cmocka_unit_test(a_perfect_answer_has_no_loss_and_no_gradient),
                   cmocka_unit_test(an_answer_that_is_no_number_is_refused_naming_the_sample),
                   cmocka_unit_test(mixing_goes_from_noise_at_time_0_to_the_clean_map_at_time_1),
                   cmocka_unit_test(the_median_time_is_that_of_the_published_logit))
