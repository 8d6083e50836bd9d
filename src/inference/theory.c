/** \file theory.c  Spectra and shifts as functions of the parameters, with derivatives by differences.
 * \ingroup inference
 *
 * A group of ranks divides the evaluations that differences take: two for each parameter. */
#include "internal.h"

/* Steps are this share of the prior's standard deviation.  Spectra are functions of the parameters smooth to rounding
 * within the cells of their tables, and what rounding leaves, 1e-14, is 3e-10 of a difference; the third derivative,
 * 1e-9.  Longer steps cross from cell to cell of the tables, where the slope jumps by up to 1e-6. */
#define STEP 3e-5

struct Theory {
  MPI_Comm comm; /* borrowed */
  PetscMPIInt rank, ranks;
  const Prior *prior; /* borrowed */
  LensingModel *model;
  PetscInt parameters, sampled, place[NEPHRITE_MAX_PARAMETERS]; /* of the sampled ones, which are not fixed */
  double step[NEPHRITE_MAX_PARAMETERS];
  double theta[NEPHRITE_MAX_PARAMETERS]; /* of the spectra */
  LensingSpectra *spectra, *work; /* at theta, and work space */
  PetscInt powers, values; /* of spectra in a row: C_ij(ell) of all pairs, and all with the shifts behind them */
  double *side; /* [sampled][SIDES][values + 1] spectra beside theta, and behind them 1 if there are any */
  double *slope; /* [sampled][values] derivatives */
  double *here; /* [values] work space */
  int *count, *first; /* [ranks] work space: numbers of `side` that a rank makes */
  PetscBool known, differentiated; /* are spectra and slope those of theta? */
};

enum { ABOVE, BELOW, SIDES };

static PetscErrorCode create_parts(const SurveyConfig *survey, Theory *t)
{
  double mean[NEPHRITE_MAX_PARAMETERS], std[NEPHRITE_MAX_PARAMETERS];

  PetscFunctionBeginUser;
  PetscCall(lensing_model_for_survey(survey, &t->model));
  PetscCall(lensing_model_spectra_create(t->model, &t->spectra));
  PetscCall(lensing_model_spectra_create(t->model, &t->work));
  PetscCall(prior_moments(t->prior, mean, std));
  for (PetscInt p = 0; p < t->parameters; p++) {
    if (prior_is_fixed(t->prior, p)) continue;
    t->step[p] = STEP * std[p];
    t->place[t->sampled++] = p;
  }
  t->powers = survey->bins * (survey->bins + 1) / 2 * t->spectra->ell_count;
  t->values = t->powers + survey->bins;
  const size_t sampled = (size_t)t->sampled, values = (size_t)t->values;
  PetscCall(PetscMalloc5(SIDES * sampled * (values + 1), &t->side, sampled * values, &t->slope, values, &t->here,
                         t->ranks, &t->count, t->ranks, &t->first));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode theory_create(MPI_Comm comm, const SurveyConfig *survey, const Prior *prior, Theory **theory)
{
  Theory *t = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&t));
  *theory = t;
  t->comm = comm;
  PetscCallMPI(MPI_Comm_rank(comm, &t->rank));
  PetscCallMPI(MPI_Comm_size(comm, &t->ranks));
  t->prior = prior;
  t->parameters = prior_count(prior);
  PetscCall(group_agree(comm, create_parts(survey, t)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* That there are none is an expected result.  \param[out] exist */
PetscErrorCode spectra_at(LensingModel *model, const Prior *prior, const double *theta, LensingSpectra *spectra,
                          PetscBool *exist)
{
  Cosmology cosmology;
  Systematics systematics;

  PetscFunctionBeginUser;
  PetscCall(prior_cosmology(prior, theta, &cosmology, &systematics));
  *exist = cosmology_is_physical(&cosmology);
  if (!*exist) PetscFunctionReturn(PETSC_SUCCESS);
  const PetscErrorCode error = lensing_model_evaluate(model, &cosmology, &systematics, spectra, NULL);
  PetscCheck(!error || error == NEPHRITE_ERR_INPUT, PETSC_COMM_SELF, error, "%s", error_message());
  if (error) error_clear();
  *exist = error ? PETSC_FALSE : PETSC_TRUE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* At t->theta.  One rank's spectra are everyone's: another processor may round otherwise, and where nothing exists
 * close by, find something. */
static PetscErrorCode evaluate_here(Theory *t)
{
  LensingSpectra *const s = t->spectra;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  t->known = PETSC_FALSE;
  if (!t->rank) error = spectra_at(t->model, t->prior, t->theta, s, &t->known);
  PetscCall(group_agree(t->comm, error));
  PetscCallMPI(MPI_Bcast(&t->known, 1, MPIU_BOOL, 0, t->comm));
  if (!t->known) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCallMPI(MPI_Bcast(s->ell, (int)s->ell_count, MPI_DOUBLE, 0, t->comm));
  PetscCallMPI(MPI_Bcast(s->power, (int)t->powers, MPI_DOUBLE, 0, t->comm));
  PetscCallMPI(MPI_Bcast(s->shift, (int)s->bins, MPI_DOUBLE, 0, t->comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode theory_evaluate(Theory *t, const double *theta, const LensingSpectra **spectra)
{
  PetscBool same = t->known;

  PetscFunctionBeginUser;
  for (PetscInt p = 0; p < t->parameters && same; p++) same = t->theta[p] == theta[p] ? PETSC_TRUE : PETSC_FALSE;
  if (!same) {
    t->differentiated = PETSC_FALSE;
    PetscCall(PetscArraycpy(t->theta, theta, t->parameters));
    PetscCall(evaluate_here(t));
  }
  *spectra = t->known ? t->spectra : NULL;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ------------------------------------------------------------------ derivatives */

static double *side_of(const Theory *t, PetscInt n, int side)
{
  return t->side + (SIDES * n + side) * (t->values + 1);
}

static PetscBool has_side(const Theory *t, PetscInt n, int side)
{
  return side_of(t, n, side)[t->values] > 0 ? PETSC_TRUE : PETSC_FALSE;
}

static PetscErrorCode check_side(const Theory *t, PetscInt n, PetscBool exists)
{
  PetscFunctionBeginUser;
  PetscCheck(exists, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s = %.9g is physical, but nothing on either side of it",
             prior_name(t->prior, t->place[n]), t->theta[t->place[n]]);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode to_row(const Theory *t, const LensingSpectra *spectra, double *row)
{
  PetscFunctionBeginUser;
  PetscCall(PetscArraycpy(row, spectra->power, t->powers));
  PetscCall(PetscArraycpy(row + t->powers, spectra->shift, spectra->bins));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* One of t->side, its parameter moved from theta. */
static PetscErrorCode evaluate_side(Theory *t, PetscInt number, double move)
{
  double theta[NEPHRITE_MAX_PARAMETERS], *const row = t->side + number * (t->values + 1);
  PetscBool exist;

  PetscFunctionBeginUser;
  PetscCall(PetscArraycpy(theta, t->theta, t->parameters));
  theta[t->place[number / SIDES]] += move;
  PetscCall(spectra_at(t->model, t->prior, theta, t->work, &exist));
  if (exist) PetscCall(to_row(t, t->work, row));
  row[t->values] = exist ? 1 : 0;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Those of t->side that are moved from theta, each by one rank: in the end all ranks have the same, and whoever made
 * it, for any number of ranks.  \param move [sampled][SIDES]  0: as it is */
static PetscErrorCode evaluate_sides(Theory *t, const double *move)
{
  const PetscInt sides = SIDES * t->sampled;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  for (PetscMPIInt rank = 0; rank < t->ranks; rank++) {
    const PetscInt first = rank * sides / t->ranks, end = (rank + 1) * sides / t->ranks;

    t->first[rank] = (int)(first * (t->values + 1));
    t->count[rank] = (int)((end - first) * (t->values + 1));
    for (PetscInt n = first; n < end && rank == t->rank && !error; n++)
      if (move[n] != 0) error = evaluate_side(t, n, move[n]);
  }
  PetscCall(group_agree(t->comm, error));
  PetscCallMPI(MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, t->side, t->count, t->first, MPI_DOUBLE, t->comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* slope = weight (a - b), or added to. */
static void difference(const Theory *t, const double *a, const double *b, double weight, InsertMode mode, double *slope)
{
  for (PetscInt i = 0; i < t->values; i++) slope[i] = (mode == ADD_VALUES ? slope[i] : 0) + weight * (a[i] - b[i]);
}

/* (f(h) - f(-h))/2h, or at the edge of what is physical (4 f(h) - f(2h) - 3 f(0))/2h with either sign of h.
 * \param edge  0, or the side that is physical: 1 above, -1 below */
static PetscErrorCode take_slope(Theory *t, PetscInt n, int edge)
{
  const double theta = t->theta[t->place[n]], step = t->step[t->place[n]], h = edge * step;
  double *const above = side_of(t, n, ABOVE), *const below = side_of(t, n, BELOW);
  double *const slope = t->slope + n * t->values;

  PetscFunctionBeginUser;
  if (!edge) {
    const double up = theta + step, down = theta - step; /* as they come out in doubles */

    difference(t, above, below, 1 / ((up - theta) + (theta - down)), INSERT_VALUES, slope);
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(to_row(t, t->spectra, t->here));
  difference(t, edge > 0 ? above : below, t->here, 2 / h, INSERT_VALUES, slope);
  difference(t, edge > 0 ? below : above, t->here, -0.5 / h, ADD_VALUES, slope);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Where there is only one side, that one: and twice as far on it, in the place of the other.
 * \param[out] edge [sampled]  as for take_slope()  \param[out] move [sampled][SIDES]
 * \param[out] any  is there such a parameter? */
static PetscErrorCode find_edges(const Theory *t, int *edge, double *move, PetscBool *any)
{
  PetscFunctionBeginUser;
  *any = PETSC_FALSE;
  for (PetscInt n = 0; n < t->sampled; n++) {
    const PetscBool above = has_side(t, n, ABOVE), below = has_side(t, n, BELOW);

    PetscCall(check_side(t, n, above || below ? PETSC_TRUE : PETSC_FALSE));
    edge[n] = above && below ? 0 : above ? 1 : -1;
    move[SIDES * n + ABOVE] = above ? 0 : -2 * t->step[t->place[n]];
    move[SIDES * n + BELOW] = below ? 0 : 2 * t->step[t->place[n]];
    if (edge[n]) *any = PETSC_TRUE;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode differentiate(Theory *t)
{
  double move[SIDES * NEPHRITE_MAX_PARAMETERS];
  int edge[NEPHRITE_MAX_PARAMETERS];
  PetscBool any;

  PetscFunctionBeginUser;
  for (PetscInt n = 0; n < t->sampled; n++) {
    move[SIDES * n + ABOVE] = t->step[t->place[n]];
    move[SIDES * n + BELOW] = -t->step[t->place[n]];
  }
  PetscCall(evaluate_sides(t, move));
  PetscCall(find_edges(t, edge, move, &any));
  if (any) PetscCall(evaluate_sides(t, move));
  for (PetscInt n = 0; n < t->sampled; n++) {
    PetscCall(check_side(t, n, has_side(t, n, ABOVE) && has_side(t, n, BELOW) ? PETSC_TRUE : PETSC_FALSE));
    PetscCall(take_slope(t, n, edge[n]));
  }
  t->differentiated = PETSC_TRUE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode theory_pull_back(Theory *t, const LensingSpectra *bar, double *theta_bar)
{
  PetscFunctionBeginUser;
  if (!t->differentiated) PetscCall(differentiate(t));
  PetscCall(PetscArrayzero(theta_bar, t->parameters));
  for (PetscInt n = 0; n < t->sampled; n++) {
    const double *const slope = t->slope + n * t->values;
    double sum = 0;

    for (PetscInt i = 0; i < t->powers; i++) sum += bar->power[i] * slope[i];
    for (PetscInt i = 0; i < bar->bins; i++) sum += bar->shift[i] * slope[t->powers + i];
    theta_bar[t->place[n]] = sum;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode theory_destroy(Theory **theory)
{
  Theory *t = *theory;

  PetscFunctionBeginUser;
  if (!t) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscFree5(t->side, t->slope, t->here, t->count, t->first));
  PetscCall(lensing_spectra_destroy(&t->spectra));
  PetscCall(lensing_spectra_destroy(&t->work));
  PetscCall(lensing_model_destroy(&t->model));
  PetscCall(PetscFree(*theory));
  PetscFunctionReturn(PETSC_SUCCESS);
}
