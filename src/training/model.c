/** \file model.c  A trained network, out of a checkpoint.  \ingroup training */
#include "internal.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static PetscErrorCode fill(CheckpointReader *reader, Model *model)
{
  TrainingState state = {0};

  PetscFunctionBeginUser;
  PetscErrorCode error = checkpoint_get_state(reader, &state);
  PetscCall(history_clear(&state.history));
  PetscCall(error);
  model->normalisation = state.normalisation;
  model->step = state.step;
  model->position = state.position;
  model->trained = state.trained;
  PetscCall(checkpoint_get(reader, ARRAY_EMA, model->weights));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The network is made only to know its tensors. */
static PetscErrorCode load_tensors(const char *path, Network *network, Model *model)
{
  CheckpointReader *reader = NULL;

  PetscFunctionBeginUser;
  model->weight_count = network_parameter_count(network);
  PetscCall(PetscMalloc1(model->weight_count, &model->weights));
  PetscErrorCode error = checkpoint_open(path, network, &reader);
  if (!error) error = fill(reader, model);
  PetscCall(checkpoint_close(&reader));
  PetscFunctionReturn(error);
}

static PetscErrorCode load_file(const char *path, Model **model)
{
  Network *network = NULL;
  Model *m = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&m));
  *model = m;
  PetscCall(PetscStrallocpy(path, &m->path));
  PetscCall(checkpoint_describe(path, &m->shape, &m->configuration));
  PetscCall(network_create(&m->shape, 1, NETWORK_INFERENCE, &network));
  const PetscErrorCode error = load_tensors(path, network, m);
  PetscCall(network_destroy(&network));
  PetscCall(error);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The step of the best validation that the checkpoint knows of; -1 if it knows of none. */
static PetscErrorCode best_step(const char *path, int64_t *step)
{
  ProductReader *reader = NULL;
  History history = {0};

  PetscFunctionBeginUser;
  PetscErrorCode error = product_open(path, CHECKPOINT_KIND, CHECKPOINT_VERSION, &reader);
  if (!error) error = history_read(reader, "history/", &history);
  PetscCall(product_close(&reader));
  const ValidationRecord *best = history_best(&history);
  *step = !error && best ? best->step : -1;
  PetscCall(history_clear(&history));
  PetscFunctionReturn(error);
}

/* The newest checkpoint knows which one is the best; who has removed that wants the newest. */
static PetscErrorCode load_best(const char *directory, int64_t newest, Model **model)
{
  char path[PETSC_MAX_PATH_LEN], best_path[PETSC_MAX_PATH_LEN];
  int64_t best = -1;

  PetscFunctionBeginUser;
  PetscCall(checkpoint_path(directory, newest, path));
  PetscCall(checkpoint_refuse_newer(path));
  PetscCall(best_step(path, &best));
  PetscCall(checkpoint_path(directory, best, best_path));
  PetscCall(load_file(best >= 0 && !access(best_path, F_OK) ? best_path : path, model));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Another checkpoint than the best would be another network, by which what was made with this one would be made again:
 * that is not done for want of a sound file. */
static PetscErrorCode load_directory(const char *directory, Model **model)
{
  PetscInt count;
  int64_t *steps = NULL;
  char reason[768];

  PetscFunctionBeginUser;
  PetscCall(checkpoint_list(directory, &count, &steps));
  const int64_t newest = count ? steps[0] : -1;
  PetscCall(PetscFree(steps));
  PetscCheck(count, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s/checkpoints holds no checkpoint step-*.h5; nephrite-train makes them", directory);
  const PetscErrorCode error = load_best(directory, newest, model);
  if (error != (PetscErrorCode)NEPHRITE_ERR_INPUT) PetscFunctionReturn(error);
  snprintf(reason, sizeof reason, "%s", error_message());
  SETERRQ(PETSC_COMM_SELF, error, "%s; remove the file, and the best of the others is taken", reason);
}

PetscErrorCode model_load(const char *path, Model **model)
{
  struct stat status;
  PetscBool plain;

  PetscFunctionBeginUser;
  *model = NULL;
  if (!stat(path, &status) && S_ISDIR(status.st_mode)) {
    PetscCall(load_directory(path, model));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(weights_file_is(path, &plain));
  if (plain) {
    PetscCall(PetscNew(model));
    PetscCall(PetscStrallocpy(path, &(*model)->path));
    PetscCall(weights_file_load(path, *model));
  } else
    PetscCall(load_file(path, model));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode model_check_parameters(const Model *model, const Prior *prior, const char *path)
{
  char names[NEPHRITE_MAX_PARAMETERS * 32] = "";
  size_t used = 0;

  PetscFunctionBeginUser;
  if (!model->parameter_names) PetscFunctionReturn(PETSC_SUCCESS);
  for (PetscInt p = 0; p < prior_count(prior); p++)
    used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", p ? "," : "", prior_name(prior, p));
  PetscCheck(!strcmp(names, model->parameter_names), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: its parameters are %s; the prior has %s", path, model->parameter_names, names);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode model_destroy(Model **model)
{
  PetscFunctionBeginUser;
  if (!*model) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscFree((*model)->path));
  PetscCall(PetscFree((*model)->configuration));
  PetscCall(PetscFree((*model)->parameter_names));
  PetscCall(PetscFree((*model)->weights));
  PetscCall(PetscFree(*model));
  PetscFunctionReturn(PETSC_SUCCESS);
}
