/** \file method_wiener.c  The Wiener filter at parameters that are given.  \ingroup inference */
#include "inference/internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
  double theta[NEPHRITE_MAX_PARAMETERS];
} Fiducial;

/* One entry, "sigma_8=0.8". */
static PetscErrorCode read_entry(const Prior *prior, const char *entry, Fiducial *f)
{
  const char *equals = strchr(entry, '=');
  char *end = NULL;
  PetscInt p = 0;

  PetscFunctionBeginUser;
  const size_t length = equals ? (size_t)(equals - entry) : 0;
  while (p < prior_count(prior) &&
         (strlen(prior_name(prior, p)) != length || strncmp(prior_name(prior, p), entry, length)))
    p++;
  PetscCheck(length && p < prior_count(prior), PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "infer_fiducial has \"%s\"; it takes parameters of the prior as %s=VALUE, with commas between", entry,
             prior_name(prior, 0));
  f->theta[p] = strtod(equals + 1, &end);
  PetscCheck(end != equals + 1 && !*end, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG, "infer_fiducial: \"%s\" is no number",
             equals + 1);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The prior's means, but for what infer_fiducial says. */
static PetscErrorCode read_fiducial(const InferenceSetup *setup, Fiducial *f)
{
  double std[NEPHRITE_MAX_PARAMETERS];
  char text[OPTION_TEXT_SIZE], *rest = NULL;
  Cosmology cosmology;
  Systematics systematics;

  PetscFunctionBeginUser;
  PetscCall(prior_moments(setup->prior, f->theta, std));
  PetscCall(PetscStrncpy(text, setup->infer->fiducial, sizeof text));
  for (char *entry = strtok_r(text, ", ", &rest); entry; entry = strtok_r(NULL, ", ", &rest))
    PetscCall(read_entry(setup->prior, entry, f));
  PetscCall(prior_cosmology(setup->prior, f->theta, &cosmology, &systematics));
  prior_describe(setup->prior, f->theta, text, sizeof text);
  PetscCheck(cosmology_is_physical(&cosmology), PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "infer_fiducial: there is no universe with %s", text);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode create(Worker *w)
{
  Fiducial *f = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&f));
  w->state = f;
  PetscCall(read_fiducial(w->setup, f));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode destroy(Worker *w)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree(w->state));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode estimate(Worker *w, float *kappa)
{
  const Fiducial *f = w->state;

  PetscFunctionBeginUser;
  PetscCall(worker_wiener(w, f->theta, kappa));
  PetscFunctionReturn(PETSC_SUCCESS);
}

const InferenceMethod method_wiener = {.scope = SCOPE_SIMULATION | SCOPE_ESTIMATE,
                                       .create = create,
                                       .estimate = estimate,
                                       .description = "Wiener filter at the parameters of infer_fiducial [bin, y, x]",
                                       .destroy = destroy};
