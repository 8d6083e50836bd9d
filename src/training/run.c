/** \file run.c  A training from its first step, or from where it left off, to its last.  \ingroup training */
#include "internal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Realisations that the normalisation is measured on: its statistical error is then below a percent. Those of online
 * training are simulated for it, so there are fewer.  How power follows parameters has many more numbers. */
enum { NORMALISED_ON = 1024, NORMALISED_ONLINE = 256, RESPONSE_ON = 4096 };

PetscErrorCode training_shape(const TrainingSetup *setup, NetworkShape *shape)
{
  Observer *observer = NULL;

  PetscFunctionBeginUser;
  PetscErrorCode error = observer_create(setup->survey, &observer);
  *shape = (NetworkShape){.ny = survey_ny(setup->survey),
                          .nx = survey_nx(setup->survey),
                          .bins = setup->survey->bins,
                          .observation_channels = error ? 0 : observer_channels(observer),
                          .parameters = prior_count(setup->prior),
                          .config = *setup->network};
  PetscCall(observer_destroy(&observer));
  PetscCall(error);
  PetscCall(network_shape_check(shape));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscInt training_micro_batch(const TrainConfig *train, int ranks)
{
  const PetscInt share = (train->batch + ranks - 1) / ranks;

  return share < train->micro_batch ? share : train->micro_batch;
}

NetworkMode training_mode(const TrainConfig *train)
{
  const unsigned mode = train->recompute ? NETWORK_RECOMPUTING : NETWORK_TRAINING;

  return (NetworkMode)(train->precision == PRECISION_BFLOAT16 ? mode | NETWORK_BFLOAT16 : mode);
}

/* Maps that a rank may have of its samples before they are due: of a step, and of the next one. */
static double maps_ahead(const TrainConfig *train, int trainers)
{
  const double share = ceil((double)train->batch / trainers);

  if (train->simulation_ranks) return 2 * share;
  return train->source == SOURCE_ONLINE && trainers > 1 ? share : 0;
}

PetscErrorCode training_estimate(const TrainingSetup *setup, int ranks, TrainingEstimate *estimate)
{
  const TrainConfig *train = setup->train;
  NetworkShape shape;
  int trainers;

  PetscFunctionBeginUser;
  PetscCall(training_shape(setup, &shape));
  PetscCall(roles_count(train->simulation_ranks, ranks, &trainers));
  const PetscInt samples = training_micro_batch(train, trainers);
  const double pixels = (double)shape.ny * (double)shape.nx, bins = shape.bins;
  *estimate = (TrainingEstimate){.trainers = trainers, .micro_batch = samples};
  PetscCall(network_estimate(&shape, samples, training_mode(train), &estimate->network));
  estimate->optimizer_bytes = 3. * (double)estimate->network.parameters * sizeof(Scalar); /* m, v, average */
  if (train->shard_optimizer) estimate->optimizer_bytes /= trainers;
  /* clean and noisy map, answer and its gradient, observation; the map as it comes */
  estimate->batch_bytes =
      samples * pixels * ((4 * bins + shape.observation_channels) * sizeof(Scalar) + bins * sizeof(float));
  estimate->batch_bytes += guess_bytes(&shape, samples);
  estimate->batch_bytes += maps_ahead(train, trainers) * pixels * bins * sizeof(float);
  /* backward costs twice what forward does, and forward may be made twice (but for the last block and the heads) */
  estimate->step_flops = (train->recompute ? 4 : 3) * estimate->network.forward_flops * train->batch;
  estimate->checkpoint_bytes =
      (double)checkpoint_bytes(estimate->network.parameters, estimate->network.tensors, train->steps);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- making what a step needs ---- */

/* Of the position embedding, what is in this rank's part of the parameters. */
static PetscErrorCode freeze_position(Training *t)
{
  PetscFunctionBeginUser;
  for (PetscInt i = 0; t->setup.train->freeze_position && i < network_tensor_count(t->network); i++) {
    const NetworkTensor *tensor = network_tensor(t->network, i);
    const size_t own_end = t->own_first + t->own_count, tensor_end = tensor->offset + tensor->size;
    const size_t first = tensor->offset > t->own_first ? tensor->offset : t->own_first;
    const size_t end = tensor_end < own_end ? tensor_end : own_end;

    if (!strcmp(tensor->name, "field.position") && first < end)
      PetscCall(optimizer_freeze(t->optimizer, first - t->own_first, end - first));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode create_optimizer(Training *t)
{
  const TrainConfig *train = t->setup.train;
  const OptimizerConfig config = {train->beta1,        train->beta2, train->epsilon,
                                  train->weight_decay, train->clip,  train->ema_decay};

  PetscFunctionBeginUser;
  PetscCall(optimizer_create(&config, t->own_count, network_weights(t->network) + t->own_first, &t->optimizer));
  PetscCall(freeze_position(t));
  PetscCall(reducer_create(t->comm, network_parameter_count(t->network), network_gradient(t->network), &t->reducer));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode create_network(Training *t)
{
  const size_t pixels = (size_t)t->shape.bins * (size_t)t->shape.ny * (size_t)t->shape.nx;
  const size_t samples = (size_t)t->micro_batch, parameters = (size_t)t->shape.parameters;

  PetscFunctionBeginUser;
  PetscCall(network_create(&t->shape, t->micro_batch, training_mode(t->setup.train), &t->network));
  PetscCall(training_parts(t));
  PetscCall(create_optimizer(t));
  PetscCall(PetscMalloc1(samples * pixels, &t->x_hat));
  PetscCall(PetscMalloc1(samples * pixels, &t->x_bar));
  PetscCall(PetscMalloc1(samples * parameters, &t->theta_hat));
  PetscCall(PetscMalloc1(samples * parameters, &t->theta_bar));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode open_shards(Training *t)
{
  const char *directory = t->setup.campaign->campaign;
  const int64_t seed = t->setup.campaign->seed, held_out = t->setup.train->held_out;
  const int64_t trained = t->setup.simulate->realisations - held_out;

  PetscFunctionBeginUser;
  PetscCall(batch_source_from_shards(directory, t->setup.options, 0, trained, seed, &t->source));
  PetscCall(batch_source_from_shards(directory, t->setup.options, trained, held_out, seed, &t->held_out));
  if (t->state.trained < trained) t->state.trained = trained;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode open_online(Training *t)
{
  const TrainingSetup *s = &t->setup;
  const int64_t first_held_out = s->simulate->realisations - s->train->held_out;

  PetscFunctionBeginUser;
  PetscCall(batch_source_online(s->survey, s->prior, s->campaign->seed, ONLINE_FIRST, &t->source));
  PetscCall(batch_source_online(s->survey, s->prior, s->campaign->seed, first_held_out, &t->held_out));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode open_streams(Training *t)
{
  const int64_t first_held_out = t->setup.simulate->realisations - t->setup.train->held_out;
  const PetscInt parameters = prior_count(t->setup.prior);

  PetscFunctionBeginUser;
  PetscCall(batch_source_streamed(t->simulators, t->setup.survey, parameters, ONLINE_FIRST, &t->source));
  PetscCall(batch_source_streamed(t->simulators, t->setup.survey, parameters, first_held_out, &t->held_out));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode open_sources(Training *t)
{
  PetscErrorCode error;

  PetscFunctionBeginUser;
  if (t->simulators != MPI_COMM_NULL)
    error = open_streams(t);
  else
    error = t->setup.train->source == SOURCE_ONLINE ? open_online(t) : open_shards(t);
  PetscCall(group_agree(t->comm, error));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- where a new training starts ---- */

static PetscErrorCode measure_normalisation(Training *t)
{
  const int64_t trained = t->setup.simulate->realisations - t->setup.train->held_out;
  const PetscBool online = t->setup.train->source == SOURCE_ONLINE ? PETSC_TRUE : PETSC_FALSE;
  const int64_t most = guess_response_count(&t->shape) ? RESPONSE_ON : online ? NORMALISED_ONLINE : NORMALISED_ON;
  const int64_t count = t->setup.train->source == SOURCE_SHARDS && trained < most ? trained : most;

  PetscFunctionBeginUser;
  PetscCall(normalisation_measure(
      t->comm, &t->shape,
      &(NormalisationSample){t->source, count, t->setup.survey, t->setup.campaign->seed, t->setup.prior},
      &t->state.normalisation));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Is a model of these tensors and data? */
static PetscErrorCode check_model(const Training *t, const Model *model)
{
  const NetworkShape *theirs = &model->shape, *ours = &t->shape;
  const PetscBool same = theirs->ny == ours->ny && theirs->nx == ours->nx && theirs->bins == ours->bins &&
                                 theirs->observation_channels == ours->observation_channels &&
                                 theirs->parameters == ours->parameters &&
                                 model->weight_count == network_parameter_count(t->network)
                             ? PETSC_TRUE
                             : PETSC_FALSE;

  PetscFunctionBeginUser;
  PetscCheck(
      same, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
      "train_start_from %s: its network has %zu weights, maps of %d bins and %d x %d pixels, %d observed channels "
      "and %d parameters; this one has %zu, %d, %d x %d, %d and %d",
      t->setup.train->start_from, model->weight_count, (int)theirs->bins, (int)theirs->ny, (int)theirs->nx,
      (int)theirs->observation_channels, (int)theirs->parameters, network_parameter_count(t->network), (int)ours->bins,
      (int)ours->ny, (int)ours->nx, (int)ours->observation_channels, (int)ours->parameters);
  PetscCall(model_check_parameters(model, t->setup.prior, t->setup.train->start_from));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What the first stage was trained on is no test of the second, unless it was of other maps. */
static PetscErrorCode take_trained(Training *t, const Model *model)
{
  const TrainingSetup *s = &t->setup;

  PetscFunctionBeginUser;
  if (options_require_same(s->options, SCOPE_SIMULATION, model->configuration, s->train->start_from))
    error_clear();
  else if (t->state.trained < model->trained)
    t->state.trained = model->trained;
  PetscCall(training_check_held_out(t));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A second stage: averaged weights and normalisation of the first; moments and step from 0.  The training sequence goes
 * on, so that no sample comes again with the same noise. */
static PetscErrorCode take_model(Training *t, const Model *model)
{
  PetscFunctionBeginUser;
  PetscCall(check_model(t, model));
  PetscCall(take_trained(t, model));
  memcpy(network_gradient(t->network), model->weights, model->weight_count * sizeof(Scalar));
  t->state.normalisation = model->normalisation;
  t->state.position = model->position;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode start_from_model(Training *t)
{
  Model *model = NULL;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  if (t->rank == 0) {
    error = model_load(t->setup.train->start_from, &model);
    if (!error) error = take_model(t, model);
    PetscCall(model_destroy(&model));
  }
  PetscCall(group_agree(t->comm, error));
  PetscCall(training_share_state(t));
  PetscCall(training_take(t, ARRAY_WEIGHTS));
  PetscCall(training_say(t, "starts with the averaged weights of %s", t->setup.train->start_from));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode start_afresh(Training *t)
{
  PetscFunctionBeginUser;
  PetscCall(network_initialise(t->network, t->setup.campaign->seed));
  PetscCall(measure_normalisation(t));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode start(Training *t)
{
  PetscFunctionBeginUser;
  if (t->setup.train->start_from[0])
    PetscCall(start_from_model(t));
  else
    PetscCall(start_afresh(t));
  memcpy(training_own(t, ARRAY_EMA), training_own(t, ARRAY_WEIGHTS), t->own_count * sizeof(Scalar));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- the course ---- */

static PetscErrorCode report(const Training *t, Progress *progress, const StepRecord *record)
{
  char note[240];

  PetscFunctionBeginUser;
  snprintf(note, sizeof note,
           "step %" PRId64 "  loss %.5f  field %.5f  theta %.5f  gradient %.3g  rate %.3g  "
           "compute %.3g s  communication %.2g s  I/O %.2g s",
           record->step, record->loss, record->field, record->theta, record->gradient_norm, record->learning_rate,
           record->compute_seconds, record->communication_seconds, record->data_seconds + record->checkpoint_seconds);
  PetscCall(progress_update(progress, t->state.step * t->setup.train->batch, note));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode steps(Training *t, Progress *progress)
{
  const TrainConfig *train = t->setup.train;
  PetscBool stop = PETSC_FALSE;

  PetscFunctionBeginUser;
  while (!t->end && !stop) {
    PetscBool best = PETSC_FALSE;
    StepRecord record;

    PetscCall(training_step(t, &record, &stop));
    if (t->rank == 0) PetscCall(history_add_step(&t->state.history, &record));
    PetscCall(report(t, progress, &record));
    if (stop && !interrupt_seen())
      PetscCall(
          training_say(t, "stops after step %" PRId64 ": another one, and a checkpoint, could end after the time limit",
                       record.step));
    if (training_is_due(t, record.step, train->validate_every)) PetscCall(training_validate(t, &best));
    if (best || stop || t->end || training_is_due(t, record.step, train->checkpoint_every)) PetscCall(training_save(t));
  }
  PetscCall(progress_finish(progress, t->state.step * train->batch));
  if (t->end == END_PATIENCE) PetscCall(training_say_end(t, "ends early"));
  PetscCheck(t->end, PETSC_COMM_SELF, NEPHRITE_ERR_INTERRUPTED,
             "interrupted after step %" PRId64 " of %" PRId64 "; progress is saved, run again to go on", t->state.step,
             train->steps);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode all_steps(Training *t)
{
  const TrainConfig *train = t->setup.train;
  Progress *progress = NULL;

  PetscFunctionBeginUser;
  PetscErrorCode error =
      feed_create(&t->shape, t->setup.survey, train, &t->state.normalisation, t->micro_batch, &t->feed);
  if (!error) error = guess_create(&t->shape, &t->state.normalisation, t->micro_batch, &t->guess);
  PetscCall(group_agree(t->comm, error));
  PetscCall(progress_create(t->comm, "train", "samples", train->steps * train->batch, t->state.step * train->batch,
                            &progress));
  PetscCall(log_stage("Training"));
  error = steps(t, progress);
  PetscCall(PetscLogStagePop());
  PetscCall(log_stage("Ending"));
  PetscCall(progress_destroy(&progress));
  PetscCall(training_say_costs(t));
  PetscFunctionReturn(error);
}

static PetscErrorCode run(Training *t)
{
  PetscBool found;

  PetscFunctionBeginUser;
  PetscCall(group_agree(t->comm, create_network(t))); /* one rank alone may lack memory */
  PetscCall(training_restore(t, &found));
  training_plan(t);
  PetscCall(training_find_end(t));
  PetscCall(training_say_end(t, "complete"));
  if (t->end) {
    status_complete("samples", t->state.step * t->setup.train->batch); /* it may have ended early */
    PetscFunctionReturn(training_tidy_up(t));
  }
  if (found) PetscCall(training_say(t, "goes on from step %" PRId64, t->state.step));
  PetscCall(open_sources(t));
  if (!found) PetscCall(start(t));
  PetscCall(all_steps(t));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode say_service(const Training *t, const SimulationService *service)
{
  int ranks;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_remote_size(t->simulators, &ranks));
  PetscCall(training_say(t, "simulating ranks: %d, %" PRId64 " maps, busy %.1f%% of their time", ranks, service->maps,
                         service->seconds > 0 ? 100 * service->busy_seconds / service->seconds : 0));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Let the ranks go that simulate for this one. */
static PetscErrorCode close_sources(Training *t)
{
  SimulationService service;

  PetscFunctionBeginUser;
  PetscCall(batch_source_destroy(&t->source));
  PetscCall(batch_source_destroy(&t->held_out));
  if (t->simulators == MPI_COMM_NULL) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(simulation_dismiss(t->simulators, &service));
  if (service.maps) PetscCall(say_service(t, &service));
  t->simulators = MPI_COMM_NULL;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode training_destroy(Training **training)
{
  Training *t = *training;

  PetscFunctionBeginUser;
  if (!t) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(feed_destroy(&t->feed));
  PetscCall(close_sources(t));
  PetscCall(reducer_destroy(&t->reducer));
  PetscCall(optimizer_destroy(&t->optimizer));
  PetscCall(network_destroy(&t->network));
  PetscCall(PetscFree2(t->part_count, t->part_first));
  PetscCall(guess_destroy(&t->guess));
  PetscCall(PetscFree(t->x_hat));
  PetscCall(PetscFree(t->x_bar));
  PetscCall(PetscFree(t->theta_hat));
  PetscCall(PetscFree(t->theta_bar));
  PetscCall(PetscFree(t->configuration));
  PetscCall(history_clear(&t->state.history));
  PetscCall(PetscFree(*training));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode training_create(const Roles *roles, const TrainingSetup *setup, Training **training)
{
  Training *t = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&t));
  *training = t;
  t->comm = roles->comm;
  t->simulators = roles->others;
  t->setup = *setup;
  t->saved = -1;
  PetscCallMPI(MPI_Comm_rank(t->comm, &t->rank));
  PetscCallMPI(MPI_Comm_size(t->comm, &t->size));
  t->micro_batch = training_micro_batch(setup->train, t->size);
  PetscCall(clock_create(&t->clock));
  PetscCall(options_yaml(setup->options, ~0u, &t->configuration));
  PetscCall(training_shape(setup, &t->shape));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode train(const Roles *roles, const TrainingSetup *setup)
{
  Training *training = NULL;

  PetscFunctionBeginUser;
  PetscErrorCode error = training_create(roles, setup, &training);
  if (!error) error = run(training);
  PetscCall(training_destroy(&training));
  PetscFunctionReturn(error);
}

/* On a rank that makes maps for those that train. */
static PetscErrorCode simulate(const Roles *roles, const TrainingSetup *setup)
{
  PetscFunctionBeginUser;
  PetscCall(log_stage("Training"));
  const PetscErrorCode error = simulation_serve(roles->others, setup->survey, setup->prior, setup->campaign->seed);
  PetscCall(PetscLogStagePop());
  PetscCall(log_stage("Ending"));
  PetscFunctionReturn(error);
}

PetscErrorCode training_run(MPI_Comm comm, const TrainingSetup *setup)
{
  char folder[PETSC_MAX_PATH_LEN];
  StageLock *lock = NULL;
  Roles roles;

  PetscFunctionBeginUser;
  PetscCheck(!setup->campaign->share[0], PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "share is %s; a training is not divided into shares: give it more ranks", setup->campaign->share);
  PetscCheck(snprintf(folder, sizeof folder, "%s/checkpoints", setup->campaign->campaign) < (int)sizeof folder,
             PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG, "%s: the name of the campaign directory is too long",
             setup->campaign->campaign);
  PetscCall(roles_create(comm, setup->train->simulation_ranks, &roles));
  /* Nodes may differ. */
  PetscCall(group_agree(comm, roles.trains ? network_mode_check(training_mode(setup->train)) : PETSC_SUCCESS));
  PetscCall(product_directory(comm, folder));
  PetscCall(stage_lock_create(comm, setup->campaign->campaign, "train", (StageShare){1, 1}, &lock));
  const PetscErrorCode error = roles.trains ? train(&roles, setup) : simulate(&roles, setup);
  PetscCall(stage_lock_destroy(&lock));
  PetscCall(roles_destroy(&roles));
  PetscFunctionReturn(error);
}
