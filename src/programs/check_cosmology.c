/** \file check_cosmology.c  Distances, growth, power and C_ell against other codes'.
 *
 * Group ccl decides; group jax_cosmo, if the file has it, is shown: its sigma_8 integral is cut short and its distances
 * are interpolated.  Errors are relative; for the models of group extended (w_a, alignment, photo-z shifts), where a
 * C_ij may pass through zero, relative to sqrt(C_ii C_jj).  What another code could not compute (NaN) is left out.
 * \ingroup programs */
#include "check_theory.h"

#include <math.h>

typedef enum { DISTANCE, GROWTH, P_LINEAR, P_NONLINEAR, C_ELL, QUANTITIES } Quantity;

static const struct {
  const char *name;
  double tolerance;
} quantities[QUANTITIES] = {
    [DISTANCE] = {"comoving_distance", 2e-4}, [GROWTH] = {"growth_factor", 2e-4}, [P_LINEAR] = {"P_linear", 2e-3},
    [P_NONLINEAR] = {"P_nonlinear", 1e-2},    [C_ELL] = {"C_ell", 5e-3},
};
static const double extended_tolerance = 1e-2;
static const double nonlinear_k[2] = {1e-3, 20}; /* h/Mpc, where P_nonlinear is compared */

typedef struct {
  ProductReader *file; /* borrowed */
  CheckModels models, extended;
  CheckValues ell, k, z_distance, z_power, pairs;
  SourceBins *bins;
  LensingModel *lensing;
  LensingSpectra *spectra;
  CheckValues expected; /* the dataset at hand */
} CosmologyCheck;

/* ------------------------------------------------------------------ tables of one cosmology */

static void compare(CheckWorst *worst, double ours, double theirs, PetscInt model, const char *place)
{
  if (isfinite(theirs)) check_worst(worst, fabs(ours / theirs - 1), "model %d, %s", (int)model, place);
}

/* Against z. */
static void compare_background(const CosmologyCheck *c, Quantity quantity, const Universe *universe, PetscInt model,
                               CheckWorst *worst)
{
  for (PetscInt i = 0; i < c->z_distance.count; i++) {
    const double z = c->z_distance.values[i];
    const double ours = quantity == DISTANCE ? background_comoving_distance(universe->background, z)
                                             : growth_factor(universe->growth, z);
    char place[64];

    snprintf(place, sizeof place, "z = %.6g", z);
    compare(worst, ours, c->expected.values[model * c->z_distance.count + i], model, place);
  }
}

/* Against z and k. */
static void compare_power(const CosmologyCheck *c, Quantity quantity, const Universe *universe, PetscInt model,
                          CheckWorst *worst)
{
  for (PetscInt i = 0; i < c->z_power.count; i++)
    for (PetscInt j = 0; j < c->k.count; j++) {
      const double z = c->z_power.values[i], k = c->k.values[j];
      char place[64];

      if (quantity == P_NONLINEAR && !(k > nonlinear_k[0] && k < nonlinear_k[1])) continue;
      snprintf(place, sizeof place, "z = %.6g, k = %.4g h/Mpc", z, k);
      compare(worst,
              quantity == P_LINEAR ? matter_power_linear(universe->power, k, z)
                                   : matter_power_nonlinear(universe->power, k, z),
              c->expected.values[(model * c->z_power.count + i) * c->k.count + j], model, place);
    }
}

static double largest(const CheckValues *values)
{
  double value = 1e-3; /* tables need some extent */

  for (PetscInt i = 0; i < values->count; i++) value = fmax(value, values->values[i]);
  return value;
}

static PetscErrorCode compare_model(const CosmologyCheck *c, Quantity quantity, PetscInt model, CheckWorst *worst)
{
  Cosmology cosmology = {.w_0 = -1};
  Systematics none = {0};
  Universe universe = {0};

  PetscFunctionBeginUser;
  PetscCall(check_models_row(&c->models, model, &cosmology, &none));
  const PetscErrorCode error =
      universe_create(&cosmology, fmax(largest(&c->z_distance), largest(&c->z_power)), &universe);

  if (!error && quantity <= GROWTH)
    compare_background(c, quantity, &universe, model, worst);
  else if (!error)
    compare_power(c, quantity, &universe, model, worst);
  PetscCall(universe_destroy(&universe));
  PetscFunctionReturn(error);
}

/* ------------------------------------------------------------------ C_ell */

/* Errors of one model's C_ij(ell), in the file's order of pairs.  \param expected [pairs][ell] */
static PetscErrorCode compare_spectra(const CosmologyCheck *c, const CheckModels *models, PetscInt model,
                                      const double *expected, CheckWorst *worst)
{
  const PetscInt bins = c->spectra->bins, count = c->ell.count;
  const PetscBool extended = models == &c->extended ? PETSC_TRUE : PETSC_FALSE;
  Cosmology cosmology = {.w_0 = -1};
  Systematics systematics = {0};

  PetscFunctionBeginUser;
  PetscCall(check_models_row(models, model, &cosmology, &systematics));
  PetscCall(lensing_model_evaluate(c->lensing, &cosmology, &systematics, c->spectra, NULL));
  for (PetscInt p = 0; p < c->pairs.count / 2; p++) {
    const PetscInt i = (PetscInt)c->pairs.values[2 * p], j = (PetscInt)c->pairs.values[2 * p + 1];
    const double *ours = c->spectra->power + lensing_pair(bins, i, j) * count;
    const double *ii = c->spectra->power + lensing_pair(bins, i, i) * count;
    const double *jj = c->spectra->power + lensing_pair(bins, j, j) * count;

    for (PetscInt l = 0; l < count; l++) {
      const double theirs = expected[p * count + l], scale = extended ? sqrt(ii[l] * jj[l]) : fabs(theirs);

      if (isfinite(theirs))
        check_worst(worst, fabs(ours[l] - theirs) / scale, "model %d, bins %d and %d, ell = %.6g", (int)model, (int)i,
                    (int)j, c->ell.values[l]);
    }
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The file's n(z), pairs and multipoles. */
static PetscErrorCode set_up_lensing(CosmologyCheck *c)
{
  CheckValues z = {0}, n = {0};
  hsize_t n_shape[2] = {0, 0}, pair_shape[2] = {0, 2};
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(check_values_read(c->file, "ell", 1, (hsize_t[]){0}, &c->ell));
  PetscCall(check_values_read(c->file, "pairs", 2, pair_shape, &c->pairs));
  error = check_values_read(c->file, "n_of_z/z", 1, &n_shape[1], &z);
  if (!error) error = check_values_read(c->file, "n_of_z/n", 2, n_shape, &n);
  if (!error) error = source_bins_from_table((PetscInt)n_shape[0], z.count, z.values, n.values, &c->bins);
  PetscCall(check_values_destroy(&z));
  PetscCall(check_values_destroy(&n));
  PetscCall(error);
  for (PetscInt p = 0; p < c->pairs.count; p++)
    PetscCheck(c->pairs.values[p] >= 0 && c->pairs.values[p] < source_bins_count(c->bins), PETSC_COMM_SELF,
               NEPHRITE_ERR_INPUT, "dataset pairs has bin %.6g; there are %d", c->pairs.values[p],
               (int)source_bins_count(c->bins));
  /* the side of a pixel matters to shifts only, which are not compared here */
  PetscCall(lensing_model_create(c->bins, c->ell.count, c->ell.values, 1e-3, &c->lensing));
  lensing_model_without_shifts(c->lensing); /* which a model with strong alignment need not have */
  PetscCall(lensing_model_spectra_create(c->lensing, &c->spectra));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ------------------------------------------------------------------ quantities */

static PetscErrorCode read_expected(CosmologyCheck *c, Quantity quantity, const char *name)
{
  const hsize_t models = (hsize_t)c->models.models, z = (hsize_t)c->z_distance.count,
                z_power = (hsize_t)c->z_power.count;
  const hsize_t k = (hsize_t)c->k.count, pairs = (hsize_t)c->pairs.count / 2, ell = (hsize_t)c->ell.count;

  PetscFunctionBeginUser;
  switch (quantity) {
  case DISTANCE:
  case GROWTH:
    PetscCall(check_values_read(c->file, name, 2, (hsize_t[]){models, z}, &c->expected));
    break;
  case P_LINEAR:
  case P_NONLINEAR:
    PetscCall(check_values_read(c->file, name, 3, (hsize_t[]){models, z_power, k}, &c->expected));
    break;
  default:
    PetscCall(check_values_read(c->file, name, 3, (hsize_t[]){models, pairs, ell}, &c->expected));
    break;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode compare_quantity(CosmologyCheck *c, const char *group, Quantity quantity, CheckVerdict verdict,
                                       CheckReport *report)
{
  CheckWorst worst = {0};
  char name[128];

  PetscFunctionBeginUser;
  snprintf(name, sizeof name, "%s/%s", group, quantities[quantity].name);
  PetscCall(read_expected(c, quantity, name));
  for (PetscInt model = 0; model < c->models.models; model++) {
    if (quantity == C_ELL)
      PetscCall(compare_spectra(c, &c->models, model, c->expected.values + model * (c->pairs.count / 2) * c->ell.count,
                                &worst));
    else
      PetscCall(compare_model(c, quantity, model, &worst));
  }
  PetscCall(check_report_add(report, name, worst.error, worst.where, quantities[quantity].tolerance, verdict));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode compare_extended(CosmologyCheck *c, CheckReport *report)
{
  const char *const name = "extended/ccl/C_ell";
  const hsize_t pairs = (hsize_t)c->pairs.count / 2, ell = (hsize_t)c->ell.count;
  CheckWorst worst = {0};

  PetscFunctionBeginUser;
  PetscCall(check_models_read(c->file, "extended/theta", &c->extended));
  PetscCall(check_values_read(c->file, name, 3, (hsize_t[]){(hsize_t)c->extended.models, pairs, ell}, &c->expected));
  for (PetscInt model = 0; model < c->extended.models; model++)
    PetscCall(compare_spectra(c, &c->extended, model, c->expected.values + (hsize_t)model * pairs * ell, &worst));
  PetscCall(check_report_add(report, name, worst.error, worst.where, extended_tolerance, CHECK_DECIDES));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode compare_all(CosmologyCheck *c, CheckReport *report)
{
  PetscBool extended, jax_cosmo;

  PetscFunctionBeginUser;
  PetscCall(check_models_read(c->file, "theta", &c->models));
  PetscCall(check_values_read(c->file, "z_distance", 1, (hsize_t[]){0}, &c->z_distance));
  PetscCall(check_values_read(c->file, "z_power", 1, (hsize_t[]){0}, &c->z_power));
  PetscCall(check_values_read(c->file, "k", 1, (hsize_t[]){0}, &c->k));
  PetscCall(set_up_lensing(c));
  PetscCall(product_has(c->file, "extended/theta", &extended));
  PetscCall(product_has(c->file, "jax_cosmo/C_ell", &jax_cosmo));
  for (Quantity q = 0; q < QUANTITIES; q++) PetscCall(compare_quantity(c, "ccl", q, CHECK_DECIDES, report));
  if (extended) PetscCall(compare_extended(c, report));
  for (Quantity q = 0; jax_cosmo && q < QUANTITIES; q++)
    PetscCall(compare_quantity(c, "jax_cosmo", q, CHECK_INFORMS, report));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode check_cosmology(ProductReader *file, CheckReport *report)
{
  CosmologyCheck c = {.file = file};

  PetscFunctionBeginUser;
  const PetscErrorCode error = compare_all(&c, report);
  CheckValues *const values[] = {&c.ell, &c.k, &c.z_distance, &c.z_power, &c.pairs, &c.expected};

  for (size_t i = 0; i < sizeof values / sizeof *values; i++) PetscCall(check_values_destroy(values[i]));
  PetscCall(check_models_destroy(&c.models));
  PetscCall(check_models_destroy(&c.extended));
  PetscCall(lensing_spectra_destroy(&c.spectra));
  PetscCall(lensing_model_destroy(&c.lensing));
  PetscCall(source_bins_destroy(&c.bins));
  PetscFunctionReturn(error);
}
