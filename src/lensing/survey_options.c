/** \file survey_options.c  The `survey` section of a campaign file.  \ingroup lensing */
#include "nephrite/lensing.h"

#include <limits.h>
#include <math.h>

#define MAPS SCOPE_SIMULATION
/* Maps are stored without noise: what follows them may change without making them again. */
#define AFTER_MAPS (SCOPE_NETWORK | SCOPE_TRAINING | SCOPE_POSTERIOR | SCOPE_ESTIMATE)

/* The defaults are LSST Y10 (DESC Science Requirements Document, arXiv:1809.01669), as published with sbi_lens. */
static const OptionSpec specs[] = {
    {"survey_map_size", VALUE_INT_PAIR, offsetof(SurveyConfig, map_size), "pixels", "128", 4, 1 << 17, NULL, MAPS,
     "pixels along x and y; one number for a square"},
    {"survey_field_of_view", VALUE_REAL, offsetof(SurveyConfig, field_of_view_deg), "deg", "5", 0.01, 90, NULL, MAPS,
     "side of the map along x; y has the same pixel scale"},
    {"survey_bins", VALUE_INT, offsetof(SurveyConfig, bins), "", "5", 1, NEPHRITE_MAX_BINS, NULL, MAPS,
     "tomographic bins, of equal number unless survey_n_of_z is given"},
    {"survey_field", VALUE_CHOICE, offsetof(SurveyConfig, field), "", "lognormal", 0, 0, "lognormal|gaussian", MAPS,
     "field model of the convergence"},
    {"survey_observation", VALUE_CHOICE, offsetof(SurveyConfig, observation), "", "shear", 0, 0, "shear|convergence",
     AFTER_MAPS, "what the survey observes, with noise"},
    {"survey_galaxies_per_arcmin2", VALUE_REAL, offsetof(SurveyConfig, galaxies_per_arcmin2), "arcmin^-2", "27", 1e-6,
     1e9, NULL, AFTER_MAPS, "source galaxies of all bins together, shared equally among them"},
    {"survey_sigma_e", VALUE_REAL, offsetof(SurveyConfig, sigma_e), "", "0.26", 1e-9, 10, NULL, AFTER_MAPS,
     "ellipticity dispersion per component"},
    {"survey_counts", VALUE_TEXT, offsetof(SurveyConfig, counts), "", "", 0, 0, NULL, AFTER_MAPS,
     "HDF5 file with the galaxies of each pixel, counts[bin][y][x], or counts[y][x] of all bins together, instead of "
     "survey_galaxies_per_arcmin2; empty for none"},
    {"survey_noise_range", VALUE_REAL_PAIR, offsetof(SurveyConfig, noise_range), "", "1", 0.01, 100, NULL, AFTER_MAPS,
     "least and greatest factor, drawn log-uniformly for each observation and bin, by which its noise differs from the "
     "survey's; the network is shown which; 1 for none"},
    {"survey_smail_z0", VALUE_REAL, offsetof(SurveyConfig, smail_z0), "", "0.11", 1e-3, 10, NULL, MAPS,
     "scale of the parent p(z) ~ z^beta exp(-(z/z0)^alpha)"},
    {"survey_smail_alpha", VALUE_REAL, offsetof(SurveyConfig, smail_alpha), "", "0.68", 0.1, 10, NULL, MAPS,
     "power inside the exponential of the parent p(z)"},
    {"survey_smail_beta", VALUE_REAL, offsetof(SurveyConfig, smail_beta), "", "2", 0, 10, NULL, MAPS,
     "power-law index of the parent p(z)"},
    {"survey_photoz_scatter", VALUE_REAL, offsetof(SurveyConfig, photoz_scatter), "", "0.05", 1e-3, 1, NULL, MAPS,
     "photo-z scatter sigma_z/(1+z)"},
    {"survey_n_of_z", VALUE_TEXT, offsetof(SurveyConfig, n_of_z), "", "", 0, 0, NULL, MAPS,
     "HDF5 file with z[count] and n_of_z[bins][count] instead of the Smail bins; empty for none"},
    {"survey_mask", VALUE_TEXT, offsetof(SurveyConfig, mask), "", "none", 0, 0, NULL, AFTER_MAPS,
     "none, random (another one for each map), or an HDF5 file with mask[y][x], 1 = observed"},
    {"survey_shift_table", VALUE_TEXT, offsetof(SurveyConfig, shift_table), "", "", 0, 0, NULL, MAPS,
     "HDF5 file with Omega_m, sigma_8, w_0 and shift[bin][Omega_m][sigma_8][w_0] instead of computed log-normal "
     "shifts; "
     "empty for none"},
};

const OptionTable survey_options = {"survey", specs, sizeof specs / sizeof *specs};

static PetscErrorCode check_noise_range(double low, double high)
{
  PetscFunctionBeginUser;
  PetscCheck(low <= high, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "survey_noise_range is %.6g,%.6g; the smaller factor must come first", low, high);
  PetscCheck(
      low < high || low == 1, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
      "survey_noise_range is %.6g alone, which is no range; noise that is larger or smaller in every observation "
      "is for survey_sigma_e or survey_galaxies_per_arcmin2 to say",
      low);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode survey_config_check(const SurveyConfig *survey)
{
  const double y_deg = survey->field_of_view_deg * survey_ny(survey) / survey_nx(survey);
  const int64_t values = (int64_t)survey->bins * survey_ny(survey) * survey_nx(survey);

  PetscFunctionBeginUser;
  PetscCheck(values <= INT_MAX, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "survey_map_size %d,%d in survey_bins %d makes a map of %lld values; at most %d can be numbered",
             (int)survey_nx(survey), (int)survey_ny(survey), (int)survey->bins, (long long)values, INT_MAX);
  PetscCheck(
      y_deg <= 90, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
      "survey_map_size %d,%d at survey_field_of_view %.6g deg makes a map of %.6g deg along y; flat sky ends at 90 deg",
      (int)survey_nx(survey), (int)survey_ny(survey), survey->field_of_view_deg, y_deg);
  PetscCheck(survey->mask[0], PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "survey_mask is empty; it must be none, random or the name of a file");
  PetscCall(check_noise_range(survey->noise_range[0], survey->noise_range[1]));
  PetscFunctionReturn(PETSC_SUCCESS);
}

double survey_pixel(const SurveyConfig *survey)
{
  return survey->field_of_view_deg * M_PI / 180 / survey_nx(survey);
}

double survey_noise_std(const SurveyConfig *survey)
{
  const double pixel_arcmin = survey->field_of_view_deg * 60 / survey_nx(survey);
  const double galaxies = survey->galaxies_per_arcmin2 / survey->bins * pixel_arcmin * pixel_arcmin;

  return survey->sigma_e / sqrt(galaxies);
}
