/* nephrite-test: mpi */
#include "nephrite_test.h"

#include <stdlib.h>
#include <unistd.h>

typedef enum { FRUIT_APPLE, FRUIT_PEAR } Fruit;

typedef struct {
  char config[OPTION_TEXT_SIZE];
  int64_t seed;
} Top;

typedef struct {
  PetscInt bins;
  double width;
  char mask[OPTION_TEXT_SIZE];
  int fruit;
  PetscBool ripe;
  PetscInt size[2];
  double range[2];
} Survey;

static const OptionSpec top_specs[] = {
    {"config", VALUE_TEXT, offsetof(Top, config), "", "", 0, 0, NULL, SCOPE_RUN, "campaign file"},
    {"seed", VALUE_INT64, offsetof(Top, seed), "", "1", 0, 9.2e18, NULL, SCOPE_SIMULATION, "seed"},
};
static const OptionSpec survey_specs[] = {
    {"survey_bins", VALUE_INT, offsetof(Survey, bins), "bins", "5", 1, 16, NULL, SCOPE_SIMULATION, "number of bins"},
    {"survey_width", VALUE_REAL, offsetof(Survey, width), "deg", "5", 0.01, 90, NULL, SCOPE_SIMULATION, "width"},
    {"survey_mask", VALUE_TEXT, offsetof(Survey, mask), "", "none", 0, 0, NULL, SCOPE_NETWORK, "mask"},
    {"survey_fruit", VALUE_CHOICE, offsetof(Survey, fruit), "", "apple", 0, 0, "apple|pear", SCOPE_NETWORK, "fruit"},
    {"survey_ripe", VALUE_FLAG, offsetof(Survey, ripe), "", "false", 0, 0, NULL, SCOPE_RUN, "is it ripe"},
    {"survey_size", VALUE_INT_PAIR, offsetof(Survey, size), "pixels", "128", 4, 4096, NULL, SCOPE_SIMULATION, "size"},
    {"survey_range", VALUE_REAL_PAIR, offsetof(Survey, range), "", "1", 0.1, 10, NULL, SCOPE_TRAINING, "range"},
};
static const OptionSpec needed_specs[] = {
    {"needed", VALUE_INT, 0, "", NULL, 0, 9, NULL, SCOPE_RUN, "something without a default"},
};
static const OptionTable top_table = {"top", top_specs, 2};
static const OptionTable survey_table = {"survey", survey_specs, 7};
static const OptionTable needed_table = {"needed", needed_specs, 1};
static const OptionTable *const tables[] = {&top_table, &survey_table, &needed_table};

enum { WORDS = 16 };

/* The words of a command line: "-seed 3 -survey_bins 4". */
static PetscErrorCode create(const char *line, Options **options)
{
  static char copy[4096];
  char *argv[WORDS];
  int argc = 0;

  *options = NULL;
  snprintf(copy, sizeof copy, "%s", line);
  for (char *word = strtok(copy, " "); word && argc < WORDS; word = strtok(NULL, " ")) argv[argc++] = word;
  return options_create(PETSC_COMM_WORLD, argc, argv, tables, 2, options);
}

static char path[256];

/* All ranks agree on one file, which rank 0 writes. */
static void write_file(const char *text)
{
  PetscMPIInt rank;

  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  if (rank == 0) {
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
  }
  MPI_Barrier(PETSC_COMM_WORLD);
}

static PetscErrorCode create_from(const char *yaml, const char *more, Options **options)
{
  char line[1024];

  write_file(yaml);
  snprintf(line, sizeof line, "-config %s %s", path, more);
  return create(line, options);
}

static PetscErrorCode create_from_file(Options **options)
{
  char line[1024];

  MPI_Barrier(PETSC_COMM_WORLD);
  snprintf(line, sizeof line, "-config %s", path);
  return create(line, options);
}

static int begin(void **state)
{
  long number = (long)getpid();

  (void)state;
  MPI_Bcast(&number, 1, MPI_LONG, 0, PETSC_COMM_WORLD);
  snprintf(path, sizeof path, "/tmp/nephrite-test-options-%ld.yaml", number);
  return 0;
}

static int end(void **state)
{
  PetscMPIInt rank;

  (void)state;
  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  MPI_Barrier(PETSC_COMM_WORLD);
  if (rank == 0) unlink(path); /* rank 0 also writes the next one */
  return 0;
}

#define expect_refused(line, text)                                                                                     \
  do {                                                                                                                 \
    Options *refused_ = NULL;                                                                                          \
    assert_fails(create(line, &refused_), NEPHRITE_ERR_CONFIG, text);                                                  \
    assert_ok(options_destroy(&refused_));                                                                             \
  } while (0)

#define expect_file_refused(yaml, error_class, text)                                                                   \
  do {                                                                                                                 \
    Options *refused_ = NULL;                                                                                          \
    assert_fails(create_from(yaml, "", &refused_), error_class, text);                                                 \
    assert_ok(options_destroy(&refused_));                                                                             \
  } while (0)

static void defaults_fill_what_is_not_given(void **state)
{
  Options *options;
  Survey survey;
  Top top;

  (void)state;
  assert_ok(create("-survey_bins 3", &options));
  assert_ok(options_fill(options, &survey_table, &survey));
  assert_ok(options_fill(options, &top_table, &top));
  assert_int_equal(survey.bins, 3);
  assert_true(survey.width == 5);
  assert_string_equal(survey.mask, "none");
  assert_int_equal(survey.fruit, FRUIT_APPLE);
  assert_false(survey.ripe);
  assert_int_equal(survey.size[0], 128);
  assert_int_equal(survey.size[1], 128);
  assert_true(survey.range[0] == 1 && survey.range[1] == 1);
  assert_true(top.seed == 1);
  assert_true(options_given(options, "survey_bins"));
  assert_false(options_given(options, "seed"));
  assert_string_equal(options_text(options, "survey_width"), "5");
  assert_null(options_text(options, "nothing"));
  assert_ok(options_destroy(&options));
  assert_null(options);
}

static void every_kind_of_value_is_read(void **state)
{
  Options *options;
  Survey survey;
  Top top;

  (void)state;
  assert_ok(create("-seed 9007199254740993 -survey_bins 1e1 -survey_width 2.5e-1 -survey_mask a/b.h5 "
                   "-survey_fruit pear -survey_ripe -survey_size 64,32 -survey_range 0.5,2e0",
                   &options));
  assert_ok(options_fill(options, &survey_table, &survey));
  assert_ok(options_fill(options, &top_table, &top));
  assert_true(top.seed == 9007199254740993); /* 2^53 + 1: no double holds it */
  assert_int_equal(survey.bins, 10);
  assert_true(survey.width == 0.25);
  assert_string_equal(survey.mask, "a/b.h5");
  assert_int_equal(survey.fruit, FRUIT_PEAR);
  assert_true(survey.ripe);
  assert_int_equal(survey.size[0], 64);
  assert_int_equal(survey.size[1], 32);
  assert_true(survey.range[0] == 0.5 && survey.range[1] == 2);
  assert_ok(options_destroy(&options));
}

static void the_command_line_wins_wherever_the_file_stands(void **state)
{
  Options *options;

  (void)state;
  write_file("seed: 7\nsurvey:\n  bins: 4\n  size: [64, 32]\n  ripe: yes\n");
  for (int order = 0; order < 2; order++) {
    char line[600];

    snprintf(line, sizeof line, order ? "-survey_bins 6 -config %s" : "-config %s -survey_bins 6", path);
    assert_ok(create(line, &options));
    assert_string_equal(options_text(options, "survey_bins"), "6");
    assert_string_equal(options_text(options, "seed"), "7");
    assert_string_equal(options_text(options, "survey_size"), "64,32");
    assert_string_equal(options_text(options, "survey_ripe"), "yes");
    assert_true(options_given(options, "seed"));
    assert_ok(options_destroy(&options));
  }
}

static void an_unknown_name_is_refused_with_the_nearest_known_one(void **state)
{
  (void)state;
  expect_refused("-survey_bin 5", "unknown option survey_bin; did you mean survey_bins?");
  expect_refused("-bins 5", "did you mean survey_bins?"); /* the section is missing */
  expect_refused("-options_file x", "unknown option options_file");
  expect_refused("-options_string_yaml x", "unknown option options_string_yaml");
  expect_file_refused("survey: {mass: none}\n", NEPHRITE_ERR_CONFIG,
                      "unknown option survey_mass; did you mean survey_mask?");
  expect_file_refused("sed: 3\n", NEPHRITE_ERR_CONFIG, "did you mean seed?");
}

static void options_of_petsc_stand_beside_ours(void **state)
{
  Options *options;

  (void)state;
  assert_ok(create("-log_view :log.txt -survey_bins 2 -malloc_debug -no_signal_handler", &options));
  assert_string_equal(options_text(options, "survey_bins"), "2");
  assert_ok(options_destroy(&options));
}

static void a_value_of_the_wrong_kind_is_refused(void **state)
{
  (void)state;
  expect_refused("-survey_bins abc", "option survey_bins is \"abc\"; it must be a whole number from 1 to 16 bins");
  expect_refused("-survey_bins 1.5", "option survey_bins is \"1.5\"; it must be a whole number");
  expect_refused("-survey_bins 3x", "\"3x\"");
  expect_refused("-survey_width wide", "option survey_width is \"wide\"; it must be a number from 0.01 to 90 deg");
  expect_refused("-survey_width nan", "it must be a number");
  expect_refused("-survey_width 1e999", "it must be a number");
  expect_refused("-survey_size 64,32,16", "survey_size");
  expect_refused("-survey_size 64,", "survey_size");
  expect_refused("-survey_range 0.5,2,3", "survey_range");
  expect_refused("-survey_range 0.5,", "it must be a number, or two with a comma, from 0.1 to 10");
  expect_refused("-survey_range 0.5,nan", "survey_range");
  expect_refused("-survey_fruit plum", "option survey_fruit is \"plum\"; it must be one of apple|pear");
  expect_refused("-survey_fruit app", "it must be one of apple|pear");
  expect_refused("-survey_ripe maybe", "it must be true or false");
  expect_refused("-survey_bins", "option survey_bins has no value");
  expect_refused("-survey_bins -seed 3", "option survey_bins has no value");
  expect_file_refused("survey: {bins: [1, 2]}\n", NEPHRITE_ERR_CONFIG, "survey_bins");
}

static void a_value_out_of_range_is_refused_with_range_and_unit(void **state)
{
  (void)state;
  expect_refused("-survey_bins 17",
                 "command line: option survey_bins is \"17\"; it must be a whole number from 1 to 16 bins");
  expect_refused("-survey_bins -1", "option survey_bins is \"-1\"");
  expect_refused("-survey_width 90.1", "from 0.01 to 90 deg");
  expect_refused("-survey_size 64,2", "from 4 to 4096 pixels");
  expect_refused("-survey_range 0.5,20", "from 0.1 to 10");
  expect_refused("-survey_range 0.05,2", "from 0.1 to 10");
  expect_refused("-survey_bins 99999999999999999999", "survey_bins");
  expect_file_refused("survey: {bins: 17}\n", NEPHRITE_ERR_CONFIG, "it must be a whole number from 1 to 16 bins");
}

static void words_that_belong_to_no_option_are_refused(void **state)
{
  (void)state;
  expect_refused("-survey_mask", "option survey_mask has no value");
  expect_refused("-survey_mask -seed 3", "option survey_mask has no value");
  expect_refused("seed 3", "\"seed\" belongs to no option");
  expect_refused("-seed 3 4", "\"4\" belongs to no option");
  expect_refused("-", "belongs to no option");
}

static void a_required_option_must_be_given(void **state)
{
  Options *options = NULL;
  char *argv[] = {(char[]){"-needed"}, (char[]){"4"}};

  (void)state;
  assert_fails(options_create(PETSC_COMM_WORLD, 0, NULL, tables, 3, &options), NEPHRITE_ERR_CONFIG,
               "option needed must be given: something without a default");
  assert_ok(options_destroy(&options));
  assert_ok(options_create(PETSC_COMM_WORLD, 2, argv, tables, 3, &options));
  assert_ok(options_destroy(&options));
}

static void a_file_that_is_missing_or_no_yaml_is_refused_by_name(void **state)
{
  Options *options = NULL;

  (void)state;
  assert_fails(create("-config /nowhere/x.yaml", &options), NEPHRITE_ERR_INPUT,
               "/nowhere/x.yaml: cannot be opened: No such file or directory");
  assert_ok(options_destroy(&options));
  assert_fails(create("-config /tmp", &options), NEPHRITE_ERR_INPUT, "/tmp: cannot be read as a text file");
  assert_ok(options_destroy(&options));
  expect_file_refused("# a comment\n\nsurvey: {bins: 3\n", NEPHRITE_ERR_CONFIG,
                      ".yaml: line 3, or what it begins, is no");
  expect_file_refused("seed: 3\n\tsurvey: {bins: 3}\nsurvey:\n  bins: 3\n", NEPHRITE_ERR_CONFIG, "line 2,");
  expect_file_refused("survey: {bins: 3,\n  width: 4}\nseed: }{\n", NEPHRITE_ERR_CONFIG, "line 3,");
  expect_file_refused("survey:\n  bins: 3\n width: 4\n", NEPHRITE_ERR_CONFIG, "line 3,");
  expect_file_refused("just a sentence\n", NEPHRITE_ERR_CONFIG, "line 1,");
  expect_file_refused("- seed\n- 3\n", NEPHRITE_ERR_CONFIG, "line 1,");
  expect_file_refused("survey: {\n\n\n\n\n\n bins: 3}\n#\n#\n#\n#\nseed: }\n#\n#\n#\n#\n#\n#\n#\n", NEPHRITE_ERR_CONFIG,
                      "line 12,");
}

static void an_option_that_a_file_gives_twice_is_refused(void **state)
{
  Options *options;

  (void)state;
  expect_file_refused("seed: 3\n# seed: 4\nseed: 5\n", NEPHRITE_ERR_CONFIG,
                      "option seed is given twice, in lines 1 and 3");
  expect_file_refused("survey: {bins: 3}\nseed: 3\nsurvey:\n  bins: 3\n", NEPHRITE_ERR_CONFIG, "in lines 1 and 4");
  expect_file_refused("survey: {width: 4, bins: 3,\n  bins: 4}\n", NEPHRITE_ERR_CONFIG, "survey_bins is given twice");
  expect_file_refused("survey_bins: 4\nsurvey: {bins: 4}\n", NEPHRITE_ERR_CONFIG, "survey_bins is given twice");
  expect_file_refused("---\nseed: 3\n---\nsurvey: {bins: 4}\n", NEPHRITE_ERR_CONFIG, "line 3 begins a second document");
  assert_ok(
      create_from("survey: {mask: 'bins: 2, {bins: 3, it''s'} # bins: 4\nsurvey:\n  width: 4\n  bins: 2\nseed: 1\n",
                  "-seed 2 -seed 3", &options));
  assert_string_equal(options_text(options, "survey_bins"), "2");
  assert_string_equal(options_text(options, "seed"), "3"); /* the command line's last */
  assert_ok(options_destroy(&options));
}

static void a_file_that_is_no_text_is_refused(void **state)
{
  Options *options = NULL;
  PetscMPIInt rank;

  (void)state;
  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  write_file("");
  if (rank == 0) {
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fwrite("\xff\xfes\0e\0e\0d\0", 1, 10, file); /* UTF-16, of which PETSc would see an empty file */
    fclose(file);
  }
  assert_fails(create_from_file(&options), NEPHRITE_ERR_INPUT, "byte 3 is 0; it must be text in UTF-8");
  assert_ok(options_destroy(&options));
}

static void an_empty_file_leaves_the_defaults(void **state)
{
  static const char *const empty[] = {"", "# nothing but a comment\n", "---\n"};
  Options *options;

  (void)state;
  for (int i = 0; i < 3; i++) {
    assert_ok(create_from(empty[i], "", &options));
    assert_string_equal(options_text(options, "survey_bins"), "5");
    assert_ok(options_destroy(&options));
  }
}

static void the_effective_configuration_runs_as_is(void **state)
{
  static const char *const masks[] = {
      "it''s: {odd} # [yes]", "", "~", "a, b", "no", "\\n \\\"", "é", "- x", "&a *b", "%"};
  Options *first, *second;
  char *yaml = NULL, *again = NULL;

  (void)state;
  for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
    char given[256];
    Survey survey;

    snprintf(given, sizeof given, "seed: 9007199254740993\nsurvey:\n  size: 64,32\n  ripe: true\n  mask: '%s'\n",
             masks[i]);
    assert_ok(create_from(given, "-survey_width 3.5", &first));
    assert_ok(options_fill(first, &survey_table, &survey));
    assert_string_equal(survey.mask, i == 0 ? "it's: {odd} # [yes]" : masks[i]);
    assert_ok(options_yaml(first, ~0u, &yaml));
    assert_ok(create_from(yaml, "", &second));
    assert_ok(options_yaml(second, ~0u, &again));
    assert_string_equal(yaml, again);
    assert_non_null(strstr(yaml, "\nsurvey:\n  bins: 5\n  width: 3.5\n"));
    assert_non_null(strstr(yaml, "seed: 9007199254740993\n"));
    assert_ok(PetscFree(yaml));
    assert_ok(PetscFree(again));
    assert_ok(options_destroy(&first));
    assert_ok(options_destroy(&second));
  }
}

static void a_scope_holds_its_options_only(void **state)
{
  Options *options;
  char *yaml = NULL;

  (void)state;
  assert_ok(create("", &options));
  assert_ok(options_yaml(options, SCOPE_SIMULATION, &yaml));
  assert_string_equal(yaml, "seed: 1\nsurvey:\n  bins: 5\n  width: 5\n  size: 128\n");
  assert_ok(PetscFree(yaml));
  assert_ok(options_destroy(&options));
}

static void another_configuration_is_refused_naming_what_differs(void **state)
{
  Options *options;

  (void)state;
  assert_ok(create("-survey_bins 4 -seed 9007199254740993", &options));
  assert_ok(options_require_same(options, SCOPE_SIMULATION,
                                 "seed: 9007199254740993\nsurvey: {bins: 4, width: 5.0, size: '128,128', mask: x}\n",
                                 "a.h5"));
  assert_fails(options_require_same(options, SCOPE_SIMULATION, "seed: 9007199254740992\n", "a.h5"), NEPHRITE_ERR_INPUT,
               "seed (9007199254740992 there, 9007199254740993 here)");
  assert_fails(options_require_same(options, SCOPE_SIMULATION | SCOPE_NETWORK, "survey: {bins: 3, mask: x}\n", "a.h5"),
               NEPHRITE_ERR_INPUT, "a.h5 was made with another configuration: ");
  assert_non_null(strstr(error_message(), "survey_bins (3 there, 4 here)"));
  assert_non_null(strstr(error_message(), "survey_mask (x there, none here)"));
  assert_ok(options_require_same(options, SCOPE_TRAINING, "survey: {range: '1.0,1e0'}\n", "a.h5"));
  assert_fails(options_require_same(options, SCOPE_TRAINING, "survey: {range: '1,2'}\n", "a.h5"), NEPHRITE_ERR_INPUT,
               "survey_range (1,2 there, 1 here)");
  assert_fails(options_require_same(options, SCOPE_SIMULATION, "survey: {bins", "a.h5"), NEPHRITE_ERR_INPUT, "a.h5");
  assert_ok(options_destroy(&options));
}

static void help_tells_every_option_with_unit_default_and_range(void **state)
{
  char *text = NULL;
  size_t size;
  FILE *out = open_memstream(&text, &size);

  (void)state;
  assert_ok(options_print_help(tables, 3, out));
  fclose(out);
  assert_non_null(strstr(text, "-survey_bins <1 to 16 bins>  default 5\n      number of bins\n"));
  assert_non_null(strstr(text, "-survey_fruit <apple|pear>  default apple"));
  assert_non_null(strstr(text, "-survey_range <one or two of 0.1 to 10>  default 1"));
  assert_non_null(strstr(text, "-survey_ripe <true|false>  default false"));
  assert_non_null(strstr(text, "-needed <0 to 9>  must be given"));
  free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
NEPHRITE_TEST_MAIN(TEST(defaults_fill_what_is_not_given), TEST(every_kind_of_value_is_read),
                   TEST(the_command_line_wins_wherever_the_file_stands),
                   TEST(an_unknown_name_is_refused_with_the_nearest_known_one),
                   TEST(options_of_petsc_stand_beside_ours), TEST(a_value_of_the_wrong_kind_is_refused),
                   TEST(a_value_out_of_range_is_refused_with_range_and_unit),
                   TEST(words_that_belong_to_no_option_are_refused), TEST(a_required_option_must_be_given),
                   TEST(a_file_that_is_missing_or_no_yaml_is_refused_by_name),
                   TEST(an_option_that_a_file_gives_twice_is_refused), TEST(a_file_that_is_no_text_is_refused),
                   TEST(an_empty_file_leaves_the_defaults), TEST(the_effective_configuration_runs_as_is),
                   TEST(a_scope_holds_its_options_only), TEST(another_configuration_is_refused_naming_what_differs),
                   TEST(help_tells_every_option_with_unit_default_and_range))
