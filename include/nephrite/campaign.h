/** \file campaign.h
 * Prior, simulator, and the maps of a campaign on disk and back in batches.  \defgroup campaign Campaign
 */
#ifndef NEPHRITE_CAMPAIGN_H
#define NEPHRITE_CAMPAIGN_H

#include "nephrite/field.h"

enum { NEPHRITE_MAX_PARAMETERS = 64, NEPHRITE_WCDM_PARAMETERS = 6 };

/** The options every program shares: where, seed, threads. */
typedef struct {
  char config[OPTION_TEXT_SIZE]; /**< the campaign file */
  char campaign[OPTION_TEXT_SIZE]; /**< directory of its products; default campaigns/ and the name of the campaign file
                                    */
  int64_t seed;
  PetscInt threads;
  char time_limit[OPTION_TEXT_SIZE]; /**< as campaign_time_limit() reads it; empty for none */
  char share[OPTION_TEXT_SIZE]; /**< as campaign_share() reads it; empty for all */
  PetscBool dry_run;
} CampaignConfig;
extern const OptionTable campaign_options;
/** \param[out] seconds  0 for no limit.  Errors: NEPHRITE_ERR_CONFIG. */
PetscErrorCode campaign_time_limit(const CampaignConfig *campaign, double *seconds);
/** What this run does of its stage.  Errors: NEPHRITE_ERR_CONFIG. */
PetscErrorCode campaign_share(const CampaignConfig *campaign, StageShare *share);

enum { PRIOR_ENTRIES = NEPHRITE_WCDM_PARAMETERS + 3 + 2 * NEPHRITE_MAX_BINS };

/** The `prior` section, each entry as the user writes it ("normal:MEAN,STD" and so on), in the order Omega_c Omega_b
 * sigma_8 h n_s w_0, w_a A_IA eta_IA, delta_z_<bin> of every bin, m_<bin> of every bin. */
typedef struct {
  char distribution[PRIOR_ENTRIES][OPTION_TEXT_SIZE];
} PriorConfig;
extern const OptionTable prior_options;

typedef struct Prior Prior;
PetscErrorCode prior_create(const PriorConfig *config, PetscInt bins, Prior **prior);
/** Parameters of theta: the six of wCDM in the order Omega_c Omega_b sigma_8 h n_s w_0, then those optional ones that
 * are not fixed. */
PetscInt prior_count(const Prior *prior);
const char *prior_name(const Prior *prior, PetscInt parameter);
/** Parameters in words, for messages: "Omega_c 0.27, Omega_b 0.05, …".  \param[out] text [size], cut if need be */
void prior_describe(const Prior *prior, const double *theta, char *text, size_t size);
/** Realisation \p index of the prior: keyed draws, repeated until physical.
 * \param first_attempt 0, or \p attempts of a draw that turned out to be impossible for another reason
 * \param[out] theta [prior_count()]  \param[out] attempts  draws made in all, may be NULL
 * Errors: NEPHRITE_ERR_CONFIG if no draw is physical. */
PetscErrorCode prior_draw(const Prior *prior, uint64_t seed, uint64_t index, PetscInt first_attempt, double *theta,
                          PetscInt *attempts);
PetscErrorCode prior_log_density(const Prior *prior, const double *theta, double *log_density); /**< -inf outside */
/** Is it "fixed"?  Then it is a parameter of theta, but not a random one. */
PetscBool prior_is_fixed(const Prior *prior, PetscInt parameter);
/** Where the prior ends on both sides; 0 and 0 for a parameter that has no such bounds, or is fixed. */
void prior_bounds(const Prior *prior, PetscInt parameter, double *low, double *high);
/** The value below which there is as much of an interval as of a standard normal below \p u. */
double interval_from_normal(double low, double high, double u);
/** And back.  \param value within the interval; infinite at its ends */
double interval_to_normal(double low, double high, double value);
/** theta as a function of as many independent standard normals u, each its own: theta_p = F_p^-1(Phi(u_p)), F_p the
 * distribution function before the physical cut.  Where cosmology_is_physical(), the density of u is then that of
 * standard normals.  \param u [prior_count()], not looked at where fixed  \param[out] theta [prior_count()]
 * \param[out] slope [prior_count()] dtheta_p/du_p, 0 where fixed; may be NULL */
void prior_from_normal(const Prior *prior, const double *u, double *theta, double *slope);
/** And back.  \param[out] u [prior_count()], 0 where fixed
 * Errors: NEPHRITE_ERR_INPUT: a parameter at or beyond its bounds, or not at its fixed value. */
PetscErrorCode prior_to_normal(const Prior *prior, const double *theta, double *u);
/** Mean and standard deviation of each parameter's distribution (before the physical cut). */
PetscErrorCode prior_moments(const Prior *prior, double *mean, double *std);
PetscErrorCode prior_cosmology(const Prior *prior, const double *theta, Cosmology *cosmology, Systematics *systematics);
PetscErrorCode prior_destroy(Prior **prior);

/** theta and key to a convergence map: prior, cosmology, spectra, field in one.  One per thread, rank or group of
 * ranks; every rank of a group evaluates the cosmology for itself. */
typedef struct Simulator Simulator;
typedef struct {
  int64_t redrawn; /**< unphysical or impossible draws replaced */
  int64_t linear_redshifts; /**< realisations in which some redshift had no nonlinear scale */
} SimulatorCounts;
/** The maps of a survey. */
FieldShape simulator_shape(const SurveyConfig *survey);
/** Collective on \p comm, whose ranks make each map together (field_create()).  Errors: those of field_check(). */
PetscErrorCode simulator_create(MPI_Comm comm, const SurveyConfig *survey, const Prior *prior, int64_t seed,
                                Simulator **simulator);
/** Rows of a map that are made on this rank: all of them, if it is alone. */
void simulator_slab(const Simulator *simulator, PetscInt *first_row, PetscInt *rows);
/** Realisation \p index: a function of (configuration, seed, index) alone.  A draw for which no log-normal field exists
 * is redrawn and counted as well.  Collective.
 * \param[out] kappa [bins][rows][nx], the rows of simulator_slab()  \param[out] theta [prior_count()], on every rank
 * \param[in,out] counts  added to; may be NULL
 * Errors: NEPHRITE_ERR_CONFIG if no draw from the prior makes a map, with the reason of the last. */
PetscErrorCode simulator_realisation(Simulator *simulator, int64_t index, float *kappa, double *theta,
                                     SimulatorCounts *counts);
/** C_ij(ell) and shifts at given parameters (the Wiener filter and reports want them).  Borrowed until the next call.
 * Errors: those of lensing_model_evaluate(), naming the parameters. */
PetscErrorCode simulator_spectra(Simulator *simulator, const double *theta, const LensingSpectra **spectra);
PetscErrorCode simulator_destroy(Simulator **simulator);

/** The `simulate` section. */
typedef struct {
  int64_t realisations;
  PetscInt shard_size;
  char maps[OPTION_TEXT_SIZE]; /**< file of maps made elsewhere, or "" */
  PetscInt group_size; /**< ranks that make a map together */
  PetscInt compression; /**< of shards, 0 … 9 */
} SimulateConfig;
extern const OptionTable simulate_options;

/** Can the ranks of \p comm make these maps in groups of this size?  Not collective.
 * Errors: NEPHRITE_ERR_CONFIG: their number is no multiple of it (sizes that would do are named); maps made elsewhere
 * are to be divided; those of field_check(). */
PetscErrorCode simulate_check_groups(MPI_Comm comm, const SurveyConfig *survey, const SimulateConfig *simulate);

/** Make what is missing of a campaign's shards and its index, from simulations or from the maps of a file.  Collective
 * on \p comm.
 *
 * A shard that is there is kept, if its configuration and its digests are right.  More realisations than before make
 * more shards, and the last one anew if it was not full; fewer join the first maps only, and make the shard in which
 * they end anew, shorter.
 * Errors: NEPHRITE_ERR_INTERRUPTED: asked to stop; shards begun are given up, finished ones are kept.
 * NEPHRITE_ERR_INPUT: a shard is damaged or was made with other options, which are named; the maps of a file are fewer,
 * or not of this survey and prior.  NEPHRITE_ERR_IO.
 * NEPHRITE_ERR_CONFIG: the prior holds no universe, too many shards, or those of simulate_check_groups(). */
PetscErrorCode campaign_simulate(MPI_Comm comm, const Options *options, const CampaignConfig *campaign,
                                 const SurveyConfig *survey, const Prior *prior, const SimulateConfig *simulate);

/** The maps of a campaign on disk, checked against the index. */
typedef struct CampaignReader CampaignReader;
/** Open `sims/campaign.h5` of \p directory.  Not collective.  Errors: NEPHRITE_ERR_INPUT (missing, damaged, made with
 * another configuration than \p options). */
PetscErrorCode campaign_reader_open(const char *directory, const Options *options, CampaignReader **reader);
int64_t campaign_reader_count(const CampaignReader *reader);
/** One realisation, its digest verified. */
PetscErrorCode campaign_reader_get(CampaignReader *reader, int64_t index, float *kappa, double *theta);
PetscErrorCode campaign_reader_close(CampaignReader **reader);

/** Where training takes its maps from: shards (a keyed permutation per epoch), fresh simulations of this rank's own, or
 * of ranks that simulate for others.  The maps are the same bit for bit wherever they are simulated. */
typedef struct BatchSource BatchSource;
/** \param first, count  the realisations to draw from: training and held-out maps are disjoint ranges of one campaign
 */
PetscErrorCode batch_source_from_shards(const char *directory, const Options *options, int64_t first, int64_t count,
                                        int64_t seed, BatchSource **source);
/** Online: item i is the realisation of index first + i, never twice. */
PetscErrorCode batch_source_online(const SurveyConfig *survey, const Prior *prior, int64_t seed, int64_t first,
                                   BatchSource **source);
/** The same, made by the ranks on the other side of an intercommunicator, who are in simulation_serve().
 * \param simulators  borrowed; the source must be destroyed before simulation_dismiss() */
PetscErrorCode batch_source_streamed(MPI_Comm simulators, const SurveyConfig *survey, PetscInt parameters,
                                     int64_t first, BatchSource **source);
/** Items first … first + count-1 will be asked for, in this order and after those that were announced before; items
 * that were announced already are passed over.  Other ranks are asked for them at once.  Each takes the room of a map
 * from when it is on its way, or made, until it is asked for. */
PetscErrorCode batch_source_expect(BatchSource *source, int64_t first, int64_t count);
/** Simulate one of the expected items in time that there is to spare.  What fails is tried again when it is asked for.
 * \param[out] more  is there any left?  Never of shards, nor of a source whose maps other ranks make. */
PetscErrorCode batch_source_advance(BatchSource *source, PetscBool *more);
/** Item \p position of the endless training sequence (step x batch + place in the batch): independent of ranks.
 * \param[out] realisation the index of the map in its campaign, may be NULL
 * Errors: those of campaign_reader_get() or simulator_realisation(). */
PetscErrorCode batch_source_get(BatchSource *source, int64_t position, float *kappa, double *theta,
                                int64_t *realisation);
PetscErrorCode batch_source_destroy(BatchSource **source);

/** What ranks that simulate for others have done. */
typedef struct {
  int64_t maps;
  double busy_seconds, seconds; /**< simulating; in all */
} SimulationService;
/** Simulate what the ranks on the other side of \p clients ask for, until all of them have called simulation_dismiss().
 * What goes wrong is told to all who ask from then on.
 * Errors: those of simulator_create() and simulator_realisation(), once all have been told so. */
PetscErrorCode simulation_serve(MPI_Comm clients, const SurveyConfig *survey, const Prior *prior, int64_t seed);
/** This rank wants no more maps of the ranks on the other side.  To be called whatever has failed before, or they wait
 * for ever.  \param[out] service  of all those ranks together, so far */
PetscErrorCode simulation_dismiss(MPI_Comm simulators, SimulationService *service);

#endif
