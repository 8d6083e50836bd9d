/** \file lensing.h
 * From matter to what a lensing survey sees: source bins, C_ij(ell), log-normal shifts, shear, shape noise, masks.
 * \defgroup lensing Lensing
 */
#ifndef NEPHRITE_LENSING_H
#define NEPHRITE_LENSING_H

#include "nephrite/cosmology.h"

#include <string.h>

enum { NEPHRITE_MAX_BINS = 16 };

typedef enum { FIELD_LOGNORMAL, FIELD_GAUSSIAN } FieldModel;
typedef enum { OBSERVATION_SHEAR, OBSERVATION_CONVERGENCE } ObservationKind;

/** The `survey` section of a campaign file.  Angles as the user writes them; see survey_pixel() for radians. */
typedef struct {
  PetscInt map_size[2]; /**< nx, ny as written; use survey_nx(), survey_ny() */
  double field_of_view_deg; /**< side along x */
  PetscInt bins; /**< tomographic bins */
  int field; /**< ::FieldModel */
  int observation; /**< ::ObservationKind */
  double galaxies_per_arcmin2; /**< of all bins together */
  double sigma_e; /**< ellipticity dispersion per component */
  double smail_z0, smail_alpha, smail_beta; /**< p(z) ~ z^beta exp(-(z/z0)^alpha) */
  double photoz_scatter; /**< sigma_z/(1+z) */
  char n_of_z[OPTION_TEXT_SIZE]; /**< a user's own table, or "" */
  char mask[OPTION_TEXT_SIZE]; /**< file, "random" or "none" */
  char shift_table[OPTION_TEXT_SIZE]; /**< a user's own shifts, or "" */
  char counts[OPTION_TEXT_SIZE]; /**< a user's own galaxies per pixel, or "" */
  double noise_range[2]; /**< factors from and to which noise varies between observations; equal: it does not */
} SurveyConfig;

extern const OptionTable survey_options; /**< fills SurveyConfig */
/** What ranges alone cannot say.  Errors: NEPHRITE_ERR_CONFIG for a map taller than a flat sky, for 2^31 values or more
 * in all bins together, for an empty survey_mask, for a survey_noise_range that is none. */
PetscErrorCode survey_config_check(const SurveyConfig *survey);
static inline PetscInt survey_nx(const SurveyConfig *survey)
{
  return survey->map_size[0];
}
static inline PetscInt survey_ny(const SurveyConfig *survey)
{
  return survey->map_size[1];
}
double survey_pixel(const SurveyConfig *survey); /**< side of a pixel, radians */
/** Shape noise per pixel, bin and component, dimensionless; what it would be without survey_counts and
 * survey_noise_range. */
double survey_noise_std(const SurveyConfig *survey);
/** Are there pixels, now and then, that the survey does not see? */
static inline PetscBool survey_has_mask(const SurveyConfig *survey)
{
  return (strcmp(survey->mask, "none") || survey->counts[0]) ? PETSC_TRUE : PETSC_FALSE;
}

/** Does noise differ between observations? */
static inline PetscBool survey_has_noise_range(const SurveyConfig *survey)
{
  return survey->noise_range[0] < survey->noise_range[1] ? PETSC_TRUE : PETSC_FALSE;
}

/** Nuisances of lensing, all 0 for none. */
typedef struct {
  double A_IA, eta_IA;
  double delta_z[NEPHRITE_MAX_BINS]; /**< n_i(z) -> n_i(z - delta_z_i) */
  double m[NEPHRITE_MAX_BINS]; /**< kappa_i -> (1 + m_i) kappa_i */
} Systematics;

/** Redshifts end here for the Smail distribution and its last bin. */
#define NEPHRITE_SMAIL_Z_MAX 10.

/** Cuts in true redshift that share the survey's parent p(z) equally among its bins, from 0 to NEPHRITE_SMAIL_Z_MAX.
 * \param[out] edges [survey->bins + 1] */
PetscErrorCode survey_bin_edges(const SurveyConfig *survey, double *edges);

/** Source redshift distributions n_i(z), unit integral, for one survey; linear between tabulated redshifts. */
typedef struct SourceBins SourceBins;
/** From survey_n_of_z, or if that is empty from p(z) in equal-number bins with photo-z scatter.
 * Errors: NEPHRITE_ERR_INPUT if the file is unreadable, has another number of bins, or as source_bins_from_table(). */
PetscErrorCode source_bins_create(const SurveyConfig *survey, SourceBins **bins);
/** From a table, copied and brought to unit integral.  \param z [count] increasing, from 0 up, below 30
 * \param n_of_z [bins][count] nowhere negative, 0 outside the table
 * Errors: NEPHRITE_ERR_INPUT naming bin and redshift. */
PetscErrorCode source_bins_from_table(PetscInt bins, PetscInt count, const double *z, const double *n_of_z,
                                      SourceBins **source_bins);
PetscInt source_bins_count(const SourceBins *bins);
double source_bins_z_max(const SourceBins *bins); /**< end of the table */
double source_bins_density(const SourceBins *bins, PetscInt bin, double z); /**< n_i(z), 0 outside the table */
PetscErrorCode source_bins_destroy(SourceBins **bins);

/** Two-point theory of one cosmology: what a field is made from. */
typedef struct {
  PetscInt bins, ell_count;
  double *ell; /* [ell_count] increasing */
  double *power; /* [bins (bins+1)/2][ell_count], pairs (0,0),(0,1)…(0,n-1),(1,1)… */
  double *shift; /* [bins] log-normal shift lambda_i */
} LensingSpectra;
PetscErrorCode lensing_spectra_create(PetscInt bins, PetscInt ell_count, LensingSpectra **spectra);
PetscErrorCode lensing_spectra_destroy(LensingSpectra **spectra);
static inline PetscInt lensing_pair(PetscInt bins, PetscInt i,
                                    PetscInt j) /**< index of the pair, i and j in any order */
{
  const PetscInt a = i < j ? i : j, b = i < j ? j : i;
  return a * bins - a * (a - 1) / 2 + (b - a);
}

/** Everything about C_ij(ell) and the shifts that depends on the survey alone, computed once.  Evaluation is per
 * cosmology (a millisecond or two) and uses the model's work space: one model per thread. */
typedef struct LensingModel LensingModel;
/** \param bins  borrowed, to outlive the model  \param ell_count, ell  where C_ij is wanted, increasing, > 0
 * \param pixel  side of a pixel in radians: the shifts belong to it
 * Errors: NEPHRITE_ERR_CONFIG if ell or pixel are out of range. */
PetscErrorCode lensing_model_create(const SourceBins *bins, PetscInt ell_count, const double *ell, double pixel,
                                    LensingModel **model);
/** All that a survey needs in one: its source bins, lensing_ell_table(), its pixel and its shift table if it has one;
 * no shifts are computed for Gaussian fields (they are 0).  Errors: those of the parts. */
PetscErrorCode lensing_model_for_survey(const SurveyConfig *survey, LensingModel **model);
/** Take shifts from a user's file instead: axes Omega_m, sigma_8, w_0 and shift[bin][Omega_m][sigma_8][w_0], linear
 * between its nodes.  Errors: NEPHRITE_ERR_INPUT if the file is unreadable, has another number of bins, or axes that do
 * not increase; later, in lensing_model_evaluate(), for a cosmology outside its axes. */
PetscErrorCode lensing_model_use_shift_table(LensingModel *model, const char *path);
/** Compute C_ij(ell) alone: the shifts will be 0, and no skewness is too low for them. */
void lensing_model_without_shifts(LensingModel *model);
/** Spectra of the size that lensing_model_evaluate() fills. */
PetscErrorCode lensing_model_spectra_create(const LensingModel *model, LensingSpectra **spectra);
/** The ell table that a map of this survey needs: log-spaced, from below the fundamental mode to above the corner of
 * the grid, its spline good to 1e-4.  \param[out] ell free with PetscFree() */
PetscErrorCode lensing_ell_table(const SurveyConfig *survey, PetscInt *count, double **ell);
/** C_ij(ell) and lambda_i.  \param systematics may be NULL
 * \param[out] linear_redshifts  redshifts of the line of sight without a nonlinear scale, so that power is linear
 * there; may be NULL Errors: NEPHRITE_ERR_INPUT if the cosmology is not physical, delta_z moves a bin out of the sky,
 * the convergence of a bin has no positive skewness (strong intrinsic alignment), or the shift table ends before the
 * cosmology. */
PetscErrorCode lensing_model_evaluate(LensingModel *model, const Cosmology *cosmology, const Systematics *systematics,
                                      LensingSpectra *spectra, PetscInt *linear_redshifts);
PetscErrorCode lensing_model_destroy(LensingModel **model);

/** The discrete Fourier transform of a periodic real map, on one rank: one map, its modes, and two plans between them.
 *
 * Unnormalised both ways: inverse(forward(map)) is ny nx times the map.  Plans are FFTW_ESTIMATE, which are the same in
 * every run; plans chosen by timing would change the last bit of a map from one run to the next. */
typedef struct Fourier Fourier;
/** FFTW's planner is not safe in threads: create such objects, and whatever contains one, from one thread at a time.
 * Errors: NEPHRITE_ERR_INTERNAL if FFTW has no memory or no plan. */
PetscErrorCode fourier_create(PetscInt ny, PetscInt nx, Fourier **fourier);
/** What of a map and its modes is on this rank. */
typedef struct {
  PetscInt rows, line; /**< rows of the map, and values from one to the next */
  PetscInt first_column, columns; /**< k_x of the modes */
  PetscBool transposed; /**< modes are [columns][ny] instead of [ny][columns] */
} FourierPart;
/** The same of a map that the ranks of \p comm share, each with the rows of field_slab(); on one rank fourier_create().
 * Collective, as its transforms are. */
PetscErrorCode fourier_create_slab(MPI_Comm comm, PetscInt ny, PetscInt nx, Fourier **fourier);
FourierPart fourier_part(const Fourier *fourier);
double *fourier_map(Fourier *fourier); /**< [ny][nx], or the rows of fourier_part(), borrowed */
/** The modes with k_x >= 0, [ny][nx/2+1] or as fourier_part() has them; the others are their complex conjugates.
 * Borrowed. */
double _Complex *fourier_modes(Fourier *fourier);
void fourier_forward(Fourier *fourier); /**< modes = transform of the map */
/** Of some maps, on one rank.  \param maps [count][ny][nx]  \param[out] modes [count][ny][nx/2+1] */
void fourier_forward_maps(Fourier *fourier, PetscInt count, const float *maps, double _Complex *modes);
void fourier_inverse(Fourier *fourier); /**< map = inverse transform of the modes, which are destroyed */
PetscErrorCode fourier_destroy(Fourier **fourier);
/** Signed frequency of index i of n, in cycles per n pixels: 0, 1, … -2, -1 (NumPy's fftfreq times n). */
static inline PetscInt fourier_frequency(PetscInt i, PetscInt n)
{
  return i < (n + 1) / 2 ? i : i - n;
}

/** Auto and cross spectra of some periodic maps, averaged in bands of wavenumber that are equal in ln k.  A band with
 * no mode of the grid in it has power 0.  Work space for one thread; create from one thread at a time (FFTW's planner).
 */
typedef struct BandPowers BandPowers;
/** Bands begin at the fundamental mode of the longer side, and end at its Nyquist frequency or with the grid's corner.
 */
typedef enum { BANDS_TO_NYQUIST, BANDS_TO_CORNER } BandLimit;
/** \param maps, bands  at least 1.  Errors: NEPHRITE_ERR_INTERNAL: no pixels, or FFTW has no memory. */
PetscErrorCode band_powers_create(PetscInt ny, PetscInt nx, PetscInt maps, PetscInt bands, BandLimit limit,
                                  BandPowers **band_powers);
PetscInt band_powers_count(const BandPowers *band_powers); /**< pairs of maps x bands */
/** Which band a mode is in; -1: none.  \param y, x of [ny][nx/2+1] */
PetscInt band_powers_band(const BandPowers *band_powers, PetscInt y, PetscInt x);
/** \param maps [maps][ny][nx]
 * \param[out] power [pairs][bands] of pairs (0,0), (0,1) … (1,1), …, per squared value of the maps and area of a pixel:
 * white noise of variance s^2 has s^2 */
void band_powers_of(BandPowers *band_powers, const float *maps, double *power);
PetscErrorCode band_powers_destroy(BandPowers **band_powers);

/** How the values of some periodic maps, and of the sums of two of them, are distributed: of the maps as they are and
 * smoothed by Gaussians of 1, 2 and 4 pixels.  Beyond power spectra that says how far the maps are from Gaussian.  Work
 * space for one thread; create from one thread at a time (FFTW's planner). */
typedef struct OnePoint OnePoint;
enum { ONE_POINT_SCALES = 4 };
/** \param maps, intervals  at least 1.  Errors: NEPHRITE_ERR_INTERNAL: no pixels, or FFTW has no memory. */
PetscErrorCode one_point_create(PetscInt ny, PetscInt nx, PetscInt maps, PetscInt intervals, OnePoint **one_point);
PetscInt one_point_count(const OnePoint *one_point); /**< pairs of maps x scales x intervals */
/** \param maps [maps][ny][nx], of which the mean does not matter
 * \param[out] variance [pairs][scales] of the map (0,0), the sum (0,1) … the map (1,1), …, at each scale */
void one_point_variance(OnePoint *one_point, const float *maps, double *variance);
/** \param unit [pairs][scales] of the values, above 0
 * \param[out] share [pairs][scales][intervals]: how much of an interval lies below the values, in the mean over pixels;
 * of a narrow one, the share of pixels above it.  Intervals lie between the units times sinh(-1.9 + 4.8 i/intervals) */
void one_point_of(OnePoint *one_point, const float *maps, const double *unit, double *share);
PetscErrorCode one_point_destroy(OnePoint **one_point);

/** Shear of a periodic convergence map and back (Kaiser & Squires 1993): per mode gamma = (c + i s) kappa
 * with c = (k_x^2 - k_y^2)/k^2, s = 2 k_x k_y/k^2, both 0 at k = 0 and s = 0 on the Nyquist lines, where it would not
 * be real. Work space for one thread; create from one thread at a time (FFTW's planner). */
typedef struct ShearTransform ShearTransform;
/** Errors: NEPHRITE_ERR_INTERNAL: no pixels, or FFTW has no memory. */
PetscErrorCode shear_transform_create(PetscInt ny, PetscInt nx, ShearTransform **transform);
/** The same of maps that the ranks of \p comm share: each has the rows of field_slab() instead of ny.  Collective, as
 * its transforms are.  Errors: likewise. */
PetscErrorCode shear_transform_create_slab(MPI_Comm comm, PetscInt ny, PetscInt nx, ShearTransform **transform);
/** \param kappa [ny][nx]  \param[out] gamma1, gamma2 [ny][nx] */
PetscErrorCode shear_from_convergence(ShearTransform *transform, const double *kappa, double *gamma1, double *gamma2);
/** E = (c gamma1 + s gamma2)/(c^2 + s^2), B = (c gamma2 - s gamma1)/(c^2 + s^2), 0 where c = s = 0.  On the Nyquist
 * lines c^2 + s^2 < 1: there noise is amplified by 1/c^2 in power. \param[out] e_mode, b_mode [ny][nx]; b_mode may be
 * NULL */
PetscErrorCode convergence_from_shear(ShearTransform *transform, const double *gamma1, const double *gamma2,
                                      double *e_mode, double *b_mode);
/** E = c gamma1 + s gamma2, B = c gamma2 - s gamma1: convergence_from_shear() times the visibility of each mode.  White
 * noise on the shear is white noise of the same variance here, and less on the Nyquist lines; no mode is amplified.
 * \param[out] e_mode, b_mode [ny][nx]; b_mode may be NULL */
PetscErrorCode shear_project(ShearTransform *transform, const double *gamma1, const double *gamma2, double *e_mode,
                             double *b_mode);
/** How much of a mode shear shows, c^2 + s^2: 1, but less on the Nyquist lines, and 0 at k = 0.  White noise of
 * variance sigma^2 on both components is noise of variance sigma^2/visibility on the mode's E.  \param y, x of
 * [ny][nx/2+1] */
double shear_transform_visibility(const ShearTransform *transform, PetscInt y, PetscInt x);
/** The factors themselves: gamma = (c + i s) kappa of a mode, on one rank.  \param y, x of [ny][nx/2+1] */
void shear_transform_factors(const ShearTransform *transform, PetscInt y, PetscInt x, double *c, double *s);
PetscErrorCode shear_transform_destroy(ShearTransform **transform);

/** Noise of the shapes of a survey's galaxies: the same in every pixel, or with survey_counts sigma_e over the root of
 * the galaxies of a pixel and bin.  With survey_noise_range that of an observation is this times a factor of its own in
 * each bin. */
typedef struct ShapeNoise ShapeNoise;
/** Reads the counts at once, where there are.
 * Errors: NEPHRITE_ERR_INPUT: no such file or dataset `counts`, another shape, a count below 0 or not finite, a bin
 * without a galaxy. */
PetscErrorCode shape_noise_create(const SurveyConfig *survey, ShapeNoise **noise);
/** The survey's standard deviation per component; infinite where there is no galaxy.  \param pixel of [ny][nx] */
double shape_noise_std(const ShapeNoise *noise, PetscInt bin, size_t pixel);
/** Pixels without a galaxy in any bin are not observed.  \param[in,out] observed [ny][nx] */
void shape_noise_hide(const ShapeNoise *noise, float *observed);
PetscErrorCode shape_noise_destroy(ShapeNoise **noise);

/** Turns convergence maps into noisy observations, and observations into what the network is shown.  One per thread;
 * create from one thread at a time.
 *
 * With survey_mask random, each observation has a mask of its own: holes round stars (one per 256 pixels, radii of 1 to
 * 4 pixels) and a strip of up to an eighth of the map along one side.
 *
 * With survey_counts, a pixel of a bin has noise sigma_e/sqrt(its galaxies), and none is observed without galaxies.
 *
 * With survey_noise_range, the noise of a bin of an observation is that of the survey times a factor of its own.
 *
 * With either, data are shown times a weight, what is typical of the survey's noise in a bin (of an even survey its
 * noise, with counts that of a pixel of the mean count) over the observation's noise in the pixel.  So the noise of
 * what is shown is the same everywhere and always, and a masked pixel is the limit of a noisy one; the weights are
 * shown as well. */
typedef struct Observer Observer;
/** Reads the mask and the counts at once, where they are files.
 * Errors: NEPHRITE_ERR_INPUT: a file is missing, or its `mask[y][x]` or `counts` is, or has another shape than the
 * survey's map, a value that is neither 1 (observed) nor 0 (not), no observed pixel, a count below 0, a bin without a
 * galaxy. */
PetscErrorCode observer_create(const SurveyConfig *survey, Observer **observer);
/** Values of one raw observation: [bins][2][ny][nx] for shear, [bins][ny][nx] for convergence. */
size_t observer_raw_size(const Observer *observer);
/** Channels the network is shown, each [ny][nx]: of shear the E-mode of each bin (shear_project()) and, when there is a
 * mask or survey_counts, the B-mode of each bin; of convergence each bin.  After these data the mask, when there is
 * one; with survey_counts or survey_noise_range the weights of each bin, which are 0 under the mask, stand in its
 * place. */
PetscInt observer_channels(const Observer *observer);
/** How many of an observation's channels are data, in the units of convergence; a mask or weights follow. */
static inline PetscInt observation_data_channels(PetscInt bins, PetscInt channels)
{
  if (channels % bins) return channels - 1;
  return channels == bins ? bins : channels - bins;
}
/** Observe a map: shear it, add white noise, leave out masked pixels.
 * \param noise names the noise, whose position is the index in \p raw, its level in survey_noise_range, and the random
 * mask
 * \param kappa [bins][ny][nx]  \param[out] raw observer_raw_size() values, 0 in masked pixels
 * \param[out] mask [ny][nx] 1 = observed; may be NULL where survey_has_mask() is not true */
PetscErrorCode observer_observe(Observer *observer, RandomKey noise, const float *kappa, float *raw, float *mask);
/** What the network is shown of a raw observation, not yet normalised; what \p raw holds in masked pixels is not looked
 * at.  \param mask [ny][nx], or NULL for all observed
 * \param noise_std [observer_noise_size()] of this observation, from observer_noise_std() or from a user; looked at for
 * weights alone, and NULL will do where there are none
 * \param[out] channels [observer_channels()][ny][nx]
 * Errors: NEPHRITE_ERR_INPUT: pixels are masked, and the survey has no mask (so the network has no channel for it). */
PetscErrorCode observer_present(Observer *observer, const float *raw, const float *mask, const double *noise_std,
                                float *channels);
/** Numbers of observer_noise_std(): bins, or with survey_counts bins x ny x nx. */
size_t observer_noise_size(const Observer *observer);
/** Standard deviation of the noise of an observation per pixel, bin and component, infinite without galaxies.
 * \param noise  its key in observer_observe()  \param[out] noise_std [bins] or [bins][ny][nx] */
void observer_noise_std(const Observer *observer, RandomKey noise, double *noise_std);
PetscErrorCode observer_destroy(Observer **observer);

#endif
