/** \file simulator.c  From the number of a realisation to its parameters and its map.  \ingroup campaign */
#include "nephrite/campaign.h"

enum { REASON_SIZE = 512 }; /* of a message that goes into another one */

struct Simulator {
  const Prior *prior;
  int64_t seed;
  MPI_Comm comm; /* borrowed */
  PetscBool together; /* with other ranks */
  LensingModel *lensing;
  LensingSpectra *spectra;
  Field *field;
  double theta[NEPHRITE_MAX_PARAMETERS]; /* that the field is made ready for, where it is */
  PetscBool ready;
  PetscInt linear_redshifts; /* of theta */
};

FieldShape simulator_shape(const SurveyConfig *survey)
{
  return (FieldShape){(FieldModel)survey->field, survey->bins, survey_ny(survey), survey_nx(survey),
                      survey_pixel(survey)};
}

static PetscErrorCode create_lensing(const SurveyConfig *survey, Simulator *s)
{
  PetscFunctionBeginUser;
  PetscCall(lensing_model_for_survey(survey, &s->lensing));
  PetscCall(lensing_model_spectra_create(s->lensing, &s->spectra));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode simulator_create(MPI_Comm comm, const SurveyConfig *survey, const Prior *prior, int64_t seed,
                                Simulator **simulator)
{
  const FieldShape shape = simulator_shape(survey);
  PetscMPIInt ranks;
  Simulator *s = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&s));
  *simulator = s;
  s->prior = prior;
  s->seed = seed;
  s->comm = comm;
  PetscCallMPI(MPI_Comm_size(comm, &ranks));
  s->together = ranks > 1 ? PETSC_TRUE : PETSC_FALSE;
  PetscCall(group_agree(comm, create_lensing(survey, s)));
  PetscCall(field_create(comm, &shape, &s->field));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void simulator_slab(const Simulator *simulator, PetscInt *first_row, PetscInt *rows)
{
  field_slab(simulator->field, first_row, rows);
}

PetscErrorCode simulator_destroy(Simulator **simulator)
{
  PetscFunctionBeginUser;
  if (!*simulator) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(field_destroy(&(*simulator)->field));
  PetscCall(lensing_spectra_destroy(&(*simulator)->spectra));
  PetscCall(lensing_model_destroy(&(*simulator)->lensing));
  PetscCall(PetscFree(*simulator));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode evaluate_spectra(Simulator *s, const double *theta, PetscInt *linear_redshifts)
{
  Cosmology cosmology;
  Systematics systematics;

  PetscFunctionBeginUser;
  PetscCall(prior_cosmology(s->prior, theta, &cosmology, &systematics));
  PetscCall(lensing_model_evaluate(s->lensing, &cosmology, &systematics, s->spectra, linear_redshifts));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What is wrong with a universe is told with its parameters: add them to the message of this error. */
static PetscErrorCode name_parameters(const Prior *prior, const double *theta, PetscErrorCode error)
{
  char reason[REASON_SIZE], values[1024];

  PetscFunctionBeginUser;
  PetscCall(PetscStrncpy(reason, error_message(), sizeof reason));
  prior_describe(prior, theta, values, sizeof values);
  SETERRQ(PETSC_COMM_SELF, error, "%s, at %s", reason, values);
}

/* Spectra of theta, and the field made ready for them. */
static PetscErrorCode make_ready(Simulator *s, const double *theta)
{
  PetscErrorCode error;

  PetscFunctionBeginUser;
  s->ready = PETSC_FALSE;
  error = evaluate_spectra(s, theta, &s->linear_redshifts);
  if (s->together) error = group_agree(s->comm, error);
  if (!error) error = field_set_spectra(s->field, s->spectra);
  if (error) PetscCall(name_parameters(s->prior, theta, error));
  PetscCall(PetscArraycpy(s->theta, theta, prior_count(s->prior)));
  s->ready = PETSC_TRUE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Where all parameters are fixed, once is enough: it takes far longer than a small map. */
static PetscErrorCode set_parameters(Simulator *s, const double *theta, PetscInt *linear_redshifts)
{
  PetscFunctionBeginUser;
  if (!s->ready || memcmp(s->theta, theta, (size_t)prior_count(s->prior) * sizeof *theta))
    PetscCall(make_ready(s, theta));
  *linear_redshifts = s->linear_redshifts;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The draw of the group's first rank: processors may differ in the last bit of what decides whether it is physical. */
static PetscErrorCode draw_together(Simulator *s, int64_t index, double *theta, PetscInt *attempts)
{
  PetscErrorCode error;

  PetscFunctionBeginUser;
  error = prior_draw(s->prior, (uint64_t)s->seed, (uint64_t)index, *attempts, theta, attempts);
  if (!s->together) PetscFunctionReturn(error);
  PetscCall(group_agree(s->comm, error));
  PetscCallMPI(MPI_Bcast(theta, (int)prior_count(s->prior), MPI_DOUBLE, 0, s->comm));
  PetscCallMPI(MPI_Bcast(attempts, 1, MPIU_INT, 0, s->comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A draw of the prior for which there is no log-normal field is an expected result: the next attempt takes its place.
 */
static PetscErrorCode draw_usable(Simulator *s, int64_t index, double *theta, PetscInt *attempts,
                                  PetscInt *linear_redshifts)
{
  char reason[REASON_SIZE] = ""; /* why the draw before was of no use */
  PetscErrorCode error = NEPHRITE_ERR_INPUT;

  PetscFunctionBeginUser;
  *attempts = 0;
  while (error == NEPHRITE_ERR_INPUT) {
    error = draw_together(s, index, theta, attempts);
    PetscCheck(error != NEPHRITE_ERR_CONFIG || !*reason, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
               "none of %" PetscInt_FMT " draws from the prior makes a map of realisation %lld; the last: %s",
               *attempts, (long long)index, reason);
    PetscCall(error);
    error = set_parameters(s, theta, linear_redshifts);
    if (error) PetscCall(PetscStrncpy(reason, error_message(), sizeof reason));
  }
  PetscCall(error);
  if (*reason) error_clear();
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode simulator_realisation(Simulator *s, int64_t index, float *kappa, double *theta, SimulatorCounts *counts)
{
  PetscInt attempts = 0, linear_redshifts = 0;

  PetscFunctionBeginUser;
  PetscCall(draw_usable(s, index, theta, &attempts, &linear_redshifts));
  if (counts) {
    counts->redrawn += attempts - 1;
    counts->linear_redshifts += linear_redshifts > 0;
  }
  PetscCall(field_realise_keyed(s->field, (RandomKey){(uint64_t)s->seed, STREAM_FIELD, (uint64_t)index}, kappa));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode simulator_spectra(Simulator *s, const double *theta, const LensingSpectra **spectra)
{
  PetscErrorCode error;

  PetscFunctionBeginUser;
  error = evaluate_spectra(s, theta, NULL);
  if (error) PetscCall(name_parameters(s->prior, theta, error));
  *spectra = s->spectra;
  PetscFunctionReturn(PETSC_SUCCESS);
}
