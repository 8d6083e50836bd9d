/* nephrite-test: mpi */
#include "campaign_fixture.h"

enum { FIRST = 500, LEAST = 1 }; /* realisations where training and validation begin */

/* Odd ranks simulate, even ones want maps; one rank alone has nobody to ask. */
typedef struct {
  PetscBool simulates;
  MPI_Comm others;
} Side;

static Side side_create(void)
{
  Side side = {.simulates = world_rank() % 2 ? PETSC_TRUE : PETSC_FALSE};
  MPI_Comm alike;
  int size;

  MPI_Comm_size(PETSC_COMM_WORLD, &size);
  if (size == 1) skip();
  MPI_Comm_split(PETSC_COMM_WORLD, side.simulates ? 1 : 0, world_rank(), &alike);
  MPI_Intercomm_create(alike, 0, PETSC_COMM_WORLD, side.simulates ? 0 : 1, 0, &side.others);
  MPI_Comm_free(&alike);
  return side;
}

static BatchSource *streamed(const Side *side, const Setting *s, int64_t first)
{
  BatchSource *source = NULL;

  assert_ok(batch_source_streamed(side->others, &s->survey, prior_count(s->prior), first, &source));
  return source;
}

static void assert_is_realisation(BatchSource *source, Simulator *simulator, int64_t first, int64_t position)
{
  float kappa[PIXELS], expected[PIXELS];
  double theta[PARAMETERS], expected_theta[PARAMETERS];
  int64_t realisation;

  assert_ok(batch_source_get(source, position, kappa, theta, &realisation));
  assert_int_equal(realisation, first + position);
  assert_ok(simulator_realisation(simulator, realisation, expected, expected_theta, NULL));
  assert_memory_equal(kappa, expected, sizeof kappa);
  assert_memory_equal(theta, expected_theta, sizeof theta);
}

/* Two sources at once, as training and validation are; some maps ahead, some on demand, some never taken. */
static void take_maps(const Side *side, const Setting *s)
{
  enum { TAKEN = 8 + 2 + 1 + 1, LEFT = 3 };
  const int64_t mine = 100 * world_rank();
  BatchSource *training = streamed(side, s, FIRST), *held_out = streamed(side, s, LEAST);
  Simulator *simulator = NULL;
  SimulationService service;
  int size;

  assert_ok(simulator_create(PETSC_COMM_SELF, &s->survey, s->prior, SEED, &simulator));
  assert_ok(batch_source_expect(training, mine, 5));
  for (int64_t i = 0; i < 3; i++) assert_is_realisation(training, simulator, FIRST, mine + i);
  assert_ok(batch_source_expect(held_out, 0, 2));
  assert_ok(batch_source_expect(training, mine, 8)); /* 5 of them are on their way */
  for (int64_t i = 0; i < 2; i++) assert_is_realisation(held_out, simulator, LEAST, i);
  for (int64_t i = 3; i < 8; i++) assert_is_realisation(training, simulator, FIRST, mine + i);
  assert_is_realisation(training, simulator, FIRST, mine + 50);
  assert_is_realisation(held_out, simulator, LEAST, 0); /* once more */
  assert_ok(batch_source_expect(training, mine + 60, 3));
  assert_ok(simulator_destroy(&simulator));
  assert_ok(batch_source_destroy(&training));
  assert_ok(batch_source_destroy(&held_out));
  assert_ok(simulation_dismiss(side->others, &service));
  MPI_Comm_size(PETSC_COMM_WORLD, &size);
  if (size == 2) assert_int_equal(service.maps, TAKEN + LEFT);
}

static void maps_from_other_ranks_are_those_made_here_bit_for_bit(void **state)
{
  Side side = side_create();
  Setting *s = setting_create(PETSC_COMM_SELF, "unused", NULL);

  (void)state;
  if (side.simulates)
    assert_ok(simulation_serve(side.others, &s->survey, s->prior, SEED));
  else
    take_maps(&side, s);
  setting_destroy(s);
  MPI_Comm_free(&side.others);
}

static void what_the_simulating_ranks_did_is_told_when_they_are_let_go(void **state)
{
  Side side = side_create();
  Setting *s = setting_create(PETSC_COMM_SELF, "unused", NULL);
  float kappa[PIXELS];
  double theta[PARAMETERS];

  (void)state;
  if (side.simulates)
    assert_ok(simulation_serve(side.others, &s->survey, s->prior, SEED));
  else {
    BatchSource *source = streamed(&side, s, 0);
    SimulationService service;

    for (int64_t i = 0; i < 6; i++) assert_ok(batch_source_get(source, i, kappa, theta, NULL));
    assert_ok(batch_source_destroy(&source));
    assert_ok(simulation_dismiss(side.others, &service));
    assert_true(service.maps >= 6);
    assert_true(service.busy_seconds > 0 && service.busy_seconds <= service.seconds);
  }
  setting_destroy(s);
  MPI_Comm_free(&side.others);
}

static void a_map_that_cannot_be_made_fails_where_it_is_asked_for(void **state)
{
  static const char *const shifted[] = {"-prior_delta_z_1", "fixed:-20", NULL};
  Side side = side_create();
  Setting *s = setting_create(PETSC_COMM_SELF, "unused", shifted);
  SimulationService service;
  float kappa[PIXELS];
  double theta[PARAMETERS];

  (void)state;
  if (side.simulates)
    assert_fails(simulation_serve(side.others, &s->survey, s->prior, SEED), NEPHRITE_ERR_CONFIG, "of realisation 5");
  else {
    BatchSource *source = streamed(&side, s, FIRST);

    assert_ok(batch_source_expect(source, 0, 40)); /* it does not take forty times as long */
    for (int64_t i = 0; i < 2; i++)
      assert_fails(batch_source_get(source, i, kappa, theta, NULL), NEPHRITE_ERR_CONFIG, "of realisation 5");
    assert_ok(batch_source_destroy(&source));
    assert_ok(simulation_dismiss(side.others, &service));
  }
  setting_destroy(s);
  MPI_Comm_free(&side.others);
}

static void a_rank_that_cannot_simulate_says_so_to_all_who_ask(void **state)
{
  Side side = side_create();
  Setting *s = setting_create(PETSC_COMM_SELF, "unused", NULL);
  SimulationService service;
  float kappa[PIXELS];
  double theta[PARAMETERS];

  (void)state;
  if (side.simulates) {
    strcpy(s->survey.n_of_z, "/nowhere.h5");
    assert_fails(simulation_serve(side.others, &s->survey, s->prior, SEED), NEPHRITE_ERR_INPUT, "/nowhere.h5");
  } else {
    BatchSource *source = streamed(&side, s, 0);

    assert_fails(batch_source_get(source, 0, kappa, theta, NULL), NEPHRITE_ERR_INPUT, "/nowhere.h5");
    assert_ok(batch_source_destroy(&source));
    assert_ok(simulation_dismiss(side.others, &service));
  }
  setting_destroy(s);
  MPI_Comm_free(&side.others);
}

/* All asked for at once. */
static void take_many(BatchSource *source, const Setting *s, int64_t count)
{
  float kappa[2][PIXELS];
  double theta[2][PARAMETERS];
  Simulator *simulator = NULL;

  assert_ok(simulator_create(PETSC_COMM_SELF, &s->survey, s->prior, SEED, &simulator));
  assert_ok(batch_source_expect(source, 0, count));
  for (int64_t i = 0; i < count; i++) {
    assert_ok(batch_source_get(source, i, kappa[0], theta[0], NULL));
    assert_ok(simulator_realisation(simulator, i, kappa[1], theta[1], NULL));
    assert_memory_equal(kappa[0], kappa[1], sizeof kappa[0]);
    assert_memory_equal(theta[0], theta[1], sizeof theta[0]);
  }
  assert_ok(simulator_destroy(&simulator));
}

static void more_maps_than_a_rank_has_places_for_all_arrive(void **state)
{
  enum { MANY = 300 }; /* a rank has 256 places */
  Side side = side_create();
  Setting *s = setting_create(PETSC_COMM_SELF, "unused", NULL);
  SimulationService service;

  (void)state;
  if (side.simulates)
    assert_ok(simulation_serve(side.others, &s->survey, s->prior, SEED));
  else {
    BatchSource *source = streamed(&side, s, 0);

    if (world_rank() == 0) take_many(source, s, MANY);
    assert_ok(batch_source_destroy(&source));
    assert_ok(simulation_dismiss(side.others, &service));
  }
  setting_destroy(s);
  MPI_Comm_free(&side.others);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(maps_from_other_ranks_are_those_made_here_bit_for_bit),
                   cmocka_unit_test(what_the_simulating_ranks_did_is_told_when_they_are_let_go),
                   cmocka_unit_test(a_map_that_cannot_be_made_fails_where_it_is_asked_for),
                   cmocka_unit_test(a_rank_that_cannot_simulate_says_so_to_all_who_ask),
                   cmocka_unit_test(more_maps_than_a_rank_has_places_for_all_arrive))
