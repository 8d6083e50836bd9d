/** \file target_checkpoint.c  A checkpoint and the history beside it.  An input is a list of edits (tree.h), whose
 * flags also choose who reads it. */
#include "training/internal.h"
#include "tree.h"

enum { BY_TRAINING = 2 };

enum { CHECKPOINT, HISTORY, FILES };
static const char *const names[FILES] = {"checkpoints/step-00000002.h5", "training.h5"};
static char copy[FILES][PETSC_MAX_PATH_LEN];
static Tree *tree;
static Network *network; /* of the campaign */
static Scalar *values; /* [network_parameter_count()] */

PetscErrorCode fuzz_prepare(const Fuzz *fuzz)
{
  const Configuration *c = &fuzz->configuration;
  const TrainingSetup setup = {fuzz->options, &c->campaign, &c->survey, fuzz->prior,
                               &c->simulate,  &c->network,  &c->train};
  char from[FILES][PETSC_MAX_PATH_LEN], campaign[PETSC_MAX_PATH_LEN];
  NetworkShape shape;

  PetscFunctionBeginUser;
  fuzz_path(campaign, fuzz->seeds, "campaign");
  for (int i = 0; i < FILES; i++) {
    fuzz_path(from[i], campaign, names[i]);
    fuzz_path(copy[i], fuzz->scratch, i == CHECKPOINT ? "checkpoint.h5" : "training.h5");
  }
  PetscCall(tree_create(FILES, from, copy, &tree));
  PetscCall(training_shape(&setup, &shape));
  PetscCall(network_create(&shape, 1, NETWORK_INFERENCE, &network));
  PetscCall(PetscMalloc1(network_parameter_count(network), &values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* As inference does. */
static PetscErrorCode load_model(void)
{
  Model *model = NULL;

  PetscFunctionBeginUser;
  const PetscErrorCode error = model_load(copy[CHECKPOINT], &model);
  PetscCall(model_destroy(&model));
  PetscFunctionReturn(error);
}

/* As training does that goes on from it. */
static PetscErrorCode describe(const Fuzz *fuzz)
{
  NetworkShape shape;
  char *configuration = NULL;

  PetscFunctionBeginUser;
  PetscErrorCode error = checkpoint_refuse_newer(copy[CHECKPOINT]);
  if (!error) error = checkpoint_describe(copy[CHECKPOINT], &shape, &configuration);
  if (!error)
    error = options_require_same(fuzz->options, SCOPE_NETWORK | SCOPE_SIMULATION | SCOPE_TRAINING, configuration,
                                 copy[CHECKPOINT]);
  PetscCall(PetscFree(configuration));
  PetscFunctionReturn(error);
}

static PetscErrorCode restore(void)
{
  CheckpointReader *reader = NULL;
  TrainingState state = {0};

  PetscFunctionBeginUser;
  PetscErrorCode error = checkpoint_open(copy[CHECKPOINT], network, &reader);
  if (!error) error = checkpoint_get_state(reader, &state);
  if (!error) error = checkpoint_get(reader, ARRAY_M, values); /* one array is as good as another */
  PetscCall(checkpoint_close(&reader));
  PetscCall(history_clear(&state.history));
  PetscFunctionReturn(error);
}

static PetscErrorCode read_history(void)
{
  ProductReader *reader = NULL;
  History history = {0};

  PetscFunctionBeginUser;
  PetscErrorCode error = product_open(copy[HISTORY], HISTORY_KIND, HISTORY_VERSION, &reader);
  if (!error) error = history_read_checkpoints(reader, 2, &history);
  PetscCall(product_close(&reader));
  PetscCall(history_clear(&history));
  PetscFunctionReturn(error);
}

void fuzz_read(const Fuzz *fuzz, const uint8_t *bytes, size_t size)
{
  tree_edit(tree, bytes, size);
  if (size && bytes[0] & BY_TRAINING) {
    fuzz_judge(describe(fuzz));
    fuzz_judge(restore());
    fuzz_judge(read_history());
  } else
    fuzz_judge(load_model());
}
