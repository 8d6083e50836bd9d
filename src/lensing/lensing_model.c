/** \file lensing_model.c  From a cosmology to C_ij(ell) and log-normal shifts, for one survey.  \ingroup lensing */
#include "internal.h"

#include <gsl/gsl_integration.h>
#include <math.h>
#include <string.h>

/* C1 rho_crit of nonlinear alignment: 5e-14 Msun^-1 h^-2 Mpc^3 times 2.7754e11 h^2 Msun Mpc^-3 (Bridle & King 2007). */
#define C1_RHO_CRIT 0.013877
#define ALIGNMENT_PIVOT 1.62 /* 1 + z */

/* Of an evaluation, as -log_view tells them apart. */
enum { PART_COSMOLOGY, PART_POWER, PART_SHIFT, PARTS };
static const char *const part_names[PARTS] = {"cosmology", "angular power", "shifts"};

struct LensingModel {
  SourceBins *owned; /* by lensing_model_for_survey(); else NULL */
  const SourceBins *bins; /* borrowed */
  PetscInt ell_count;
  double *ell, *ln_ell; /* [ell_count] ell and ln(ell + 1/2) */
  PetscBool shifts; /* are shifts wanted? */
  ShiftTable *shift_table; /* the user's, or NULL */
  PixelMoments *moments;
  Efficiency *efficiency;
  /* Gauss-Legendre: lensing kernels are smooth, those of intrinsic alignment are as narrow as n(z) */
  gsl_integration_glfixed_table *lensing_rule, *alignment_rule;
  LineOfSight sight;
  double *power; /* [nodes][POWER_POINTS] work: nonlinear power at each node */
  double *at_ell; /* [nodes][ell_count] work: the same, where each multipole sees it */
  PetscLogEvent event[PARTS];
};

/* ------------------------------------------------------------------ spectra */

PetscErrorCode lensing_spectra_create(PetscInt bins, PetscInt ell_count, LensingSpectra **spectra)
{
  LensingSpectra *s = NULL;

  PetscFunctionBeginUser;
  PetscCheck(bins >= 1 && bins <= NEPHRITE_MAX_BINS && ell_count >= 1, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "spectra of %d bins at %d multipoles; bins may be 1 to %d", (int)bins, (int)ell_count, NEPHRITE_MAX_BINS);
  PetscCall(PetscNew(&s));
  *spectra = s; /* handed over at once: lensing_spectra_destroy() frees it whatever fails below */
  s->bins = bins;
  s->ell_count = ell_count;
  const size_t values = (size_t)(bins * (bins + 1) / 2) * (size_t)ell_count;
  PetscCall(PetscCalloc3((size_t)ell_count, &s->ell, values, &s->power, (size_t)bins, &s->shift));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode lensing_spectra_destroy(LensingSpectra **spectra)
{
  PetscFunctionBeginUser;
  if (*spectra) {
    PetscCall(PetscFree3((*spectra)->ell, (*spectra)->power, (*spectra)->shift));
    PetscCall(PetscFree(*spectra));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode lensing_ell_table(const SurveyConfig *survey, PetscInt *count, double **ell)
{
  /* A natural spline is worst at its ends: five nodes more on either side put that beyond the modes of the grid. */
  const double step = 0.07, margin = 5 * step, pixel = survey_pixel(survey);
  const double fundamental = 2 * M_PI / (pixel * (double)PetscMax(survey_nx(survey), survey_ny(survey)));
  const double corner = M_SQRT2 * M_PI / pixel;
  const double first = log(fundamental) - margin, last = log(corner) + margin;
  const PetscInt steps = (PetscInt)ceil((last - first) / step);

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1(steps + 1, ell));
  *count = steps + 1;
  for (PetscInt l = 0; l <= steps; l++) (*ell)[l] = exp(first + (last - first) * (double)l / (double)steps);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ------------------------------------------------------------------ creation */

static PetscErrorCode check_arguments(PetscInt ell_count, const double *ell, double pixel)
{
  PetscFunctionBeginUser;
  PetscCheck(ell_count >= 1 && ell[0] > 0, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "%d multipoles from %.6g; at least one is needed, and they must be positive", (int)ell_count,
             ell_count > 0 ? ell[0] : 0.);
  for (PetscInt l = 1; l < ell_count; l++)
    PetscCheck(ell[l] > ell[l - 1] && isfinite(ell[l]), PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
               "multipole %.6g after %.6g; they must increase", ell[l], ell[l - 1]);
  PetscCheck(pixel >= 1e-8 && pixel <= 1, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "the side of a pixel is %.6g radians; it must lie in [1e-8, 1]", pixel);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode make_rule(PetscInt points, gsl_integration_glfixed_table **rule)
{
  PetscFunctionBeginUser;
  if (*rule) gsl_integration_glfixed_table_free(*rule);
  *rule = gsl_integration_glfixed_table_alloc((size_t)points);
  PetscCheck(*rule, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "no memory for %d quadrature points", (int)points);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A node of the line of sight, and its weight in z. */
typedef struct {
  double z, weight;
} RedshiftNode;

/* Gauss-Legendre in ln(z + z_0): at one multipole power is a function of ln chi, wiggles and all, so nodes must not
 * thin out towards the observer, nor need they be dense far away, where bins are wide. */
static RedshiftNode redshift_node(const gsl_integration_glfixed_table *rule, size_t number, double z_max)
{
  const double z_0 = 0.1;
  double x, weight;

  gsl_integration_glfixed_point(log(z_0), log(z_max + z_0), number, &x, &weight, rule);
  return (RedshiftNode){.z = exp(x) - z_0, .weight = weight * exp(x)};
}

/* The largest relative error of int n_i^2 dz by a rule: the narrowest thing that alignment asks it to integrate. */
static double alignment_error(const SourceBins *bins, const gsl_integration_glfixed_table *rule)
{
  double worst = 0;

  for (PetscInt i = 0; i < bins->bins; i++) {
    const double *n = bins->density + i * bins->count;
    double exact = 0, sum = 0;

    for (PetscInt k = 1; k < bins->count; k++)
      exact += (bins->z[k] - bins->z[k - 1]) * (n[k] * n[k] + n[k] * n[k - 1] + n[k - 1] * n[k - 1]) / 3;
    for (size_t p = 0; p < rule->n; p++) {
      const RedshiftNode node = redshift_node(rule, p, source_bins_z_max(bins));
      const double density = source_bins_density(bins, i, node.z);

      sum += node.weight * density * density;
    }
    worst = fmax(worst, fabs(sum / exact - 1));
  }
  return worst;
}

static PetscErrorCode choose_rules(LensingModel *model)
{
  enum { LENSING_POINTS = 160 }; /* 1e-5; 1e-4 where baryons rule and power is all wiggles */
  static const PetscInt alignment_points[] = {LENSING_POINTS, 256, 512, 1024};

  PetscFunctionBeginUser;
  PetscCall(make_rule(LENSING_POINTS, &model->lensing_rule));
  for (size_t r = 0; r < PETSC_STATIC_ARRAY_LENGTH(alignment_points); r++) {
    PetscCall(make_rule(alignment_points[r], &model->alignment_rule));
    if (alignment_error(model->bins, model->alignment_rule) < 1e-3) break;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode lensing_model_create(const SourceBins *bins, PetscInt ell_count, const double *ell, double pixel,
                                    LensingModel **model)
{
  LensingModel *m = NULL;

  PetscFunctionBeginUser;
  PetscCall(check_arguments(ell_count, ell, pixel));
  PetscCall(PetscNew(&m));
  *model = m; /* handed over at once: lensing_model_destroy() frees it whatever fails below */
  m->bins = bins;
  m->ell_count = ell_count;
  m->shifts = PETSC_TRUE;
  for (int part = 0; part < PARTS; part++) PetscCall(log_event(part_names[part], &m->event[part]));
  PetscCall(PetscMalloc2(ell_count, &m->ell, ell_count, &m->ln_ell));
  for (PetscInt l = 0; l < ell_count; l++) {
    m->ell[l] = ell[l];
    m->ln_ell[l] = log(ell[l] + 0.5);
  }
  PetscCall(choose_rules(m));
  PetscCall(efficiency_create(bins, &m->efficiency));
  PetscCall(pixel_moments_create(pixel, &m->moments));

  const size_t nodes = PetscMax(m->lensing_rule->n, m->alignment_rule->n);
  PetscCall(PetscMalloc4(nodes, &m->sight.z, nodes, &m->sight.chi, nodes, &m->sight.dchi, nodes * (size_t)bins->bins,
                         &m->sight.kernel));
  PetscCall(PetscMalloc2(nodes * POWER_POINTS, &m->power, nodes * (size_t)ell_count, &m->at_ell));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode lensing_model_for_survey(const SurveyConfig *survey, LensingModel **model)
{
  SourceBins *bins = NULL;
  PetscInt ell_count = 0;
  double *ell = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  error = source_bins_create(survey, &bins);
  if (!error) error = lensing_ell_table(survey, &ell_count, &ell);
  if (!error) error = lensing_model_create(bins, ell_count, ell, survey_pixel(survey), model);
  PetscCall(PetscFree(ell));
  if (error) PetscCall(source_bins_destroy(&bins));
  PetscCall(error);
  (*model)->owned = bins;
  if (survey->field == FIELD_GAUSSIAN)
    lensing_model_without_shifts(*model);
  else if (survey->shift_table[0])
    PetscCall(lensing_model_use_shift_table(*model, survey->shift_table));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode lensing_model_use_shift_table(LensingModel *model, const char *path)
{
  PetscFunctionBeginUser;
  PetscCall(shift_table_destroy(&model->shift_table));
  PetscCall(shift_table_create(path, model->bins->bins, &model->shift_table));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void lensing_model_without_shifts(LensingModel *model)
{
  model->shifts = PETSC_FALSE;
}

PetscErrorCode lensing_model_spectra_create(const LensingModel *model, LensingSpectra **spectra)
{
  PetscFunctionBeginUser;
  PetscCall(lensing_spectra_create(model->bins->bins, model->ell_count, spectra));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode lensing_model_destroy(LensingModel **model)
{
  PetscFunctionBeginUser;
  if (*model) {
    LensingModel *m = *model;

    PetscCall(PetscFree2(m->ell, m->ln_ell));
    PetscCall(PetscFree2(m->power, m->at_ell));
    PetscCall(PetscFree4(m->sight.z, m->sight.chi, m->sight.dchi, m->sight.kernel));
    if (m->lensing_rule) gsl_integration_glfixed_table_free(m->lensing_rule);
    if (m->alignment_rule) gsl_integration_glfixed_table_free(m->alignment_rule);
    PetscCall(efficiency_destroy(&m->efficiency));
    PetscCall(pixel_moments_destroy(&m->moments));
    PetscCall(shift_table_destroy(&m->shift_table));
    PetscCall(source_bins_destroy(&m->owned));
    PetscCall(PetscFree(*model));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ------------------------------------------------------------------ evaluation */

static void place_nodes(LensingModel *model, const Universe *universe, PetscBool alignment, double z_max)
{
  const gsl_integration_glfixed_table *rule = alignment ? model->alignment_rule : model->lensing_rule;
  LineOfSight *sight = &model->sight;

  sight->count = (PetscInt)rule->n;
  for (PetscInt n = 0; n < sight->count; n++) {
    const RedshiftNode node = redshift_node(rule, (size_t)n, z_max);

    sight->z[n] = node.z;
    sight->chi[n] = background_comoving_distance(universe->background, node.z);
    sight->dchi[n] = node.weight * NEPHRITE_HUBBLE_DISTANCE / background_expansion(universe->background, node.z);
  }
}

/* q_i(chi) = 3/2 Omega_m (H0/c)^2 (1+z) chi int dz' n_i(z') (1 - chi/chi'), and nonlinear alignment as an addition
 * -A_IA(z) C1 rho_crit Omega_m/D(z) n_i(z) dz/dchi (Bridle & King 2007, 0705.0166). */
static PetscErrorCode fill_kernel(LensingModel *model, const Universe *universe, double Omega_m,
                                  const Systematics *systematics, PetscInt bin)
{
  const LineOfSight *sight = &model->sight;
  const double strength = 1.5 * Omega_m / (NEPHRITE_HUBBLE_DISTANCE * NEPHRITE_HUBBLE_DISTANCE);
  const double delta_z = systematics->delta_z[bin];
  double *kernel = sight->kernel + bin * sight->count, visible;

  PetscFunctionBeginUser;
  if (bin == 0 || delta_z != systematics->delta_z[bin - 1])
    efficiency_prepare(model->efficiency, universe->background, delta_z);
  PetscCall(efficiency_evaluate(model->efficiency, bin, sight, kernel, &visible));
  for (PetscInt n = 0; n < sight->count; n++) kernel[n] *= strength * (1 + sight->z[n]) * sight->chi[n];
  if (systematics->A_IA == 0) PetscFunctionReturn(PETSC_SUCCESS);
  for (PetscInt n = 0; n < sight->count; n++) {
    const double z = sight->z[n], density = source_bins_density(model->bins, bin, z - delta_z) / visible;
    const double amplitude = systematics->A_IA * pow((1 + z) / ALIGNMENT_PIVOT, systematics->eta_IA);
    const double dz_dchi = background_expansion(universe->background, z) / NEPHRITE_HUBBLE_DISTANCE;

    kernel[n] -= amplitude * C1_RHO_CRIT * Omega_m / growth_factor(universe->growth, z) * density * dz_dchi;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What a node adds to the moments of the smoothed field, from which shifts come. */
static void add_moments(LensingModel *model, const Universe *universe, PetscInt node, PetscInt bins)
{
  const double z = model->sight.z[node];
  const NodeMatter matter = {.linear_today = matter_power_linear_today(universe->power),
                             .nonlinear = model->power + node * POWER_POINTS,
                             .growth = growth_factor(universe->growth, z),
                             .epsilon = growth_epsilon(universe->growth, z)};

  pixel_moments_add(model->moments, &model->sight, bins, node, &matter);
}

/* Power along the line of sight.  \return at how many nodes it is linear */
static PetscInt tabulate_power(LensingModel *model, const Universe *universe)
{
  const LineOfSight *sight = &model->sight;
  PetscInt linear = 0;

#pragma omp parallel for schedule(dynamic) reduction(+ : linear)
  for (PetscInt n = 0; n < sight->count; n++) {
    double *power = model->power + n * POWER_POINTS;

    if (!matter_power_nonlinear_row(universe->power, sight->z[n], power)) linear++;
    angular_power_look_up(sight->chi[n], power, model->ell_count, model->ln_ell, model->at_ell + n * model->ell_count);
  }
  return linear;
}

/* Sum over the line of sight, in the order of its nodes whatever the number of threads. */
static PetscErrorCode integrate(LensingModel *model, const Universe *universe, LensingSpectra *spectra,
                                PetscInt *linear_redshifts)
{
  const PetscInt nodes = model->sight.count;

  PetscFunctionBeginUser;
  PetscCall(PetscLogEventBegin(model->event[PART_POWER], 0, 0, 0, 0));
  *linear_redshifts = tabulate_power(model, universe);
  PetscCall(PetscArrayzero(spectra->power, spectra->bins * (spectra->bins + 1) / 2 * spectra->ell_count));
  for (PetscInt n = 0; n < nodes; n++)
    angular_power_add(&model->sight, n, model->at_ell + n * model->ell_count, spectra);
  PetscCall(PetscLogEventEnd(model->event[PART_POWER], 0, 0, 0, 0));
  if (!model->shifts || model->shift_table) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscLogEventBegin(model->event[PART_SHIFT], 0, 0, 0, 0));
  pixel_moments_clear(model->moments);
  for (PetscInt n = 0; n < nodes; n++) add_moments(model, universe, n, spectra->bins);
  PetscCall(PetscLogEventEnd(model->event[PART_SHIFT], 0, 0, 0, 0));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* kappa_i -> (1 + m_i) kappa_i */
static void apply_bias(const Systematics *systematics, LensingSpectra *spectra)
{
  double *pair = spectra->power;

  for (PetscInt i = 0; i < spectra->bins; i++) {
    spectra->shift[i] *= 1 + systematics->m[i];
    for (PetscInt j = i; j < spectra->bins; j++, pair += spectra->ell_count)
      for (PetscInt l = 0; l < spectra->ell_count; l++) pair[l] *= (1 + systematics->m[i]) * (1 + systematics->m[j]);
  }
}

static PetscErrorCode evaluate(LensingModel *model, const Cosmology *cosmology, const Systematics *systematics,
                               Universe *universe, LensingSpectra *spectra, PetscInt *linear_redshifts)
{
  const PetscInt bins = model->bins->bins;
  double z_max = source_bins_z_max(model->bins), reach = 0;

  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < bins; i++) reach = fmax(reach, systematics->delta_z[i]);
  z_max += reach;
  PetscCall(PetscLogEventBegin(model->event[PART_COSMOLOGY], 0, 0, 0, 0));
  const PetscErrorCode error = universe_create(cosmology, z_max, universe);
  PetscCall(PetscLogEventEnd(model->event[PART_COSMOLOGY], 0, 0, 0, 0));
  PetscCall(error);
  place_nodes(model, universe, systematics->A_IA != 0, z_max);
  for (PetscInt i = 0; i < bins; i++)
    PetscCall(fill_kernel(model, universe, cosmology->Omega_c + cosmology->Omega_b, systematics, i));
  PetscCall(integrate(model, universe, spectra, linear_redshifts));
  memcpy(spectra->ell, model->ell, (size_t)model->ell_count * sizeof *model->ell);
  if (!model->shifts)
    memset(spectra->shift, 0, (size_t)bins * sizeof *spectra->shift);
  else if (model->shift_table)
    PetscCall(shift_table_look_up(model->shift_table, cosmology, spectra->shift));
  else
    PetscCall(pixel_moments_shift(model->moments, bins, spectra->shift));
  apply_bias(systematics, spectra);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode lensing_model_evaluate(LensingModel *model, const Cosmology *cosmology, const Systematics *systematics,
                                      LensingSpectra *spectra, PetscInt *linear_redshifts)
{
  static const Systematics none = {0};
  Universe universe = {0};
  PetscInt linear = 0;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCheck(spectra->bins == model->bins->bins && spectra->ell_count == model->ell_count, PETSC_COMM_SELF,
             NEPHRITE_ERR_INTERNAL, "spectra of %d bins at %d multipoles given to a model of %d bins at %d",
             (int)spectra->bins, (int)spectra->ell_count, (int)model->bins->bins, (int)model->ell_count);
  error = evaluate(model, cosmology, systematics ? systematics : &none, &universe, spectra, &linear);
  PetscCall(universe_destroy(&universe));
  PetscCall(error);
  if (linear_redshifts) *linear_redshifts = linear;
  PetscFunctionReturn(PETSC_SUCCESS);
}
