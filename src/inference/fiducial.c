/** \file fiducial.c  Parameters that a map is estimated at.  \ingroup inference */
#include "inference/internal.h"

#include <stdlib.h>
#include <string.h>

/* One entry, "sigma_8=0.8". */
static PetscErrorCode read_entry(const Prior *prior, const char *entry, double *theta)
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
  theta[p] = strtod(equals + 1, &end);
  PetscCheck(end != equals + 1 && !*end, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG, "infer_fiducial: \"%s\" is no number",
             equals + 1);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode fiducial_read(const InferenceSetup *setup, double *theta)
{
  double std[NEPHRITE_MAX_PARAMETERS];
  char text[OPTION_TEXT_SIZE], *rest = NULL;
  Cosmology cosmology;
  Systematics systematics;

  PetscFunctionBeginUser;
  PetscCall(prior_moments(setup->prior, theta, std));
  PetscCall(PetscStrncpy(text, setup->infer->fiducial, sizeof text));
  for (char *entry = strtok_r(text, ", ", &rest); entry; entry = strtok_r(NULL, ", ", &rest))
    PetscCall(read_entry(setup->prior, entry, theta));
  PetscCall(prior_cosmology(setup->prior, theta, &cosmology, &systematics));
  prior_describe(setup->prior, theta, text, sizeof text);
  PetscCheck(cosmology_is_physical(&cosmology), PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "infer_fiducial: there is no universe with %s", text);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode fiducial_create(Worker *w)
{
  double *theta = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1(prior_count(w->setup->prior), &theta));
  w->state = theta;
  PetscCall(fiducial_read(w->setup, theta));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode fiducial_destroy(Worker *w)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree(w->state));
  PetscFunctionReturn(PETSC_SUCCESS);
}
