#include "example.h"

static Network *create(const NetworkShape *shape, PetscInt batch, NetworkMode mode)
{
  Network *network = NULL;

  assert_ok(network_create(shape, batch, mode, &network));
  example_weights(network);
  return network;
}

static void run(Network *network, Example *e)
{
  assert_ok(network_forward(network, &e->input, e->x, e->theta));
}

static void assert_same(size_t count, const Scalar *a, const Scalar *b)
{
  assert_memory_equal(a, b, count * sizeof *a);
}

static void at_the_start_every_block_is_the_identity_and_both_outputs_are_0(void **state)
{
  NetworkShape shape = example_shape();
  Example e = example_create(&shape, 2);
  Network *network = NULL;
  size_t count;

  (void)state;
  shape.config.observation_start = 0;
  assert_ok(network_create(&shape, 2, NETWORK_TRAINING, &network));
  assert_ok(network_initialise(network, 3));
  run(network, &e);
  for (size_t i = 0; i < e.maps; i++) assert_true(e.x[i] == 0);
  for (size_t i = 0; i < e.thetas; i++) assert_true(e.theta[i] == 0);
  assert_ok(network_activation(network, "block.0", &count, NULL));
  Scalar *first = malloc(count * sizeof *first), *last = malloc(count * sizeof *last);
  assert_ok(network_activation(network, "block.0", &count, first));
  assert_ok(network_activation(network, "block.3", &count, last));
  assert_same(count, first, last);
  free(first), free(last);
  example_destroy(&e);
  assert_ok(network_destroy(&network));
}

static void starting_values_are_spread_as_the_manual_says(void **state)
{
  const NetworkShape shape = example_shape();
  Network *network = NULL;

  (void)state;
  assert_ok(network_create(&shape, 1, NETWORK_INFERENCE, &network));
  assert_ok(network_initialise(network, 3));
  for (PetscInt i = 0; i < network_tensor_count(network); i++) {
    const NetworkTensor *tensor = network_tensor(network, i);
    const Scalar *values = network_weights(network) + tensor->offset;
    double square = 0, largest = 0;

    for (size_t j = 0; j < tensor->size; j++) {
      square += (double)values[j] * (double)values[j] / (double)tensor->size;
      largest = fmax(largest, fabs((double)values[j]));
    }
    if (!strcmp(tensor->name, "block.2.mlp.w12.weight")) { /* Xavier: uniform in +-a, mean square a^2/3 */
      const double a = sqrt(6. / (128 + 24));

      assert_true(largest <= a && largest > 0.99 * a);
      assert_close(square, a * a / 3, 5 * sqrt(0.8 / (double)tensor->size)); /* five standard errors */
    }
    if (!strcmp(tensor->name, "cosmology.embed.weight"))
      assert_close(square, 0.02 * 0.02, 5 * sqrt(2. / (double)tensor->size));
    if (!strcmp(tensor->name, "field.position")) { /* row 1, column 0: token 6; j = 1 of Q = 6 */
      assert_within((double)values[6 * 24 + 1], 0, 1e-7);
      assert_close((double)values[6 * 24 + 12 + 1], sin(pow(10000, -1. / 6)), 1e-6);
      assert_close((double)values[6 * 24 + 18 + 1], cos(pow(10000, -1. / 6)), 1e-6);
    }
  }
  assert_ok(network_destroy(&network));
}

static void a_sample_s_answer_does_not_depend_on_the_others_of_its_batch(void **state)
{
  const NetworkShape shape = example_shape();
  Example all = example_create(&shape, 3), one = example_create(&shape, 1);
  Network *network = create(&shape, 3, NETWORK_TRAINING);

  (void)state;
  run(network, &all);
  for (size_t b = 0; b < 3; b++) {
    const NetworkInput alone = {.batch = 1,
                                .z = all.z + b * one.maps,
                                .z_theta = all.z_theta + b * one.thetas,
                                .observation = all.observation + b * one.observed,
                                .t = all.t + b};

    assert_ok(network_forward(network, &alone, one.x, one.theta));
    assert_same(one.maps, all.x + b * one.maps, one.x);
    assert_same(one.thetas, all.theta + b * one.thetas, one.theta);
  }
  example_destroy(&all), example_destroy(&one);
  assert_ok(network_destroy(&network));
}

static void inference_gives_what_training_gives_at_times_equal_or_not(void **state)
{
  NetworkShape shapes[3] = {example_shape(), example_shape(), example_shape()};

  (void)state;
  shapes[1].config.observation_start = 0;
  shapes[1].config.spectra = 3;
  shapes[2].config.conditioning = CONDITIONING_CHANNELS;
  for (int i = 0; i < 6; i++) {
    const NetworkShape *shape = &shapes[i / 2];
    Example training = example_create(shape, 3), inference = example_create(shape, 3);
    Network *a = create(shape, 3, NETWORK_TRAINING), *b = create(shape, 3, NETWORK_INFERENCE);

    for (int j = 0; i % 2 && j < 3; j++) training.t[j] = inference.t[j] = (Scalar)0.4;
    run(a, &training);
    run(b, &inference);
    assert_same(training.maps, training.x, inference.x);
    assert_same(training.thetas, training.theta, inference.theta);
    assert_true(network_arena_bytes(b) < network_arena_bytes(a));
    assert_ok(network_destroy(&a));
    assert_ok(network_destroy(&b));
    example_destroy(&training), example_destroy(&inference);
  }
}

static void an_observation_once_given_is_kept(void **state)
{
  NetworkShape shapes[2] = {example_shape(), example_shape()};

  (void)state;
  shapes[0].config.spectra = 2;
  shapes[1].config.conditioning = CONDITIONING_CHANNELS;
  for (int i = 0; i < 2; i++) {
    Example first = example_create(&shapes[i], 2), second = example_create(&shapes[i], 2);
    Network *network = create(&shapes[i], 2, NETWORK_INFERENCE);

    run(network, &first);
    second.input.observation = second.input.summaries = NULL;
    run(network, &second);
    assert_same(first.maps, first.x, second.x);
    example_numbers(91, first.observed, 1, first.observation); /* and another one is not overlooked */
    run(network, &first);
    assert_true(memcmp(first.x, second.x, first.maps * sizeof *first.x) != 0);
    assert_ok(network_destroy(&network));
    example_destroy(&first), example_destroy(&second);
  }
}

/* What cosmology tokens are told is a linear map of it, added to them: so may be the bias that they have anyhow. */
static void band_powers_shift_the_cosmology_tokens(void **state)
{
  enum { TOLD = 4, PAIRS = 3, TOKENS = 3 * 24 };
  NetworkShape plain = example_shape(), told = example_shape();

  (void)state;
  told.config.spectra = TOLD;
  Example a = example_create(&plain, 1), b = example_create(&told, 1);
  Network *without = create(&plain, 1, NETWORK_INFERENCE), *with = create(&told, 1, NETWORK_INFERENCE);
  Scalar *bias = NULL, *weight = NULL;

  for (PetscInt i = 0, j = 0; i < network_tensor_count(with); i++) {
    const NetworkTensor *tensor = network_tensor(with, i);

    if (!strcmp(tensor->name, "cosmology.summaries.weight")) {
      assert_int_equal(tensor->shape[0], TOKENS);
      assert_int_equal(tensor->shape[1], PAIRS * TOLD);
      weight = network_weights(with) + tensor->offset;
      continue;
    }
    Scalar *same = network_weights(without) + network_tensor(without, j)->offset;

    assert_string_equal(tensor->name, network_tensor(without, j++)->name);
    memcpy(same, network_weights(with) + tensor->offset, tensor->size * sizeof *same);
    if (!strcmp(tensor->name, "cosmology.embed.bias")) bias = same;
  }
  assert_non_null(weight);
  for (int i = 0; i < TOKENS; i++) {
    double sum = 0;

    for (int k = 0; k < PAIRS * TOLD; k++) sum += (double)weight[i * PAIRS * TOLD + k] * (double)b.summaries[k];
    bias[i] += (Scalar)sum;
  }
  run(without, &a);
  run(with, &b);
  for (size_t i = 0; i < a.maps; i++) assert_within((double)a.x[i], (double)b.x[i], 1e-4);
  for (size_t i = 0; i < a.thetas; i++) assert_within((double)a.theta[i], (double)b.theta[i], 1e-4);
  assert_ok(network_destroy(&without));
  assert_ok(network_destroy(&with));
  example_destroy(&a), example_destroy(&b);
}

/* What the heads say is the same; for white noise of unit variance the guess would leave the least. */
static void a_residual_is_added_to_the_best_linear_guess(void **state)
{
  NetworkShape clean = example_shape(), residual = example_shape();

  (void)state;
  residual.config.output = OUTPUT_RESIDUAL;
  Example a = example_create(&clean, 3), b = example_create(&residual, 3);
  Network *says = create(&clean, 3, NETWORK_INFERENCE), *adds = create(&residual, 3, NETWORK_INFERENCE);

  run(says, &a);
  run(adds, &b);
  for (size_t sample = 0; sample < 3; sample++) {
    const double t = (double)a.t[sample], square = t * t + (1 - t) * (1 - t);

    for (size_t i = sample * a.maps / 3; i < (sample + 1) * a.maps / 3; i++)
      assert_within((double)b.x[i], t / square * (double)a.z[i] + (1 - t) / sqrt(square) * (double)a.x[i], 1e-5);
    for (size_t i = sample * a.thetas / 3; i < (sample + 1) * a.thetas / 3; i++)
      assert_within((double)b.theta[i], t / square * (double)a.z_theta[i] + (1 - t) / sqrt(square) * (double)a.theta[i],
                    1e-5);
  }
  assert_ok(network_destroy(&says));
  assert_ok(network_destroy(&adds));
  example_destroy(&a), example_destroy(&b);
}

/* The mean of the two times is embedded, and each has the guess of its own. */
static void parameters_may_have_a_time_of_their_own(void **state)
{
  NetworkShape shape = example_shape();

  (void)state;
  for (int residual = 0; residual < 2; residual++) {
    shape.config.output = residual ? OUTPUT_RESIDUAL : OUTPUT_CLEAN;
    Example mean = example_create(&shape, 3), own = example_create(&shape, 3);
    Network *network = create(&shape, 3, NETWORK_INFERENCE);

    own.input.t_theta = own.t_theta;
    for (size_t b = 0; b < 3; b++) mean.t[b] = (own.t[b] + own.t_theta[b]) / 2;
    run(network, &mean);
    run(network, &own);
    for (size_t i = 0; i < own.maps + own.thetas; i++) {
      const PetscBool map = i < own.maps ? PETSC_TRUE : PETSC_FALSE;
      const size_t j = map ? i : i - own.maps, b = j / ((map ? own.maps : own.thetas) / 3);
      const double z = (double)(map ? own.z : own.z_theta)[j], found = (double)(map ? own.x : own.theta)[j];
      const double at_mean = (double)(map ? mean.x : mean.theta)[j];
      const double s = (double)mean.t[b], t = (double)(map ? own.t : own.t_theta)[b];
      const double s_square = s * s + (1 - s) * (1 - s), t_square = t * t + (1 - t) * (1 - t);
      const double said = residual ? (at_mean - s / s_square * z) * sqrt(s_square) / (1 - s) : at_mean;

      assert_within(found, residual ? t / t_square * z + (1 - t) / sqrt(t_square) * said : said, 2e-5);
    }
    assert_ok(network_destroy(&network));
    example_destroy(&mean), example_destroy(&own);
  }
}

/* A map of 7 x 9 in patches of 2 is a map of 8 x 10 with zeros at its high ends. */
static void padding_is_zeros_at_the_high_ends(void **state)
{
  (void)state;
  for (int channels = 0; channels < 2; channels++) {
    NetworkShape small = example_shape(), large;

    small.ny = 7, small.nx = 9;
    if (channels) small.config.conditioning = CONDITIONING_CHANNELS;
    large = small;
    large.ny = 8, large.nx = 10;
    Example a = example_create(&small, 1), b = example_create(&large, 1);
    Network *padded = create(&small, 1, NETWORK_INFERENCE), *whole = create(&large, 1, NETWORK_INFERENCE);

    memset(b.z, 0, b.maps * sizeof *b.z);
    memset(b.observation, 0, b.observed * sizeof *b.z);
    for (int row = 0; row < 7 * 3; row++) /* of 2 or 3 channels */
      for (int x = 0; x < 9; x++) {
        const int at = (row / 7 * 8 + row % 7) * 10 + x;

        if (row < 7 * 2) b.z[at] = a.z[row * 9 + x];
        b.observation[at] = a.observation[row * 9 + x];
      }
    run(padded, &a);
    run(whole, &b);
    for (int row = 0; row < 7 * 2; row++)
      for (int x = 0; x < 9; x++) assert_true(a.x[row * 9 + x] == b.x[(row / 7 * 8 + row % 7) * 10 + x]);
    assert_same(a.thetas, a.theta, b.theta);
    assert_ok(network_destroy(&padded));
    assert_ok(network_destroy(&whole));
    example_destroy(&a), example_destroy(&b);
  }
}

static double difference(size_t count, const Scalar *a, const Scalar *b)
{
  double largest = 0;

  for (size_t i = 0; i < count; i++) largest = fmax(largest, fabs((double)a[i] - (double)b[i]));
  return largest;
}

static void dropout_depends_on_seed_and_sample_and_acts_in_training_only(void **state)
{
  NetworkShape shape = example_shape();
  Example plain = example_create(&shape, 2), first = example_create(&shape, 2), second = example_create(&shape, 2);

  (void)state;
  shape.config.dropout = 0.3;
  Network *network = create(&shape, 2, NETWORK_TRAINING);
  run(network, &plain);
  first.input.dropout = first.dropout;
  second.input.dropout = second.dropout;
  run(network, &first);
  run(network, &second);
  assert_same(first.maps, first.x, second.x);
  assert_true(difference(first.maps, first.x, plain.x) > 1e-3);
  second.dropout[1]++; /* another random index for the second sample only */
  run(network, &second);
  assert_same(first.maps / 2, first.x, second.x);
  assert_true(difference(first.maps, first.x, second.x) > 1e-3);
  second.dropout[1]--;
  second.input.seed++;
  run(network, &second);
  assert_true(difference(first.maps / 2, first.x, second.x) > 1e-3);
  assert_ok(network_destroy(&network));
  network = create(&shape, 2, NETWORK_INFERENCE);
  assert_fails(network_forward(network, &first.input, first.x, first.theta), NEPHRITE_ERR_INTERNAL, "dropout");
  assert_ok(network_destroy(&network));
  example_destroy(&plain), example_destroy(&first), example_destroy(&second);
}

/* With the gates of blocks `from` to `to` closed, nothing that is dropped in them can be seen.  Is nothing seen? */
static PetscBool dropout_is_hidden_by(const NetworkShape *shape, int from, int to)
{
  Example plain = example_create(shape, 1), dropped = example_create(shape, 1);
  Network *network = create(shape, 1, NETWORK_TRAINING);

  for (PetscInt i = 0; i < network_tensor_count(network); i++) {
    const NetworkTensor *tensor = network_tensor(network, i);
    int block;

    if (strstr(tensor->name, ".modulation") && sscanf(tensor->name, "block.%d", &block) == 1 && block >= from &&
        block <= to)
      memset(network_weights(network) + tensor->offset, 0, tensor->size * sizeof(Scalar));
  }
  run(network, &plain);
  dropped.input.dropout = dropped.dropout;
  run(network, &dropped);
  const PetscBool same = memcmp(plain.x, dropped.x, plain.maps * sizeof *plain.x) ? PETSC_FALSE : PETSC_TRUE;
  assert_ok(network_destroy(&network));
  example_destroy(&plain), example_destroy(&dropped);
  return same;
}

static void dropout_leaves_the_first_and_last_quarter_of_the_blocks_alone(void **state)
{
  NetworkShape shape = example_shape();

  (void)state;
  shape.config.dropout = 0.3;
  assert_true(dropout_is_hidden_by(&shape, 1, 2));
  assert_false(dropout_is_hidden_by(&shape, 1, 1));
  assert_false(dropout_is_hidden_by(&shape, 2, 2));
}

static void dropout_acts_in_the_blocks_that_were_asked_for(void **state)
{
  NetworkShape shape = example_shape();

  (void)state;
  shape.config.dropout = 0.3;
  shape.config.dropout_first = 2, shape.config.dropout_last = 3;
  assert_true(dropout_is_hidden_by(&shape, 2, 3));
  assert_false(dropout_is_hidden_by(&shape, 2, 2));
  assert_false(dropout_is_hidden_by(&shape, 3, 3));
  shape.config.dropout_first = shape.config.dropout_last = 0;
  assert_true(dropout_is_hidden_by(&shape, 0, 0));
}

static void calls_that_make_no_sense_are_refused(void **state)
{
  NetworkShape shape = example_shape();
  Example e = example_create(&shape, 2);
  Network *network = NULL;
  size_t count;

  (void)state;
  assert_fails(network_create(&shape, 0, NETWORK_INFERENCE, &network), NEPHRITE_ERR_CONFIG, "batch of 0");
  shape.config.heads = 5;
  assert_fails(network_create(&shape, 2, NETWORK_INFERENCE, &network), NEPHRITE_ERR_CONFIG, "network_width");
  shape.config.heads = 3;
  network = create(&shape, 2, NETWORK_TRAINING);
  assert_fails(network_activation(network, "time", &count, NULL), NEPHRITE_ERR_INTERNAL, "has run forward");
  e.input.observation = NULL;
  assert_fails(network_forward(network, &e.input, e.x, e.theta), NEPHRITE_ERR_INTERNAL, "without observation");
  e.input.observation = e.observation;
  e.input.batch = 3;
  assert_fails(network_forward(network, &e.input, e.x, e.theta), NEPHRITE_ERR_INTERNAL, "batch of 3");
  e.input.batch = 2;
  run(network, &e);
  assert_fails(network_activation(network, "block.4", &count, NULL), NEPHRITE_ERR_INPUT, "block.3");
  assert_fails(network_activation(network, "block.1x", &count, NULL), NEPHRITE_ERR_INPUT, "block.1x");
  assert_ok(network_destroy(&network));
  assert_ok(network_destroy(&network)); /* of nothing */
  shape.config.spectra = 1;
  network = create(&shape, 2, NETWORK_INFERENCE);
  e.input.summaries = NULL;
  assert_fails(network_forward(network, &e.input, e.x, e.theta), NEPHRITE_ERR_INTERNAL, "without its summaries");
  assert_ok(network_destroy(&network));
  example_destroy(&e);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(at_the_start_every_block_is_the_identity_and_both_outputs_are_0),
                   cmocka_unit_test(starting_values_are_spread_as_the_manual_says),
                   cmocka_unit_test(a_sample_s_answer_does_not_depend_on_the_others_of_its_batch),
                   cmocka_unit_test(inference_gives_what_training_gives_at_times_equal_or_not),
                   cmocka_unit_test(an_observation_once_given_is_kept),
                   cmocka_unit_test(band_powers_shift_the_cosmology_tokens),
                   cmocka_unit_test(a_residual_is_added_to_the_best_linear_guess),
                   cmocka_unit_test(parameters_may_have_a_time_of_their_own),
                   cmocka_unit_test(padding_is_zeros_at_the_high_ends),
                   cmocka_unit_test(dropout_depends_on_seed_and_sample_and_acts_in_training_only),
                   cmocka_unit_test(dropout_leaves_the_first_and_last_quarter_of_the_blocks_alone),
                   cmocka_unit_test(dropout_acts_in_the_blocks_that_were_asked_for),
                   cmocka_unit_test(calls_that_make_no_sense_are_refused))
